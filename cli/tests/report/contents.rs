//! What the page makes of a log: joined bytes, both distributions of a sample, two logs, the calibration.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::folder::Folder;
use crate::logs::{entry, row};
use crate::pages::{bars, nats, percent, strip, token};

#[test]
fn bytes_are_joined_before_they_are_text() {
    let folder = Folder::new();
    let tokens: [&[u8]; 7] = [b"a", b" \xe2", b"\x82", b"\xacx", b"\xf0\x9f\x98\x80", b"\xff", b""];
    let rows: Vec<Value> = tokens
        .iter()
        .zip(0u32..)
        .map(|(bytes, token)| row(0, u64::from(token), token, bytes, -1.0, &[entry(token, bytes, -1.0)]))
        .collect();
    folder.put_log("log.jsonl", &rows);
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    assert_eq!(strip(&mut browser), ["a", " €", "", "x", "😀", "\u{fffd}", ""]);
    let joined = browser.evaluate(
        "[...document.querySelectorAll('.token')].map(token => token.classList.contains('joined'))",
    );
    assert_eq!(joined, json!([false, true, true, true, false, false, false]));
    browser.click(&token(2));
    let panel = browser.text("#details");
    assert!(panel.contains("1 byte: 82") && panel.contains("spread over tokens"), "{panel}");
}

#[test]
fn raw_stands_beside_processed_with_what_was_cut() {
    let folder = Folder::new();
    let rows = folder.log_of_assets(
        "log.jsonl",
        "sample --temperature 0.8 --top-k 3 --seed 7 --raw-logprobs 6 --processed-logprobs 6",
    );
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "#0:5");
    let row = &rows[5];
    let panel = browser.text("#details");
    for fact in [
        "The filters kept 3 tokens, ".to_owned(),
        format!("{:.2} % of the probability", row["kept_mass"].as_f64().expect("a number") * 100.0),
        format!("logprob {}, ", nats(&row["draws"][0]["logprob"])),
        format!("logprob {}, ", nats(&row["draws"][0]["raw_logprob"])),
        "Temperature 0.8.".to_owned(),
    ] {
        assert!(panel.contains(&fact), "no {fact:?}: {panel}");
    }
    let [processed, raw] = [0, 1].map(|table| bars(&mut browser, table));
    assert_eq!((processed.len(), raw.len()), (3, 6), "{panel}");
    for (place, line) in raw.iter().enumerate() {
        assert_eq!(line[1].ends_with(" cut"), place >= 3, "{line:?}");
        assert_eq!(line[3], percent(&row["raw"]["top"][place]["logprob"]));
    }
    // The strip is coloured by the one that is picked.
    let colours = "[...document.querySelectorAll('.token')].map(token => token.className).join()";
    let by_processed = browser.evaluate(colours);
    browser.evaluate("document.getElementById('view').focus()");
    browser.press("ArrowDown");
    assert_ne!(browser.evaluate(colours), by_processed);
    check_not_calibrated(&mut browser);
}

/// Drawn tokens are no targets.
fn check_not_calibrated(browser: &mut Browser) {
    assert_eq!(browser.evaluate("document.getElementById('calibration').childElementCount"), 0);
}

