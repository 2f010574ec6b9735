//! Logs of every format that is read from a stream.

use sortilege::log::{Format, Kind, LogReader, Record, WriteRecord as _};

/// A log: what is read is written as lines, and read again.
pub fn logs(data: &[u8]) {
    let Ok(reader) = LogReader::new(data) else { return };
    let records: Vec<Record<'_>> = reader.map_while(Result::ok).collect();
    let kind = records.first().map_or(Kind::Logprobs, Record::kind);
    let mut lines = Vec::new();
    let mut writer = Format::Jsonl.writer(&mut lines, kind).expect("memory");
    records.iter().for_each(|record| writer.write(record).expect("memory"));
    writer.finish().expect("memory");
    drop(writer);
    let again = LogReader::new(&lines[..]).expect("lines").collect::<Result<Vec<_>, _>>();
    assert_eq!(again.expect("our own lines").len(), records.len());
}
