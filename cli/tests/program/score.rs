//! Scores of sequences: of logits and of logs, on every device, and what cannot be scored.

use serde_json::{Value, json};

use crate::common::{Folder, difference, npy, sha256, stderr, stored, successful};
use crate::devices::adapters;
use crate::table::test_each;

const VOCAB: usize = 4096;
const POSITIONS: usize = 48;

/// The log-probability and rank of a token in a row, by the definition.
fn truth(row: &[f64], token: usize) -> (f64, usize) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let logsumexp = max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    (row[token] - logsumexp, 1 + row.iter().filter(|&&x| x > row[token]).count())
}

/// Logits of the asset, and the tokens of its texts, which its rows predict.
fn asset(folder: &Folder) -> (Vec<Vec<f64>>, Vec<usize>) {
    let (logits, tokens) = (folder.get("logits.npy"), folder.get("tokens.npy"));
    let rows = 4 * POSITIONS;
    let logits: Vec<f64> = logits[logits.len() - rows * VOCAB * 2..]
        .chunks_exact(2)
        .map(|bytes| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f64())
        .collect();
    let tokens = tokens[tokens.len() - rows * 4..].chunks_exact(4);
    let tokens = tokens.map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))).collect();
    (logits.chunks(VOCAB).map(<[f64]>::to_vec).collect(), tokens)
}

/// Two continuations of each text of the asset, a long and a short one, and labels of one row.
fn put_questions(folder: &Folder, tokens: &[usize]) {
    let of = |request: usize, first: usize, count: usize| &tokens[request * POSITIONS + first..][..count];
    let pair = |request: usize| {
        json!([
            {"tokens": of(request, 10, 30), "request": request, "first_row": 10, "name": "long"},
            {"tokens": of(request, 21, 2), "request": request, "first_row": 21, "bytes": 9}
        ])
    };
    let label = |token: usize| json!({"tokens": [token], "request": 3, "first_row": 47});
    let labels: Vec<Value> = [7, 4095, 0, 7].map(label).to_vec();
    folder.put("questions.json", json!([pair(0), pair(2), labels]).to_string());
}

#[test]
fn scores_are_sums_of_the_definition() {
    let folder = Folder::with_assets();
    let (logits, tokens) = asset(&folder);
    put_questions(&folder, &tokens);
    let answers =
        folder.lines("score logits.npy --candidates questions.json --tokenizer tokenizer.json --device cpu");
    assert_eq!(answers.len(), 3);
    let questions: Vec<Vec<Value>> = serde_json::from_slice(&folder.get("questions.json")).expect("JSON");
    for (answer, question) in answers.iter().zip(&questions) {
        let mut scores = Vec::new();
        for (candidate, entry) in question.iter().zip(answer["candidates"].as_array().expect("an array")) {
            let [request, first] =
                ["request", "first_row"].map(|key| candidate[key].as_u64().expect("a number"));
            let first =
                usize::try_from(request).expect("small") * POSITIONS + usize::try_from(first).expect("small");
            let ids: Vec<usize> = serde_json::from_value(candidate["tokens"].clone()).expect("ids");
            let known: Vec<(f64, usize)> =
                ids.iter().zip(first..).map(|(&id, row)| truth(&logits[row], id)).collect();
            for (token, &(logprob, rank)) in entry["tokens"].as_array().expect("an array").iter().zip(&known)
            {
                assert!((token["logprob"].as_f64().expect("a number") - logprob).abs() < 1e-6, "{token}");
                assert_eq!(token["rank"], rank, "{token}");
                assert!(token["text"].is_string() && token["bytes"].is_array(), "{token}");
            }
            let total: f64 = known.iter().map(|(logprob, _)| logprob).sum();
            let near = |key: &str, expected: f64| {
                let got = entry[key].as_f64().expect(key);
                assert!((got - expected).abs() < 1e-6 * ids.len() as f64, "{key}: {got}, not {expected}");
            };
            near("total", total);
            near("per_token", total / ids.len() as f64);
            let perplexity = (-total / ids.len() as f64).exp();
            assert!(
                (entry["perplexity"].as_f64().expect("a number") / perplexity - 1.0).abs() < 1e-5,
                "{entry}"
            );
            near("per_byte", total / entry["bytes"].as_f64().expect("bytes"));
            let least = (0..ids.len()).min_by(|&a, &b| known[a].0.total_cmp(&known[b].0));
            assert_eq!(entry["least_likely"], json!(least));
            assert_eq!(entry["is_greedy"], known.iter().all(|(_, rank)| *rank == 1));
            scores.push((total, total / ids.len() as f64));
        }
        let order = |of: fn(&(f64, f64)) -> f64| {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| of(&scores[b]).total_cmp(&of(&scores[a])));
            json!(order)
        };
        assert_eq!(answer["order_total"], order(|score| score.0));
        assert_eq!(answer["order_per_token"], order(|score| score.1));
    }
    assert_eq!(answers[0]["candidates"][1]["bytes"], 9, "given, and not those of the tokens");
    let disagree = answers[..2].iter().filter(|answer| answer["orders_agree"] == false).count();
    assert!(disagree > 0, "a long continuation loses in total alone");
}

