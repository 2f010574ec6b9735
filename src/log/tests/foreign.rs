//! Logs of other programs: responses as they are served, and the objects that the writers make.

use std::borrow::Cow;

use super::*;

/// Where a record stands, and of its token and alternatives: id, text, bytes, logprob.
type Told = (u64, u64, Token, Option<u32>, Vec<Token>);
type Token = (Option<u32>, Option<String>, Option<Vec<u8>>, f64);

fn told(record: &Record<'_>) -> Told {
    let Record::Logprobs(record) = record else { panic!("a logprobs record") };
    assert_eq!((record.status, record.entropy, record.logsumexp), (crate::Status::Ok, None, None));
    let token = |token, text: &Option<Cow<'_, str>>, bytes: &Option<Cow<'_, [u8]>>, logprob| {
        (token, text.as_deref().map(str::to_owned), bytes.as_deref().map(<[u8]>::to_vec), logprob)
    };
    let chosen = token(record.token, &record.text, &record.bytes, record.logprob.expect("it has one"));
    let entry = |entry: &TokenLogprob<'_>| token(entry.token, &entry.text, &entry.bytes, entry.logprob);
    (record.request, record.position, chosen, record.rank, record.top.iter().map(entry).collect())
}

fn all(document: &str) -> Vec<Told> {
    read(document.as_bytes()).expect("a log").iter().map(told).collect()
}

/// A token with its text and bytes.
fn known(id: impl Into<Option<u32>>, text: &str, bytes: &[u8], logprob: f64) -> Token {
    (id.into(), Some(text.to_owned()), Some(bytes.to_vec()), logprob)
}

/// A token whose bytes are not told.
fn named(id: impl Into<Option<u32>>, text: &str, logprob: f64) -> Token {
    (id.into(), Some(text.to_owned()), None, logprob)
}

#[test]
fn chat_completions_are_read() {
    let records = all(include_str!("../../../tests/logs/openai-chat.json"));
    let expected = [
        (
            0,
            0,
            known(None, "H", b"H", -0.25),
            None,
            vec![known(None, "H", b"H", -0.25), named(None, "<tool>", -1.75)],
        ),
        (
            0,
            1,
            known(None, "\u{fffd}", b"\xc3", f64::NEG_INFINITY),
            None,
            vec![known(None, "é", "é".as_bytes(), -0.5)],
        ),
        (0, 2, known(None, "\u{fffd}\n", b"\xa9\n", -20000.5), None, vec![]),
        (1, 0, known(None, "No", b"No", -0.125), None, vec![]),
    ];
    assert_eq!(records, expected);
}

#[test]
fn older_completions_are_read() {
    let records = all(include_str!("../../../tests/logs/openai-completions.json"));
    let top = [named(None, " upon", -0.5), named(None, " more", -1.5), named(None, " in", -2.5)];
    let expected = [
        // Of the first token of a prompt nothing is said.
        (0, 1, named(None, " upon", -0.5), None, top.to_vec()),
        (0, 2, (Some(17), None, None, -3.25), None, vec![named(None, "\u{a0}a", -0.0625)]),
        // The choice without logprobs is no request.
        (1, 0, named(None, "?", -1.5), None, vec![]),
    ];
    assert_eq!(records, expected);
}

