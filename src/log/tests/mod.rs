//! Records through every format and back.

mod audit;
mod foreign;
mod impossible;
mod losses;
#[cfg(feature = "parquet")]
mod parquet;
mod streamed;

use super::*;
use crate::{Cpu, Engine, Logits, LogprobsParams, Request, SampleInputs, SamplingParams};

/// Tokens of which some cannot be spelled, and none of id 3.
struct Vocab;

impl TokenBytes for Vocab {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        Some(match token {
            0 => b" the",
            1 => b"=1\"\n\\,",
            2 => b"\xe2\x82",
            _ => return None,
        })
    }
}

const ROWS: [[f32; 4]; 4] = [
    [8.0, 6.0, 5.0, -1.0],
    [f32::NEG_INFINITY, 0.0, 0.0, 1e-3],
    [f32::NAN, 1.0, 2.0, 3.0],
    [f32::NEG_INFINITY; 4],
];

fn logits() -> Vec<f32> {
    ROWS.concat()
}

/// Records of rows that are no distribution, of targets that are impossible, and of none.
fn logprobs_records(top: u32) -> Vec<Record<'static>> {
    let logits = logits();
    let params = LogprobsParams { top_logprobs: top, entropy: true, ..LogprobsParams::default() };
    let targets = [Some(1), Some(0), Some(2), None];
    // Possible and impossible tokens, in rows that are distributions and in others.
    let token_ids: [&[u32]; 4] = [&[], &[0, 3, 0], &[1], &[2]];
    let logits = Logits::f32(&logits, 4, 4).expect("a shape");
    let rows = Cpu.logprobs_of(&logits, &params, &targets, &token_ids);
    let rows = rows.expect("answers");
    let record = |((row, target), number): ((_, Option<u32>), u64)| {
        Record::logprobs(number / 2, number % 2, target, row, Texts::new(&Vocab))
    };
    rows.iter().zip(targets).zip(0..).map(record).collect()
}

fn sample_records(n: u32) -> Vec<Record<'static>> {
    let logits = logits();
    let params = SamplingParams {
        n,
        seed: Some(u64::MAX),
        stop_token_ids: vec![0, 1, 2, 3], // each draw is the last
        raw_logprobs: Some(3),
        processed_logprobs: Some(2),
        logprob_token_ids: vec![3, 0],
        entropy: true,
        ..SamplingParams::default()
    };
    let request = Request::new(params).expect("parameters");
    let rows: Vec<_> = (0..4).map(|position| request.row(position)).collect();
    let rows = Cpu.sample(&Logits::f32(&logits, 4, 4).expect("a shape"), &rows, &SampleInputs::default());
    let rows = rows.expect("answers");
    rows.iter().zip(0..).map(|(row, number)| Record::sample(0, number, row, Texts::new(&Vocab))).collect()
}