/// A row of two logits whose first has this logprob.
fn row_of(logprob: f64) -> [f32; 2] {
    [logprob, (-logprob.exp()).ln_1p()].map(|x| {
        #[expect(clippy::cast_possible_truncation, reason = "logits of a file")]
        let x = x as f32;
        x
    })
}

/// Published examples come out, on the CPU and on every adapter.
#[test]
fn worked_examples_come_out() {
    let folder = Folder::new();
    let tables: Value =
        serde_json::from_str(include_str!("../../../tests/data/known_tables.json")).expect("JSON");
    let devices = adapters(&folder).into_iter().map(|(id, _)| id).chain(["cpu".to_owned()]);
    test_each(devices.map(|id| (id.clone(), id)), |id| {
        for case in tables["sequence_scores"].as_array().expect("cases") {
            let paths = match case["paths"].as_object() {
                Some(paths) => paths.clone(),
                None => json!({"the": case["logprobs"]}).as_object().expect("an object").clone(),
            };
            let steps = paths.values().next().and_then(Value::as_array).expect("steps").len();
            let logprobs = paths.values().flat_map(|steps| steps.as_array().expect("steps"));
            let logits: Vec<f32> = logprobs.flat_map(|lp| row_of(lp.as_f64().expect("a number"))).collect();
            let shape = format!("({}, {steps}, 2)", paths.len());
            folder.put("paths.npy", npy("<f4", &shape, &stored("f32", &logits)));
            let candidates: Vec<Value> =
                paths.keys().map(|name| json!({"name": name, "tokens": vec![0; steps]})).collect();
            folder.put("paths.json", json!(candidates).to_string());
            let line = format!("score paths.npy --candidates paths.json --format json --device {id}");
            let answer = &folder.lines(&line)[0];
            for entry in answer["candidates"].as_array().expect("an array") {
                let name = entry["name"].as_str().expect("a name");
                let printed = case["totals"].get(name).unwrap_or(&case["total"]).as_f64().expect("a total");
                assert!(
                    (entry["total"].as_f64().expect("a total") - printed).abs() < 1e-6,
                    "{name}: {entry}"
                );
            }
            if let Some(preferred) = case["preferred"].as_str() {
                let first =
                    usize::try_from(answer["order_total"][0].as_u64().expect("a place")).expect("small");
                assert_eq!(answer["candidates"][first]["name"], preferred);
            }
        }
    });
}

#[test]
fn every_device_scores_as_the_cpu_does() {
    let folder = Folder::with_assets();
    let (_, tokens) = asset(&folder);
    put_questions(&folder, &tokens);
    for options in ["", " --temperature 0.6 --vocab-size 4096"] {
        let line = format!("score logits.npy --candidates questions.json{options} --device");
        let expected = folder.printed(&format!("{line} cpu"));
        test_each(adapters(&folder).into_iter().map(|(id, _)| (id.clone(), id)), |id| {
            assert_eq!(difference(&expected, &folder.printed(&format!("{line} {id}"))), None);
        });
    }
}

