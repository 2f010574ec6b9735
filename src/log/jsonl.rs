//! JSON lines: an object a record. No infinity or NaN reaches JSON, `serde_json` writes them as null.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;

use super::error::{LogError, LogResult};
use super::json::write_json_line;
use super::record::{Kind, LogprobsRecord, Record};
use super::write::WriteRecord;

/// Bytes of the longest line that is read: a record of 2^20 alternatives with their texts is below it.
const MAX_LINE: u64 = 1 << 30;

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonlWriter<W> {
    out: W,
}

impl<W: Write> JsonlWriter<W> {
    /// A writer of lines.
    pub const fn new(out: W) -> Self {
        Self { out }
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> WriteRecord for JsonlWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        write_json_line(&mut self.out, record)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads JSON lines.
pub(super) struct JsonlReader<R> {
    input: R,
    line: Vec<u8>,
    /// Lines that were read.
    lines: u64,
    /// That of the first record.
    kind: Option<Kind>,
}

impl<R: BufRead> JsonlReader<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, line: Vec::new(), lines: 0, kind: None }
    }

    /// The next record, if there is one.
    pub(super) fn read(&mut self) -> LogResult<Option<Record<'static>>> {
        loop {
            self.line.clear();
            let mut line = (&mut self.input).take(MAX_LINE);
            if line.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.lines += 1;
            let is_whole = self.line.ends_with(b"\n");
            let text = self.line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if text.len() as u64 == MAX_LINE {
                return Err(self.problem(&format!("more than {MAX_LINE} bytes: this is no log")));
            }
            let kind = *self.kind.get_or_insert_with(|| kind_of(text));
            return match parse(text, kind) {
                Ok(record) => Ok(Some(record)),
                // A line that is cut may still be a number of fewer digits, but no object.
                Err(error) if !is_whole && error.is_eof() => Err(LogError::Truncated { line: self.lines }),
                Err(_) if kind_of(text) != kind => {
                    Err(self.problem("the records before it are of the other command"))
                }
                Err(error) => Err(self.problem(&words(&error))),
            };
        }
    }

    /// An error of the last line.
    pub(super) fn problem(&self, problem: &str) -> LogError {
        LogError::Record { line: self.lines, problem: problem.to_owned() }
    }
}

fn parse(text: &[u8], kind: Kind) -> Result<Record<'static>, serde_json::Error> {
    Ok(match kind {
        Kind::Logprobs => {
            let mut record: LogprobsRecord<'static> = owned(text)?;
            record.restore_infinity();
            Record::Logprobs(record)
        }
        Kind::Sample => Record::Sample(owned(text)?),
    })
}

/// What is wrong with a line, which the parser calls line 1.
fn words(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// The kind that a line is of, by what only samples have.
fn kind_of(text: &[u8]) -> Kind {
    let is_sample = text.windows(DRAWS.len()).any(|window| window == DRAWS);
    if is_sample { Kind::Sample } else { Kind::Logprobs }
}

/// No text holds it: within a JSON string a quotation mark follows a backslash.
const DRAWS: &[u8] = b"\"draws\":";

fn owned<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text)
}
