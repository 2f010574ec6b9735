//! How draws are told: formats, the sidecar, plans, and the help.

use serde_json::{Value, json};

use super::folder;
use crate::common::{Folder, i32s, npy, sha256, stderr, successful, text_of_cell};

/// A folder with words for the tokens, a command that draws twice from 40 rows, and its lines.
fn drawn() -> (Folder, &'static str, Vec<Value>) {
    let folder = folder();
    folder.put("vocab.json", json!((0..64).map(|id| format!(" t,{id}")).collect::<Vec<_>>()).to_string());
    let line = "sample flat.npy --vocab-file vocab.json --seed 6 --draws 2 --top-k 20 --raw-logprobs 2 \
                --processed-logprobs 3 --device cpu";
    let lines = folder.lines(line);
    assert_eq!(lines.len(), 40);
    (folder, line, lines)
}

#[test]
fn jsonl_has_its_schema() {
    let (_folder, _, lines) = drawn();
    let keys = |value: &Value| {
        let names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        names.join(" ")
    };
    for line in &lines {
        let names = "draws kept kept_mass position processed raw request seed status stream temperature";
        assert_eq!(keys(line), names);
        assert_eq!(keys(&line["draws"][1]), "bytes logprob rank raw_logprob raw_rank text token");
        assert_eq!(keys(&line["raw"]), "entropy logsumexp status top");
        let top = |view: &str| line[view]["top"].as_array().expect("an array").len();
        assert_eq!((top("processed"), top("raw")), (3, 2));
        assert_eq!(keys(&line["raw"]["top"][0]), "bytes logprob text token");
        for draw in line["draws"].as_array().expect("an array") {
            assert_eq!(draw["text"], format!(" t,{}", draw["token"]));
            let difference = draw["raw_logprob"].as_f64().expect("a number")
                - line["kept_mass"].as_f64().expect("a number").ln()
                - draw["logprob"].as_f64().expect("a number");
            assert!(difference.abs() < 1e-6, "{line}");
        }
    }
}

/// Given tokens have the numbers that draws of the same tokens have, in both distributions, and among themselves.
#[test]
fn given_tokens_are_said_as_drawn_ones() {
    let (folder, line, plain) = drawn();
    let drawn = |line: &Value| json!([&line["draws"][0]["token"], &line["draws"][1]["token"]]);
    let [first, second] = [0, 1].map(|place| drawn(&plain[0])[place].as_u64().expect("a token"));
    let lines = folder.lines(&format!("{line} --logprob-token-ids {first},{second},{first},63"));
    let said = |view: &str| lines[0][view]["token_logprobs"].as_array().expect("an array").clone();
    for (view, keys) in [("processed", ["logprob", "rank"]), ("raw", ["raw_logprob", "raw_rank"])] {
        let said = said(view);
        let names = json!(said.iter().map(|one| &one["token"]).collect::<Vec<_>>());
        assert_eq!(names, json!([first, second, first, 63]));
        for (one, draw) in said.iter().zip(plain[0]["draws"].as_array().expect("an array")) {
            assert_eq!([&one["text"], &one["bytes"]], [&draw["text"], &draw["bytes"]]);
            assert_eq!([&one["logprob"], &one["rank"]], keys.map(|key| &draw[key]), "{view}");
        }
        assert_eq!(said[0], said[2]);
        let mut different = vec![&said[0], &said[3]];
        different.extend((first != second).then_some(&said[1]));
        let share = |one: &Value| one["set_logprob"].as_f64().map_or(0.0, f64::exp);
        let sum: f64 = different.into_iter().map(share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
    assert_eq!(lines.iter().map(&drawn).collect::<Vec<_>>(), plain.iter().map(drawn).collect::<Vec<_>>());
    let output = folder.run(&format!("{line} --logprob-token-ids 3 --format csv"));
    assert!(stderr(&output).contains("logprob_token_ids are not written"), "{}", stderr(&output));
}

#[test]
fn tokens_and_csv_are_those_of_jsonl() {
    let (folder, line, lines) = drawn();
    let text = folder.text(&format!("{line} --format tokens"));
    let drawn: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["draws"][0]["token"], line["draws"][1]["token"]))
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), drawn);
    let csv = folder.printed(&format!("{line} --format csv"));
    let mut reader = csv::Reader::from_reader(&csv[..]);
    let head: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("17 fields")).collect();
    assert_eq!(records.len(), 80);
    for (place, record) in records.iter().enumerate() {
        let (line, draw) = (&lines[place / 2], &lines[place / 2]["draws"][place % 2]);
        for (name, field) in head.iter().zip(record) {
            let expected = match name.as_str() {
                "draw" => &json!(place % 2 + 1),
                "entropy" => &line["processed"]["entropy"],
                name if draw.get(name).is_some() => &draw[name],
                name => &line[name],
            };
            let is_same = match expected {
                Value::String(text) => text_of_cell(field) == *text,
                Value::Array(_) => *field == *expected.to_string(),
                _ => field.parse().ok() == expected.as_f64(),
            };
            assert!(is_same, "{name} {field:?} of {line}");
        }
    }
}

