//! What an interrupted run has written of a log: how much of it is whole records, and what these say.

use std::io::{self, BufRead, BufReader, Read};

use serde::Serialize;
use serde_json::Value;
use sortilege::log::{LogReader, Record};

use super::args::LogFormat;
use super::job::Job;
use crate::failure::{Failure, Result};
use crate::files::{LogitsFile, Partial};

/// The bytes of whole records at the start of a log. Of CSV, whose rows have lines for each alternative, the last row is
/// left out: more of its lines might have come.
pub(super) fn whole_records(log: impl Read, format: LogFormat) -> io::Result<u64> {
    let mut log = BufReader::new(log);
    let (mut line, mut row) = (Vec::new(), Vec::new());
    let (mut end, mut whole) = (0, 0);
    loop {
        line.clear();
        log.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(whole);
        }
        if format == LogFormat::Csv {
            // Request and position; no text before them has a comma.
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b',').take(2).collect();
            let next = fields.join(&b',');
            if next != row {
                (row, whole) = (next, end);
            }
            end += line.len() as u64;
        } else {
            end += line.len() as u64;
            whole = end;
        }
    }
}

/// Cuts a part after its whole records, and shows these to `each`; how many there are.
pub(super) fn go_on(
    partial: &mut Partial,
    format: LogFormat,
    job: &Job,
    mut each: impl FnMut(&Record<'_>),
) -> Result<usize> {
    let failed = |error: io::Error| Failure::Failed(format!("reading the part of an earlier run: {error}"));
    let bytes = whole_records(partial.reader()?, format).map_err(failed)?;
    partial.cut(bytes)?;
    let wrong = |problem: String| {
        Failure::Failed(format!(
            "the part of an earlier run is none of this log: {problem}: remove it to begin anew"
        ))
    };
    let mut count = 0;
    for record in
        LogReader::new(BufReader::new(partial.reader()?)).map_err(|error| wrong(error.to_string()))?
    {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        if count == job.logits.rows || (record.request(), record.position()) != job.place(count) {
            return Err(wrong(format!("record {} is of another row", count + 1)));
        }
        each(&record);
        count += 1;
    }
    Ok(count)
}

/// What a run must have in common with the one that it goes on with: all that its bytes depend on but the contents of
/// the inputs.
#[derive(Serialize)]
pub(super) struct Run {
    sortilege: &'static str,
    arithmetic_version: u32,
    dtype: &'static str,
    shape: Vec<usize>,
    options: Value,
}

impl Run {
    /// That of these logits with these options.
    pub(super) fn new(logits: &LogitsFile, options: impl Serialize) -> Result<Self> {
        let mut options = serde_json::to_value(options).map_err(|error| Failure::writing(&error.into()))?;
        // All devices give the same bytes.
        if let Some(options) = options.as_object_mut() {
            options.remove("device");
        }
        Ok(Self {
            sortilege: env!("CARGO_PKG_VERSION"),
            arithmetic_version: sortilege::ARITHMETIC_VERSION,
            dtype: logits.dtype.name(),
            shape: logits.array.shape.clone(),
            options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_left_out() {
        let whole = |text: &str, format| whole_records(text.as_bytes(), format).expect("memory");
        for (text, expected) in [("", 0), ("{\"a\":1}\n", 8), ("{}\n{}\n{\"a\"", 6), ("{}", 0)] {
            assert_eq!(whole(text, LogFormat::Jsonl), expected, "{text:?}");
        }
        let head = "request,position,status\n";
        for (text, records) in [
            ("0,0,a\n", ""),
            ("0,0,a\n0,0,b\n", ""),
            ("0,0,a\n0,0,b\n0,1,a\n", "0,0,a\n0,0,b\n"),
            ("0,0,a\n0,1,a\n1,0", "0,0,a\n"),
            ("0,0,a\n0,1,a\n1,0,\"x\n", "0,0,a\n0,1,a\n"),
        ] {
            assert_eq!(
                whole(&format!("{head}{text}"), LogFormat::Csv),
                (head.len() + records.len()) as u64,
                "{text:?}"
            );
        }
        assert_eq!(whole("request,pos", LogFormat::Csv), 0);
        assert_eq!(whole(head, LogFormat::Csv), 0);
    }
}
