//! CSV: a line for each alternative of a logprobs record, or for each draw of a sample; one line where there is none. It
//! has no lists of samples, no logits of their distributions, and no tokens that were asked for by their ids.

mod columns;
mod read;

use std::io::{self, Write};

use self::columns::{LOGPROBS_COLUMNS, LogprobsLine, SAMPLE_COLUMNS, SampleLine};
pub(super) use self::read::CsvReader;
use super::record::{DistributionRecord, Kind, Record, SampleRecord};
use super::write::WriteRecord;

/// Writes CSV.
#[derive(Debug)]
pub struct CsvWriter<W> {
    out: W,
    kind: Kind,
}

impl<W: Write> CsvWriter<W> {
    /// A writer of records of one kind that has written the names of their columns.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(mut out: W, kind: Kind) -> io::Result<Self> {
        match kind {
            Kind::Logprobs => write_rows(&mut out, [LOGPROBS_COLUMNS.iter().map(|(name, _)| *name)])?,
            Kind::Sample => write_rows(&mut out, [SAMPLE_COLUMNS.iter().map(|(name, _)| *name)])?,
        }
        Ok(Self { out, kind })
    }

    /// A writer of records after others of the kind, which are there with the names of their columns.
    pub const fn append(out: W, kind: Kind) -> Self {
        Self { out, kind }
    }
}

impl<W: Write> WriteRecord for CsvWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        match (record, self.kind) {
            (Record::Logprobs(record), Kind::Logprobs) => {
                let lines = numbered(&record.top)
                    .map(|alternative| LogprobsLine { record, alternative })
                    .map(|line| LOGPROBS_COLUMNS.iter().map(move |(_, field)| field(&line)));
                write_rows(&mut self.out, lines)
            }
            (Record::Sample(record), Kind::Sample) => {
                let lines = numbered(&record.draws)
                    .map(|draw| SampleLine { record, draw })
                    .map(|line| SAMPLE_COLUMNS.iter().map(move |(_, field)| field(&line)));
                write_rows(&mut self.out, lines)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a CSV file has records of one kind")),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What the columns hold of a record: of a sample no lists, and of its distribution the entropy alone.
pub(super) fn held<'a>(record: &Record<'a>) -> Record<'a> {
    match record {
        Record::Logprobs(record) => {
            let mut held = record.clone();
            held.token_logprobs.clear();
            Record::Logprobs(held)
        }
        Record::Sample(record) => {
            let (top, token_logprobs) = (Vec::new(), Vec::new());
            let processed = DistributionRecord { logsumexp: None, top, token_logprobs, ..record.processed };
            Record::Sample(SampleRecord { processed, raw: None, draws: record.draws.clone(), ..*record })
        }
    }
}

/// The items with their numbers, from 1, or once none.
fn numbered<T>(items: &[T]) -> impl Iterator<Item = Option<(usize, &T)>> {
    let none = items.is_empty().then_some(None);
    (1..).zip(items).map(Some).chain(none)
}

fn write_rows<T: AsRef<[u8]>>(
    out: &mut impl Write,
    rows: impl IntoIterator<Item = impl Iterator<Item = T>>,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    // A vector takes everything, so only the write below can fail.
    out.write_all(&writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?)
}