#[test]
fn two_logs_stand_side_by_side() {
    let folder = Folder::new();
    let list = [entry(1, b" yes", -0.5), entry(2, b" no", -1.0)];
    let line = |position, token: u32, text: &[u8], logprob| row(0, position, token, text, logprob, &list);
    folder.put_log(
        "a.jsonl",
        &[line(0, 1, b" yes", -0.5), line(1, 2, b" no", -1.0), line(2, 1, b" yes", -0.5)],
    );
    folder.put_log(
        "b.jsonl",
        &[line(0, 1, b" yes", -3.25), line(1, 1, b" yes", -0.5), line(3, 2, b" no", -1.0)],
    );
    let mut browser = Browser::start();
    browser.open(&folder.page("report a.jsonl b.jsonl"), "");
    let classes = browser.evaluate("[...document.querySelectorAll('.token')].map(token => token.className)");
    // 2.75 nats less; different tokens; a row in one of them alone, twice.
    let expected = [
        "token step d0 pair",
        "token unknown pair differs",
        "token unknown pair differs",
        "token unknown pair differs",
    ];
    assert_eq!(classes, json!(expected));
    assert_eq!(strip(&mut browser), [" yes", " no yes", " yes ", "  no"]);
    let panel = browser.text("#details");
    for fact in ["A: a.jsonl", "B: b.jsonl", "difference −2.7500 nats", "logprob −0.5000", "logprob −3.2500"]
    {
        assert!(panel.contains(fact), "no {fact:?}: {panel}");
    }
    browser.click(&token(3));
    let panel = browser.text("#details");
    assert!(panel.contains("no row at this position") && panel.contains("position 3"), "{panel}");
    assert!(browser.text("#summary").contains("tokens that differ: 1"), "{}", browser.text("#summary"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn an_impossible_token_is_the_largest_difference() {
    let folder = Folder::new();
    let list = [entry(1, b" yes", -0.5)];
    let log = |logprobs: [Option<f64>; 4]| {
        let lines = logprobs.iter().zip(0..).map(|(logprob, position)| {
            let mut line = row(0, position, 1, b" yes", -3.0, &list);
            line["logprob"] = json!(logprob);
            line
        });
        lines.collect::<Vec<Value>>()
    };
    folder.put_log("a.jsonl", &log([Some(-1.0), None, Some(-1.0), None]));
    folder.put_log("b.jsonl", &log([Some(-4.0), Some(-1.0), None, None]));
    let mut browser = Browser::start();
    browser.open(&folder.page("report a.jsonl b.jsonl"), "");
    let texts = "[...document.querySelectorAll('#lists li')].map(line => line.textContent)";
    let lines = ["∞ nats, at 1", "−∞ nats, at 2", "−3.000 nats, at 0", "0.000 nats, at 3"];
    assert_eq!(browser.evaluate(texts), json!(lines.map(|line| format!("“ yes” {line}"))));
    let classes = browser.evaluate("[...document.querySelectorAll('.token')].map(token => token.className)");
    assert_eq!(classes, json!(["d0", "d8", "d0", "d4"].map(|step| format!("token step {step} pair"))));
    browser.click(&token(2));
    let panel = browser.text("#details");
    assert!(panel.contains("difference −∞ nats"), "{panel}");
}

/// The calibration error, and for each of ten bins its rows, mean confidence and accuracy as the page writes them; by the
/// definition.
fn reliability(rows: &[Value]) -> (f64, Vec<[String; 3]>) {
    let confidence = |row: &Value| row["top"][0]["logprob"].as_f64().expect("a number").exp();
    let bin_of = |row: &Value| (0..10u8).rev().find(|&bin| confidence(row) * 10.0 >= f64::from(bin));
    let mut error = 0.0;
    let mut lines = Vec::new();
    for bin in 0..10 {
        let rows: Vec<&Value> = rows.iter().filter(|row| bin_of(row) == Some(bin)).collect();
        let hits = rows.iter().filter(|row| row["top"][0]["token"] == row["token"]).count() as f64;
        let sum: f64 = rows.iter().map(|row| confidence(row)).sum();
        error += (hits - sum).abs();
        let mean = |sum: f64| match rows.len() {
            0 => "–".to_owned(),
            count => format!("{:.1} %", 100.0 * sum / count as f64),
        };
        lines.push([rows.len().to_string(), mean(sum), mean(hits)]);
    }
    (error / rows.len() as f64, lines)
}

#[test]
fn the_calibration_is_that_of_the_log() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    let (error, bins) = reliability(&rows);
    let title = browser.text("#calibration h2");
    assert!(title.ends_with(&format!("ECE {error:.4}")), "{title} instead of {error}");
    let table = browser.evaluate("[...document.querySelectorAll('#calibration tr')].slice(1).map(line => [...line.cells].slice(1).map(cell => cell.textContent))");
    let lines: Vec<[String; 3]> = serde_json::from_value(table).expect("texts");
    assert_eq!(lines, bins);
    // The statistic is one that moves.
    assert!((reliability(&rows[..96]).0 - error).abs() > 1e-3);
}

#[test]
fn what_is_not_known_is_said() {
    let folder = Folder::new();
    let mut rows: Vec<Value> =
        (0..4).map(|position| row(2, position, 7, b" x", -1.0, &[entry(7, b" x", -1.0)])).collect();
    for name in ["text", "bytes"] {
        rows[1][name] = Value::Null;
        rows[1]["top"][0][name] = Value::Null;
    }
    for name in ["token", "text", "bytes", "logprob", "rank"] {
        rows[2][name] = Value::Null;
    }
    for name in ["logprob", "rank", "logsumexp", "entropy"] {
        rows[3][name] = Value::Null;
    }
    (rows[3]["status"], rows[3]["top"]) = (json!("nan"), json!([]));
    // A token of probability 0.
    rows.push(row(2, 4, 8, b"y", -3.0, &[entry(7, b" x", 0.0)]));
    (rows[4]["logprob"], rows[4]["rank"]) = (Value::Null, json!(2));
    folder.put_log("log.jsonl", &rows);
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    assert_eq!(strip(&mut browser), [" x", "[7]", "∅", " x", "y"]);
    assert_eq!(browser.text("#summary"), "5 rows, 3 targets, mean logprob −∞, perplexity ∞");
    // The picture is of the finite ones, the mean of all.
    let chart = browser.text("#chart");
    assert!(chart.contains("1.00 nats") && chart.contains("surprisal: mean ∞ nats"), "{chart}");
    for (number, class, words) in [
        (1, "s3", "token 7; bytes unknown"),
        (2, "unknown", "no target"),
        (3, "unknown", "This row is no distribution: nan."),
        (4, "s8", "logprob −∞, 0.00 %, rank 2"),
    ] {
        browser.click(&token(number));
        let panel = browser.text("#details");
        assert!(panel.contains(words), "no {words:?}: {panel}");
        let classes = browser.evaluate(&format!("{}.className", token(number)));
        assert!(classes.as_str().is_some_and(|classes| classes.ends_with(class)), "{classes}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn all_draws_of_a_row_are_listed() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "sample --draws 4 --seed 3 --temperature 1.5");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "#1:2");
    let draws = rows[48 + 2]["draws"].as_array().expect("draws");
    let words = browser.evaluate("[...document.querySelectorAll('.draws li')].map(draw => draw.textContent)");
    let line = |draw: &Value| {
        let text = draw["text"].as_str().expect("a text");
        format!("“{text}” {}, rank {}", percent(&draw["logprob"]), draw["rank"])
    };
    assert_eq!(words, json!(draws.iter().map(line).collect::<Vec<_>>()));
}

#[test]
fn tokens_that_were_asked_for_are_listed_with_their_share() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log --top 2 --token-ids 11,281,265");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "#0:3");
    let given = rows[3]["token_logprobs"].as_array().expect("a list");
    let shown = bars(&mut browser, 1);
    assert_eq!((given.len(), shown.len()), (3, 3));
    for (line, entry) in shown.iter().zip(given) {
        let text = format!("“{}”", entry["text"].as_str().expect("a text"));
        let numbers = [percent(&entry["logprob"]), nats(&entry["logprob"]), percent(&entry["set_logprob"])];
        assert_eq!(line[..2], [entry["rank"].to_string(), text]);
        assert_eq!(line[3..], numbers);
    }
}

/// Responses as servers give them, of two tokens that share a character.
fn responses() -> [(&'static str, Value); 3] {
    let token =
        |text: &str, bytes: &[u8], logprob: f64| json!({"token": text, "bytes": bytes, "logprob": logprob});
    let position = |(text, bytes, logprob): (&str, &[u8], f64), list: &str| {
        let mut position = token(text, bytes, logprob);
        position[list] = json!([token(text, bytes, logprob), token(" no", b" no", -2.5)]);
        position
    };
    let tokens: [(&str, &[u8], f64); 2] = [(" \u{fffd}", b" \xe2\x82", -0.25), ("\u{fffd}", b"\xac", -1.5)];
    let openai = tokens.map(|token| position(token, "top_logprobs"));
    let mut llama = openai.clone();
    for (number, position) in llama.iter_mut().enumerate() {
        position["id"] = json!(100 + number);
        for entry in position["top_logprobs"].as_array_mut().expect("a list") {
            entry["id"] = json!(100 + number);
        }
        position["top_logprobs"][1]["id"] = json!(7);
    }
    let vllm = json!([
        {"100": {"logprob": -0.25, "rank": 1, "decoded_token": " €"}, "7": {"logprob": -2.5, "rank": 2, "decoded_token": " no"}},
        {"101": {"logprob": -1.5, "rank": 1, "decoded_token": ""}, "7": {"logprob": -2.5, "rank": 2, "decoded_token": " no"}},
    ]);
    [
        (
            "OpenAI",
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{
                    "index": 0, "message": {"role": "assistant", "content": " €"}, "finish_reason": "stop",
                    "logprobs": {"content": openai, "refusal": null},
                }],
            }),
        ),
        ("llama-server", json!({"content": " €", "completion_probabilities": llama})),
        (
            "vLLM",
            json!({"request_id": "0", "outputs": [{"index": 0, "token_ids": [100, 101], "logprobs": vllm}]}),
        ),
    ]
}

#[test]
fn answers_of_servers_are_shown_too() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    for (server, response) in responses() {
        folder.put("response.json", response.to_string());
        browser.open(&folder.page("report response.json"), "");
        assert_eq!(strip(&mut browser), [" €", ""], "{server}");
        let panel = browser.text("#details");
        assert!(panel.contains("logprob −0.2500, 77.88 %, rank 1, entropy – nats"), "{server}: {panel}");
        assert_eq!(bars(&mut browser, 0)[1][1..4], ["“ no”", "", "8.21 %"].map(str::to_owned), "{server}");
        // Its tokens were drawn, for all that is known.
        check_not_calibrated(&mut browser);
        assert_eq!(browser.complaints(), [""; 0], "{server}");
    }
}
