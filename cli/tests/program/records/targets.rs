//! Which token a row is scored with: padding, shifted tokens, and arrangements of both.

use serde_json::{Value, json};

use crate::common::{Folder, i32s, npy, stderr, stored, successful};
use crate::table::test_each;

/// Three sequences of four rows over five tokens; each row prefers the token after its own: 1, 2, 3, 4, by 6 logits.
fn folder() -> Folder {
    let folder = Folder::new();
    let row = |p: usize| (0..5).map(move |token| if token == p + 1 { 6.0 } else { 0.0 });
    let sequence: Vec<f32> = (0..4).flat_map(row).collect();
    folder.put("one.npy", npy("<f4", "(4, 5)", &stored("f32", &sequence)));
    folder.put("three.npy", npy("<f4", "(3, 4, 5)", &stored("f32", &sequence.repeat(3))));
    let ids = [0i32, 1, 2, 3];
    folder.put("ids.npy", npy("<i4", "(4,)", &i32s(&ids)));
    folder.put("batch.npy", npy("<i4", "(1, 4)", &i32s(&ids)));
    folder.put("ids3.npy", npy("<i4", "(3, 4)", &i32s(&ids.repeat(3))));
    folder.put("column.npy", npy("<i4", "(3, 4, 1)", &i32s(&ids.repeat(3))));
    folder.put("turned.npy", npy("<i4", "(4, 3)", &i32s(&ids.repeat(3))));
    folder
}

fn perplexity(said: &str) -> (f64, usize) {
    let line = said.lines().find_map(|line| line.strip_prefix("perplexity ")).expect("a perplexity");
    let words: Vec<&str> = line.split(' ').collect();
    (words[0].parse().expect("a number"), words[2].parse().expect("a count"))
}

/// Of the preferred token.
fn best() -> f64 {
    let sum: f64 = 6f64.exp() + 4.0;
    6.0 - sum.ln()
}

#[test]
fn padding_is_no_target_in_any_format() {
    let folder = folder();
    let labels: [i64; 12] = [-100, 2, 3, -100, 1, -100, -100, -100, -1, -1, -1, -9_000_000_000];
    let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    folder.put("labels.npy", npy("<i8", "(3, 4)", &bytes));
    let line = "log three.npy --tokens labels.npy --top 1 --device cpu --format";
    let output = successful(line, folder.run(&format!("{line} openai")));
    let (perplexity, count) = perplexity(&stderr(&output));
    assert!((perplexity - (-best()).exp()).abs() < 1e-5 && count == 3, "{perplexity} over {count}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let requests: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids = |request: &Value| {
        let content = request["content"].as_array().expect("a list").iter();
        content.map(|entry| entry["token_id"].as_i64().expect("an id")).collect::<Vec<_>>()
    };
    assert_eq!(requests.iter().map(ids).collect::<Vec<_>>(), [vec![2, 3], vec![1], vec![]]);
    for entry in requests.iter().flat_map(|request| request["content"].as_array().expect("a list")) {
        assert!((entry["logprob"].as_f64().expect("a number") - best()).abs() < 1e-6, "{entry}");
        assert_eq!(entry["top_logprobs"].as_array().map(Vec::len), Some(1));
    }
    let lines = folder.lines(&format!("{line} jsonl"));
    for (line, label) in lines.iter().zip(labels) {
        let expected = if label < 0 { Value::Null } else { json!(label) };
        assert_eq!(line["token"], expected);
        assert_eq!(line["logprob"].is_null(), label < 0, "{line}");
    }
    let csv = folder.text(&format!("{line} csv"));
    assert!(!csv.contains("-100") && !csv.contains("9999"), "{csv}");
    let table = folder.text(&format!("{line} table"));
    assert_eq!(table.lines().filter(|line| line.contains("  -  ")).count(), 9, "{table}");
}

