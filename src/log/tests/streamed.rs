//! Responses that were streamed: their chunks are the requests that the whole responses are.

use super::*;

/// Places and tokens of the records of these documents.
fn told(documents: &[String]) -> Vec<(u64, u64, String)> {
    let records = read(documents.join("\n").as_bytes()).expect("a log");
    let text = |record: &Record<'_>| record.chosen().expect("a token").text.expect("a text").to_owned();
    records.iter().map(|record| (record.request(), record.position(), text(record))).collect()
}

fn expected(texts: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    texts.iter().map(|&(request, position, text)| (request, position, text.to_owned())).collect()
}

/// A chunk of a chat with these choices.
fn chunk(id: &str, choices: &[String]) -> String {
    format!(r#"{{"id":"{id}","object":"chat.completion.chunk","choices":[{}]}}"#, choices.join(","))
}

fn choice(index: u64, tokens: &[&str], reason: &str) -> String {
    let entry =
        |token: &&str| format!(r#"{{"token":"{token}","logprob":-1.5,"bytes":null,"top_logprobs":[]}}"#);
    let entries: Vec<String> = tokens.iter().map(entry).collect();
    let logprobs = match tokens {
        [] => "null".to_owned(),
        _ => format!(r#"{{"content":[{}],"refusal":null}}"#, entries.join(",")),
    };
    format!(r#"{{"index":{index},"delta":{{"content":"x"}},"logprobs":{logprobs},"finish_reason":{reason}}}"#)
}

#[test]
fn chunks_of_a_chat_are_joined_by_response_and_choice() {
    let (go, stop) = ("null", "\"stop\"");
    let documents = [
        chunk("a", &[]),
        chunk("a", &[choice(1, &[], go)]),
        chunk("a", &[choice(1, &["one"], go), choice(0, &["nil"], go)]),
        // Two servers' answers may come at one time.
        chunk("b", &[choice(0, &["other"], go)]),
        chunk("a", &[choice(0, &["-", "0"], go)]),
        chunk("a", &[choice(1, &[], stop)]),
        chunk("b", &[choice(0, &["!"], stop)]),
        chunk("a", &[choice(0, &[], "\"length\"")]),
        chunk("a", &[]),
        // The same again is another request, and so is what was cut.
        chunk("a", &[choice(0, &["new"], stop)]),
        chunk("c", &[choice(0, &["cut"], go)]),
    ];
    let all = [
        (0, 0, "nil"),
        (0, 1, "-"),
        (0, 2, "0"),
        (1, 0, "one"),
        (2, 0, "other"),
        (2, 1, "!"),
        (3, 0, "new"),
        (4, 0, "cut"),
    ];
    assert_eq!(told(&documents), expected(&all));
    // In a list, too.
    assert_eq!(told(&[format!("[{}]", documents.join(","))]), expected(&all));
    let silent = [chunk("a", &[choice(0, &[], go)]), chunk("a", &[choice(0, &[], stop)])].join("\n");
    let message = read(silent.as_bytes()).expect_err("no logprobs").to_string();
    assert!(message.contains("no choice has logprobs: ask the server for them"), "{message}");
}

#[test]
fn parts_of_older_completions_and_of_llama_server_are_joined() {
    let part = |id: &str, token: &str, reason: &str| {
        let lists = format!(r#"{{"tokens":["{token}"],"token_logprobs":[-0.5],"top_logprobs":null}}"#);
        format!(
            r#"{{"id":"{id}","object":"text_completion","choices":[{{"index":0,"logprobs":{lists},"finish_reason":{reason}}}]}}"#
        )
    };
    let parts = [part("a", "x", "null"), part("a", "y", "\"stop\"")];
    assert_eq!(told(&parts), expected(&[(0, 0, "x"), (0, 1, "y")]));
    // Whole responses of one name are not parts of one.
    let whole = [part("a", "x", "\"stop\""), part("a", "y", "\"length\"")];
    assert_eq!(told(&whole), expected(&[(0, 0, "x"), (1, 0, "y")]));
    let token = |token: &str, stop: bool| {
        let entry = format!(r#"{{"id":7,"token":"{token}","bytes":[120],"logprob":-0.5,"top_logprobs":[]}}"#);
        format!(r#"{{"content":"x","stop":{stop},"completion_probabilities":[{entry}]}}"#)
    };
    let end = r#"{"content":"","stop":true,"timings":{}}"#.to_owned();
    let streamed = [token("x", false), token("x", false), end, token("x", true)];
    assert_eq!(told(&streamed), expected(&[(0, 0, "x"), (0, 1, "x"), (1, 0, "x")]));
}

/// Choices have the order of their numbers, whatever the document's.
#[test]
fn choices_are_in_order() {
    let document = format!(
        r#"{{"object":"chat.completion","choices":[{},{}]}}"#,
        choice(1, &["second"], "\"stop\""),
        choice(0, &["first"], "\"stop\"")
    );
    assert_eq!(told(&[document]), expected(&[(0, 0, "first"), (1, 0, "second")]));
}

/// Servers that put the chosen token first leave the list in no order: it is put in its own.
#[test]
fn alternatives_of_others_are_sorted() {
    let entry = |token: &str, logprob: f64, rest: &str| {
        format!(r#"{{"token":"{token}","logprob":{logprob:?},"bytes":null{rest}}}"#)
    };
    let top = [entry("c", -3.0, ""), entry("a", -0.5, ""), entry("b", -1.0, "")].join(",");
    let document = format!(r#"{{"content":[{}]}}"#, entry("c", -3.0, &format!(",\"top_logprobs\":[{top}]")));
    let records = read(document.as_bytes()).expect("a log");
    let texts: Vec<&str> = records[0].top().iter().filter_map(|entry| entry.text.as_deref()).collect();
    assert_eq!(texts, ["a", "b", "c"]);
}

#[test]
fn events_of_the_wire_are_documents() {
    let chunks =
        [chunk("a", &[choice(0, &["one", "two"], "null")]), chunk("a", &[choice(0, &["three"], "\"stop\"")])];
    let expected = expected(&[(0, 0, "one"), (0, 1, "two"), (0, 2, "three")]);
    assert_eq!(told(&chunks), expected);
    for (first, space, end) in
        [("", " ", "\n\n"), (": ping\r\n", "", "\r\n\r\n"), ("retry: 5\nid: 7\nevent: x\n", " ", "\n")]
    {
        let mut wire: Vec<String> =
            chunks.iter().map(|chunk| format!("{first}data:{space}{chunk}{end}")).collect();
        wire.push(format!("data:{space}[DONE]{end}"));
        assert_eq!(told(&wire), expected, "{wire:?}");
    }
    for (wrong, problem) in [
        (format!("data: {}\nhello", chunks[0]), "document 2: it is neither JSON nor an event"),
        (format!("data: {}", &chunks[0][..40]), "document 1: EOF"),
        (format!("data: {}\nmeta: 1", chunks[0]), "document 2: it is neither JSON nor an event"),
    ] {
        let error = read(wrong.as_bytes()).expect_err(&wrong).to_string();
        assert!(error.contains(problem), "{error}");
    }
}