fn written(records: &[Record<'_>], writer: &mut dyn WriteRecord) {
    records.iter().for_each(|record| writer.write(record).expect("memory"));
    writer.finish().expect("memory");
}

fn jsonl(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    written(records, &mut JsonlWriter::new(&mut bytes));
    bytes
}

fn csv(records: &[Record<'_>], kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    written(records, &mut CsvWriter::new(&mut bytes, kind).expect("memory"));
    bytes
}

fn read(bytes: &[u8]) -> LogResult<Vec<Record<'static>>> {
    LogReader::new(bytes)?.collect()
}

#[test]
fn json_lines_come_back_bit_for_bit() {
    for records in [logprobs_records(4), logprobs_records(0), sample_records(3)] {
        let bytes = jsonl(&records);
        assert_eq!(read(&bytes).expect("a log"), records);
        assert_eq!(jsonl(&read(&bytes).expect("a log")), bytes);
    }
    let records = logprobs_records(1);
    assert_eq!(records[1].chosen().and_then(|chosen| chosen.logprob), Some(f64::NEG_INFINITY));
}

#[test]
fn csv_comes_back_but_for_what_it_has_no_columns_for() {
    for mut records in [logprobs_records(4), logprobs_records(0)] {
        let back = read(&csv(&records, Kind::Logprobs)).expect("a log");
        for record in &mut records {
            if let Record::Logprobs(record) = record {
                record.token_logprobs.clear();
            }
        }
        assert_eq!(back, records);
    }
    let records = sample_records(3);
    let bytes = csv(&records, Kind::Sample);
    let back = read(&bytes).expect("a log");
    assert_eq!(csv(&back, Kind::Sample), bytes);
    for (back, record) in back.iter().zip(&records) {
        let (Record::Sample(back), Record::Sample(record)) = (back, record) else { panic!("samples") };
        assert_eq!((&back.draws, back.seed, back.kept_mass), (&record.draws, record.seed, record.kept_mass));
        assert_eq!(
            (back.finish_reason, back.finish_reason.is_some()),
            (record.finish_reason, !back.draws.is_empty())
        );
        assert_eq!((back.processed.logsumexp, back.raw.is_none()), (None, true));
    }
}

/// Wherever a log is cut, the records before the cut come, and then the end or an error.
#[test]
fn a_cut_log_gives_its_whole_records() {
    let records = [logprobs_records(2), logprobs_records(1)].concat();
    let bytes = jsonl(&records);
    for end in 0..bytes.len() {
        let whole = bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
        let mut reader = LogReader::new(&bytes[..end]).expect("a log");
        let before: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
        // The last line may be whole without its end.
        let is_whole = end + 1 == bytes.len() || bytes[end] == b'\n';
        assert_eq!(before.len(), whole + usize::from(is_whole && !bytes[..end].ends_with(b"\n")), "{end}");
        assert_eq!(before, records[..before.len()]);
    }
    let mut cut = LogReader::new(&bytes[..bytes.len() - 9]).expect("a log").skip_while(Result::is_ok);
    assert!(matches!(cut.next(), Some(Err(LogError::Truncated { line: 8 }))));
    assert!(cut.next().is_none());
}

/// What is left of a number is another number: the last line of CSV has its end, or was cut.
#[test]
fn a_cut_table_gives_its_whole_records() {
    for (records, kind) in [
        (logprobs_records(2), Kind::Logprobs),
        (logprobs_records(0), Kind::Logprobs),
        (sample_records(2), Kind::Sample),
    ] {
        let bytes = csv(&records, kind);
        let whole = read(&bytes).expect("a log");
        // Where each record ends.
        let ends: Vec<usize> = (1..=records.len()).map(|n| csv(&records[..n], kind).len()).collect();
        for end in bytes.iter().position(|&byte| byte == b'\n').expect("a head") + 1..bytes.len() {
            if bytes[end - 1] == b'\n' {
                continue;
            }
            let read: Vec<_> =
                LogReader::new(&bytes[..end]).map_or_else(|error| vec![Err(error)], Iterator::collect);
            let (last, before) = read.split_last().expect("a cut is told");
            assert!(matches!(last, Err(LogError::Truncated { .. })), "{end}: {last:?}");
            // One of several lines waits for the next line, which may be another of them. One of a single line does not.
            let n_whole = ends.iter().filter(|&&record_end| record_end <= end).count();
            let may_go_on = usize::from(ends != line_ends(&bytes));
            assert!(
                (n_whole.saturating_sub(may_go_on)..=n_whole).contains(&before.len()),
                "{end}: {}",
                before.len()
            );
            for (read, whole) in before.iter().zip(&whole) {
                assert_eq!(read.as_ref().expect("before the cut"), whole, "{end}");
            }
        }
    }
}

/// Where the lines behind the head end.
fn line_ends(bytes: &[u8]) -> Vec<usize> {
    (1..).zip(bytes).filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end).skip(1).collect()
}

#[test]
fn what_is_no_log_is_told() {
    let good = String::from_utf8(jsonl(&logprobs_records(1))).expect("UTF-8");
    let table = csv(&logprobs_records(2), Kind::Logprobs);
    let table = String::from_utf8(table).expect("UTF-8");
    let other = String::from_utf8(jsonl(&sample_records(1))).expect("UTF-8");
    let second = |text: &str, from: &str, to: &str| {
        let (first, rest) = text.split_once('\n').expect("lines");
        format!("{first}\n{}", rest.replacen(from, to, 1))
    };
    for (log, words) in [
        ("hello\n".to_owned(), "this is no log"),
        ("\0\0".to_owned(), "this is no log"),
        (format!("{{\n  \"sortilege\": \"1\",\n  \"output_sha256\": \"{good:.0}\"\n}}"), "this is a sidecar"),
        ("{}\n".to_owned(), "line 1: missing field"),
        ("{\"request\":1}x".to_owned(), "line 1: "),
        (second(&good, "\"rank\":", "\"rang\":"), "line 2: unknown field `rang`"),
        (second(&good, "\"position\":1", "\"position\":-1"), "line 2: invalid value"),
        (second(&good, "\"ok\"", "\"fine\""), "line 2: unknown variant `fine`"),
        (good.clone() + &other, "line 5: the records before it are of the other command"),
        ("request,position\n".to_owned(), "the first line has other columns"),
        (second(&table, ",1,", ",2,"), "line 3: its number does not follow"),
        (table.replacen(",ok,", ",fine,", 1), "line 2: unknown variant `fine`"),
        (table.replacen("0,0,", "0,", 1), "line 2: 14 fields instead of 15"),
        (table.replacen("[32,", "[332,", 1), "bytes that are no list of bytes"),
    ] {
        let message = read(log.as_bytes()).expect_err(words).to_string();
        assert!(message.contains(words), "{message} instead of {words}");
    }
    assert_eq!(read(b"").expect("no records"), []);
}

