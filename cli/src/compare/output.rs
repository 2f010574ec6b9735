//! The writer of `sortilege compare`, by format: `json` and `table`.

use std::io::{self, Write};

use sortilege::compare::{ComparisonReport, Divergences};

use super::frame::Frame;
use super::pass::Outcome;
use super::sides::Told;
use super::{json, table};
use crate::shared_args::ReportFormat;

/// Writes a comparison in one format.
pub(super) struct Writer<'a> {
    out: Box<dyn Write + 'a>,
    format: ReportFormat,
    /// Requests in all, and those that are written.
    requests: usize,
    written: usize,
}

impl<'a> Writer<'a> {
    /// A writer that has written what comes before the requests, of which there are so many.
    pub(super) fn new(
        mut out: Box<dyn Write + 'a>,
        format: ReportFormat,
        sides: &[Told<'_>; 2],
        divergences: Divergences,
        requests: usize,
    ) -> io::Result<Self> {
        match format {
            ReportFormat::Json => json::write_head(&mut out, sides, divergences)?,
            ReportFormat::Table => table::write_head(&mut out, sides, divergences, requests)?,
        }
        Ok(Self { out, format, requests, written: 0 })
    }

    /// Writes the report of one request.
    pub(super) fn write_request(&mut self, request: u64, report: &ComparisonReport) -> io::Result<()> {
        let is_first = self.written == 0;
        self.written += 1;
        match self.format {
            ReportFormat::Json => json::write_request(&mut self.out, request, is_first, report),
            // The only request is the total.
            ReportFormat::Table if self.requests == 1 => Ok(()),
            ReportFormat::Table => table::write_request(&mut self.out, request, report),
        }
    }

    /// Writes the rest.
    pub(super) fn finish(mut self, outcome: &Outcome, frame: &Frame<'_>) -> io::Result<()> {
        match self.format {
            ReportFormat::Json => json::write_rest(&mut self.out, outcome, frame)?,
            ReportFormat::Table => {
                table::write_total(&mut self.out, &outcome.total)?;
                table::write_worst(&mut self.out, outcome, frame)?;
            }
        }
        self.out.flush()
    }
}
