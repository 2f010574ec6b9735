//! Numbers that no row of logits has, in logs of every format.

use super::*;

type Change = fn(&mut LogprobsRecord<'static>);
type SampleChange = fn(&mut SampleRecord<'static>);

/// Which number is changed, and what is said of it.
const CHANGES: &[(&str, Change)] = &[
    ("logprob is 0.25: a logprob is at most 0", |r| r.logprob = Some(0.25)),
    ("logprob is 2e-6", |r| r.logprob = Some(2e-6)),
    ("rank is 0: ranks count from 1", |r| r.rank = Some(0)),
    ("logsumexp is inf: a log-sum-exp is finite", |r| r.logsumexp = Some(f64::INFINITY)),
    ("entropy is -0.5: an entropy is finite and at least 0", |r| r.entropy = Some(-0.5)),
    ("entropy is NaN", |r| r.entropy = Some(f64::NAN)),
    ("top[1].logprob is 3.5", |r| r.top[1].logprob = 3.5),
    ("top[0].logprob is NaN", |r| r.top[0].logprob = f64::NAN),
    ("top[1].logprob is -inf: a token of probability 0 is neither listed nor drawn", |r| {
        r.top[1].logprob = f64::NEG_INFINITY;
    }),
    ("token is 1048576: ids are below 2^20", |r| r.token = Some(1 << 20)),
    ("top[0].token is 2097152: ids are below 2^20", |r| r.top[0].token = Some(1 << 21)),
    ("top[1].logprob is -0.5: the most probable tokens come first", |r| {
        (r.top[0].logprob, r.top[1].logprob) = (-1.5, -0.5);
    }),
    ("top has token 3 twice: each token is listed once", |r| {
        r.top.iter_mut().for_each(|entry| entry.token = Some(3));
    }),
    ("token_logprobs[1].token is 1048576", |r| r.token_logprobs[1].token = 1 << 20),
    ("logprob is -1.0: of a row of status nan there are no numbers", |r| {
        *r = LogprobsRecord { logprob: Some(-1.0), ..unsound(r) };
    }),
    ("rank is 3: of a row of status nan", |r| *r = LogprobsRecord { rank: Some(3), ..unsound(r) }),
    ("logsumexp is 1.5: of a row of status nan", |r| {
        *r = LogprobsRecord { logsumexp: Some(1.5), ..unsound(r) };
    }),
    ("entropy is 0.5: of a row of status nan", |r| *r = LogprobsRecord { entropy: Some(0.5), ..unsound(r) }),
    ("length of top is 2: of a row of status nan", |r| {
        *r = LogprobsRecord { top: r.top[..2].to_vec(), ..unsound(r) };
    }),
    ("length of token_logprobs is 3: of a row of status nan", |r| {
        *r = LogprobsRecord { token_logprobs: r.token_logprobs.clone(), ..unsound(r) };
    }),
    ("token_logprobs[2].logprob is 1.0", |r| r.token_logprobs[2].logprob = 1.0),
    ("token_logprobs[1].rank is 0", |r| r.token_logprobs[1].rank = 0),
    ("token_logprobs[0].set_logprob is 7.0", |r| r.token_logprobs[0].set_logprob = 7.0),
];

const SAMPLE_CHANGES: &[(&str, SampleChange)] = &[
    ("kept_mass is 1.5: a probability is from 0 to 1", |r| r.kept_mass = Some(1.5)),
    ("kept_mass is -0.5", |r| r.kept_mass = Some(-0.5)),
    ("temperature is -1.0: no temperature is below 0", |r| r.temperature = Some(-1.0)),
    ("draws[0].token is 1048577: ids are below 2^20", |r| r.draws[0].token = (1 << 20) + 1),
    ("length of draws is 2: of a row of status positive_infinity", |r| {
        (r.status, r.kept_mass) = (crate::Status::PositiveInfinity, None);
    }),
    ("kept_mass is 0.5: of a row of status nan", |r| {
        (r.status, r.kept_mass) = (crate::Status::Nan, Some(0.5));
    }),
    ("processed.top has token 1 twice", |r| {
        r.processed.top.iter_mut().for_each(|entry| entry.token = Some(1));
    }),
    ("processed.logsumexp is ", |r| r.processed.status = crate::Status::Nan),
    ("draws[1].logprob is 0.5", |r| r.draws[1].logprob = 0.5),
    ("draws[0].logprob is -inf: a token of probability 0", |r| r.draws[0].logprob = f64::NEG_INFINITY),
    ("draws[0].rank is 0", |r| r.draws[0].rank = 0),
    ("draws[1].raw_logprob is 4.0", |r| r.draws[1].raw_logprob = Some(4.0)),
    ("draws[0].raw_rank is 0", |r| r.draws[0].raw_rank = Some(0)),
    ("processed.entropy is -2.0", |r| r.processed.entropy = Some(-2.0)),
    ("processed.logsumexp is NaN", |r| r.processed.logsumexp = Some(f64::NAN)),
    ("processed.top[1].logprob is 0.5", |r| r.processed.top[1].logprob = 0.5),
    ("raw.token_logprobs[0].rank is 0", |r| r.raw.as_mut().expect("raw").token_logprobs[0].rank = 0),
    ("raw.entropy is -1.0", |r| r.raw.as_mut().expect("raw").entropy = Some(-1.0)),
];

/// The record of a row that is no distribution.
fn unsound(record: &LogprobsRecord<'static>) -> LogprobsRecord<'static> {
    LogprobsRecord {
        status: crate::Status::Nan,
        logprob: None,
        rank: None,
        logsumexp: None,
        entropy: None,
        top: Vec::new(),
        token_logprobs: Vec::new(),
        ..record.clone()
    }
}

/// Logs of four records whose second was changed.
fn changed() -> Vec<(&'static str, Vec<Record<'static>>)> {
    let mut logs = Vec::new();
    for (words, change) in CHANGES {
        let mut records = logprobs_records(3);
        let Record::Logprobs(record) = &mut records[1] else { panic!("logprobs") };
        change(record);
        logs.push((*words, records));
    }
    for (words, change) in SAMPLE_CHANGES {
        let mut records = sample_records(2);
        let Record::Sample(record) = &mut records[1] else { panic!("samples") };
        change(record);
        logs.push((*words, records));
    }
    logs
}

#[test]
fn impossible_numbers_are_named_with_their_line() {
    for (words, records) in changed() {
        // JSON has no word for NaN and infinity, and no field of CSV is written with one.
        let is_finite = !words.contains("NaN") && !words.contains("inf");
        if is_finite {
            let message = read(&jsonl(&records)).expect_err(words).to_string();
            assert!(message.starts_with("line 2: ") && message.contains(words), "{message}");
        }
        let is_in_csv =
            !["top[1]", "top[0]", "token_logprobs", "length of token_logprobs", "processed.", "raw."]
                .iter()
                .any(|part| words.starts_with(part) && !words.starts_with("processed.entropy"));
        if is_in_csv && is_finite {
            // The head is a line, and so is each alternative or draw of the first record.
            let lines = csv(&records[..1], records[0].kind()).iter().filter(|&&byte| byte == b'\n').count();
            let message = read(&csv(&records, records[0].kind())).expect_err(words).to_string();
            let field = words.trim_start_matches("processed.");
            assert!(message.starts_with(&format!("line {}: ", lines + 1)), "{message}");
            assert!(message.contains(field), "{message} instead of {field}");
        }
        #[cfg(feature = "parquet")]
        {
            let message = super::parquet::read_file(&super::parquet::bytes(&records)).expect_err(words);
            let message = message.to_string();
            assert!(message.starts_with("line 2: ") && message.contains(words), "{message}");
        }
    }
}

/// No writer here, and other tools, spell NaN in CSV.
#[test]
fn nan_in_a_table_is_named() {
    let table = String::from_utf8(csv(&logprobs_records(1), Kind::Logprobs)).expect("UTF-8");
    let changed = table.replacen("0.5252708240714395", "NaN", 1);
    assert_ne!(changed, table);
    let message = read(changed.as_bytes()).expect_err("NaN").to_string();
    assert_eq!(message, "line 2: entropy is NaN: an entropy is finite and at least 0");
}

/// An audit says of the field what it must be, whatever stands there.
#[test]
fn an_audit_compares_impossible_numbers() {
    let (words, records) = changed().swap_remove(2);
    let log = jsonl(&records);
    let mut audit = Audit::new(LogReader::new(&log[..]).expect("a log"));
    logprobs_records(3).iter().for_each(|record| audit.expect(record).expect("memory"));
    let told = audit.finish().expect("memory").first.expect(words).to_string();
    assert!(told.contains("rank is 0 instead of 4"), "{told}");
}

/// What rounding in f32 makes of a logprob of 0 is no lie.
#[test]
fn rounding_is_no_impossible_number() {
    let mut records = logprobs_records(3);
    let Record::Logprobs(record) = &mut records[0] else { panic!("logprobs") };
    record.logprob = Some(1.2e-7);
    record.entropy = Some(-1e-7);
    assert_eq!(read(&jsonl(&records)).expect("a log"), records);
}

#[test]
fn impossible_numbers_of_others_are_named() {
    for (text, words) in [
        (
            "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"b\",\"logprob\":0.5}]}",
            "document 1: request 0, position 1: logprob is 0.5: a logprob is at most 0",
        ),
        (
            "{\"content\":[{\"token\":\"a\",\"logprob\":-1}]} {\"logprobs\":[{\"5\":{\"logprob\":-1.0,\"rank\":0}}]}",
            "document 2: request 1, position 0: rank is 0",
        ),
        (
            "{\"completion_probabilities\":[{\"id\":1,\"token\":\"a\",\"prob\":1.5}]}",
            "document 1: prob is 1.5: a probability is from 0 to 1",
        ),
        (
            "{\"completion_probabilities\":[{\"id\":1,\"token\":\"a\",\"prob\":0.5,\"top_probs\":[{\"token\":\"b\",\"prob\":-0.5}]}]}",
            "prob is -0.5",
        ),
        ("{\"tokens\":[\"a\"],\"token_logprobs\":[3.0]}", "position 0: logprob is 3.0"),
    ] {
        let message = read(text.as_bytes()).expect_err(words).to_string();
        assert!(message.contains(words), "{message} instead of {words}");
    }
}

/// A number with an exponent that no number has is an infinity: nobody's list has one.
#[test]
fn a_number_out_of_range_is_no_logprob() {
    let log = String::from_utf8(csv(&logprobs_records(1), Kind::Logprobs)).expect("text");
    let (head, rows) = log.split_once('\n').expect("a head");
    let (first, rest) = rows.split_once('\n').expect("an alternative");
    let (before, _) = first.rsplit_once(',').expect("columns");
    let changed = format!("{head}\n{before},-1e20192524168797\n{rest}");
    let message = read(changed.as_bytes()).expect_err("an infinity").to_string();
    assert!(message.contains("top[0].logprob is -inf: a token of probability 0"), "{message}");
}
