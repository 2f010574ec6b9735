//! What a format has no place for: the table is held against what comes back of every format.

use super::*;

/// A record in which all that the table says to be lost is missing.
fn without_lost(record: &Record<'static>, format: Format) -> Option<Record<'static>> {
    let Record::Logprobs(record) = record else { panic!("a logprobs record") };
    let mut record = record.clone();
    let (is_vllm, is_older) = (format == Format::Vllm, format == Format::OpenAiCompletions);
    if format == Format::Csv {
        record.token_logprobs.clear();
    }
    if !format.is_of_chosen_tokens() {
        return Some(Record::Logprobs(record));
    }
    Record::Logprobs(record.clone()).chosen()?;
    record.token_logprobs.clear();
    (record.logsumexp, record.entropy, record.status) = (None, None, crate::Status::Ok);
    record.rank = record.rank.filter(|_| is_vllm);
    record.logprob = record.logprob.or(Some(f64::NEG_INFINITY));
    if is_vllm || is_older {
        record.bytes = None;
        record.top.iter_mut().for_each(|entry| entry.bytes = None);
    }
    if is_older {
        record.token = record.token.filter(|_| record.text.is_none());
        record.top.iter_mut().for_each(|entry| entry.token = entry.token.filter(|_| entry.text.is_none()));
    }
    Some(Record::Logprobs(record))
}

fn converted(records: &[Record<'static>], format: Format) -> (Vec<u8>, Vec<(&'static str, u64)>) {
    let mut bytes = Vec::new();
    let mut writer = format.writer(&mut bytes, records[0].kind()).expect("memory");
    let mut losses = Losses::new(format);
    records.iter().for_each(|record| losses.add(record));
    written(records, &mut *writer);
    drop(writer);
    (bytes, losses.lost().collect())
}

/// Requests of targets alone, whose numbers every reader counts.
fn requests() -> Vec<Record<'static>> {
    let mut records = logprobs_records(3);
    records.retain(|record| record.chosen().is_some());
    records
}

/// All formats that are read from memory.
fn formats() -> impl Iterator<Item = Format> {
    Format::ALL.iter().copied().filter(|format| format.name() != "parquet")
}

#[test]
fn all_comes_back_but_what_is_said_to_be_lost() {
    let records = requests();
    for format in formats() {
        let (bytes, lost) = converted(&records, format);
        let expected: Vec<_> = records.iter().filter_map(|record| without_lost(record, format)).collect();
        assert_eq!(read(&bytes).expect("its own log"), expected, "{}", format.name());
        assert_eq!(lost.is_empty(), expected == records, "{}: {lost:?}", format.name());
    }
}

#[test]
fn what_is_lost_is_counted() {
    let names = |format| converted(&logprobs_records(3), format).1;
    let common = [
        ("records without a chosen token", 1),
        ("states of rows that are no distribution", 2),
        ("bytes of tokens", 3),
        ("rank", 2),
        ("logsumexp", 2),
        ("entropy", 2),
        ("tokens that were asked for by their ids", 1),
    ];
    let without =
        |names: &[&str]| common.into_iter().filter(|(name, _)| !names.contains(name)).collect::<Vec<_>>();
    assert_eq!(names(Format::Vllm), without(&["rank"]));
    assert_eq!(names(Format::OpenAi), without(&["bytes of tokens"]));
    assert_eq!(names(Format::LlamaServer), without(&["bytes of tokens"]));
    assert!(names(Format::OpenAiCompletions).contains(&("ids of tokens", 3)));
    assert_eq!(names(Format::Jsonl), []);
    assert_eq!(names(Format::Csv), [("tokens that were asked for by their ids", 1)]);
    let lost = converted(&sample_records(3), Format::Csv).1;
    let expected = [
        "tokens that were asked for by their ids",
        "logsumexp of the processed distribution",
        "alternatives of the processed distribution",
        "the raw distribution",
    ];
    assert_eq!(lost.iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected);
    assert!(converted(&sample_records(3), Format::OpenAi).1.contains(&("draws after the first", 2)));
}

