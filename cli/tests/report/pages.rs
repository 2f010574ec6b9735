//! The mouse, the keys and the pickers: what the page shows then, against the log that it was made of.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::folder::Folder;
use crate::logs::{entry, row};

/// The token of the strip with this number.
pub(crate) fn token(number: usize) -> String {
    format!("document.querySelectorAll('.token')[{number}]")
}

/// The tokens of the strip as they are read and copied.
pub(crate) fn strip(browser: &mut Browser) -> Vec<String> {
    let texts = browser.evaluate("[...document.querySelectorAll('.token')].map(token => token.textContent)");
    serde_json::from_value(texts).expect("texts")
}

/// The numbers as the page writes them.
pub(crate) fn nats(value: &Value) -> String {
    format!("{:.4}", value.as_f64().expect("a number")).replace('-', "−")
}

pub(crate) fn percent(value: &Value) -> String {
    format!("{:.2} %", value.as_f64().expect("a number").exp() * 100.0)
}

/// Lines of the bars: rank, token, probability, logprob.
pub(crate) fn bars(browser: &mut Browser, table: usize) -> Vec<Vec<String>> {
    let cells = browser.evaluate(&format!(
        "[...document.querySelectorAll('#details table')[{table}].querySelectorAll('tbody tr')].map(line => \
         [...line.cells].map(cell => cell.textContent))"
    ));
    serde_json::from_value(cells).expect("texts")
}

/// An error unless the panel shows this row of a log.
fn check_panel(browser: &mut Browser, row: &Value) -> Result<(), String> {
    let panel = browser.text("#details");
    let facts = [
        format!("request {}, position {}", row["request"], row["position"]),
        format!("token {};", row["token"]),
        format!("logprob {}, ", nats(&row["logprob"])),
        format!("rank {}, ", row["rank"]),
        format!("entropy {:.3}", row["entropy"].as_f64().expect("a number")),
    ];
    if let Some(fact) = facts.iter().find(|fact| !panel.contains(*fact)) {
        return Err(format!("no {fact:?}: {panel}"));
    }
    let top = row["top"].as_array().expect("a list");
    let shown = bars(browser, 0);
    for (place, (entry, line)) in top.iter().zip(&shown).enumerate() {
        let text = format!("“{}”", entry["text"].as_str().expect("a text"));
        // Equal ones share the best rank.
        let rank =
            1 + top.iter().filter(|other| other["logprob"].as_f64() > entry["logprob"].as_f64()).count();
        let expected =
            [rank.to_string(), text, String::new(), percent(&entry["logprob"]), nats(&entry["logprob"])];
        if line[..] != expected {
            return Err(format!("line {place} is {line:?} instead of {expected:?}"));
        }
    }
    let is_listed = top.iter().any(|entry| entry["token"] == row["token"]);
    let lines = top.len() + usize::from(!is_listed);
    if shown.len() == lines { Ok(()) } else { Err(format!("{} lines instead of {lines}", shown.len())) }
}

