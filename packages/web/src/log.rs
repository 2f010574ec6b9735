//! Records as text, and logs of them.

use sortilege::Status;
use sortilege::log::{Format, LogprobsRecord, Record, write_json_line};
use wasm_bindgen::prelude::*;

use crate::error::{Result, error, refused};

/// Records as lines of JSON.
pub(crate) fn lines<'a>(records: impl Iterator<Item = Record<'a>>) -> Result<String> {
    let mut out = Vec::new();
    for record in records {
        write_json_line(&mut out, &record).map_err(said)?;
    }
    String::from_utf8(out).map_err(said)
}

/// Records, a line of JSON each, as a log in the format of this name.
#[wasm_bindgen]
pub fn format_log(lines: &str, format: &str) -> Result<String> {
    let of_name = Format::ALL.iter().copied().find(|known| known.name() == format);
    let names: Vec<&str> = Format::ALL.iter().map(|known| known.name()).collect();
    let format =
        of_name.ok_or_else(|| refused(format!("format {format:?}: there are {}", names.join(", "))))?;
    let records = lines.lines().map(read).collect::<Result<Vec<_>>>()?;
    let mut out = Vec::new();
    if let Some(first) = records.first() {
        let mut writer = format.writer(&mut out, first.kind()).map_err(said)?;
        records.iter().try_for_each(|record| writer.write(record)).map_err(said)?;
        writer.finish().map_err(said)?;
    }
    String::from_utf8(out).map_err(said)
}

/// A record of [`lines`].
fn read(line: &str) -> Result<Record<'static>> {
    if line.contains("\"draws\":") {
        return serde_json::from_str(line).map(Record::Sample).map_err(said);
    }
    let mut record: LogprobsRecord<'static> = serde_json::from_str(line).map_err(said)?;
    if record.token.is_some() && record.status == Status::Ok {
        // JSON has no infinity.
        record.logprob.get_or_insert(f64::NEG_INFINITY);
    }
    Ok(Record::Logprobs(record))
}

fn said(cause: impl std::fmt::Display) -> JsValue {
    error("Log", &cause.to_string())
}