#[test]
fn the_table_has_a_line_per_row() {
    let (folder, line, lines) = drawn();
    let table = folder.text(&format!("{line} --format table"));
    assert_eq!(table.lines().count(), 41);
    let words = table.lines().next().expect("a head").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, "req pos temp kept mass entropy draws");
    for (row, line) in table.lines().skip(1).zip(&lines) {
        assert!(row.contains(&format!("\" t,{}\"", line["draws"][1]["token"])), "{row}");
    }
}

#[test]
fn the_raw_distribution_is_that_of_log() {
    let folder = Folder::with_assets();
    let sampled = folder.lines(
        "sample logits.npy --temperature 0.7 --top-k 50 --raw-logprobs 5 --processed-logprobs 5 --seed 1 \
         --device cpu",
    );
    let logged = folder.lines("log logits.npy --device cpu");
    assert_eq!(sampled.len(), 192);
    for (sampled, logged) in sampled.iter().zip(&logged) {
        for name in ["logsumexp", "entropy", "top", "status"] {
            assert_eq!(sampled["raw"][name], logged[name]);
        }
        assert_eq!(sampled["kept"], 50);
        assert_eq!(
            json!([sampled["request"], sampled["position"]]),
            json!([logged["request"], logged["position"]])
        );
    }
    let plain = folder.lines("sample logits.npy --processed-logprobs 5 --seed 1 --device cpu");
    for (plain, logged) in plain.iter().zip(&logged) {
        assert_eq!(plain["processed"]["top"], logged["top"]);
        assert_eq!(plain["raw"], Value::Null);
    }
}

#[test]
fn an_output_file_comes_with_how_it_was_made() {
    let folder = folder();
    folder.make_folder("out");
    folder.put("own.json", r#"{"top_k": 3}"#);
    folder.put("mask.npy", npy("<i4", "(40, 2)", &i32s(&[-1; 80])));
    let line = "sample flat.npy --temperature 0.5 --dry-multiplier 0.5 --bad-words 1,2;7 --prompt 1,2 \
                --params own.json --mask mask.npy --device cpu";
    let output = successful(line, folder.run(&format!("{line} -o out/drawn")));
    assert!(output.stdout.is_empty());
    let names: Vec<String> = folder.contents("out").into_keys().collect();
    assert_eq!(names, ["drawn", "drawn.meta.json"]);
    let meta: Value = serde_json::from_slice(&folder.get("out/drawn.meta.json")).expect("JSON");
    let options = &meta["options"];
    assert_eq!(meta["output_sha256"], sha256(&folder.get("out/drawn")));
    assert_eq!(meta["input"]["sha256"], sha256(&folder.get("flat.npy")));
    assert_eq!(meta["rows"], 40);
    assert_eq!(options["params_sha256"], sha256(&folder.get("own.json")));
    assert_eq!(options["mask_sha256"], sha256(&folder.get("mask.npy")));
    assert_eq!(json!([options["prompt"], options["prompt_sha256"]]), json!(["1,2", null]));
    let sampling = &options["sampling"];
    assert_eq!(sampling["temperature"], 0.5);
    assert_eq!(sampling["bad_words"], json!([[1, 2], [7]]));
    assert_eq!(sampling["dry"]["multiplier"], 0.5);
    // The seed that was found is there, so the sidecar is enough to draw again; it is a file of parameters.
    folder.put("again.json", {
        let mut again = sampling.clone();
        again["top_k"] = json!(3);
        again["prompt"] = json!([1, 2]);
        again.to_string()
    });
    let again = folder.printed("sample flat.npy --params again.json --mask mask.npy --device cpu");
    assert_eq!(again, folder.get("out/drawn"));
    // The output must not take the place of an input.
    let before = folder.contents(".");
    for place in ["flat.npy", "own.json", "mask.npy"] {
        let output = folder.run(&format!("{line} -o {place}"));
        assert_eq!(output.status.code(), Some(2), "{place}");
        assert!(stderr(&output).contains("would replace the input"), "{}", stderr(&output));
    }
    assert_eq!(folder.contents("."), before);
}

#[test]
fn a_plan_needs_no_device() {
    let folder = folder();
    let plan = folder.text("sample flat.npy --draws 3 --raw-logprobs 2 --top-k 4 --plan --device nosuch");
    assert!(plan.starts_with("[40][64] f32, 3 draws, top 0 processed, top 2 raw\n"), "{plan}");
    let plan = folder.text("sample nested.npy --feedback --plan");
    assert!(plan.starts_with("[4][64] f32, 1 draws"), "{plan}");
    let output = successful("--plan", folder.run("sample nested.npy --feedback --plan"));
    assert!(stderr(&output).contains("the first of 10 calls"), "{}", stderr(&output));
    assert!(folder.text("sample small.npy --temperature 0 --plan").contains("1 draws"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = Folder::with_assets();
    let line = "sample logits.npy --processed-logprobs 300 --seed 1 --device cpu";
    assert!(folder.printed(line).len() > 200_000, "more than a pipe holds");
    let output = crate::cut_off(&folder, line);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn the_help_names_every_option_and_the_exit_codes() {
    let help = Folder::new().text("sample --help").split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, or a --fail-if that holds, 4 no adapter",
        "Examples:",
        "Temperature and filters:",
        "Penalties and restrictions:",
        "-n, --draws",
        "--mirostat-eta",
        "--dry-sequence-breakers",
        "--params",
        "--feedback",
        "a request of its own, at position 0",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
