//! Every change of a log is found by its audit, and named.

use serde_json::{Value, json};

use super::{Vocab, csv, jsonl, logprobs_records, sample_records};
use crate::log::*;

fn audit_of(log: &[u8], derived: &[Record<'_>]) -> AuditReport {
    let mut audit = Audit::new(LogReader::new(log).expect("a log"));
    derived.iter().for_each(|record| audit.expect(record).expect("memory"));
    audit.finish().expect("memory")
}

/// Logs of every format, with the records that they must hold.
fn logs() -> Vec<(Vec<u8>, Vec<Record<'static>>)> {
    let mut logs = Vec::new();
    for records in [logprobs_records(2), logprobs_records(0), sample_records(2)] {
        logs.push((jsonl(&records), records.clone()));
        logs.push((csv(&records, records[0].kind()), records));
    }
    logs
}

#[test]
fn what_was_written_follows() {
    for (log, records) in logs() {
        let report = audit_of(&log, &records);
        assert_eq!(report, AuditReport { records: 4, ..AuditReport::default() });
        assert!(report.follows());
    }
    let report = audit_of(b"", &[]);
    assert!(report.follows() && report.records == 0);
}

/// Every digit of every log, in place of which another one stands.
#[test]
fn a_changed_digit_is_found() {
    for (log, records) in logs() {
        let places: Vec<usize> = (0..log.len()).filter(|&place| log[place].is_ascii_digit()).collect();
        let mut respelled = 0;
        for &place in &places {
            for step in [1, 5] {
                let mut changed = log.clone();
                changed[place] = b'0' + (changed[place] - b'0' + step) % 10;
                if LogReader::new(&changed[..]).is_err() {
                    continue;
                }
                let report = audit_of(&changed, &records);
                // Of 17 digits, two may spell the same number.
                assert_eq!(report.follows(), read(&changed) == read(&log), "byte {place}");
                respelled += usize::from(report.follows());
            }
        }
        assert!(places.len() > 100 && respelled * 20 < places.len(), "{respelled} of {}", places.len());
    }
}

/// All records of a log, as they are read.
fn read(log: &[u8]) -> Vec<Record<'static>> {
    LogReader::new(log).expect("a log").map_while(Result::ok).collect()
}

/// Every place of a JSON value below which there is nothing, by the name that a finding has for it.
fn leaves(value: &Value, name: String, pointer: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                leaves(value, name, format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                // Bytes are one value.
                let name = if name.ends_with("bytes") { name.clone() } else { format!("{name}[{number}]") };
                leaves(value, name, format!("{pointer}/{number}"), found);
            }
        }
        _ => found.push((name, pointer)),
    }
}

/// Another value of the same kind, where there is one.
fn other(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => json!(whole ^ 1),
            None => json!(f64::from_bits(number.as_f64()?.to_bits() ^ 1)),
        },
        Value::String(text) if text == "ok" => json!("nan"),
        Value::String(text) if ["nan", "nothing_finite"].contains(&&**text) => json!("ok"),
        Value::String(text) if text == "stop" => json!("length"),
        Value::String(text) => json!(format!("{text}.")),
        _ => return None,
    })
}

#[test]
fn every_field_is_compared_and_named() {
    for records in [logprobs_records(2), sample_records(2)] {
        let mut names = Vec::new();
        for record in &records {
            let line = serde_json::to_value(record).expect("JSON");
            let mut places = Vec::new();
            leaves(&line, String::new(), String::new(), &mut places);
            for (name, pointer) in places {
                let mut changed = line.clone();
                let place = changed.pointer_mut(&pointer).expect("it is there");
                let Some(value) = other(place) else { continue };
                *place = value;
                let report = audit_of(format!("{changed}\n").as_bytes(), std::slice::from_ref(record));
                let finding = report.first.unwrap_or_else(|| panic!("{name} is not compared"));
                let Difference::Field { name: found, .. } = finding.difference else { panic!("{finding:?}") };
                assert_eq!(found, name);
                names.push(name);
            }
        }
        let count = if records[0].kind() == Kind::Sample { 46 } else { 15 };
        names.sort();
        names.dedup();
        assert!(names.len() >= count, "{} fields: {names:?}", names.len());
    }
}