#[test]
fn hover_and_keys_show_what_the_log_says() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    let texts: Vec<&str> = rows[..48].iter().map(|row| row["text"].as_str().expect("a text")).collect();
    assert_eq!(strip(&mut browser), texts);
    // Without the marks of white space.
    let copied =
        "getSelection().selectAllChildren(document.getElementById('strip')); getSelection().toString()";
    assert_eq!(browser.evaluate(copied), texts.concat());
    check_panel(&mut browser, &rows[0]).expect("the first token at the start");
    for number in [9, 3, 47] {
        browser.hover(&token(number));
        check_panel(&mut browser, &rows[number]).expect("the token under the mouse");
        check_panel(&mut browser, &rows[number + 1]).expect_err("and no other");
    }
    browser.hover("document.querySelector('h1')");
    check_panel(&mut browser, &rows[0]).expect("the focused token when the mouse is gone");
    browser.click(&token(20));
    check_panel(&mut browser, &rows[20]).expect("the clicked token");
    browser.hover("document.querySelector('h1')");
    for (key, number) in [
        ("ArrowRight", 21),
        ("ArrowRight", 22),
        ("ArrowLeft", 21),
        ("End", 47),
        ("ArrowRight", 47),
        ("Home", 0),
    ] {
        browser.press(key);
        check_panel(&mut browser, &rows[number]).unwrap_or_else(|problem| panic!("{key}: {problem}"));
        let said = browser.evaluate("document.getElementById('said').textContent");
        let words = format!(
            "{}, {}, rank {}",
            rows[number]["text"],
            percent(&rows[number]["logprob"]),
            rows[number]["rank"]
        );
        assert_eq!(said, words, "{key}");
    }
    // One line down and up again.
    let tops = |browser: &mut Browser| {
        let top = "document.activeElement.getBoundingClientRect().top";
        browser.evaluate(top).as_f64().expect("a number")
    };
    let first = tops(&mut browser);
    browser.press("ArrowDown");
    let second = tops(&mut browser);
    browser.press("ArrowUp");
    assert!(second > first && (tops(&mut browser) - first).abs() < 1.0, "{first}, {second}");
    // One token alone is a stop of the tab key.
    let stops = browser.evaluate("document.querySelectorAll('.token[tabindex=\"0\"]').length");
    assert_eq!(stops, 1);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn the_picker_and_links_change_the_request() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let page = folder.page("report log.jsonl");
    let mut browser = Browser::start();
    browser.open(&page, "");
    browser.evaluate("document.getElementById('request').focus()");
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    check_panel(&mut browser, &rows[96]).expect("the third request");
    let summary = browser.text("#summary");
    let request = &rows[96..144];
    let mean = request.iter().map(|row| row["logprob"].as_f64().expect("a number")).sum::<f64>() / 48.0;
    assert_eq!(
        summary,
        format!("48 rows, 48 targets, mean logprob {}, perplexity {:.4}", nats(&json!(mean)), (-mean).exp())
    );
    // The most surprising token is the first of its list, which is a link to it.
    let worst = request
        .iter()
        .min_by(|a, b| a["logprob"].as_f64().partial_cmp(&b["logprob"].as_f64()).expect("numbers"));
    browser.click("document.querySelector('#lists a')");
    check_panel(&mut browser, worst.expect("rows")).expect("the most surprising token");
    let focused = browser.evaluate("document.activeElement.classList.contains('token')");
    assert_eq!(focused, true);
    browser.open(&page, "#3:7");
    check_panel(&mut browser, &rows[3 * 48 + 7]).expect("where the address points");
    // The other list: where the best token is least probable.
    let best = |row: &&Value| row["top"][0]["logprob"].as_f64().expect("a number");
    let doubtful = rows[144..].iter().min_by(|a, b| best(a).total_cmp(&best(b))).expect("rows");
    browser.click("document.querySelectorAll('#lists ol')[1].querySelector('a')");
    check_panel(&mut browser, doubtful).expect("the least confident token");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn the_chart_follows_the_token_and_leads_to_it() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "#0:12");
    let cursor = |browser: &mut Browser| {
        browser.evaluate("Number(document.getElementById('cursor').getAttribute('x1'))")
    };
    assert_eq!(cursor(&mut browser), json!(12.5 * 1000.0 / 48.0));
    browser.hover("document.querySelector('#chart svg')");
    check_panel(&mut browser, &rows[24]).expect("the row in the middle");
    // Surprisal is the first line: its points are as far below the top as the log says.
    let path = browser.evaluate("document.querySelector('#chart path').getAttribute('d')");
    let points: Vec<f64> = path.as_str().expect("a path")[1..]
        .split('L')
        .map(|point| point.split(' ').nth(1).and_then(|y| y.parse().ok()).expect("a number"))
        .collect();
    let values = rows[..48]
        .iter()
        .flat_map(|row| [-row["logprob"].as_f64().unwrap_or(0.0), row["entropy"].as_f64().unwrap_or(0.0)]);
    let most = values.fold(0.0, f64::max);
    assert_eq!(points.len(), 48);
    for (row, y) in rows.iter().zip(points) {
        let expected = 100.0 + row["logprob"].as_f64().expect("a number") / most * 100.0;
        assert!((y - expected).abs() < 0.01, "{y} instead of {expected}");
    }
}