/// A choice alone, and its logprobs alone, whose first names are names of ours too.
#[test]
fn choices_of_completions_are_read_alone() {
    let logprobs =
        r#"{"token_logprobs":[-0.5,-1.5],"tokens":[" a"," b"],"top_logprobs":null,"text_offset":[0,2]}"#;
    let expected =
        [(0, 0, named(None, " a", -0.5), None, vec![]), (0, 1, named(None, " b", -1.5), None, vec![])];
    assert_eq!(all(logprobs), expected);
    assert_eq!(
        all(&format!(r#"{{"text":" a b","index":0,"logprobs":{logprobs},"finish_reason":"stop"}}"#)),
        expected
    );
}

#[test]
fn lists_of_vllm_are_read() {
    let records = all(include_str!("../../../tests/logs/vllm.json"));
    let top = [named(301, " e", -0.5), named(272, " c", -1.5), named(9, "*", -3.5)];
    let expected = [
        // The prompt first, once; its token is none of the list.
        (0, 1, named(270, " b", -4.5), Some(31), vec![named(11, ",", -0.75)]),
        (0, 2, named(272, " c", -1.5), Some(2), top.to_vec()),
        // The id tells the token, whatever the order.
        (0, 3, named(288, " d", -0.75), Some(1), vec![named(288, " d", -0.75), named(11, ",", -2.5)]),
        (1, 0, named(301, " e", -0.5), Some(1), vec![named(301, " e", -0.5)]),
    ];
    assert_eq!(records, expected);
    // Without ids the first of each position is the token.
    let bare = r#"{"prompt_logprobs":[null,{"5":{"logprob":-2.0,"rank":4,"decoded_token":null}}]}"#;
    assert_eq!(all(bare), [(0, 1, (Some(5), None, None, -2.0), Some(4), vec![])]);
}

#[test]
fn probabilities_of_llama_server_are_read() {
    let records = all(include_str!("../../../tests/logs/llama-server.json"));
    let the = known(279, " the", b" the", -0.693_147_182_464_599_6);
    let expected = [
        (0, 0, the.clone(), None, vec![the, known(264, " a", b" a", -1.5)]),
        (0, 1, known(978, "\u{fffd}", b"\xc3", f64::NEG_INFINITY), None, vec![known(13, ".", b".", -0.25)]),
    ];
    assert_eq!(records, expected);
    let records = all(include_str!("../../../tests/logs/llama-server-after-sampling.json"));
    let yes = known(9820, " yes", b" yes", 0.5f64.ln());
    assert_eq!(records, [(0, 0, yes.clone(), None, vec![yes, known(912, " no", b" no", 0.25f64.ln())])]);
}

/// Several documents, of one line or many, and lists of them, are requests one after the other.
#[test]
fn documents_follow_each_other() {
    let chat = include_str!("../../../tests/logs/openai-chat.json");
    let llama = include_str!("../../../tests/logs/llama-server.json");
    let places = |text: &str| all(text).iter().map(|told| (told.0, told.1)).collect::<Vec<_>>();
    let expected = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)];
    assert_eq!(places(&format!("{chat}\n\n{llama}")), expected);
    assert_eq!(places(&format!("[{chat},{llama}]\n")), expected);
    let lines = [chat, llama].map(|text| text.replace('\n', " ")).join("\n");
    assert_eq!(places(&lines), expected);
}

#[test]
fn documents_without_logprobs_are_named() {
    let deep = format!("{}1{}", "{\"logprobs\":".repeat(100_000), "}".repeat(100_000));
    let nested = "[".repeat(100_000);
    for (text, words) in [
        ("{\"error\":{\"message\":\"no\"}}", "document 1: none of choices, outputs, content"),
        ("{\"choices\":[{\"text\":\"a\",\"logprobs\":null}]}", "ask the server for them (`logprobs`"),
        ("{\"choices\":[]}", "no choice has logprobs"),
        ("{\"tokens\":[\"a\"],\"token_logprobs\":[-1.0,-2.0]}", "a list of 2 beside 1 tokens"),
        ("{\"tokens\":[\"a\"],\"token_logprobs\":[\"-1\"]}", "invalid type: string"),
        (
            "{\"logprobs\":[{\"5\":{\"logprob\":-1.0}}],\"token_ids\":[6]}",
            "position 0 has no logprob of its token",
        ),
        ("{\"logprobs\":[],\"token_ids\":[6]}", "0 positions of logprobs beside 1 tokens"),
        ("{\"logprobs\":[{}]}", "position 0 has no logprob"),
        ("{\"logprobs\":[{\"-5\":{\"logprob\":-1.0}}]}", "invalid"),
        ("{\"logprobs\":[{\"5\":{\"logprob\":-1e999}}]}", "number out of range"),
        ("{\"completion_probabilities\":[{\"content\":\"a\",\"probs\":[]}]}", "missing field `token`"),
        ("{\"content\":[{\"token\":\"a\",\"bytes\":[300],\"logprob\":-1}]}", "invalid value: integer `300`"),
        ("{\"content\":[{\"token\":\"a\",\"logprob\":-1}]} {\"content\":[", "document 2: it ends within"),
        ("[[{}]]", "invalid type: sequence"),
        (&deep, "document 1: none of"),
        (&nested, "document 1: "),
    ] {
        let message = read(text.as_bytes()).expect_err(words).to_string();
        assert!(message.contains(words), "{message} instead of {words}");
    }
}
