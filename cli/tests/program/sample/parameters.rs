//! What options and files of parameters mean, and which are refused.

use serde_json::Value;

use super::folder;
use crate::common::{Folder, i32s, npy, stderr, stored};
use crate::table::test_each;

/// File, options, and how many tokens are kept.
const KEPT: &[(&str, &str, u64)] = &[
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
    ("small.npy", "--mirostat-tau 5 --mirostat-eta 0.2", 3),
    ("small.npy", "--mirostat-eta 0.2", 4),
    ("small.npy", "--allowed-token-ids 1,3", 2),
    ("small.npy", "--bad-words 1,2;0", 3),
    ("small.npy", "--min-tokens 1 --stop-token-ids 0,2", 2),
    ("small.npy", "--min-tokens 0 --stop-token-ids 0,2", 4),
    ("small.npy", "--logit-bias 3:7 --min-p 0.1", 3),
    ("falling.npy", "--top-p 0.9", 3),
    ("falling.npy", "--top-k 4 --top-p 0.99", 4),
    ("falling.npy", "--dynatemp-range 0.9 --dynatemp-exponent 4 --min-p 0.01", 1),
];

#[test]
fn every_filter_keeps_what_it_says() {
    let folder = folder();
    let name = |file, options| format!("{file} {options}");
    test_each(KEPT.iter().map(|case| (name(case.0, case.1), case)), |(file, options, kept)| {
        let line = folder.lines(&format!("sample {file} {options} --seed 1 --device cpu")).remove(0);
        assert_eq!(line["kept"], *kept);
    });
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
    let cases: &[(&str, f64, f64)] = &[
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
    test_each(cases.iter().map(|case| (case.0, case)), |(options, over_first, over_second)| {
        let [zero, first, second] = top(options);
        let found = [zero - first, zero - second];
        let error = (found[0] - over_first).abs() + (found[1] - over_second).abs();
        assert!(error <= 1e-9, "{found:?}, expected {over_first} and {over_second}");
    });
}

/// Options, and the object that says the same.
const OBJECTS: &[(&str, &str)] = &[
    ("", "{}"),
    ("--temperature 0.7 --top-k 9 --draws 3", r#"{"temperature": 0.7, "top_k": 9, "n": 3}"#),
    ("--mirostat-tau 3", r#"{"mirostat": {"tau": 3}}"#),
    ("--profile llama --min-p 0.6 --temperature 2", r#"{"order": "llama", "min_p": 0.6, "temperature": 2}"#),
    ("--order top_k,xtc --xtc-probability 0.5", r#"{"order": ["top_k", "xtc"], "xtc_probability": 0.5}"#),
    ("--logit-bias 3:2.5,4:-1 --logit-bias 5:1", r#"{"logit_bias": {"3": 2.5, "4": -1, "5": 1}}"#),
    ("--logit-bias 3:0.1", r#"{"logit_bias": [[3, 0.1]]}"#),
    (
        "--repetition-penalty 1.3 --penalty-last-n 2 --prompt 1,2,3",
        r#"{"repetition_penalty": 1.3, "penalty_last_n": 2, "prompt": [1, 2, 3]}"#,
    ),
    (
        "--dry-multiplier 0.8 --dry-base 2 --dry-allowed-length 1 --dry-last-n 8 --prompt 1,2,1",
        r#"{"dry": {"multiplier": 0.8, "base": 2, "allowed_length": 1, "last_n": 8}, "prompt": [1, 2, 1]}"#,
    ),
    (
        "--no-repeat-ngram-size 2 --no-repeat-ngram-window 4 --prompt 1,2,1",
        r#"{"no_repeat_ngram_size": 2, "no_repeat_ngram_window": 4, "prompt": [1, 2, 1]}"#,
    ),
    (
        "--xtc-probability 1 --xtc-threshold 0.01 --xtc-exempt-token-ids 1,3 --penalty-exempt-token-ids 2 --prompt 2,4 \
         --repetition-penalty 9",
        r#"{"xtc_probability": 1, "xtc_threshold": 0.01, "xtc_exempt_token_ids": [1, 3], "penalty_exempt_token_ids": [2],
            "prompt": [2, 4], "repetition_penalty": 9}"#,
    ),
    ("--top-h 0.6 --temperature 2", r#"{"top_h": 0.6, "temperature": 2}"#),
    ("--p-less --temperature 2", r#"{"p_less": true, "temperature": 2}"#),
    (
        "--top-k 3 --raw-logprobs 0 --logprob-token-ids 5,0,5",
        r#"{"top_k": 3, "raw_logprobs": 0, "logprob_token_ids": [5, 0, 5]}"#,
    ),
    (
        "--bad-words 1,2;7 --allowed-token-ids 1,7,9,11 --raw-logprobs 3",
        r#"{"bad_words": [[1, 2], [7]], "allowed_token_ids": [1, 7, 9, 11], "raw_logprobs": 3}"#,
    ),
];

#[test]
fn parameters_of_a_file_are_those_of_the_command_line() {
    let folder = folder();
    let objects: Vec<&str> = (0..40).map(|row| OBJECTS[row % OBJECTS.len()].1).collect();
    folder.put("own.json", format!("[{}]", objects.join(",\n")));
    let own = folder.lines("sample flat.npy --params own.json --seed 5 --device cpu");
    folder.put("own.jsonl", objects.join("\n"));
    assert_eq!(folder.lines("sample flat.npy --params own.jsonl --seed 5 --device cpu"), own, "lines");
    test_each(OBJECTS.iter().zip(0..).map(|(case, number)| (case.0, (case, number))), |(case, number)| {
        let (options, object) = case;
        let expected = folder.lines(&format!("sample flat.npy {options} --seed 5 --device cpu"));
        folder.put("one.json", object);
        let one = folder.lines("sample flat.npy --params one.json --seed 5 --device cpu");
        assert_eq!(one, expected, "one object for all");
        for row in (number..40).step_by(OBJECTS.len()) {
            assert_eq!(own[row], expected[row], "row {row}");
        }
    });
    // The file's values go over those of the command line, which stay where it says nothing.
    folder.put("one.json", r#"{"top_k": 2}"#);
    let line = "sample falling.npy --params one.json --seed 5 --device cpu";
    assert_eq!(folder.lines(&format!("{line} --top-k 5"))[0]["kept"], 2);
    assert_eq!(folder.lines(&format!("{line} --top-p 0.1"))[0]["kept"], 1);
}

/// Texts that break DRY's sequences are the tokens that contain them, wherever they are given.
#[test]
fn texts_break_sequences_by_their_tokens() {
    let folder = folder();
    folder.put("vocab.json", r#"["a", "b:", "c", "d"]"#);
    folder.put(
        "dry.json",
        r#"{"dry_multiplier": 5, "dry_allowed_length": 1, "dry_sequence_breakers": [":", "x"]}"#,
    );
    let line = "sample small.npy --prompt 1,2,1 --seed 5 --device cpu --processed-logprobs 4";
    let dry = "--dry-multiplier 5 --dry-allowed-length 1";
    let by_id = folder.lines(&format!("{line} {dry} --dry-sequence-breakers 1"));
    assert_ne!(folder.lines(&format!("{line} {dry}")), by_id, "the breaker acts");
    for given in [
        format!("{dry} --dry-sequence-breaker :"),
        format!("{dry} --dry-sequence-breaker b: --dry-sequence-breaker x"),
        format!("{dry} --dry-sequence-breakers llama"),
        "--params dry.json".to_owned(),
    ] {
        let mut got = folder.lines(&format!("{line} {given} --vocab-file vocab.json"));
        // With texts, which the other has not.
        let numbers =
            |line: &serde_json::Value| [&line["kept"], &line["processed"]["logsumexp"]].map(Clone::clone);
        assert_eq!(numbers(&got.remove(0)), numbers(&by_id[0]), "{given}");
    }
    // The sidecar has the ids of what the options name, and the file of parameters is read again.
    for given in [format!("{dry} --dry-sequence-breakers llama"), "--params dry.json".to_owned()] {
        folder.run(&format!(
            "sample small.npy --prompt 1,2,1 {given} --vocab-file vocab.json -o out.jsonl --device cpu"
        ));
        let audited = folder.run("audit out.jsonl small.npy --device cpu");
        assert_eq!(audited.status.code(), Some(0), "{given}: {}", stderr(&audited));
    }
    folder.run(&format!(
        "sample small.npy {dry} --dry-sequence-breaker : --vocab-file vocab.json -o out.jsonl"
    ));
    let meta: serde_json::Value = serde_json::from_slice(&folder.get("out.jsonl.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["sampling"]["dry"]["sequence_breakers"], serde_json::json!([1]), "{meta}");
}

/// Options or the text of a file, the exit code, and words of the message.
type Case = (&'static str, i32, &'static [&'static str]);

const BAD_OPTIONS: &[Case] = &[
    ("--temperature -1", 2, &["temperature -1", "greedy"]),
    ("--temperature nan", 2, &["temperature NaN"]),
    ("--temperature warm", 2, &["--temperature", "warm"]),
    ("--dynatemp-range 1000", 2, &["dynatemp_range 1000"]),
    ("--dynatemp-exponent -1", 2, &["dynatemp_exponent -1"]),
    ("--top-k -2", 2, &["--top-k", "-2", "0 to 4294967295", "-1 keep all"]),
    ("--top-p 1.5", 2, &["top_p 1.5"]),
    ("--min-p -0.5", 2, &["min_p -0.5"]),
    ("--typical-p 2", 2, &["typical_p 2"]),
    ("--top-n-sigma -2", 2, &["top_n_sigma -2"]),
    ("--top-h 1.5", 2, &["top_h 1.5"]),
    ("--epsilon-cutoff 1", 2, &["epsilon_cutoff 1"]),
    ("--xtc-threshold 2", 2, &["xtc_threshold 2"]),
    ("--xtc-probability 2", 2, &["xtc_probability 2"]),
    ("--xtc-probability 0.5 --xtc-threshold 0", 2, &["xtc_threshold 0", "2^-43"]),
    ("--xtc-probability 1 --xtc-threshold 1e-13", 2, &["xtc_threshold 1e-13", "1.1368684e-13"]),
    ("--mirostat-tau 0", 2, &["mirostat tau 0 is outside 0 (excluded) to 30:"]),
    ("--mirostat-tau 5 --mirostat-eta 2", 2, &["mirostat eta 2"]),
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
    ("--penalty-last-n -2", 2, &["--penalty-last-n", "-2", "-1 looks at all"]),
    ("--dry-multiplier -1", 2, &["dry multiplier -1"]),
    ("--dry-multiplier 1 --dry-base 0.5", 2, &["dry base 0.5"]),
    ("--dry-base 2", 2, &["--dry-multiplier"]),
    ("--dry-multiplier 1 --dry-sequence-breakers llama", 2, &["\"\\n\" is a text", "--tokenizer"]),
    ("--dry-multiplier 1 --dry-sequence-breaker x", 2, &["\"x\" is a text", "--tokenizer"]),
    ("--dry-multiplier 1 --dry-sequence-breakers 9", 2, &["token 9", "sequence_breakers"]),
    ("--bad-words 1,x", 2, &["--bad-words", "\"x\""]),
    ("--bad-words 1;9", 2, &["token 9 of bad_words"]),
    ("--no-repeat-ngram-size -1", 2, &["--no-repeat-ngram-size", "-1", "0 to 4294967295"]),
    ("--no-repeat-ngram-window -2", 2, &["--no-repeat-ngram-window", "-2", "-1 looks at all"]),
    ("--xtc-exempt-token-ids 0,9", 2, &["token 9 of xtc_exempt_token_ids", "vocabulary of 4"]),
    ("--penalty-exempt-token-ids 9", 2, &["token 9 of penalty_exempt_token_ids"]),
    ("--min-tokens -1", 2, &["--min-tokens", "-1", "0 to 18446744073709551615"]),
    ("--stop-token-ids 9", 2, &["token 9 of stop_token_ids"]),
    ("--allowed-token-ids 9", 2, &["token 9 of allowed_token_ids"]),
    ("--seed -2", 2, &["--seed", "-2", "-1 finds a seed"]),
    ("--stream 4294967296", 2, &["--stream", "4294967296", "0 to 4294967295"]),
    ("--draws 0", 2, &["\"0\" is no whole number from 1"]),
    ("-n 2 --temperature 0", 2, &["n 2 at temperature 0", "greedy", "leave n at 1"]),
    ("-n 17", 2, &["n 17", "1 to 16"]),
    ("--raw-logprobs 1048577", 2, &["--raw-logprobs", "1048577", "-1 lists all"]),
    ("--processed-logprobs -2", 2, &["--processed-logprobs", "-2", "-1 lists all"]),
    ("--logprob-token-ids 0,9", 2, &["token 9 of logprob_token_ids", "vocabulary of 4"]),
    ("--logprob-token-ids x", 2, &["--logprob-token-ids", "x"]),
    ("--prompt 1,x", 2, &["--prompt", "\"x\"", "no such file"]),
    ("--prompt -1", 2, &["--prompt", "-1 is no token"]),
    ("--format openai", 2, &["openai", "tokens"]),
    ("--params missing.json", 1, &["missing.json"]),
    ("--mask missing.npy", 1, &["missing.npy"]),
    ("--mask small.npy", 1, &["small.npy", "a mask of float32 is not read", "or int32"]),
    ("--mask wide.npy", 2, &["wide.npy", "[1, 2]", "[1, 1] is needed"]),
    ("--device nosuch", 4, &["nosuch"]),
];

const BAD_FILES: &[Case] = &[
    (r#"{"topp": 1}"#, 2, &["own.json", "\"topp\"", "\"top_p\""]),
    (r#"[{"top_p": 1, "seeds": 1}]"#, 2, &["own.json: object 0: ", "\"seeds\"", "\"seed\""]),
    (r#"{"mirostat": {"mu": 1}}"#, 2, &["own.json: mirostat", "`mu`", "`tau`"]),
    (r#"{"dry": {"range": 1}}"#, 2, &["own.json: dry", "`range`"]),
    (r#"{"order": ["top_q"]}"#, 2, &["own.json", "top_q"]),
    (r#"{"top_k": 1.5}"#, 2, &["own.json: top_k", "1.5"]),
    ("{", 1, &["own.json", "EOF"]),
    ("[{}, {}]", 2, &["own.json", "2 objects for 1 requests"]),
    ("[]", 2, &["own.json", "0 objects"]),
    ("{}\n{}\n{}", 2, &["own.json", "3 objects for 1 requests"]),
    (" \n", 2, &["own.json", "0 objects"]),
    ("{} {", 1, &["own.json", "EOF"]),
    (r#"{"top_p": 1.5}"#, 2, &["own.json: top_p 1.5"]),
    (r#"[{"top_p": 1.5}]"#, 2, &["own.json: object 0: top_p 1.5"]),
    (r#"[{"n": 2, "do_sample": false}]"#, 2, &["own.json: object 0: n 2 at temperature 0"]),
    (r#"[{"allowed_token_ids": [9]}]"#, 2, &["own.json: object 0: token 9 of allowed_token_ids"]),
];

fn check_refused(folder: &Folder, line: &str, code: i32, words: &[&str]) {
    let device = if line.contains("--device") { "" } else { "--device cpu" };
    let output = folder.run(&format!("sample small.npy {line} {device} -o out"));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(words.iter().all(|word| message.contains(word)) && message.contains("error: "), "{message}");
    assert!(output.stdout.is_empty() && !folder.contents(".").contains_key("out"), "output of a failed run");
}

#[test]
fn bad_options_are_named() {
    let folder = folder();
    folder.put("wide.npy", npy("<i4", "(1, 2)", &i32s(&[1, 1])));
    test_each(BAD_OPTIONS.iter().map(|case| (case.0, case)), |(line, code, words)| {
        check_refused(&folder, line, *code, words);
    });
}

/// What is wrong on the command line is not the file's fault, unless the file makes it wrong.
#[test]
fn errors_are_told_of_where_they_are() {
    let folder = folder();
    for (options, text, start) in [
        ("--top-p 7", "{}", "error: top_p 7"),
        ("--top-p 7", r#"[{"min_p": 0.1}]"#, "error: top_p 7"),
        ("--top-p 0.7", r#"{"top_p": 7}"#, "error: own.json: top_p 7"),
        ("--top-p 7", r#"{"top_p": 8}"#, "error: own.json: top_p 8"),
        ("-n 2", r#"{"temperature": 0}"#, "error: own.json: n 2 at temperature 0"),
    ] {
        folder.put("own.json", text);
        let output = folder.run(&format!("sample small.npy {options} --params own.json --device cpu"));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).starts_with(start), "{options} {text}: {}", stderr(&output));
    }
    folder.put("own.json", r#"{"temperature": 1}"#);
    folder.printed("sample small.npy -n 2 --temperature 0 --params own.json --seed 1 --device cpu");
}

#[test]
fn bad_files_are_named() {
    let folder = folder();
    test_each(BAD_FILES.iter().map(|case| (case.0, case)), |(text, code, words)| {
        folder.put("own.json", text);
        let line = format!("--params own.json --prompt 3 --min-p 0 --seed {}", text.len());
        check_refused(&folder, &line, *code, words);
    });
}

/// Positions and streams are counted as far as their numbers go: none is another one's.
#[test]
fn numbers_do_not_wrap() {
    let folder = Folder::new();
    folder.put("x.npy", npy("<f4", "(3, 4, 5)", &stored("f32", &[1.0; 60])));
    folder.put("last.json", r#"{"position": 18446744073709551611}"#);
    folder.put("past.json", r#"{"position": 18446744073709551612}"#);
    folder.put("own.json", r#"[{"stream": 4294967295}, {}, {"stream": 4294967295}]"#);
    let line = "sample x.npy --seed 1 --device cpu --format jsonl";
    for options in ["--params last.json --feedback", "--stream 4294967293", "--params own.json"] {
        let drawn = folder.lines(&format!("{line} {options}"));
        assert_eq!(drawn.len(), 12, "{options}");
    }
    let positions = |drawn: &[Value]| drawn[3]["position"].as_u64();
    assert_eq!(
        positions(&folder.lines(&format!("{line} --params last.json --feedback"))),
        Some(u64::MAX - 1)
    );
    for (options, words) in [
        (
            "--params past.json --feedback",
            "positions end at 18446744073709551614, take at most 18446744073709551611",
        ),
        ("--params past.json", "take at most 18446744073709551611"),
        (
            "--stream 4294967294",
            "stream 4294967294: request 2 would have stream 4294967296, and streams end at 4294967295: take at most \
             4294967293, or give each request its own in --params",
        ),
    ] {
        let refused = folder.run(&format!("{line} {options}"));
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{options}");
        assert!(stderr(&refused).contains(words), "{options}: {}", stderr(&refused));
    }
}