/// A log that has the tokens, however it says them, gives the scores of its logits; one that has not says so.
#[test]
fn a_log_scores_as_its_logits_do() {
    let folder = Folder::with_assets();
    let (_, tokens) = asset(&folder);
    put_questions(&folder, &tokens);
    let expected = folder.printed("score logits.npy --candidates questions.json --device cpu");
    let log = "log logits.npy --tokens tokens.npy --device cpu";
    for (options, name) in [
        ("--top 4096", "all.jsonl"),
        ("--top 1 --token-ids 7,4095,0", "given.jsonl"),
        ("--top 4096", "all.csv"),
    ] {
        successful(name, folder.run(&format!("{log} {options} -o {name}")));
        let scored = folder.printed(&format!("score {name} --candidates questions.json"));
        assert_eq!(difference(&expected, &scored), None, "{name}");
    }
    successful("short", folder.run(&format!("{log} --top 1 -o short.jsonl")));
    let output = folder.run("score short.jsonl --candidates questions.json --device cpu --temperature 2");
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("says nothing of token") && told.contains("row 47 of request 3"), "{told}");
    assert!(told.contains("--temperature cannot act") && told.contains("--device cannot act"), "{told}");
    folder.put("far.json", r#"{"tokens": [1, 2], "first_row": 47}"#);
    let told = stderr(&folder.run("score all.jsonl --candidates far.json"));
    assert!(told.contains("has no row 48 of request 0"), "{told}");
    folder.put("far.json", r#"{"tokens": [1, 2], "first_row": 18446744073709551615}"#);
    let told = stderr(&folder.run("score all.jsonl --candidates far.json"));
    assert!(told.contains("has no row 18446744073709551615 of request 0"), "{told}");
    // The first row of request 0 comes back after all others.
    let all = folder.get("all.jsonl");
    let first = all.split_inclusive(|&byte| byte == b'\n').next().expect("a line");
    folder.put("apart.jsonl", [&all[..], first].concat());
    let apart = folder.run("score apart.jsonl --candidates questions.json");
    let told = stderr(&apart);
    assert!(told.contains("record 193 is of request 0, which ended before"), "{told}");
    assert!(apart.status.code() == Some(2) && apart.stdout.is_empty());
    let cut = &folder.get("all.jsonl")[..5000];
    folder.put("cut.jsonl", cut);
    let told = stderr(&folder.run("score cut.jsonl --candidates questions.json"));
    assert!(told.contains("cut.jsonl: line 1: the log ends within a record"), "{told}");
}

/// The given token of a log of another program has a logprob, whatever else is not told of it; what is no log is named.
#[test]
fn a_log_without_ranks_scores_its_own_tokens() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(2, 3)", &stored("f32", &[1.0, 3.0, 2.5, 0.0, 0.5, 0.25])));
    folder.put("c.json", r#"{"tokens": [2, 0], "request": 0}"#);
    folder.put("far.json", r#"{"tokens": [0, 1], "request": 0}"#);
    let expected = folder.lines("score rows.npy --candidates c.json --device cpu")[0].clone();
    for (listed, ranks) in [(0, json!([null, null])), (2, json!([2, null])), (3, json!([2, 3]))] {
        folder.printed(&format!("log rows.npy --tokens 2,0 --top {listed} --device cpu -o own.jsonl"));
        folder.printed("convert own.jsonl --to llama-server -o theirs.json");
        let bare = folder.printed("convert theirs.json --to jsonl");
        let line = "score - --candidates c.json --format";
        let output = successful(line, folder.fed(&format!("{line} jsonl"), &bare));
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let of = |answer: &Value, key: &str| answer["candidates"][0][key].clone();
        assert_eq!(of(&found, "total"), of(&expected, "total"), "{listed}");
        let tokens = of(&found, "tokens");
        assert_eq!(json!([tokens[0]["rank"], tokens[1]["rank"]]), ranks, "{listed}");
        assert_eq!(of(&found, "is_greedy"), if listed == 0 { json!(null) } else { json!(false) }, "{listed}");
        let table = folder.fed(&format!("{line} table"), &bare).stdout;
        assert_eq!(String::from_utf8_lossy(&table).contains("rank ?"), listed < 3, "{listed}");
        let told = stderr(&folder.fed("score - --candidates far.json", &bare));
        assert_eq!(told.contains("says nothing of token 0"), listed < 3, "{told}");
    }
    let theirs = folder.run("score theirs.json --candidates c.json --device cpu");
    let told = stderr(&theirs);
    assert_eq!(theirs.status.code(), Some(1), "{told}");
    let words = "theirs.json: this is JSON, and no index of .safetensors files";
    assert!(told.contains(words) && told.contains("`sortilege convert` makes a log"), "{told}");
    let told = stderr(&folder.fed("score - --candidates c.json --device cpu", &folder.get("theirs.json")));
    assert!(told.contains("-: this is JSON, and no index") && !told.contains("--shape"), "{told}");
    // What is missing before the first record nobody knows: it is said.
    folder.printed("log rows.npy --tokens 2,0 --top 3 --device cpu --format jsonl -o first.jsonl");
    let text = String::from_utf8(folder.get("first.jsonl")).expect("UTF-8");
    folder.put("rest.jsonl", text.split_inclusive('\n').skip(1).collect::<String>());
    folder.put("one.json", r#"{"tokens": [0]}"#);
    let told = stderr(&folder.run("score rest.jsonl --candidates one.json"));
    assert!(told.contains("begins with position 1, whose record is taken for its row 0"), "{told}");
    let told = stderr(&folder.run("score first.jsonl --candidates one.json"));
    assert!(!told.contains("begins with position"), "{told}");
    // Sorted by its keys it is the same log.
    let sorted = json!({"token": 2, "request": 0, "position": 0, "status": "ok", "logprob": -1.5, "top": [], "text": null,
                        "bytes": null, "rank": null, "logsumexp": null, "entropy": null});
    folder.put("c.json", r#"{"tokens": [2], "request": 0}"#);
    let log =
        serde_json::to_string(&std::collections::BTreeMap::from_iter(sorted.as_object().expect("an object")));
    folder.put("sorted.jsonl", log.expect("JSON") + "\n");
    assert_eq!(folder.lines("score sorted.jsonl --candidates c.json")[0]["candidates"][0]["total"], -1.5);
}

/// Of equal logits the smaller token is the greedy one; a row that is no distribution scores nothing.
#[test]
fn ties_and_unsound_rows_are_told() {
    let folder = Folder::new();
    let rows = [[1.0, 3.0, 3.0], [f32::NAN, 0.0, 0.0], [0.0, f32::NEG_INFINITY, 1.0]].concat();
    folder.put("rows.npy", npy("<f4", "(3, 1, 3)", &stored("f32", &rows)));
    folder.put(
        "c.json",
        r#"[{"tokens": [1], "request": 0}, {"tokens": [2], "request": 0}, {"tokens": [0], "request": 1},
            {"tokens": [1], "request": 2, "name": "im\u001bpossible"}]"#,
    );
    let answer = &folder.lines("score rows.npy --candidates c.json --device cpu")[0];
    let of = |key: &str| {
        answer["candidates"].as_array().expect("an array").iter().map(|entry| &entry[key]).collect::<Vec<_>>()
    };
    let told = stderr(&folder.run("score rows.npy --candidates c.json --device cpu"));
    let words = "1 questions, 4 candidates, 3 tokens scored; 1 candidates have no score: a row of theirs is no distribution";
    assert!(told.contains(words), "{told}");
    folder.printed("log rows.npy --top 3 --token-ids 0,1,2 --device cpu -o rows.jsonl");
    assert!(stderr(&folder.run("score rows.jsonl --candidates c.json")).contains(words));
    assert_eq!(json!(of("is_greedy")), json!([true, false, null, false]));
    assert_eq!(json!(of("status")), json!(["ok", "ok", "nan", "ok"]));
    assert_eq!(of("total")[0], of("total")[1]);
    assert!(of("total")[2].is_null() && of("total")[3].is_null(), "no number, and none below all");
    assert_eq!(answer["order_total"], json!([0, 1, 3, 2]), "impossible before unknown");
    let table = folder.text("score rows.npy --candidates c.json --device cpu --format table");
    assert!(
        table.contains("im\\u001bpossible") && table.contains("nan") && table.contains("-inf"),
        "{table}"
    );
    let words = "\"candidate 0\" and \"candidate 1\" tie in total and per token; the earlier comes first";
    assert!(table.contains(words) && !table.contains("preferred"), "{table}");
    assert_eq!(answer["tie"], true);
    // Beside one without a score nothing is preferred; of two with one it is said that others are left out.
    let unsound = r#"{"tokens": [0], "request": 1}"#;
    let lone = format!(r#"[{unsound}, {{"tokens": [1], "request": 0}}]"#);
    let two = format!(r#"[{unsound}, {{"tokens": [1], "request": 0}}, {{"tokens": [0], "request": 0}}]"#);
    for (candidates, words) in [(lone, None), (two, Some("agree; 1 without a score are left out"))] {
        folder.put("c.json", candidates);
        let table = folder.text("score rows.npy --candidates c.json --device cpu --format table");
        assert_eq!(table.contains("preferred"), words.is_some(), "{table}");
        assert!(words.is_none_or(|words| table.contains(words)), "{table}");
    }
    // The order is told where there is one.
    folder.put("c.json", r#"[{"tokens": [0], "request": 0}, {"tokens": [2], "request": 0}]"#);
    let answer = &folder.lines("score rows.npy --candidates c.json --device cpu")[0];
    assert_eq!((&answer["tie"], &answer["order_total"]), (&json!(false), &json!([1, 0])));
    assert_eq!(table.lines().count(), 6, "a head, a line each, and one of explanation");
}

/// A log of the same rows says what its list lets it say: of ids alone nobody knows which of two equal ones is first.
#[test]
fn ties_of_a_log_are_told() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 3.0, 3.0])));
    folder.put("c.json", r#"[{"tokens": [2], "request": 0}, {"tokens": [1], "request": 0}]"#);
    for (options, greedy) in [
        ("--top 3", json!([false, true])),
        ("--top 1 --token-ids 1,2", json!([false, true])),
        ("--top 0 --token-ids 1,2", json!([null, null])),
    ] {
        let log = folder.printed(&format!("log rows.npy {options} --device cpu --format jsonl"));
        let fed = folder.fed("score - --candidates c.json", &log);
        let answer: Value = serde_json::from_slice(&successful(options, fed).stdout).expect("JSON");
        let of = |key: &str| [0, 1].map(|number| answer["candidates"][number][key].clone());
        assert_eq!(json!(of("is_greedy")), greedy, "{options}");
        assert_eq!(of("total")[0], of("total")[1], "{options}");
        assert_eq!(json!(of("tokens").map(|tokens| tokens[0]["rank"].clone())), json!([1, 1]), "{options}");
        assert_eq!([&answer["tie"], &answer["order_total"]], [&json!(true), &json!([0, 1])], "{options}");
    }
}

/// A log of `sample` has two distributions: that which is scored is told.
#[test]
fn a_sample_is_scored_by_its_processed_distribution() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 3.0, 2.0])));
    folder.put("c.json", r#"{"tokens": [2], "request": 0}"#);
    let line = "sample rows.npy --top-k 2 --seed 1 --raw-logprobs 3 --processed-logprobs 3 --device cpu";
    folder.put("drawn.jsonl", folder.printed(line));
    let output = successful("drawn", folder.run("score drawn.jsonl --candidates c.json"));
    assert!(
        stderr(&output).contains("note: drawn.jsonl: a log of `sample` is scored by the processed"),
        "{}",
        stderr(&output)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let total = answer["candidates"][0]["total"].as_f64().expect("a number");
    assert!((total - (-1.0 - (1.0 + (-1.0f64).exp()).ln())).abs() < 1e-6, "{total}: token 0 is cut off");
    folder.printed("log rows.npy --device cpu -o own.jsonl");
    let told = stderr(&folder.run("score own.jsonl --candidates c.json"));
    assert!(!told.contains("processed"), "{told}");
}

/// What is written of a log has a sidecar of its own in place of an older one.
#[test]
fn a_score_of_a_log_comes_with_how_it_was_made() {
    let folder = Folder::with_assets();
    folder.put("q.json", r#"{"tokens": [5], "request": 1}"#);
    successful("logits", folder.run("score logits.npy --candidates q.json --device cpu -o out.jsonl"));
    folder.printed("log logits.npy --token-ids 5 --device cpu -o own.jsonl");
    let line = "score own.jsonl --candidates q.json -o out.jsonl";
    successful(line, folder.run(line));
    let meta: Value = serde_json::from_slice(&folder.get("out.jsonl.meta.json")).expect("JSON");
    assert_eq!(meta["output_sha256"], sha256(&folder.get("out.jsonl")));
    assert_eq!(
        (&meta["log"], &meta["log_sha256"]),
        (&json!("own.jsonl"), &json!(sha256(&folder.get("own.jsonl"))))
    );
    assert_eq!(meta["options"]["candidates_sha256"], sha256(&folder.get("q.json")));
    assert!(meta["options"].get("temperature").is_none(), "{meta}");
}

#[test]
fn an_output_comes_with_how_it_was_made() {
    let folder = Folder::with_assets();
    folder.put("q.json", r#"{"tokens": [5, 6]}"#);
    let line = "score logits.npy --candidates q.json --device cpu";
    let printed = folder.printed(line);
    successful(line, folder.run(&format!("{line} -o scores.jsonl")));
    assert_eq!(folder.get("scores.jsonl"), printed);
    let meta: Value = serde_json::from_slice(&folder.get("scores.jsonl.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["candidates_sha256"], sha256(&folder.get("q.json")));
    assert_eq!(meta["output_sha256"], sha256(&printed));
    let refused = folder.run("score logits.npy --candidates q.json -o q.json --device cpu");
    assert!(stderr(&refused).contains("would replace the input"), "{}", stderr(&refused));
    let fed = folder.fed("score logits.npy --candidates - --device cpu", br#"{"tokens": [5, 6]}"#);
    assert_eq!(successful("fed", fed).stdout, printed);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let folder = Folder::new();
    folder.put("two.npy", npy("<f4", "(2, 2, 3)", &stored("f32", &[1.0; 12])));
    let cases: &[(&str, i32, &[&str])] = &[
        ("", 1, &["q.json", "the file is empty"]),
        ("[1]", 1, &["q.json", "question 0", "1 is no candidate"]),
        ("{\"tokens\": [1]}\n[]\n", 1, &["q.json", "line 2: question 1 has no candidates: leave it out"]),
        ("{\"tokens\": [1]}\n\n{\"tokens\": [7]}", 2, &["q.json: line 3: question 1, candidate 0: token 7"]),
        ("{", 1, &["q.json", "EOF"]),
        (r#"{"tokens": []}"#, 1, &["q.json", "no tokens", "leave it out"]),
        (r#"{"tokens": [0], "bits": 3}"#, 1, &["q.json", "unknown field `bits`"]),
        (r#"{"tokens": [0, 3]}"#, 2, &["question 0, candidate 0", "token 3 is outside the vocabulary of 3"]),
        (
            r#"[{"tokens": [0]}, {"tokens": [0]}, {"tokens": [0]}]"#,
            2,
            &["candidate 2", "request 2 of logits with 2"],
        ),
        (
            r#"{"tokens": [0, 1], "first_row": 1}"#,
            2,
            &["2 tokens from row 1 on need 3 rows, a request has 2"],
        ),
        (r#"{"tokens": [0], "first_row": 18446744073709551615}"#, 2, &["need 18446744073709551615 rows"]),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(text, code, words)| {
        folder.put("q.json", text);
        let output = folder.run("score two.npy --candidates q.json --device cpu");
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(*code), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        assert!(output.stdout.is_empty());
    });
    folder.put("q.json", r#"{"tokens": [0]}"#);
    for (line, code, words) in [
        ("score two.npy --candidates missing.json", 1, "missing.json"),
        ("score two.npy", 2, "--candidates"),
        ("score two.npy --candidates q.json --temperature 0", 2, "temperature 0"),
        ("score two.npy --candidates q.json --device nosuch", 4, "nosuch"),
    ] {
        let output = folder.run(line);
        let told = stderr(&output);
        assert!(output.status.code() == Some(code) && told.contains(words), "{line}: {told}");
    }
}
