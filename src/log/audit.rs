//! Whether a log says what its rows say: its records beside records that were derived again. Whoever derives them, with
//! which engine, is not known here, and neither is the definition of their numbers: that is [`audit`](crate::audit).

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::Serialize;

use super::csv;
use super::difference::{Differing, difference};
use super::error::{LogError, LogResult};
use super::read::LogReader;
use super::record::Record;

/// Compares the records of a log with those that it must hold, in their order, bit for bit. It keeps one record in memory
/// at a time.
///
/// # Example
/// An engine that wrote a log derives it again from the logits:
/// ```
/// use sortilege::log::{Audit, JsonlWriter, LogReader, Record, Texts, WriteRecord};
/// use sortilege::{Cpu, Engine, Logits, LogprobsParams};
///
/// let logits = [8.0f32, 6.0, 5.0, -1.0, 0.5, 0.25, 2.0, 1.0];
/// let (batch, targets) = (Logits::f32(&logits, 2, 4)?, [Some(1), Some(2)]);
/// let derive = || Cpu.logprobs(&batch, &LogprobsParams::default(), &targets);
/// let mut writer = JsonlWriter::new(Vec::new());
/// for (position, (row, target)) in (0..).zip(derive()?.iter().zip(targets)) {
///     writer.write(&Record::logprobs(0, position, target, row, Texts::NONE))?;
/// }
/// let log = String::from_utf8(writer.into_inner())?;
///
/// let audit_of = |log: &str| -> Result<_, Box<dyn std::error::Error>> {
///     let mut audit = Audit::new(LogReader::new(log.as_bytes())?);
///     for (position, (row, target)) in (0..).zip(derive()?.iter().zip(targets)) {
///         audit.expect(&Record::logprobs(0, position, target, row, Texts::NONE))?;
///     }
///     Ok(audit.finish()?)
/// };
/// assert!(audit_of(&log)?.follows());
/// let report = audit_of(&log.replace("\"rank\":1", "\"rank\":2"))?;
/// assert_eq!(report.first.unwrap().to_string(), "record 1 (request 0, position 1): rank is 2 instead of 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Audit<R> {
    log: LogReader<R>,
    has_texts: bool,
    /// Whether it went through CSV.
    is_of_csv: bool,
    report: AuditReport,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// Records of the log that were compared.
    pub records: u64,
    /// Those that differ, and those that are missing or too many.
    pub differing: u64,
    /// The first of them.
    pub first: Option<Finding>,
}

/// A record that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its number in the log, from 0.
    pub record: u64,
    /// The request that it must be of; none where there should be no record.
    pub request: Option<u64>,
    /// The position that it must be of.
    pub position: Option<u64>,
    /// What is wrong.
    pub difference: Difference,
}

/// What can be wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// A field has another value.
    Field {
        /// Its name, such as `top[3].logprob`.
        name: String,
        /// What the log says.
        logged: String,
        /// What was derived.
        derived: String,
    },
    /// The log ends before it.
    Missing,
    /// The log goes on after its last record.
    Surplus,
    /// It is no record, in words.
    Broken(String),
}

impl<R: BufRead> Audit<R> {
    /// An audit of a log of which nothing was read.
    #[must_use]
    pub fn new(log: LogReader<R>) -> Self {
        // A number that none can be is a difference too, of its field.
        Self { log: log.unchecked(), has_texts: true, is_of_csv: false, report: AuditReport::default() }
    }

    /// Leaves out which text and bytes a token has, for want of its vocabulary. A text must still be that of its bytes.
    #[must_use]
    pub fn without_texts(mut self) -> Self {
        self.has_texts = false;
        self
    }

    /// Compares what CSV has columns for alone: the log went through it, and is in another format now.
    #[must_use]
    pub fn of_csv(mut self) -> Self {
        self.is_of_csv = true;
        self
    }

    /// What the log holds of a record, if it follows.
    pub fn held<'r, 'a>(&self, record: &'r Record<'a>) -> Cow<'r, Record<'a>> {
        if self.is_of_csv { Cow::Owned(csv::held(record)) } else { self.log.held(record) }
    }

    /// Compares the next record of the log with the one that it must be, as far as the log's format has room for it.
    ///
    /// # Errors
    /// What the input says. A log that ends early, or whose records are none, is a finding.
    pub fn expect(&mut self, derived: &Record<'_>) -> LogResult<()> {
        let difference = match self.next()? {
            None => Some(Difference::Missing),
            Some(Err(difference)) => Some(difference),
            Some(Ok(logged)) => {
                self.report.records += 1;
                let derived = self.held(derived);
                difference(&logged, &derived, self.has_texts)
                    .map(|Differing { name, logged, derived }| Difference::Field { name, logged, derived })
            }
        };
        if let Some(difference) = difference {
            self.found(Some(derived), difference);
        }
        Ok(())
    }

    /// What was found, after the last record that the log must hold.
    ///
    /// # Errors
    /// What the input says.
    pub fn finish(mut self) -> LogResult<AuditReport> {
        while let Some(record) = self.next()? {
            self.found(None, record.map_or_else(|broken| broken, |_| Difference::Surplus));
        }
        Ok(self.report)
    }

    /// The next record of the log, or why it is none, unless the log is over: it ended, or broke.
    fn next(&mut self) -> LogResult<Option<Result<Record<'static>, Difference>>> {
        match self.log.next() {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(Ok(record))),
            Some(Err(LogError::Reading(error))) => Err(LogError::Reading(error)),
            Some(Err(error)) => Ok(Some(Err(Difference::Broken(error.to_string())))),
        }
    }

    fn found(&mut self, derived: Option<&Record<'_>>, difference: Difference) {
        let (request, position) = (derived.map(Record::request), derived.map(Record::position));
        // The record that differs was counted, one that is none was not.
        let record = match difference {
            Difference::Field { .. } => self.report.records - 1,
            _ => self.report.records,
        };
        self.report.differing += 1;
        self.report.first.get_or_insert(Finding { record, request, position, difference });
    }
}

impl AuditReport {
    /// Whether every record is what it must be, and none is missing or too many.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.differing == 0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.record)?;
        if let (Some(request), Some(position)) = (self.request, self.position) {
            write!(f, " (request {request}, position {position})")?;
        }
        match &self.difference {
            Difference::Field { name, logged, derived } => {
                write!(f, ": {name} is {logged} instead of {derived}")?;
                match name.as_str() {
                    "request" | "position" => {
                        f.write_str(": a record is missing, doubled or in another place")
                    }
                    _ => Ok(()),
                }
            }
            Difference::Missing => f.write_str(" is missing: the log ends before it"),
            Difference::Surplus => f.write_str(" is too many: there is no row for it"),
            Difference::Broken(problem) => write!(f, " is none: {problem}"),
        }
    }
}
