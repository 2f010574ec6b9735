//! What an audit found against a log, in words, and how it is printed.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use sortilege::log::{AuditReport, write_json_pretty};

use crate::failure::{Failure, Result};
use crate::shared_args::ReportFormat;
use crate::shown::{shown, shown_path};

/// What is wrong with files, before any record is.
#[derive(Default)]
pub(super) struct Findings(Vec<String>);

impl Findings {
    /// A file that is not what the sidecar tells.
    pub(super) fn file(&mut self, problem: &str, hash: &str, told: &str) {
        self.0.push(format!("{problem}: its SHA-256 is {hash}, the sidecar tells {}", shown(told)));
    }

    /// In words.
    pub(super) fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// Before all others.
    pub(super) fn put_first(&mut self, other: Self) {
        self.0.splice(0..0, other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The outcome of an audit.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    log: String,
    logits: String,
    /// Whether the log says what its logits and parameters say.
    follows: bool,
    /// What computed now, and when the log was made.
    device: &'a str,
    made_on: &'a str,
    /// Whether texts and bytes of tokens were compared.
    texts_checked: bool,
    /// What is wrong with files.
    findings: Vec<String>,
    #[serde(flatten)]
    report: AuditReport,
}

impl<'a> Outcome<'a> {
    pub(super) fn new(
        [log, logits]: [&Path; 2],
        [device, made_on]: [&'a str; 2],
        texts_checked: bool,
        findings: Findings,
        report: AuditReport,
    ) -> Self {
        let follows = findings.is_empty() && report.follows();
        let [log, logits] = [log, logits].map(shown_path);
        Self { log, logits, follows, device, made_on, texts_checked, findings: findings.0, report }
    }

    /// Prints it; a failure if the log does not follow.
    pub(super) fn conclude(&self, format: ReportFormat) -> Result<()> {
        let mut out = io::stdout().lock();
        let printed = match format {
            ReportFormat::Json => write_json_pretty(&mut out, self),
            ReportFormat::Table => out.write_all(self.text().as_bytes()),
        };
        // A log that does not follow is told even if nobody reads the rest.
        if !self.follows {
            let Self { log, logits, .. } = self;
            return Err(Failure::Mismatch(format!("{log} does not follow from {logits}: {}", self.first())));
        }
        printed.map_err(|error| Failure::writing(&error))
    }

    fn text(&self) -> String {
        let Self { log, logits, device, made_on, report, .. } = self;
        let texts =
            if self.texts_checked || report.records == 0 { "" } else { ", but for the texts of tokens" };
        let verdict = if self.follows { "follows" } else { "does not follow" };
        let mut text = format!(
            "{log} {verdict} from {logits}: {} records checked bit for bit{texts}, made on {}, derived on {device}\n",
            report.records,
            shown(made_on)
        );
        for finding in &self.findings {
            text += &format!("  {finding}\n");
        }
        if let Some(first) = &report.first {
            text += &format!("  {first}\n");
        }
        if report.differing > 1 {
            text += &format!("  {} records differ in all\n", report.differing);
        }
        text
    }

    /// The first thing that is wrong with a record, or else with a file.
    fn first(&self) -> String {
        let of_records = self.report.first.as_ref().map(ToString::to_string);
        of_records.or_else(|| self.findings.first().cloned()).unwrap_or_default()
    }
}
