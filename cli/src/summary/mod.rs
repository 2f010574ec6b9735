//! `sortilege summary`: what the records of a log come to, of all or of those that a condition keeps, and gates on it. The
//! numbers are the library's.

mod args;
mod names;
mod table;

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use sortilege::log::{LowConfidence, Record, Summary, SummaryReport, write_json_pretty};

pub(crate) use self::args::{EXAMPLES, SummaryArgs};
use self::names::{Summed, of_record, of_summary, record_names};
use self::table::{Matches, Table};
use crate::failure::{Failure, Result, note};
use crate::files::LogFile;
use crate::gate::{Condition, Gates, Verdict};
use crate::shared_args::ReportFormat;
use crate::shown::shown_path;

pub(crate) fn run(args: &SummaryArgs) -> Result<()> {
    let (kept, gates) = conditions(args)?;
    let mut selection = Selection { kept, list: args.list, ..Selection::default() };
    let low = LowConfidence { below: args.low_below, length: args.low_length };
    let report = sum_up(args, low, &mut selection)?;
    if selection.undecided > 0 {
        note!("note: {} records have no number for --where, and do not match", selection.undecided);
    }
    let share = (selection.read > 0).then(|| report.total.records as f64 / selection.read as f64);
    let summed = Summed { report, share };
    let printed = print(args, &selection, &summed.report).map_err(|error| Failure::writing(&error));
    let total = &summed.report.total;
    if total.unsound > 0 && gates.pass_over(&["unsound"]) {
        note!(
            "note: {} of {} records are no distribution; no --fail-if names unsound, so that none fails for them: add \"unsound > \
             0\"",
            total.unsound,
            total.records
        );
    }
    // A gate that fails is told even if nobody reads the summary.
    let numbers = of_summary(Some(&summed));
    gates.check(&|name| {
        numbers.iter().find(|(other, _)| other == name).map_or(f64::NAN, |(_, number)| *number)
    })?;
    printed
}

/// The condition on records, and those on the summary.
fn conditions(args: &SummaryArgs) -> Result<(Option<Condition>, Gates)> {
    let parse = |text: &str| {
        let parsed = Condition::parse(text, &record_names());
        parsed.map_err(|problem| Failure::Usage(format!("--where: {problem}")))
    };
    let kept = args.condition.as_deref().map(parse).transpose()?;
    let names = of_summary(None);
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    Ok((kept, Gates::parse(&args.fail_if, &names, |_| None)?))
}

/// Which records are summed up.
#[derive(Default)]
struct Selection {
    /// Those for which it holds, or all.
    kept: Option<Condition>,
    /// How many of them are listed.
    list: usize,
    /// Records that were read.
    read: u64,
    /// Those that lack a number.
    undecided: u64,
    /// The first that match.
    matches: Vec<Record<'static>>,
}

impl Selection {
    /// Whether a record is summed up.
    fn takes(&mut self, record: &Record<'static>) -> bool {
        self.read += 1;
        let Some(condition) = &self.kept else { return true };
        let verdict = condition.decide(&|name| of_record(record, name));
        self.undecided += u64::from(verdict == Verdict::Undecided);
        let is_kept = verdict == Verdict::Holds;
        if is_kept && self.matches.len() < self.list {
            self.matches.push(record.clone());
        }
        is_kept
    }
}

/// The summary of the records that are taken.
fn sum_up(args: &SummaryArgs, low: LowConfidence, selection: &mut Selection) -> Result<SummaryReport> {
    let log = LogFile::open(&args.log)?;
    let mut summary = Summary::new(low);
    log.each(|record| {
        if selection.takes(&record) {
            summary.add(&record);
        }
        Ok(())
    })?;
    Ok(summary.finish())
}

fn print(args: &SummaryArgs, selection: &Selection, report: &SummaryReport) -> io::Result<()> {
    #[derive(Serialize)]
    struct Printed<'a> {
        log: String,
        records_read: u64,
        #[serde(rename = "where")]
        condition: Option<&'a str>,
        #[serde(flatten)]
        report: &'a SummaryReport,
        matches: &'a [Record<'static>],
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if args.format == ReportFormat::Json {
        let printed = Printed {
            log: shown_path(&args.log),
            records_read: selection.read,
            condition: args.condition.as_deref(),
            report,
            matches: &selection.matches,
        };
        write_json_pretty(&mut out, &printed)?;
        return out.flush();
    }
    if let Some(condition) = &selection.kept {
        writeln!(out, "{} of {} records match: {condition}", report.total.records, selection.read)?;
        if !selection.matches.is_empty() {
            writeln!(out, "{}", Matches(&selection.matches))?;
        }
    }
    write!(out, "{}", Table { report, list: args.list })?;
    out.flush()
}
