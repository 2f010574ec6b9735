//! Summaries of logs against what the log's own numbers say, their conditions and gates.

use serde_json::{Value, json};

use crate::common::{Folder, npy, stderr, stored, successful};
use crate::table::test_each;

/// A folder with logs of the asset, and the lines of the first.
fn folder() -> (Folder, Vec<Value>) {
    let folder = Folder::with_assets();
    let log = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json --device cpu";
    folder.printed(&format!("{log} -o run.jsonl"));
    folder.printed(&format!("{log} --top 2 -o run.csv"));
    folder.printed("sample logits.npy --seed 3 --top-p 0.9 --device cpu -o drawn.jsonl");
    folder.put(
        "flat.npy",
        npy("<f4", "(2, 4)", &stored("f32", &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, f32::NEG_INFINITY])),
    );
    folder.printed("log flat.npy --tokens 3,3 --device cpu -o flat.jsonl");
    let lines = String::from_utf8(folder.get("run.jsonl")).expect("UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (folder, lines)
}

fn summary(folder: &Folder, options: &str) -> Value {
    serde_json::from_str(&folder.text(&format!("summary {options} --format json"))).expect("JSON")
}

fn numbers(lines: &[Value], name: &str) -> Vec<f64> {
    lines.iter().map(|line| line[name].as_f64().expect(name)).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The percentile by its definition, of numbers that are sorted here.
fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    let hundredths = percent * (sorted.len() - 1);
    let (place, rest) = (hundredths / 100, hundredths % 100);
    let next = sorted[(place + 1).min(sorted.len() - 1)];
    sorted[place] + (next - sorted[place]) * rest as f64 / 100.0
}

fn assert_near(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what} is {found}"));
    assert!((found - expected).abs() < 1e-9, "{what} is {found} instead of {expected}");
}

#[test]
fn it_says_what_the_numbers_of_the_log_come_to() {
    let (folder, lines) = folder();
    let report = summary(&folder, "run.jsonl");
    let [logprobs, entropies] = ["logprob", "entropy"].map(|name| numbers(&lines, name));
    let total = &report["total"];
    assert_eq!(
        (&total["records"], &total["tokens"], &report["records_read"]),
        (&json!(192), &json!(192), &json!(192))
    );
    assert_near(&total["perplexity"], (-mean(&logprobs)).exp(), "perplexity");
    assert_near(&total["logprob_mean"], mean(&logprobs), "logprob_mean");
    assert_near(&total["entropy_mean"], mean(&entropies), "entropy_mean");
    let greedy = lines.iter().filter(|line| line["rank"] == 1).count();
    assert_near(&total["greedy_share"], greedy as f64 / 192.0, "greedy_share");
    for (name, numbers) in [("logprob", &logprobs), ("entropy", &entropies)] {
        for percent in [1, 5, 10, 25, 50, 75, 90, 95, 99] {
            let key = format!("p{percent}");
            assert_near(&report[name][&key], percentile(numbers, percent), &key);
        }
        assert_near(&report[name]["min"], percentile(numbers, 0), "min");
        assert_near(&report[name]["max"], percentile(numbers, 100), "max");
    }
    let requests = report["requests"].as_array().expect("requests");
    assert_eq!(requests.len(), 4);
    for (number, request) in requests.iter().enumerate() {
        let own = &logprobs[48 * number..48 * (number + 1)];
        assert_near(&request["perplexity"], (-mean(own)).exp(), "a request's perplexity");
        assert_near(&request["logprob_min"], percentile(own, 0), "a request's logprob_min");
    }
    // The same numbers in another format.
    let of_csv = summary(&folder, "run.csv");
    for part in ["total", "logprob", "entropy", "calibration", "requests"] {
        assert_eq!(of_csv[part], report[part], "{part}");
    }
    // Of another program's schema, which has neither ranks nor entropies.
    folder.printed("convert run.jsonl --to openai -o openai.json");
    let foreign = summary(&folder, "openai.json");
    assert_eq!(foreign["total"]["perplexity"], total["perplexity"]);
    assert_eq!(foreign["calibration"], json!(null), "nobody knows whether these tokens were drawn");
    let absent = [&foreign["total"]["greedy_share"], &foreign["entropy"]];
    assert_eq!(absent, [&json!(null); 2]);
    let table = folder.text("summary run.jsonl");
    assert!(table.contains("perplexity 46.393364") && table.contains("prove none"), "{table}");
}

