//! The writers of `sortilege sample`, by format. Those for people and shells are here, the others are the library's.

use std::io::{self, Write};

use sortilege::Status;
use sortilege::log::{Format, Kind, Record, WriteRecord};

use super::args::SampleFormat;
use crate::shown::{clip, label};

/// A writer that has written what comes before the first record.
pub(super) fn writer<'a>(
    mut out: Box<dyn Write + Send + 'a>,
    format: SampleFormat,
) -> io::Result<Box<dyn WriteRecord + 'a>> {
    Ok(match format {
        SampleFormat::Table => {
            writeln!(out, "{TABLE_HEAD}")?;
            Box::new(Table(out))
        }
        SampleFormat::Jsonl => Format::Jsonl.writer(out, Kind::Sample)?,
        SampleFormat::Csv => Format::Csv.writer(out, Kind::Sample)?,
        SampleFormat::Parquet => Format::Parquet.writer(out, Kind::Sample)?,
        SampleFormat::Tokens => Box::new(Tokens(out)),
    })
}

/// A line a record.
struct Table<W>(W);

const TABLE_HEAD: &str = "req  pos    temp    kept      mass entropy   draws";

impl<W: Write> WriteRecord for Table<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Record::Sample(record) = record else { return Ok(()) };
        let Self(out) = self;
        write!(out, "{:>3} {:>4}", record.request, record.position)?;
        if record.status != Status::Ok {
            return writeln!(out, "  {}", record.status.name());
        }
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        write!(
            out,
            " {:>7.3} {:>7} {:>7.2} % {:>7.3}  ",
            number(record.temperature),
            record.kept,
            number(record.kept_mass) * 100.0,
            number(record.processed.entropy)
        )?;
        for drawn in &record.draws {
            let label = label(Some(drawn.token), drawn.text.as_deref());
            write!(out, " {} {:.1} %", clip(&label, 16), drawn.logprob.exp() * 100.0)?;
        }
        match record.finish_reason {
            Some(reason) => writeln!(out, "  {reason}"),
            None => writeln!(out),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The ids that were drawn, a line a record.
struct Tokens<W>(W);

impl<W: Write> WriteRecord for Tokens<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Record::Sample(record) = record else { return Ok(()) };
        let tokens: Vec<String> = record.draws.iter().map(|drawn| drawn.token.to_string()).collect();
        writeln!(self.0, "{}", if tokens.is_empty() { "-".to_owned() } else { tokens.join(" ") })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
