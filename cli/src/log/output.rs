//! The writers of `sortilege log`, by format. The table is for people; the others are the library's.

use std::io::{self, Write};

use sortilege::Status;
use sortilege::log::{CsvWriter, JsonlWriter, Kind, Record, WriteRecord};

use super::args::LogFormat;
use crate::shown::{clip, label};

/// A writer that has written what comes before the first record.
pub(super) fn writer<'a>(
    mut out: Box<dyn Write + Send + 'a>,
    format: LogFormat,
) -> io::Result<Box<dyn WriteRecord + 'a>> {
    match format.of_library() {
        Some(format) => format.writer(out, Kind::Logprobs),
        None => {
            writeln!(out, "{TABLE_HEAD}")?;
            Ok(Box::new(Table(out)))
        }
    }
}

/// A writer after records that are there.
pub(super) fn append<'a>(out: Box<dyn Write + Send + 'a>, format: LogFormat) -> Box<dyn WriteRecord + 'a> {
    match format {
        LogFormat::Csv => Box::new(CsvWriter::append(out, Kind::Logprobs)),
        _ => Box::new(JsonlWriter::new(out)),
    }
}

/// A line a record.
struct Table<W>(W);

const TABLE_HEAD: &str = "req  pos  token           logprob     prob   rank entropy   alternatives";

impl<W: Write> WriteRecord for Table<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Self(out) = self;
        let chosen = record.chosen();
        let token = chosen.map_or_else(|| "-".to_owned(), |chosen| label(chosen.token, chosen.text));
        write!(out, "{:>3} {:>4}  {:<14}", record.request(), record.position(), clip(&token, 14))?;
        if record.status() != Status::Ok {
            return writeln!(out, "{}", record.status().name());
        }
        match chosen.and_then(|chosen| chosen.logprob.zip(chosen.rank)) {
            Some((logprob, rank)) => {
                write!(out, " {logprob:>8.4} {:>6.2} % {rank:>6}", logprob.exp() * 100.0)?;
            }
            None => write!(out, " {:>8} {:>8} {:>6}", "-", "-", "-")?,
        }
        write!(out, " {:>7.3}  ", record.entropy().unwrap_or(f64::NAN))?;
        for entry in record.top() {
            let label = label(entry.token, entry.text.as_deref());
            write!(out, " {} {:.1} %", clip(&label, 16), entry.logprob.exp() * 100.0)?;
        }
        writeln!(out)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