/// By its first bytes, whatever the order of its names; what others write is none, nor are numbers that begin as JSON does.
#[test]
fn a_log_of_ours_is_told_by_its_first_bytes() {
    for head in [
        &b"{\"request\":0,"[..],
        b" \n{ \"bytes\" :null",
        b"\xef\xbb\xbf{\"draws\":[",
        b"request,position,status",
        b"text,request\n",
        b"PAR1\x15",
    ] {
        assert!(is_log(head), "{}", head.escape_ascii());
    }
    for head in [
        &b""[..],
        b"{",
        b"{\0\0\0\0\0\0\0{\"a\":",
        b"{\"requests\":1",
        b"{\"id\":\"chatcmpl-1\"",
        b"{\"metadata\":{",
        b"[{\"request\":0",
        b"{\"text\":\" a\",\"index\":0",
        b"1,2,3\nrequest",
    ] {
        assert!(!is_log(head), "{}", head.escape_ascii());
    }
}

/// What editors and shells of Windows make of a text.
#[test]
fn a_byte_order_mark_is_skipped_and_utf_16_named() {
    let foreign = include_str!("../../../tests/logs/openai-chat.json").as_bytes().to_vec();
    for log in [jsonl(&logprobs_records(2)), csv(&sample_records(2), Kind::Sample), foreign] {
        let expected = read(&log).expect("a log");
        let marked = [b"\xef\xbb\xbf", &log[..]].concat();
        assert_eq!(read(&marked).expect("a log"), expected);
        // As a pipe may give it.
        let byte_by_byte = LogReader::new(std::io::BufReader::with_capacity(1, &marked[..])).expect("a log");
        assert_eq!(byte_by_byte.collect::<LogResult<Vec<_>>>().expect("a log"), expected);
        let text = String::from_utf8(log).expect("UTF-8");
        let words = |mark: &'static str| mark.encode_utf16().chain(text.encode_utf16().collect::<Vec<_>>());
        for mark in ["\u{feff}", ""] {
            for log in [
                words(mark).flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
                words(mark).flat_map(u16::to_be_bytes).collect(),
            ] {
                let message = read(&log).expect_err("UTF-16").to_string();
                assert_eq!(message, "this is text in UTF-16: save it as UTF-8");
            }
        }
    }
}

#[test]
fn a_format_refuses_records_of_the_other_kind() {
    let mut writer = CsvWriter::new(Vec::new(), Kind::Logprobs).expect("memory");
    let refused = writer.write(&sample_records(1)[0]).expect_err("another kind");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

/// A token is scored by what the record says of it, wherever that stands.
#[test]
fn a_record_scores_the_tokens_that_it_knows() {
    let impossible = f64::NEG_INFINITY;
    let scored = |top: u32, row: usize, token| {
        let scored = logprobs_records(top)[row].scored(token)?;
        Some((scored.logprob, scored.rank.expect("these logs tell ranks"), scored.is_greedy))
    };
    let (logprob, rank, is_greedy) = scored(4, 0, 1).expect("the target");
    assert!((logprob + 2.1698).abs() < 1e-3 && (rank, is_greedy) == (2, Some(false)), "{logprob} {rank}");
    assert_eq!(scored(4, 0, 3).map(|(_, rank, _)| rank), Some(4), "one of the list");
    assert_eq!(scored(1, 0, 0).map(|(_, rank, is_greedy)| (rank, is_greedy)), Some((1, Some(true))));
    assert_eq!(scored(1, 0, 3), None, "behind the end of the list");
    assert_eq!(scored(0, 1, 0), Some((impossible, 4, Some(false))), "the target, impossible");
    assert_eq!(
        scored(0, 1, 3).map(|(_, rank, is_greedy)| (rank, is_greedy)),
        Some((1, None)),
        "asked for by its id; without a list another may tie"
    );
    // Tokens 1 and 2 tie behind token 3.
    assert_eq!([1, 2].map(|token| scored(4, 1, token).map(|(_, rank, _)| rank)), [Some(2); 2]);
    assert_eq!(scored(4, 2, 2), None, "no distribution");
    // A log without ranks has that of the list, or none.
    for (top, rank, is_greedy) in [(4, Some(2), Some(false)), (1, None, Some(false)), (0, None, None)] {
        let Record::Logprobs(mut record) = logprobs_records(top)[0].clone() else { panic!("logprobs") };
        record.rank = None;
        let scored = Record::Logprobs(record).scored(1).expect("the target");
        assert_eq!((scored.rank, scored.is_greedy), (rank, is_greedy), "{top}");
        assert!((scored.logprob - logprob).abs() < 1e-12);
    }
}
