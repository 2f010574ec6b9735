//! Records through Parquet and back, and files that are damaged.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::printer::print_schema;

use super::*;

pub(super) fn bytes(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let kind = records.first().map_or(Kind::Logprobs, Record::kind);
    let mut writer = ParquetWriter::new(&mut bytes, kind).expect("memory");
    writer.describe(r#"{"input":{"sha256":"abc"}}"#).expect("memory");
    written(records, &mut writer);
    drop(writer);
    bytes
}

fn file(bytes: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!("sortilege-{}-{:p}.parquet", std::process::id(), bytes));
    File::create(&path).expect("a temporary file").write_all(bytes).expect("room");
    let file = File::open(&path).expect("it is there");
    std::fs::remove_file(&path).expect("it is there");
    file
}

pub(super) fn read_file(bytes: &[u8]) -> LogResult<Vec<Record<'static>>> {
    LogReader::of_file(file(bytes))?.collect()
}

#[test]
fn rows_come_back_bit_for_bit() {
    let long: Vec<_> = logprobs_records(4).iter().cycle().take(3000).cloned().collect();
    let foreign = read(include_bytes!("../../../tests/logs/openai-chat.json")).expect("a log");
    for records in [logprobs_records(4), logprobs_records(0), sample_records(3), long, foreign, Vec::new()] {
        let bytes = bytes(&records);
        assert_eq!(read_file(&bytes).expect("a log"), records);
        // A stream has no end to begin with.
        let stream = read(&bytes).expect_err("a stream").to_string();
        assert!(stream.contains("give it as a file"), "{stream}");
    }
    let records = logprobs_records(1);
    assert_eq!(records[1].chosen().and_then(|chosen| chosen.logprob), Some(f64::NEG_INFINITY));
}

/// Every row group of a long list is one record, and of short ones there are many in one.
#[test]
fn row_groups_are_bounded() {
    let Record::Logprobs(record) = &logprobs_records(1)[0] else { panic!("logprobs") };
    let entry = record.top[0].clone();
    let mut long = record.clone();
    long.top = (0..=1 << 19).map(|token| TokenLogprob { token: Some(token), ..entry.clone() }).collect();
    let records = [Record::Logprobs(record.clone()), Record::Logprobs(long.clone()), Record::Logprobs(long)];
    let bytes = bytes(&records);
    let reader = SerializedFileReader::new(file(&bytes)).expect("Parquet");
    let groups = reader.metadata().num_row_groups();
    assert_eq!(groups, 1);
    let records: Vec<_> = records.iter().cycle().take(5).cloned().collect();
    let bytes = self::bytes(&records);
    let reader = SerializedFileReader::new(file(&bytes)).expect("Parquet");
    assert_eq!(reader.metadata().num_row_groups(), 2);
    assert_eq!(read_file(&bytes).expect("a log"), records);
}

#[test]
fn the_metadata_tells_versions_and_hash() {
    let bytes = bytes(&logprobs_records(1));
    let reader = SerializedFileReader::new(file(&bytes)).expect("Parquet");
    let metadata = reader.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().expect("pairs");
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    assert_eq!(value("sortilege.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let version = crate::ARITHMETIC_VERSION.to_string();
    assert_eq!(value("sortilege.arithmetic_version"), Some(version));
    assert_eq!(value("sortilege.logits_sha256").as_deref(), Some("abc"));
    assert_eq!(value("sortilege.meta").as_deref(), Some(r#"{"input":{"sha256":"abc"}}"#));
}

/// A file with these bytes in place of others of the same length, wherever they stand.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|&place| bytes[place..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|place| bytes[place..place + to.len()].copy_from_slice(to));
    bytes
}

/// Of a file of others the column that differs is named, and a compression that is not read.
#[test]
fn what_another_file_has_is_named() {
    let bytes = bytes(&logprobs_records(2));
    for (from, to, words) in [
        (&b"logsumexp"[..], &b"logsumexq"[..], "logsumexp is missing, and logsumexq is none of them"),
        // Behind its path a column has its codec, of which 1 is snappy and 6 is zstd.
        (
            b"request\x15\x02",
            b"request\x15\x0c",
            "compressed with zstd, which is not read: write it with snappy or none",
        ),
    ] {
        let message = read_file(&replaced(&bytes, from, to)).expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
    for (from, to, words) in [
        (
            "REQUIRED INT64 request",
            "OPTIONAL INT64 request",
            "column request of the Parquet file may be null, that of a log",
        ),
        ("OPTIONAL INT32 rank", "REQUIRED INT32 rank", "column rank of the Parquet file is never null"),
        (
            "OPTIONAL DOUBLE entropy",
            "OPTIONAL FLOAT entropy",
            "column entropy of the Parquet file is FLOAT, that of a log DOUBLE",
        ),
        ("REQUIRED INT64 request;", "", "request is missing"),
        (
            "OPTIONAL DOUBLE entropy;",
            "OPTIONAL DOUBLE entropy; OPTIONAL DOUBLE more;",
            "more is none of them",
        ),
        (
            "OPTIONAL DOUBLE logsumexp;\n  OPTIONAL DOUBLE entropy;",
            "OPTIONAL DOUBLE entropy;\n  OPTIONAL DOUBLE logsumexp;",
            "entropy stands where logsumexp must stand",
        ),
    ] {
        let message = read_file(&of_schema(&bytes, from, to)).expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}

/// A file without rows, whose schema is that of another one but for this part of its text.
fn of_schema(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let reader = SerializedFileReader::new(file(bytes)).expect("Parquet");
    let mut text = Vec::new();
    print_schema(&mut text, reader.metadata().file_metadata().schema());
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains(from), "{from}: {text}");
    let schema = parse_message_type(&text.replace(from, to)).expect("a schema");
    let mut written = Vec::new();
    let writer = SerializedFileWriter::new(&mut written, schema.into(), Arc::default()).expect("memory");
    writer.close().expect("memory");
    written
}

/// No byte of a file may make its reader panic, and none of a cut one passes for a log.
#[test]
fn damaged_files_are_errors() {
    for records in [logprobs_records(3), sample_records(2)] {
        let whole = bytes(&records);
        for end in (0..whole.len()).step_by(7) {
            assert!(read_file(&whole[..end]).is_err() || end == 0, "{end} of {}", whole.len());
        }
        let mut changed = 0;
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            changed += usize::from(read_file(&bytes).ok().as_ref() != Some(&records));
        }
        assert!(changed > whole.len() / 8, "{changed} of {} changes are seen", whole.len());
    }
}