#[test]
fn absent_and_added_things_are_found() {
    let [logprobs, samples] = [logprobs_records(2), sample_records(2)];
    type Change = fn(&mut Value);
    let changes: &[(&Record<'_>, &str, Change)] = &[
        (&logprobs[0], "logprob is -inf instead of", |line| line["logprob"] = json!(null)),
        (&logprobs[0], "rank is nothing instead of 2", |line| line["rank"] = json!(null)),
        (&logprobs[0], "token is nothing instead of 1", |line| line["token"] = json!(null)),
        (&logprobs[1], "logprob is -700.0 instead of -inf", |line| line["logprob"] = json!(-700.0)),
        (&logprobs[2], "entropy is 1.0 instead of nothing", |line| line["entropy"] = json!(1.0)),
        (&logprobs[0], "length of top is 1 instead of 2", |line| {
            _ = line["top"].as_array_mut().unwrap().pop()
        }),
        (&logprobs[0], "text is nothing instead of \"=1\\\"\\n\\\\,\"", |line| line["text"] = json!(null)),
        (&logprobs[0], "top[0].bytes is nothing instead of", |line| line["top"][0]["bytes"] = json!(null)),
        (&samples[0], "presence of raw is false instead of true", |line| line["raw"] = json!(null)),
        (&samples[0], "length of draws is 1 instead of 2", |line| {
            _ = line["draws"].as_array_mut().unwrap().pop()
        }),
        (&samples[2], "temperature is 1.0 instead of nothing", |line| line["temperature"] = json!(1.0)),
    ];
    for (record, words, change) in changes {
        let mut line = serde_json::to_value(record).expect("JSON");
        change(&mut line);
        let report = audit_of(format!("{line}\n").as_bytes(), std::slice::from_ref(*record));
        let told = report.first.expect(words).to_string();
        assert!(told.contains(words), "{told} instead of {words}");
    }
}

/// 0 is not −0, whatever equality says.
#[test]
fn signs_of_zero_are_compared() {
    let mut record = logprobs_records(1).remove(0);
    let Record::Logprobs(inner) = &mut record else { panic!("logprobs") };
    inner.entropy = Some(0.0);
    let log = String::from_utf8(jsonl(std::slice::from_ref(&record))).expect("UTF-8");
    let changed = log.replace("\"entropy\":0.0", "\"entropy\":-0.0");
    assert_ne!(changed, log);
    let told = audit_of(changed.as_bytes(), &[record]).first.expect("a finding").to_string();
    assert_eq!(told, "record 0 (request 0, position 0): entropy is -0.0 instead of 0.0");
}

#[test]
fn rows_in_other_places_are_found() {
    let records = logprobs_records(2);
    let with = |order: &[usize]| jsonl(&order.iter().map(|&row| records[row].clone()).collect::<Vec<_>>());
    for (order, differing, words) in [
        (
            &[1, 0, 2, 3][..],
            2,
            "record 0 (request 0, position 0): position is 1 instead of 0: a record is missing",
        ),
        (&[0, 1, 2], 1, "record 3 (request 1, position 1) is missing: the log ends before it"),
        (&[0, 2, 3], 3, "record 1 (request 0, position 1): request is 1 instead of 0: a record is missing"),
        (&[0, 1, 2, 3, 3], 1, "record 4 is too many: there is no row for it"),
        (&[0, 0, 1, 2, 3], 4, "record 1 (request 0, position 1): position is 0 instead of 1"),
        (&[], 4, "record 0 (request 0, position 0) is missing"),
    ] {
        let report = audit_of(&with(order), &records);
        assert_eq!(report.differing, differing, "{order:?}");
        let told = report.first.expect(words).to_string();
        assert!(told.starts_with(words), "{told} instead of {words}");
    }
    let mut cut = with(&[0, 1, 2, 3]);
    cut.truncate(cut.len() - 20);
    let report = audit_of(&cut, &records);
    assert_eq!((report.records, report.differing), (3, 1));
    let told = report.first.expect("a finding").to_string();
    assert!(
        told.ends_with(
            "is none: line 4: the log ends within a record: it was cut, or its run was interrupted"
        ),
        "{told}"
    );
    let told = audit_of(&with(&[0, 1]), &sample_records(1)[..2]).first.expect("a finding").to_string();
    assert!(told.ends_with("the command is log instead of sample"), "{told}");
}

/// Without a vocabulary, what a token is called is not checked, but a text is still that of its bytes.
#[test]
fn texts_are_left_out_where_nobody_knows_them() {
    let records = logprobs_records(2);
    let bare: Vec<Record<'_>> = jsonl(&records)
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut line: Value = serde_json::from_slice(line).expect("JSON");
            let no_text = |value: &mut Value| {
                value["text"] = json!(null);
                value["bytes"] = json!(null);
            };
            no_text(&mut line);
            for list in ["top", "token_logprobs"] {
                let list = line.get_mut(list).and_then(Value::as_array_mut);
                list.into_iter().flatten().for_each(no_text);
            }
            LogReader::new(format!("{line}\n").as_bytes())
                .expect("a log")
                .next()
                .expect("one")
                .expect("a record")
        })
        .collect();
    assert!(Vocab.bytes(0).is_some() && !audit_of(&jsonl(&records), &bare).follows());
    let without = |log: &[u8]| {
        let mut audit = Audit::new(LogReader::new(log).expect("a log")).without_texts();
        bare.iter().for_each(|record| audit.expect(record).expect("memory"));
        audit.finish().expect("memory")
    };
    let log = String::from_utf8(jsonl(&records)).expect("UTF-8");
    assert!(without(log.as_bytes()).follows());
    let changed = log.replace("\"text\":\" the\"", "\"text\":\" The\"");
    assert_ne!(changed, log);
    assert!(!without(changed.as_bytes()).follows());
}