/// A token of equal logits keeps its rank and its place in vLLM's words, wherever the list ends; what they cannot tell is
/// told.
#[test]
fn ranks_of_ties_are_those_of_the_record() {
    let logits = [3.0f32, 2.0, 2.0, 2.0, 1.0];
    let (logits, token) = (Logits::f32(&logits, 1, 5).expect("a row"), |token| [Some(token)]);
    for (listed, target) in (0..=5).flat_map(|listed| (0..5).map(move |target| (listed, target))) {
        let params = LogprobsParams { top_logprobs: listed, ..LogprobsParams::default() };
        let rows = Cpu.logprobs(&logits, &params, &token(target)).expect("it is sound");
        let records = [Record::logprobs(0, 0, Some(target), &rows[0], Texts::NONE)];
        let (bytes, lost) = converted(&records, Format::Vllm);
        let back = &read(&bytes).expect("its own log")[0];
        let rank = match target {
            0 => 1,
            4 => 5,
            _ => 2,
        };
        assert_eq!(back.chosen().expect("a token").rank, Some(rank), "{listed}, {target}");
        let is_told = lost.iter().any(|(name, _)| name.starts_with("that a token is none of"));
        assert_eq!(back.top() != records[0].top(), is_told, "{listed}, {target}");
        assert_eq!(is_told, target >= listed && rank <= listed + 1, "{listed}, {target}");
    }
}

/// What a sample says of the end of its request is lost, and a row behind it is no broken one.
#[test]
fn the_end_of_a_request_is_counted() {
    let mut records = sample_records(1);
    let Record::Sample(last) = &mut records[1] else { panic!("a sample") };
    let finished = crate::Status::Finished;
    (last.status, last.processed.status, last.draws) = (finished, finished, Vec::new());
    for format in Format::ALL.iter().copied().filter(|format| format.name() != "parquet") {
        let lost = converted(&records, format).1;
        let count = |part: &str| lost.iter().find(|(name, _)| *name == part).map(|(_, count)| *count);
        let own = |number| Some(number).filter(|_| format.is_of_chosen_tokens());
        let reasons = records
            .iter()
            .filter(|record| matches!(record, Record::Sample(record) if record.finish_reason.is_some()));
        let reasons = reasons.count() as u64;
        assert!(reasons > 0);
        assert_eq!(count("finish_reason"), own(reasons), "{}", format.name());
        assert_eq!(count("rows behind the end of their request"), own(1), "{}", format.name());
        assert_eq!(count("states of rows that are no distribution"), own(2), "{}", format.name());
    }
}

/// Positions that a reader would count otherwise, as those after `--shift`.
#[test]
fn other_numbers_are_told() {
    let mut records = requests();
    let renumbered = |records: &[Record<'static>]| {
        let lost = converted(records, Format::LlamaServer).1;
        lost.iter().find(|(name, _)| name.starts_with("numbers of")).map(|(_, count)| *count)
    };
    assert_eq!(renumbered(&records), None);
    for record in &mut records {
        let Record::Logprobs(record) = record else { panic!("logprobs") };
        record.position += 1;
    }
    assert_eq!(renumbered(&records), Some(3));
    assert_eq!(renumbered(&requests()[1..]), Some(1));
}

/// A text may be empty, beside an id or alone, of a token that is impossible too: it is one, in every format that has texts.
#[test]
fn an_empty_text_is_none_of_nothing() {
    let by_text = r#"{"tokens": ["b", "", ""], "token_logprobs": [-1.5, -0.5, -9999.0],
                      "top_logprobs": [{"": -0.4, "b": -1.5}, null, {"c": -0.1}]}"#;
    let by_id =
        r#"{"logprobs": [{"7": {"logprob": -0.5, "rank": 1, "decoded_token": ""}}], "token_ids": [7]}"#;
    for document in [by_text, by_id] {
        let records = read(document.as_bytes()).expect("a log");
        let texts = |records: &[Record<'_>]| -> Vec<_> {
            let of = |record: &Record<'_>| {
                let chosen = record.chosen().map(|chosen| (chosen.text.map(str::to_owned), chosen.logprob));
                let listed = record.top().iter().map(|one| one.text.as_deref().map(str::to_owned));
                (chosen, listed.collect::<Vec<_>>())
            };
            records.iter().map(of).collect()
        };
        for format in [Format::Jsonl, Format::Csv, Format::OpenAi, Format::LlamaServer] {
            let (bytes, _) = converted(&records, format);
            assert_eq!(texts(&read(&bytes).expect("its own log")), texts(&records), "{}", format.name());
        }
    }
}

#[test]
fn vllm_needs_ids() {
    let foreign = read(include_bytes!("../../../tests/logs/openai-chat.json")).expect("a log");
    let mut writer = VllmWriter::new(Vec::new());
    let refused = writer.write(&foreign[0]).expect_err("no ids");
    assert!(refused.to_string().contains("unknown id"), "{refused}");
    // All others take what another program told.
    for format in formats().filter(|format| *format != Format::Vllm) {
        let (bytes, _) = converted(&foreign, format);
        let texts = |records: &[Record<'_>]| -> Vec<_> {
            records.iter().map(|record| record.chosen().expect("a token").text.map(str::to_owned)).collect()
        };
        assert_eq!(texts(&read(&bytes).expect("its own log")), texts(&foreign), "{}", format.name());
    }
}
