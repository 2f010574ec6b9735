//! Logs of every format as records.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

use super::csv::{self, CsvReader};
use super::document::{DocumentReader, is_event_field};
use super::error::{LogError, LogResult};
use super::format::Format as Name;
use super::jsonl::JsonlReader;
#[cfg(feature = "parquet")]
use super::parquet::{self, ParquetReader};
use super::record::Record;

/// The records of a log, in its order, whatever its format: that is told by its first bytes. Of JSON lines and CSV it
/// keeps one record in memory at a time, of Parquet a batch of a row group, of JSON of other programs a document. A record
/// with a number that none can be, such as a logprob above 0, is an error. After an error there are no more.
#[derive(Debug)]
pub struct LogReader<R> {
    format: Format<R>,
    /// Whether numbers that none can be are errors.
    is_checked: bool,
    is_done: bool,
}

/// The bytes by which the format is told, then the others: a pipe may give them one by one.
type Told<R> = Chain<Cursor<Vec<u8>>, R>;

/// Most bytes by which it is told: the longest name that a record of ours begins with, and some white space.
const TOLD_BYTES: u64 = 256;

enum Format<R> {
    Jsonl(JsonlReader<Told<R>>),
    Csv(CsvReader<Told<R>>),
    Document(DocumentReader<Told<R>>),
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
            return Ok(Self::of_format(Format::Parquet(Box::new(reader))));
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
        let mut told = Vec::new();
        input.by_ref().take(TOLD_BYTES).read_to_end(&mut told)?;
        if told.starts_with(BYTE_ORDER_MARK) {
            told.drain(..BYTE_ORDER_MARK.len());
        }
        let head = &told.clone()[..];
        let input = Cursor::new(told).chain(input);
        let format = match head.first() {
            Some(_) if is_utf_16(head) => return Err(LogError::Format(UTF_16.to_owned())),
            None => Format::Jsonl(JsonlReader::new(input)),
            Some(b'P') if head.starts_with(b"PAR1") => {
                return Err(LogError::Format(PARQUET_STREAM.to_owned()));
            }
            Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n') if is_ours(head) || is_unnamed(head) => {
                Format::Jsonl(JsonlReader::new(input))
            }
            Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n') => Format::Document(DocumentReader::new(input)),
            Some(_) if is_event_field(head) => Format::Document(DocumentReader::new(input)),
            Some(_) if is_table(head) => Format::Csv(CsvReader::new(input)?),
            Some(_) => return Err(LogError::Format(NO_LOG.to_owned())),
        };
        Ok(Self::of_format(format))
    }

    const fn of_format(format: Format<R>) -> Self {
        Self { format, is_checked: true, is_done: false }
    }

    /// The same of a log whose numbers are compared with what they must be.
    pub(super) const fn unchecked(mut self) -> Self {
        self.is_checked = false;
        self
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

/// Editors on Windows begin a text in UTF-8 with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const UTF_16: &str = "this is text in UTF-16: save it as UTF-8";

/// Whether a text is in UTF-16: it has its mark, or a first letter of two bytes.
const fn is_utf_16(head: &[u8]) -> bool {
    matches!(
        head,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[' | b'r', 0, ..] | [0, b'{' | b'[' | b'r', ..]
    )
}

/// Whether a text is a table of columns, in whichever order: the first is told with those that are wrong.
fn is_table(head: &[u8]) -> bool {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.starts_with(b"request") || line.split(|&byte| byte == b',').any(|name| name == b"request")
}

/// Whether these are the first bytes of a log of ours: of JSON lines, CSV or Parquet, and of nothing else that begins as they
/// do.
#[must_use]
pub fn is_log(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    head.starts_with(b"PAR1") || is_table(head) || is_ours(head)
}

/// Whether JSON has no first name by which it could be told, as far as it goes.
fn is_unnamed(head: &[u8]) -> bool {
    match head.trim_ascii_start() {
        [b'{', rest @ ..] => rest.trim_ascii_start().first() != Some(&b'"'),
        rest => rest.is_empty(),
    }
}

/// Whether JSON is of our lines: by the first name in it. Two of ours, `text` and `token_logprobs`, stand first in objects of
/// others alone.
fn is_ours(head: &[u8]) -> bool {
    const NAMES: [&str; 18] = [
        "request",
        "position",
        "token",
        "bytes",
        "logprob",
        "rank",
        "logsumexp",
        "entropy",
        "top",
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
    let object = head.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let Some(name) = object.and_then(|object| object.strip_prefix(b"\"")) else { return false };
    let is_name =
        |ours: &&str| name.strip_prefix(ours.as_bytes()).is_some_and(|rest| rest.starts_with(b"\""));
    NAMES.iter().any(is_name)
}

impl<R: BufRead> LogReader<R> {
    fn checked(&self, record: Record<'static>) -> LogResult<Record<'static>> {
        match record.check() {
            Err(problem) if self.is_checked => Err(match &self.format {
                Format::Jsonl(reader) => reader.problem(&problem),
                Format::Csv(reader) => LogError::Record { line: reader.line_of_record(), problem },
                Format::Document(reader) => reader.problem(&record, &problem),
                #[cfg(feature = "parquet")]
                Format::Parquet(reader) => LogError::Record { line: reader.rows(), problem },
            }),
            _ => Ok(record),
        }
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
        let record = record.map(|record| record.and_then(|record| self.checked(record)));
        self.is_done = !matches!(record, Some(Ok(_)));
        record
    }
}