#[test]
fn calibration_is_binned_by_the_most_probable_token() {
    let (folder, lines) = folder();
    let calibration = &summary(&folder, "run.jsonl")["calibration"];
    let mut error = 0.0;
    for (number, bin) in calibration["bins"].as_array().expect("bins").iter().enumerate() {
        let probability = |line: &Value| line["top"][0]["logprob"].as_f64().expect("a number").exp();
        let is_in = |line: &&Value| {
            let place = (probability(line) * 10.0).floor();
            place == number as f64 || (number == 9 && place == 10.0)
        };
        let own: Vec<&Value> = lines.iter().filter(is_in).collect();
        assert_eq!(bin["tokens"], own.len(), "bin {number}");
        if own.is_empty() {
            continue;
        }
        let sure: f64 = own.iter().map(|line| probability(line)).sum::<f64>() / own.len() as f64;
        let hits = own.iter().filter(|line| line["top"][0]["token"] == line["token"]).count();
        let right = hits as f64 / own.len() as f64;
        assert_near(&bin["confidence"], sure, "confidence");
        assert_near(&bin["accuracy"], right, "accuracy");
        error += (sure - right).abs() * own.len() as f64 / 192.0;
    }
    assert_near(&calibration["error"], error, "error");
    // Drawn tokens say nothing of it.
    assert_eq!(summary(&folder, "drawn.jsonl")["calibration"], json!(null));
    // Nor do they after another program's schema, which does not say that they were drawn.
    folder.printed("convert drawn.jsonl --to vllm -o drawn.json");
    folder.printed("convert drawn.json --to jsonl -o back.jsonl");
    for log in ["drawn.json", "back.jsonl"] {
        assert_eq!(summary(&folder, log)["calibration"], json!(null), "{log}");
        let gate = folder.command(&format!("summary {log} --fail-if calibration_error>2")).output();
        assert_eq!(gate.expect("it starts").status.code(), Some(3), "{log}");
    }
}

#[test]
fn runs_of_low_confidence_are_counted_by_their_definition() {
    let (folder, lines) = folder();
    for (below, length) in [(0.1, 3), (0.02, 2), (1.0, 48), (1e-9, 1)] {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for request in 0..4u64 {
            let own = lines.iter().filter(|line| line["request"] == request);
            let low: Vec<bool> =
                own.map(|line| line["logprob"].as_f64().expect("a number").exp() < below).collect();
            runs.extend(
                low.split(|low| !low)
                    .filter(|run| run.len() >= length)
                    .map(|run| (request, run.len() as u64)),
            );
        }
        let report = summary(&folder, &format!("run.jsonl --low-below {below} --low-length {length}"));
        assert_eq!(report["total"]["low_runs"], runs.len(), "{below} {length}");
        assert_eq!(report["total"]["low_tokens"], runs.iter().map(|run| run.1).sum::<u64>());
        let longest = report["longest_low_runs"].as_array().expect("runs");
        assert_eq!(longest.len(), runs.len().min(10));
        let most = runs.iter().map(|run| run.1).max();
        assert_eq!(longest.first().and_then(|run| run["length"].as_u64()), most);
    }
    let report = summary(&folder, "run.jsonl");
    assert_eq!(
        report["longest_low_runs"][0]["text"],
        " but the post came in without bringing a single line from him"
    );
}

