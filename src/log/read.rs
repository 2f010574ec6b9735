//! Logs of every format as records.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::csv::{self, CsvReader};
use super::document::DocumentReader;
use super::error::{LogError, LogResult};
use super::format::Format as Name;
use super::jsonl::JsonlReader;
#[cfg(feature = "parquet")]
use super::parquet::{self, ParquetReader};
use super::record::Record;

/// The records of a log, in its order, whatever its format: that is told by its first bytes. Of JSON lines and CSV it
/// keeps one record in memory at a time, of Parquet a batch of a row group, of JSON of other programs a document. After
/// an error there are no more.
#[derive(Debug)]
pub struct LogReader<R> {
    format: Format<R>,
    is_done: bool,
}

enum Format<R> {
    Jsonl(JsonlReader<R>),
    Csv(CsvReader<R>),
    Document(DocumentReader<R>),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetReader>),
}

impl<R> std::fmt::Debug for Format<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jsonl(_) => "Jsonl",
            Self::Csv(_) => "Csv",
            Self::Document(_) => "Document",
            #[cfg(feature = "parquet")]
            Self::Parquet(_) => "Parquet",
        })
    }
}

impl LogReader<BufReader<File>> {
    /// A reader of a file, which may be Parquet.
    ///
    /// # Errors
    /// [`LogError::Format`] if it is no log, what the system says.
    pub fn open(path: impl AsRef<Path>) -> LogResult<Self> {
        Self::of_file(File::open(path)?)
    }

    /// A reader of an open file, from where it stands.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_file(file: File) -> LogResult<Self> {
        let mut input = BufReader::with_capacity(1 << 16, file);
        #[cfg(feature = "parquet")]
        if input.fill_buf()?.starts_with(parquet::MAGIC) {
            let reader = ParquetReader::new(input.into_inner())?;
            return Ok(Self { format: Format::Parquet(Box::new(reader)), is_done: false });
        }
        #[cfg(not(feature = "parquet"))]
        let _ = input.fill_buf()?;
        Self::new(input)
    }
}

impl<R: BufRead> LogReader<R> {
    /// A reader of a stream; Parquet is read of files alone, whose end is read first.
    ///
    /// # Errors
    /// [`LogError::Format`] if it is none, what the input says.
    pub fn new(mut input: R) -> LogResult<Self> {
        let head = input.fill_buf()?;
        let format = match head.first() {
            None => Format::Jsonl(JsonlReader::new(input)),
            Some(b'P') if head.starts_with(b"PAR1") => {
                return Err(LogError::Format(PARQUET_STREAM.to_owned()));
            }
            Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n') if is_ours(head) => {
                Format::Jsonl(JsonlReader::new(input))
            }
            Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n') => Format::Document(DocumentReader::new(input)),
            Some(b'r') => Format::Csv(CsvReader::new(input)?),
            Some(_) => return Err(LogError::Format(NO_LOG.to_owned())),
        };
        Ok(Self { format, is_done: false })
    }

    /// The format that is read; none for what other programs write.
    pub const fn format(&self) -> Option<Name> {
        match &self.format {
            Format::Jsonl(_) => Some(Name::Jsonl),
            Format::Csv(_) => Some(Name::Csv),
            Format::Document(_) => None,
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => Some(Name::Parquet),
        }
    }

    /// What a log of this format holds of a record: the record that is read where this one was written.
    pub(super) fn held<'r, 'a>(&self, record: &'r Record<'a>) -> Cow<'r, Record<'a>> {
        match &self.format {
            Format::Csv(_) => Cow::Owned(csv::held(record)),
            _ => Cow::Borrowed(record),
        }
    }
}

#[cfg(feature = "parquet")]
const PARQUET_STREAM: &str =
    "this is a Parquet file, whose end is read first: give it as a file, not as a stream";
#[cfg(not(feature = "parquet"))]
const PARQUET_STREAM: &str = "this is a Parquet file: the feature `parquet` reads it";

const NO_LOG: &str = "this is no log: neither JSON lines, CSV or Parquet of `log` or `sample`, nor logprobs as OpenAI, \
                      vLLM or llama-server give them";

/// Whether JSON is of our lines: by the first name in it, of which those of others have none.
fn is_ours(head: &[u8]) -> bool {
    const NAMES: [&str; 20] = [
        "request",
        "position",
        "token",
        "text",
        "bytes",
        "logprob",
        "rank",
        "logsumexp",
        "entropy",
        "top",
        "token_ids",
        "status",
        "seed",
        "stream",
        "temperature",
        "kept",
        "kept_mass",
        "draws",
        "processed",
        "raw",
    ];
    let text = head.trim_ascii_start();
    let Some(text) = text.strip_prefix(b"{") else { return text.is_empty() };
    match text.trim_ascii_start() {
        [b'"', name @ ..] => NAMES
            .iter()
            .any(|ours| name.strip_prefix(ours.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"'))),
        [] => true,
        other => other[0] != b'"',
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
            Format::Document(reader) => reader.read(),
            #[cfg(feature = "parquet")]
            Format::Parquet(reader) => reader.read(),
        }
        .transpose();
        self.is_done = !matches!(record, Some(Ok(_)));
        record
    }
}