#[test]
fn ten_thousand_tokens_take_less_than_two_seconds() {
    const TOKENS: u32 = 10_000;
    let words = [" the", " of", " and", ",", " evening", "ing", ".\n", "漢", " Willoughby", "</b>"];
    let list: Vec<Value> = words
        .iter()
        .zip(0..)
        .map(|(word, token)| entry(token, word.as_bytes(), -1.0 - f64::from(token)))
        .collect();
    let line = |position: u32| {
        // Some order without a period that is short.
        let token = position.wrapping_mul(2_654_435_761) >> 24;
        let word = words[token as usize % words.len()];
        row(0, position.into(), token % 10, word.as_bytes(), -f64::from(token) / 40.0, &list)
    };
    let folder = Folder::new();
    folder.put_log("log.jsonl", &(0..TOKENS).map(line).collect::<Vec<_>>());
    let page = folder.page("report log.jsonl");
    let mut browser = Browser::start();
    // The first of all pages also starts the browser's parts.
    browser.open(&page, "");
    let took = browser.open(&page, "#0:9000");
    eprintln!("{TOKENS} tokens took {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(browser.evaluate("document.querySelectorAll('.token').length"), TOKENS);
    assert!(browser.text("#details").contains("position 9000"));
    let start = std::time::Instant::now();
    browser.click(&token(9_010));
    browser.press("ArrowRight");
    assert!(browser.text("#details").contains("position 9011"));
    eprintln!("a click and a key took {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Links are of what the log calls its rows, whichever of them the page has.
#[test]
fn a_link_is_of_request_and_position() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log --shift --top 3");
    assert_eq!(rows[0]["position"], 1);
    let mut browser = Browser::start();
    for options in ["", " --request 3 --request 1 --first 9"] {
        browser.open(&folder.page(&format!("report log.jsonl{options}")), "#3:8");
        check_panel(&mut browser, &rows[3 * 48 + 7]).expect("where the address points");
        let link = browser.evaluate("document.querySelector('#lists a').getAttribute('href')");
        let link = link.as_str().expect("a link").to_owned();
        browser.click("document.querySelector('#lists a')");
        let place = format!("request 3, position {}", link.split_once(':').expect("two numbers").1);
        assert!(link.starts_with("#3:") && browser.text("#details").contains(&place), "{link}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The panel lies over the text of a narrow page, and never over the token that it is of.
#[test]
fn the_focus_is_not_behind_the_panel() {
    let folder = Folder::new();
    folder.log_of_assets("log.jsonl", "log");
    let mut browser = Browser::start();
    browser.resize(500);
    browser.open(&folder.page("report log.jsonl"), "");
    let is_clear = |browser: &mut Browser| {
        browser.evaluate(
            "(() => { const token = document.activeElement.getBoundingClientRect(); \
             return token.bottom <= document.querySelector('#details').getBoundingClientRect().top; })()",
        )
    };
    browser.click(&token(0));
    for key in ["End", "ArrowUp", "Home", "ArrowDown"] {
        browser.press(key);
        assert_eq!(browser.evaluate("document.activeElement.classList.contains('token')"), true, "{key}");
        assert_eq!(is_clear(&mut browser), true, "{key}");
    }
    // The check must see a token that is covered.
    browser.evaluate("document.querySelector('#details').style.transform = 'translateY(-100vh)'");
    assert_eq!(is_clear(&mut browser), false);
}

/// Beside the raw distribution of a sample stands a log, which is of the same logits.
#[test]
fn a_log_is_compared_with_the_raw_distribution_of_a_sample() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let drawn = folder.log_of_assets(
        "drawn.jsonl",
        "sample --temperature 0.5 --seed 3 --raw-logprobs 5 --processed-logprobs 5",
    );
    let mut browser = Browser::start();
    for logs in ["log.jsonl drawn.jsonl", "drawn.jsonl log.jsonl"] {
        browser.open(&folder.page(&format!("report {logs}")), "");
        assert_eq!(browser.evaluate("document.getElementById('view').selectedOptions[0].textContent"), "raw");
        let same = (0..48).find(|&row| rows[row]["token"] == drawn[row]["draws"][0]["token"]).expect("a row");
        browser.click(&token(same));
        assert_eq!(drawn[same]["draws"][0]["raw_logprob"], rows[same]["logprob"]);
        assert!(
            browser.text("#details").contains("; difference 0.0000 nats"),
            "{}",
            browser.text("#details")
        );
    }
    browser.open(&folder.page("report drawn.jsonl"), "");
    assert_eq!(
        browser.evaluate("document.getElementById('view').selectedOptions[0].textContent"),
        "processed"
    );
    assert_eq!(browser.complaints(), [""; 0]);
}