#[test]
fn conditions_choose_records() {
    let (folder, lines) = folder();
    let count = |keep: &dyn Fn(f64, f64, f64) -> bool| {
        let is_kept = |line: &&Value| {
            let [logprob, entropy, rank] =
                ["logprob", "entropy", "rank"].map(|name| line[name].as_f64().expect(name));
            keep(logprob, entropy, rank)
        };
        lines.iter().filter(is_kept).count()
    };
    for (condition, expected) in [
        ("logprob < -4.6 and entropy > 3", count(&|logprob, entropy, _| logprob < -4.6 && entropy > 3.0)),
        ("rank == 1 or surprisal >= 9", count(&|logprob, _, rank| rank == 1.0 || -logprob >= 9.0)),
        ("not (prob > 0.5)", count(&|logprob, _, _| logprob.exp() <= 0.5)),
        ("request == 2 and position < 7", 7),
        ("gap <= 0", count(&|_, _, rank| rank == 1.0)),
        ("margin < 0", 0),
        ("kept > 1", 0),
    ] {
        let output =
            folder.command("summary run.jsonl --format json --list 3 --where").arg(condition).output();
        let output = output.expect("it starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["total"]["records"], expected, "{condition}");
        assert_eq!(report["matches"].as_array().map(Vec::len), Some(expected.min(3)), "{condition}");
        let is_told = stderr(&output).contains("note: 192 records have no number for --where");
        assert_eq!(is_told, condition == "kept > 1", "{condition}");
    }
    let output = folder.command("summary drawn.jsonl --where").arg("kept > 1 and kept_mass > 0.9").output();
    assert_eq!(output.expect("it starts").status.code(), Some(0));
}

#[test]
fn gates_fail_with_three_and_the_value() {
    let (folder, _) = folder();
    for (log, gate, code, words) in [
        ("run.jsonl", "perplexity > 46", 3, "perplexity is 46.39"),
        ("run.jsonl", "perplexity > 47", 0, ""),
        ("run.jsonl", "low_runs > 0 and longest_low_run >= 12", 3, "low_runs is 23, longest_low_run is 12"),
        ("run.jsonl", "logprob_p50 < -9 or entropy_max > 99", 0, ""),
        ("flat.jsonl", "perplexity > 1000", 3, "perplexity is inf"),
        ("flat.jsonl", "impossible == 1", 3, "impossible is 1"),
        ("drawn.jsonl", "calibration_error > 0.5", 3, "cannot be decided: there is no calibration_error"),
        ("run.jsonl", "perplexty > 1", 2, "did you mean perplexity?"),
        ("run.jsonl", "perplexity", 2, "--fail-if \"perplexity\": nothing follows perplexity"),
    ] {
        let output =
            folder.command(&format!("summary {log} --fail-if")).arg(gate).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{gate}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{gate}: {}", stderr(&output));
        assert_eq!(output.stdout.is_empty(), code == 2, "the summary is printed");
    }
    // Rows that no gate sees are told.
    folder.put("nan.npy", npy("<f4", "(2, 2)", &stored("f32", &[1.0, f32::NAN, 0.0, 1.0])));
    folder.printed("log nan.npy --tokens 0,1 --device cpu -o nan.jsonl");
    for (gates, is_told) in [("--fail-if tokens<1", true), ("--fail-if unsound>9", false), ("", false)] {
        let line = format!("summary nan.jsonl {gates}");
        let told = stderr(&successful(&line, folder.run(&line)));
        let words = "note: 1 of 2 records are no distribution; no --fail-if names unsound";
        assert_eq!(told.contains(words), is_told, "{told}");
    }
    // Each of several gates counts.
    let output = folder
        .command("summary run.jsonl --fail-if tokens<1 --fail-if tokens>1")
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_is_no_log_is_refused_in_words() {
    let (folder, _) = folder();
    let good = folder.get("run.jsonl");
    let (first, _) = good.split_at(good.iter().position(|&byte| byte == b'\n').expect("lines") + 1);
    folder.put("empty", "");
    folder.put("binary", [0u8, 1, 2, 255]);
    folder.put("cut.jsonl", &good[..good.len() - 7]);
    folder.put("both.jsonl", [first, &folder.get("drawn.jsonl")].concat());
    folder.put(
        "huge.jsonl",
        String::from_utf8_lossy(first).replacen("\"rank\":", "\"rank\":99999999999999999999", 1),
    );
    folder.put(
        "endless.jsonl",
        String::from_utf8_lossy(first).replacen("\"entropy\":", "\"entropy\":1e999, \"x\":", 1),
    );
    folder.put("head.csv", "request,position,logprob\n1,2,3\n");
    let before = folder.contents(".");
    let cases = [
        ("empty", 1, "empty: there is no record in it"),
        ("binary", 1, "binary: this is no log"),
        ("logits.npy", 1, "logits.npy: this is an .npy array"),
        ("missing.jsonl", 1, "missing.jsonl"),
        ("cut.jsonl", 1, "line 192: the log ends within a record"),
        ("both.jsonl", 1, "line 2: the records before it are of the other command"),
        ("huge.jsonl", 1, "line 1: "),
        ("endless.jsonl", 1, "line 1: number out of range"),
        ("head.csv", 1, "the first line has other columns"),
        ("run.jsonl.meta.json", 1, "run.jsonl.meta.json: document 1: this is a sidecar"),
        ("run.jsonl --low-below 2", 2, "is no probability from 0 to 1"),
        ("run.jsonl --low-length 0", 2, "is no whole number from 1"),
        ("run.jsonl --where 1e999", 2, "nothing follows"),
    ];
    test_each(cases.map(|case| (case.0, case)), |(options, code, words)| {
        let output = folder.run(&format!("summary {options}"));
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(words) && output.stdout.is_empty(), "{}", stderr(&output));
    });
    assert!(folder.contents(".") == before, "a summary writes nothing");
    // From a pipe.
    let report = folder.fed("summary - --format json", &good);
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
}
