//! The command line of `sortilege report`: what it refuses, what it leaves out, and that nothing is overwritten.

use serde_json::Value;

use crate::folder::{Folder, stderr, successful};
use crate::logs::{entry, row};

fn code_and_words(folder: &Folder, line: &str) -> (Option<i32>, String) {
    let output = folder.run(line);
    (output.status.code(), stderr(&output))
}

/// Requests 4 and 6, of three rows each.
fn put_small_log(folder: &Folder) {
    let list: Vec<Value> =
        (0..30).map(|token| entry(token, format!(" t{token}").as_bytes(), -1.0 - f64::from(token))).collect();
    let rows: Vec<Value> = [4, 4, 4, 6, 6, 6]
        .into_iter()
        .zip([0, 1, 2, 0, 1, 2])
        .map(|(request, position)| row(request, position, 1, b" t1", -2.0, &list))
        .collect();
    folder.put_log("log.jsonl", &rows);
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("their end").0).expect("JSON")
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_overwritten() {
    let folder = Folder::new();
    put_small_log(&folder);
    folder.put("old.html", "old");
    folder.put("broken.jsonl", "{\"request\":0,\n");
    folder.put("other.txt", "hello\n");
    for (line, code, words) in [
        ("report log.jsonl --request 5 -o old.html", 2, "no request 5: it has 2 requests, from 4 to 6"),
        ("report log.jsonl --first 0 -o old.html", 2, "0"),
        ("report missing.jsonl -o old.html", 1, "missing.jsonl"),
        ("report other.txt -o old.html", 1, "other.txt"),
        ("report broken.jsonl -o old.html", 1, "broken.jsonl: line 1"),
        ("report log.jsonl log.jsonl log.jsonl -o old.html", 2, "log.jsonl"),
        ("report -o old.html", 2, "<LOG>"),
        ("report log.jsonl -o log.jsonl", 2, "would replace the input"),
        ("report log.jsonl -o nowhere/page.html", 1, "there is no folder"),
        ("report - - -o old.html", 2, "standard input holds one"),
    ] {
        let before = folder.read("log.jsonl");
        let (found, said) = code_and_words(&folder, line);
        assert_eq!(found, Some(code), "{line}: {said}");
        assert!(said.contains(words), "{line}: {said}");
        assert_eq!((folder.read("old.html"), folder.read("log.jsonl")), ("old".to_owned(), before), "{line}");
    }
}

#[test]
fn requests_rows_and_alternatives_can_be_chosen() {
    let folder = Folder::new();
    put_small_log(&folder);
    let counts = |line: &str| {
        let data = data(&folder.text(line));
        let requests = data["logs"][0]["requests"].as_array().expect("requests").clone();
        let counts: Vec<(u64, usize)> = requests
            .iter()
            .map(|request| {
                (request["id"].as_u64().expect("a number"), request["rows"].as_array().expect("rows").len())
            })
            .collect();
        let view = &requests[0]["rows"][0]["views"][0];
        (
            counts,
            view["top"].as_array().expect("a list").len(),
            view["left"].clone(),
            data["notes"].to_string(),
        )
    };
    let (all, top, left, notes) = counts("report log.jsonl");
    assert_eq!((all, top, left, notes.as_str()), (vec![(4, 3), (6, 3)], 20, 10.into(), "[]"));
    let (one, top, left, notes) = counts("report log.jsonl --request 6 --first 2 --top 30");
    assert_eq!((one, top, left), (vec![(6, 2)], 30, 0.into()));
    assert!(notes.contains("log.jsonl: 4 more rows are not shown"), "{notes}");
}

#[test]
fn a_log_that_was_cut_is_shown_as_far_as_it_goes() {
    let folder = Folder::new();
    put_small_log(&folder);
    let whole = folder.read("log.jsonl");
    folder.put("log.jsonl", &whole[..whole.len() - 50]);
    let output = successful("report", folder.run("report log.jsonl"));
    let said = stderr(&output);
    assert!(said.contains("the log ends within a record"), "{said}");
    let data = data(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(data["logs"][0]["requests"][1]["rows"].as_array().map(Vec::len), Some(2));
    assert!(data["notes"][0].as_str().is_some_and(|note| note.contains("line 6")), "{}", data["notes"]);
}

#[test]
fn a_log_may_come_through_a_pipe_and_in_any_format() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let from_file = data(&folder.text("report log.jsonl"));
    let piped = successful("report -", folder.fed("report -", &folder.get("log.jsonl")));
    let piped = data(&String::from_utf8_lossy(&piped.stdout));
    assert_eq!(piped["logs"][0]["name"], "standard input");
    assert_eq!(piped["logs"][0]["requests"], from_file["logs"][0]["requests"]);
    for name in ["log.csv", "log.parquet"] {
        folder.write_log(name, "log");
        let other = data(&folder.text(&format!("report {name}")));
        assert_eq!(other["logs"][0]["requests"], from_file["logs"][0]["requests"], "{name}");
        assert_eq!(other["tokens"], from_file["tokens"], "{name}");
    }
    assert_eq!(from_file["logs"][0]["requests"].as_array().map(Vec::len), Some(rows.len() / 48));
}

#[test]
fn a_page_has_an_end() {
    let folder = Folder::new();
    let line = row(0, 0, 1, b"x", -2.0, &[]).to_string() + "\n";
    folder.put("log.jsonl", line.repeat(100_001));
    let (code, said) = code_and_words(&folder, "report log.jsonl");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("more than 100000 rows: choose some with --request or --first"), "{said}");
    assert!(folder.text("report log.jsonl --first 5").len() < 100_000);
}

/// A browser cannot tell every whole number of 64 bits from the next.
#[test]
fn numbers_that_no_browser_has_are_refused() {
    let folder = Folder::new();
    let largest = (1u64 << 53) - 1;
    for (request, position, words) in [
        (largest + 1, 0, "log.jsonl: request 9007199254740992: the page counts up to 9007199254740991"),
        (0, u64::MAX, "log.jsonl: position 18446744073709551615: the page counts up to"),
        (largest, largest, ""),
    ] {
        folder.put("log.jsonl", row(request, position, 1, b"x", -2.0, &[]).to_string() + "\n");
        let (code, said) = code_and_words(&folder, "report log.jsonl");
        assert_eq!(code, Some(i32::from(!words.is_empty())), "{said}");
        assert!(said.contains(words), "{said}");
    }
    for (option, words) in
        [("--request -1", "\"-1\" is no whole number from 0"), ("--top -5", "\"-5\" is no")]
    {
        let (code, said) = code_and_words(&folder, &format!("report log.jsonl {option}"));
        assert!(code == Some(2) && said.contains(words), "{said}");
    }
}

#[test]
fn a_page_without_alternatives_says_what_it_lacks() {
    let folder = Folder::new();
    put_small_log(&folder);
    let words = "the least confident positions and the calibration cannot act: --top 0";
    for (top, is_told) in [(0, true), (1, false)] {
        let (code, said) = code_and_words(&folder, &format!("report log.jsonl --top {top}"));
        assert_eq!((code, said.contains(words)), (Some(0), is_told), "{said}");
    }
}
