//! Logs of every format as records.

use std::io::BufRead;

use super::csv::CsvReader;
use super::error::{LogError, LogResult};
use super::jsonl::JsonlReader;
use super::record::Record;

/// The records of a log, in its order, whatever its format: that is told by its first bytes. It keeps one record in
/// memory at a time. After an error there are no more.
#[derive(Debug)]
pub struct LogReader<R> {
    format: Format<R>,
    is_done: bool,
}

enum Format<R> {
    Jsonl(JsonlReader<R>),
    Csv(CsvReader<R>),
}

impl<R> std::fmt::Debug for Format<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jsonl(_) => "Jsonl",
            Self::Csv(_) => "Csv",
        })
    }
}

impl<R: BufRead> LogReader<R> {
    /// A reader of the log.
    ///
    /// # Errors
    /// [`LogError::Format`] if it is none, what the input says.
    pub fn new(mut input: R) -> LogResult<Self> {
        let head = input.fill_buf()?;
        let format = match head.first() {
            None | Some(b'{') => Format::Jsonl(JsonlReader::new(input)),
            Some(b'r') => Format::Csv(CsvReader::new(input)?),
            Some(_) => {
                return Err(LogError::Format(
                    "this is no log: neither JSON lines nor CSV of `log` or `sample`".to_owned(),
                ));
            }
        };
        Ok(Self { format, is_done: false })
    }
}

impl<R: BufRead> Iterator for LogReader<R> {
    type Item = LogResult<Record<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let record = match &mut self.format {
            Format::Jsonl(reader) => reader.read(),
            Format::Csv(reader) => reader.read(),
        }
        .transpose();
        self.is_done = !matches!(record, Some(Ok(_)));
        record
    }
}