#[test]
fn a_text_is_scored_by_its_own_logits() {
    let folder = folder();
    test_each(
        ["one.npy --tokens ids.npy", "three.npy --tokens ids3.npy"].map(|case| (case, case)),
        |files| {
            let line = format!("log {files} --shift --top 0 --device cpu -o records");
            let said = stderr(&successful(&line, folder.run(&line)));
            let requests = if files.starts_with("one") { 1 } else { 3 };
            let (perplexity, count) = perplexity(&said);
            assert!((perplexity - (-best()).exp()).abs() < 1e-5, "{perplexity}");
            assert_eq!(count, 3 * requests);
            assert!(!said.contains("--shift"), "{said}");
            let text = String::from_utf8(folder.get("records")).expect("UTF-8");
            let records: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            for (row, record) in records.iter().enumerate() {
                let position = row % 4 + 1;
                assert_eq!(record["position"], position, "the first position has no record");
                let token = if position == 4 { Value::Null } else { json!(position) };
                assert_eq!(record["token"], token, "{record}");
            }
            let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
            assert_eq!(meta["options"]["shift"], true);
        },
    );
    let openai = folder.lines("log one.npy --tokens ids.npy --shift --format openai --device cpu");
    assert_eq!(openai[0]["content"].as_array().map(Vec::len), Some(3));
}

/// As many tokens as rows may be the rows' own: of one sequence the remedy is told.
#[test]
fn tokens_that_may_be_the_rows_own_get_a_hint() {
    let folder = folder();
    let cases = [
        ("one.npy --tokens ids.npy", true),
        ("one.npy --tokens batch.npy", true),
        ("one.npy --tokens 1,2,3,4", true),
        ("one.npy --tokens 1,2,3,-100", false), // shifted already
        ("one.npy --tokens ids.npy --shift", false),
        ("three.npy --tokens ids3.npy", false),
        ("one.npy", false),
    ];
    test_each(cases.map(|case| (case.0, case)), |(files, has_hint)| {
        let line = format!("log {files} --device cpu");
        let said = stderr(&successful(&line, folder.run(&line)));
        assert_eq!(said.contains("row p predicts token p + 1: give --shift"), has_hint, "{said}");
    });
    folder.put("words.txt", "a\nb\nc\nd\ne\n");
    for (options, is_idle) in [("--top 0", true), ("--top 1", false), ("--top 0 --tokens 1,2,3,4", false)] {
        let line = format!("log one.npy --vocab-file words.txt --device cpu {options}");
        let said = stderr(&successful(&line, folder.run(&line)));
        assert_eq!(said.contains("texts of tokens are not written"), is_idle, "{options}: {said}");
    }
    let said = stderr(&folder.run("log one.npy --tokens -1,-1,-100,-1 --device cpu"));
    assert!(said.contains("note: no row has a target: all of --tokens -1,-1,-100,-1 are negative"), "{said}");
    let output = folder.run("log one.npy --shift --device cpu");
    assert_eq!(output.status.code(), Some(2), "nothing to shift");
}

#[test]
fn tokens_are_arranged_as_the_rows_are() {
    let folder = folder();
    let with = |tokens: &str| folder.run(&format!("log three.npy --tokens {tokens} --top 0 --device cpu"));
    let expected = with("ids3.npy").stdout;
    let flat = ["0,1,2,3"; 3].join(",");
    for tokens in ["column.npy", &flat, "[[0,1,2,3],[0,1,2,3],[0,1,2,3]]"] {
        assert_eq!(with(tokens).stdout, expected, "{tokens}");
    }
    for (tokens, words) in [
        ("turned.npy", "shape [4, 3] for logits of [3, 4] rows"),
        ("[[0,1,2],[3,0,1,2,3],[0,1,2,3]]", "3 lists of 3, 5, 4 tokens for logits of [3, 4] rows"),
        ("ids.npy", "shape [4] for logits of [3, 4] rows"),
    ] {
        let output = with(tokens);
        assert_eq!(output.status.code(), Some(2), "{tokens}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    // A file far longer than the rows is not read.
    folder.put("long.txt", "1 ".repeat(2 << 20));
    folder.put("long.npy", npy("<i4", "(1000000,)", &i32s(&vec![1; 1_000_000])));
    for tokens in ["long.txt", "long.npy"] {
        let output = with(tokens);
        assert_eq!(output.status.code(), Some(2), "{tokens}");
        let expected = format!("{tokens}: over 65548 tokens");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
}
