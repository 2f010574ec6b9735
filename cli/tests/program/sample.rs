//! `sortilege sample`: what is drawn, from what, and how it is told.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{Folder, conclude, i32s, npy, stderr, stored, successful};

/// Ten tokens of falling probability: 0.632, 0.233, 0.086, ...
const FALLING: [f32; 10] = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];

/// A folder with `small.npy`, logits [8, 6, 5, -1]; `falling.npy`, ten tokens of falling probability; `flat.npy`,
/// [40][64] of nearly equal ones; and `nested.npy`, the same as [4][10][64].
fn folder() -> Folder {
    let folder = Folder::new();
    folder.put("small.npy", npy("<f4", "(1, 4)", &stored("f32", &[8.0, 6.0, 5.0, -1.0])));
    folder.put("falling.npy", npy("<f4", "(1, 10)", &stored("f32", &FALLING)));
    let flat: Vec<f32> = (0..40 * 64u16).map(|i| f32::from(i % 64 * 37 % 11) * 0.125).collect();
    folder.put("flat.npy", npy("<f4", "(40, 64)", &stored("f32", &flat)));
    folder.put("nested.npy", npy("<f4", "(4, 10, 64)", &stored("f32", &flat)));
    folder
}

fn tokens(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["draws"][0]["token"].as_u64().expect("a token")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_seed_gives_its_tokens_again() {
    let folder = folder();
    for file in ["flat.npy", "nested.npy"] {
        let with = |options: &str| tokens(&folder.lines(&format!("sample {file} --device cpu {options}")));
        let first = with("--seed 1");
        assert_eq!(first.len(), 40);
        assert_eq!(with("--seed 1"), first, "{file}");
        assert_ne!(with("--seed 2"), first, "{file}");
        assert_ne!(with("--seed 1 --stream 9"), first, "{file}");
        // Without a seed one is told, and gives the same tokens.
        let line = format!("sample {file} --device cpu");
        let output = successful(&line, folder.run(&line));
        let said = stderr(&output);
        let seed = said.lines().find_map(|line| line.strip_prefix("seed ")).expect("a seed");
        let again = folder.printed(&format!("{line} --seed {seed}"));
        assert_eq!(again, output.stdout, "{file}");
        assert_ne!(with(""), with(""), "{file}: another seed each time");
    }
}

/// Equal rows under one seed do not draw equal tokens: rows differ in position, requests in stream.
#[test]
fn rows_draw_independently() {
    let folder = folder();
    for shape in ["(40, 64)", "(40, 1, 64)", "(4, 10, 64)"] {
        folder.put("equal.npy", npy("<f4", shape, &stored("f32", &[0.0; 40 * 64])));
        let lines = folder.lines("sample equal.npy --seed 3 --device cpu");
        let mut drawn = tokens(&lines);
        drawn.sort_unstable();
        drawn.dedup();
        assert!(drawn.len() > 20, "{shape}: {} tokens of 64 in 40 rows", drawn.len());
    }
    let places = |options: &str| {
        let place = |line: &Value| json!([line["request"], line["position"], line["stream"]]);
        let lines = folder.lines(&format!("sample {options} --seed 3 --device cpu"));
        lines.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places("flat.npy")[39], json!([39, 0, 39]));
    assert_eq!(places("flat.npy --feedback")[39], json!([0, 39, 0]));
    assert_eq!(places("nested.npy --stream 5")[39], json!([3, 9, 8]));
    // A row can be drawn again alone.
    let row = folder.lines("sample nested.npy --seed 3 --device cpu").remove(25);
    folder.put("own.json", r#"{"position": 5, "stream": 2}"#);
    folder.put("row.npy", {
        let whole = folder.get("nested.npy");
        let data = &whole[whole.len() - 40 * 64 * 4..];
        npy("<f4", "(1, 64)", &data[25 * 64 * 4..26 * 64 * 4])
    });
    let mut alone = folder.lines("sample row.npy --params own.json --seed 3 --device cpu").remove(0);
    alone["request"] = json!(2);
    assert_eq!(alone, row);
}

#[test]
fn every_filter_keeps_what_it_says() {
    let cases: [(&str, &str, u64); 28] = [
        ("small.npy", "", 4),
        ("small.npy", "--top-p 0.9", 2),
        ("small.npy", "--top-p 0.84", 1),
        ("small.npy", "--top-p 0.97", 3),
        ("small.npy", "--top-k 1", 1),
        ("small.npy", "--top-k 3", 3),
        ("small.npy", "--min-p 0.1", 2),
        ("small.npy", "--min-p 0.04", 3),
        ("small.npy", "--temperature 3 --min-p 0.1", 3),
        ("small.npy", "--temperature 3 --min-p 0.1 --profile llama", 2),
        ("small.npy", "--temperature 3 --min-p 0.1 --order min_p,temperature", 2),
        ("small.npy", "--min-p 0.1 --order top_k,temperature,min_p", 2),
        ("small.npy", "--top-n-sigma 0.5", 1),
        ("small.npy", "--top-n-sigma 1", 3),
        ("small.npy", "--epsilon-cutoff 0.05", 2),
        ("small.npy", "--typical-p 0.5", 1),
        ("small.npy", "--xtc-probability 1 --xtc-threshold 0.1", 3),
        ("small.npy", "--xtc-probability 1 --xtc-threshold 0.5", 4),
        ("small.npy", "--mirostat-tau 2", 2),
        ("small.npy", "--mirostat-eta 0.2", 3),
        ("small.npy", "--allowed-token-ids 1,3", 2),
        ("small.npy", "--bad-words 1,2;0", 3),
        ("small.npy", "--min-tokens 1 --stop-token-ids 0,2", 2),
        ("small.npy", "--min-tokens 0 --stop-token-ids 0,2", 4),
        ("small.npy", "--logit-bias 3:7 --min-p 0.1", 3),
        ("falling.npy", "--top-p 0.9", 3),
        ("falling.npy", "--top-k 4 --top-p 0.99", 4),
        ("falling.npy", "--dynatemp-range 0.9 --dynatemp-exponent 4 --min-p 0.01", 1),
    ];
    let folder = folder();
    let mut failures = Vec::new();
    for (file, options, kept) in cases {
        let line = folder.lines(&format!("sample {file} {options} --seed 1 --device cpu")).remove(0);
        if line["kept"] != kept {
            failures.push(format!("{file} {options}: kept {}, expected {kept}", line["kept"]));
        }
    }
    conclude(&failures);
    let line = &folder.lines("sample small.npy --top-p 0.9 --seed 1 --device cpu")[0];
    assert!((line["kept_mass"].as_f64().expect("a number") - 0.957_9).abs() < 1e-4, "{line}");
    for greedy in ["--temperature 0", "--top-k 1"] {
        assert_eq!(folder.text(&format!("sample small.npy {greedy} --format tokens --device cpu")), "0\n");
    }
    assert_eq!(folder.lines("sample small.npy --temperature 0.5 --device cpu")[0]["temperature"], 0.5);
}

/// The logprob of a token says what penalties did to it.
#[test]
fn penalties_see_the_prompt() {
    let folder = folder();
    folder.put("prompt.txt", "0\n1\n0\n");
    let top = |options: &str| {
        let line = format!("sample small.npy --processed-logprobs 4 --seed 1 --device cpu {options}");
        let line = folder.lines(&line).remove(0);
        let logprob = |token: u64| {
            let entries = line["processed"]["top"].as_array().expect("an array").iter();
            entries.clone().find(|entry| entry["token"] == token).and_then(|entry| entry["logprob"].as_f64())
        };
        [0, 1, 2].map(|token| logprob(token).expect("a logprob"))
    };
    // Differences of logprobs are differences of logits at temperature 1.
    let cases: [(&str, f64, f64); 9] = [
        ("", 2.0, 3.0),
        ("--repetition-penalty 2", 2.0, 3.0),
        ("--repetition-penalty 2 --prompt 0", -2.0, -1.0),
        ("--repetition-penalty 2 --prompt prompt.txt", 1.0, -1.0),
        ("--presence-penalty 1 --prompt 0", 2.0, 3.0),
        ("--presence-penalty 1 --prompt 0 --penalty-last-n 64", 1.0, 2.0),
        ("--frequency-penalty 1.5 --prompt prompt.txt --penalty-last-n 64", 0.5, 0.0),
        ("--dry-multiplier 1 --dry-allowed-length 1 --prompt 2,0,1,2", 1.0, 2.0),
        ("--dry-multiplier 1 --dry-allowed-length 1 --dry-sequence-breakers 2 --prompt 2,0,1,2", 2.0, 3.0),
    ];
    let mut failures = Vec::new();
    for (options, over_first, over_second) in cases {
        let [zero, first, second] = top(options);
        let found = [zero - first, zero - second];
        if (found[0] - over_first).abs() + (found[1] - over_second).abs() > 1e-9 {
            failures.push(format!("{options}: {found:?}, expected {over_first} and {over_second}"));
        }
    }
    conclude(&failures);
}

#[test]
fn feedback_shows_a_row_what_came_before() {
    let folder = folder();
    let equal: Vec<f32> = [9.0, 8.0, 7.0, 6.0].repeat(6);
    folder.put("nested.npy", npy("<f4", "(2, 3, 4)", &stored("f32", &equal)));
    folder.put("rows.npy", npy("<f4", "(6, 4)", &stored("f32", &equal)));
    let text = |line: &str| folder.text(&format!("sample {line} --format tokens --device cpu --seed 1"));
    let penalty = "--temperature 0 --presence-penalty 10";
    assert_eq!(text(&format!("nested.npy {penalty}")), "0\n".repeat(6));
    assert_eq!(text(&format!("nested.npy {penalty} --feedback")), "0\n1\n2\n0\n1\n2\n");
    assert_eq!(text(&format!("rows.npy {penalty}")), "0\n".repeat(6));
    // The rows are one request: from the fifth on every token is punished.
    assert_eq!(text(&format!("rows.npy {penalty} --feedback")), "0\n1\n2\n3\n0\n0\n");
    assert_eq!(text("rows.npy --temperature 0 --bad-words 0,0;1,0 --feedback"), "0\n1\n1\n1\n1\n1\n");
    // Each request has its own memory and parameters.
    folder.put("own.json", r#"[{"presence_penalty": 10}, {"prompt": [0], "penalty_last_n": 1}]"#);
    let line = format!("nested.npy --params own.json {penalty} --feedback");
    assert_eq!(text(&line), "0\n1\n2\n1\n0\n1\n");
    // What sees nothing of others is the same either way.
    let plain = folder.printed("sample nested.npy --top-p 0.9 --seed 1 --device cpu");
    assert_eq!(folder.printed("sample nested.npy --top-p 0.9 --seed 1 --device cpu --feedback"), plain);
    let lines =
        folder.lines("sample rows.npy --mirostat-tau 0.5 --mirostat-eta 1 --seed 1 --feedback --device cpu");
    assert!(lines.iter().any(|line| line["kept"] != lines[0]["kept"]), "Mirostat adapts: {lines:?}");
}

#[test]
fn parameters_of_a_file_are_those_of_the_command_line() {
    let cases: [(&str, &str); 10] = [
        ("", "{}"),
        ("--temperature 0.7 --top-k 9 --draws 3", r#"{"temperature": 0.7, "top_k": 9, "n": 3}"#),
        ("--mirostat-tau 3", r#"{"mirostat": {"tau": 3}}"#),
        (
            "--profile llama --min-p 0.6 --temperature 2",
            r#"{"order": "llama", "min_p": 0.6, "temperature": 2}"#,
        ),
        ("--order top_k,xtc --xtc-probability 0.5", r#"{"order": ["top_k", "xtc"], "xtc_probability": 0.5}"#),
        ("--logit-bias 3:2.5,4:-1 --logit-bias 5:1", r#"{"logit_bias": {"3": 2.5, "4": -1, "5": 1}}"#),
        ("--logit-bias 3:0.1", r#"{"logit_bias": [[3, 0.1]]}"#),
        (
            "--repetition-penalty 1.3 --penalty-last-n 2 --prompt 1,2,3",
            r#"{"repetition_penalty": 1.3, "penalty_last_n": 2, "prompt": [1, 2, 3]}"#,
        ),
        (
            "--dry-multiplier 0.8 --dry-base 2 --dry-allowed-length 1 --dry-last-n 8 --prompt 1,2,1",
            r#"{"dry": {"base": 2, "allowed_length": 1, "last_n": 8}, "prompt": [1, 2, 1]}"#,
        ),
        (
            "--bad-words 1,2;7 --allowed-token-ids 1,7,9,11 --raw-logprobs 3",
            r#"{"bad_words": [[1, 2], [7]], "allowed_token_ids": [1, 7, 9, 11], "raw_logprobs": 3}"#,
        ),
    ];
    let folder = folder();
    let objects: Vec<&str> = (0..40).map(|row| cases[row % cases.len()].1).collect();
    folder.put("own.json", format!("[{}]", objects.join(",\n")));
    let own = folder.lines("sample flat.npy --params own.json --seed 5 --device cpu");
    let mut failures = Vec::new();
    for (number, (options, object)) in cases.into_iter().enumerate() {
        let expected = folder.lines(&format!("sample flat.npy {options} --seed 5 --device cpu"));
        folder.put("one.json", object);
        let one = folder.lines("sample flat.npy --params one.json --seed 5 --device cpu");
        if one != expected {
            failures.push(format!("{options}, one object for all"));
        }
        for row in (number..40).step_by(cases.len()) {
            if own[row] != expected[row] {
                failures.push(format!("{options}, row {row}: {}, expected {}", own[row], expected[row]));
            }
        }
    }
    conclude(&failures);
    // The file's values go over those of the command line, which stay where it says nothing.
    folder.put("one.json", r#"{"top_k": 2}"#);
    let line = "sample falling.npy --params one.json --seed 5 --device cpu";
    assert_eq!(folder.lines(&format!("{line} --top-k 5"))[0]["kept"], 2);
    assert_eq!(folder.lines(&format!("{line} --top-p 0.1"))[0]["kept"], 1);
}

#[test]
fn bad_values_are_named() {
    let cases: [(&str, i32, &[&str]); 50] = [
        ("--temperature -1", 2, &["temperature -1", "greedy"]),
        ("--temperature nan", 2, &["temperature NaN"]),
        ("--temperature warm", 2, &["--temperature", "warm"]),
        ("--dynatemp-range 1000", 2, &["dynatemp_range 1000"]),
        ("--dynatemp-exponent -1", 2, &["dynatemp_exponent -1"]),
        ("--top-k -1", 2, &["--top-k", "-1"]),
        ("--top-p 1.5", 2, &["top_p 1.5"]),
        ("--min-p -0.5", 2, &["min_p -0.5"]),
        ("--typical-p 2", 2, &["typical_p 2"]),
        ("--top-n-sigma -1", 2, &["top_n_sigma -1"]),
        ("--epsilon-cutoff 1", 2, &["epsilon_cutoff 1"]),
        ("--xtc-threshold 2", 2, &["xtc_threshold 2"]),
        ("--xtc-probability 2", 2, &["xtc_probability 2"]),
        ("--mirostat-tau 0", 2, &["mirostat tau 0"]),
        ("--mirostat-eta 2", 2, &["mirostat eta 2"]),
        ("--profile openai", 2, &["--profile", "openai", "llama"]),
        ("--order top_q", 2, &["--order", "top_q", "top_n_sigma"]),
        ("--order top_k,top_k", 2, &["top_k stands twice"]),
        ("--order top_k --top-p 0.9", 2, &["top_p is set, but not in the order"]),
        ("--order top_k --profile vllm", 2, &["--order", "--profile"]),
        ("--logit-bias 3", 2, &["--logit-bias", "ID:BIAS"]),
        ("--logit-bias 3:inf", 2, &["logit_bias inf", "token 3"]),
        ("--logit-bias 4:1", 2, &["token 4 of logit_bias", "vocabulary of 4"]),
        ("--repetition-penalty 0", 2, &["repetition_penalty 0"]),
        ("--presence-penalty 101", 2, &["presence_penalty 101"]),
        ("--frequency-penalty -101", 2, &["frequency_penalty -101"]),
        ("--penalty-last-n -1", 2, &["--penalty-last-n", "-1"]),
        ("--dry-multiplier -1", 2, &["dry multiplier -1"]),
        ("--dry-multiplier 1 --dry-base 0.5", 2, &["dry base 0.5"]),
        ("--dry-base 2", 2, &["--dry-multiplier"]),
        ("--dry-multiplier 1 --dry-sequence-breakers 9", 2, &["token 9", "sequence_breakers"]),
        ("--bad-words 1,x", 2, &["--bad-words", "\"x\""]),
        ("--bad-words 1;9", 2, &["token 9 of bad_words"]),
        ("--min-tokens -1", 2, &["--min-tokens", "-1"]),
        ("--stop-token-ids 9", 2, &["token 9 of stop_token_ids"]),
        ("--allowed-token-ids 9", 2, &["token 9 of allowed_token_ids"]),
        ("--seed -1", 2, &["--seed", "-1"]),
        ("--stream 4294967296", 2, &["--stream", "4294967296"]),
        ("--draws 0", 2, &["n 0", "1 to 16"]),
        ("-n 17", 2, &["n 17", "1 to 16"]),
        ("--raw-logprobs 1025", 2, &["raw_logprobs 1025"]),
        ("--processed-logprobs 1025", 2, &["processed_logprobs 1025"]),
        ("--prompt 1,x", 2, &["--prompt", "\"x\"", "no such file"]),
        ("--prompt -1", 2, &["--prompt", "-1 is no token"]),
        ("--format openai", 2, &["openai", "tokens"]),
        ("--params missing.json", 1, &["missing.json"]),
        ("--mask missing.npy", 1, &["missing.npy"]),
        ("--mask small.npy", 1, &["small.npy", "int32 or uint32"]),
        ("--mask wide.npy", 1, &["wide.npy", "[1, 2]", "[1, 1] is needed"]),
        ("--device nosuch", 4, &["nosuch"]),
    ];
    let folder = folder();
    folder.put("wide.npy", npy("<i4", "(1, 2)", &i32s(&[1, 1])));
    let mut failures = Vec::new();
    let mut check = |line: &str, code: i32, words: &[&str]| {
        let device = if line.contains("--device") { "" } else { "--device cpu" };
        let output = folder.run(&format!("sample small.npy {line} {device} -o out"));
        let message = stderr(&output);
        let is_named = words.iter().all(|word| message.contains(word)) && message.contains("error: ");
        if output.status.code() != Some(code) || !is_named || !output.stdout.is_empty() {
            failures.push(format!("{line}: code {:?} and not {code}: {message}", output.status.code()));
        }
    };
    for (line, code, words) in cases {
        check(line, code, words);
    }
    let files: [(&str, i32, &[&str]); 12] = [
        (r#"{"topp": 1}"#, 1, &["own.json", "`topp`", "`top_p`", "column"]),
        (r#"[{"top_p": 1, "seeds": 1}]"#, 1, &["own.json", "`seeds`"]),
        (r#"{"mirostat": {"mu": 1}}"#, 1, &["own.json", "`mu`", "`tau`"]),
        (r#"{"dry": {"range": 1}}"#, 1, &["own.json", "`range`"]),
        (r#"{"order": ["top_q"]}"#, 1, &["own.json", "top_q"]),
        (r#"{"top_k": 1.5}"#, 1, &["own.json", "1.5"]),
        ("{", 1, &["own.json", "EOF"]),
        ("[{}, {}]", 1, &["own.json", "2 objects for 1 requests"]),
        ("[]", 1, &["own.json", "0 objects"]),
        (r#"{"top_p": 1.5}"#, 2, &["own.json: top_p 1.5"]),
        (r#"[{"top_p": 1.5}]"#, 2, &["own.json: object 0: top_p 1.5"]),
        (r#"[{"allowed_token_ids": [9]}]"#, 2, &["own.json: object 0: token 9 of allowed_token_ids"]),
    ];
    for (text, code, words) in files {
        folder.put("own.json", text);
        check(&format!("--params own.json --prompt 3 --min-p 0 --seed {}", text.len()), code, words);
    }
    assert!(!folder.contents(".").contains_key("out"), "no output of a failed run");
    conclude(&failures);
}

#[test]
fn rows_without_a_token_leave_their_neighbours_alone() {
    const INFINITY: f32 = f32::INFINITY;
    let good = [1.0, 2.0, 3.0, -INFINITY];
    let rows = [good, [1.0, f32::NAN, 3.0, 0.0], good, [INFINITY, 0.0, 0.0, 0.0], [-INFINITY; 4], good];
    let statuses = ["ok", "nan", "ok", "positive_infinity", "nothing_finite", "ok"];
    let folder = Folder::new();
    let put = |rows: &[[f32; 4]]| {
        let shape = format!("({}, 4)", rows.len());
        folder.put("rows.npy", npy("<f4", &shape, &stored("f32", &rows.concat())));
    };
    put(&[good; 6]);
    let options = "rows.npy --seed 4 --draws 2 --raw-logprobs 1 --device cpu";
    let sound = folder.lines(&format!("sample {options}"));
    put(&rows);
    let output = successful("broken rows", folder.run(&format!("sample {options}")));
    assert!(stderr(&output).contains("note: 1 of 6 rows are no distribution: nan"), "{}", stderr(&output));
    let lines = folder.lines(&format!("sample {options}"));
    for (row, status) in statuses.into_iter().enumerate() {
        if status == "ok" {
            assert_eq!(lines[row], sound[row]);
            continue;
        }
        let none = json!({"status": status, "logsumexp": null, "entropy": null, "top": []});
        let expected = json!({
            "request": row, "position": 0, "status": status, "seed": 4, "stream": row, "temperature": null,
            "kept": 0, "kept_mass": null, "draws": [], "processed": none, "raw": none
        });
        assert_eq!(lines[row], expected);
    }
    let text = folder.text(&format!("sample {options} --format tokens"));
    let dashes: Vec<bool> = text.lines().map(|line| line == "-").collect();
    assert_eq!(dashes, statuses.map(|status| status != "ok"));
    let csv = folder.text(&format!("sample {options} --format csv"));
    assert_eq!(csv.lines().filter(|line| line.contains("nan") && line.ends_with(",,,,,,,")).count(), 1);
    assert_eq!(csv.lines().count(), 1 + 3 * 2 + 3);
    let table = folder.text(&format!("sample {options} --format table"));
    assert!(table.lines().nth(2).is_some_and(|line| line.ends_with("  nan")), "{table}");
    // With feedback a row without a token changes nothing.
    let options = "rows.npy --temperature 0 --presence-penalty 5 --feedback --device cpu --format tokens";
    assert_eq!(folder.text(&format!("sample {options}")), "2\n-\n1\n-\n-\n0\n");
}

#[test]
fn a_mask_says_what_is_possible() {
    let folder = folder();
    let logits: Vec<f32> = (0..4 * 40u16).map(|i| f32::from(i % 40) * 0.1).collect();
    folder.put("rows.npy", npy("<f4", "(4, 40)", &stored("f32", &logits)));
    folder.put("nested.npy", npy("<f4", "(2, 2, 40)", &stored("f32", &logits)));
    let words = [5, 0, 0, 128, -1, -1, 0, 0];
    folder.put("mask.npy", npy("<i4", "(4, 2)", &i32s(&words)));
    folder.put("unsigned.npy", npy("<u4", "(4, 2)", &i32s(&words)));
    folder.put("nested_mask.npy", npy("<i4", "(2, 2, 2)", &i32s(&words)));
    let line = "sample rows.npy --mask mask.npy --seed 1 --device cpu";
    let output = successful(line, folder.run(line));
    assert!(stderr(&output).contains("1 of 4 rows are no distribution: nothing_finite"));
    let lines = folder.lines(line);
    let kept: Vec<&Value> = lines.iter().map(|line| &line["kept"]).collect();
    assert_eq!(json!(kept), json!([2, 1, 40, 0]));
    assert_eq!(json!([lines[1]["draws"][0]["token"], lines[3]["status"]]), json!([39, "nothing_finite"]));
    let unsigned = "sample rows.npy --mask unsigned.npy --seed 1 --device cpu";
    assert_eq!(folder.printed(unsigned), output.stdout);
    for mask in ["mask.npy", "nested_mask.npy"] {
        for feedback in ["", "--feedback"] {
            let line = format!("sample nested.npy --mask {mask} --seed 1 --device cpu {feedback}");
            let lines = folder.lines(&line);
            let kept: Vec<&Value> = lines.iter().map(|line| &line["kept"]).collect();
            assert_eq!(json!(kept), json!([2, 1, 40, 0]), "{line}");
        }
    }
    // Together with the tokens that are allowed.
    let both = "sample rows.npy --mask mask.npy --allowed-token-ids 2,3,39 --format tokens --device cpu";
    assert!(folder.text(both).starts_with("2\n39\n"));
    let output = folder.run("sample rows.npy --mask nested_mask.npy --device cpu");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("[4, 2] is needed"), "{}", stderr(&output));
}

#[test]
fn every_format_says_the_same() {
    let folder = folder();
    folder.put("vocab.json", json!((0..64).map(|id| format!(" t,{id}")).collect::<Vec<_>>()).to_string());
    let line = "sample flat.npy --vocab-file vocab.json --seed 6 --draws 2 --top-k 20 --raw-logprobs 2 \
                --processed-logprobs 3 --device cpu";
    let lines = folder.lines(line);
    assert_eq!(lines.len(), 40);
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
        assert_eq!(keys(&line["raw"]["top"][0]), "logprob text token");
        for draw in line["draws"].as_array().expect("an array") {
            assert_eq!(draw["text"], format!(" t,{}", draw["token"]));
            let difference = draw["raw_logprob"].as_f64().expect("a number")
                - line["kept_mass"].as_f64().expect("a number").ln()
                - draw["logprob"].as_f64().expect("a number");
            assert!(difference.abs() < 1e-6, "{line}");
        }
    }
    let text = folder.text(&format!("{line} --format tokens"));
    let drawn: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["draws"][0]["token"], line["draws"][1]["token"]))
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), drawn);
    let csv = folder.printed(&format!("{line} --format csv"));
    let mut reader = csv::Reader::from_reader(&csv[..]);
    let head: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("16 fields")).collect();
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
            let is_same = match expected.as_str() {
                Some(text) => field == text,
                None => field.parse().ok() == expected.as_f64(),
            };
            assert!(is_same, "{name} {field:?} of {line}");
        }
    }
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
        "sample logits.npy --temperature 0.7 --top-k 50 --raw-logprobs 5 --processed-logprobs 5 --seed 1 --device cpu",
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
fn no_rows_make_no_samples() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(0, 5)", b""));
    folder.put("positions.npy", npy("<f2", "(2, 0, 5)", b""));
    folder.put("requests.npy", npy("<f2", "(0, 2, 5)", b""));
    for file in ["rows.npy", "positions.npy", "requests.npy"] {
        for (format, heads) in [("jsonl", 0), ("tokens", 0), ("csv", 1), ("table", 1)] {
            for feedback in ["", "--feedback", "--plan"] {
                let line = format!("sample {file} --format {format} --device cpu --seed 1 {feedback}");
                let count = folder.text(&line).lines().count();
                assert!(count == heads || feedback == "--plan", "{line}: {count}");
            }
        }
    }
}

#[test]
fn the_help_names_every_option_and_the_exit_codes() {
    let help = Folder::new().text("sample --help").split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 no adapter",
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
