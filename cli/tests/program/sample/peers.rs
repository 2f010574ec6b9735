//! Parameters as other programs write them, and their values for "off", on the command line and in files.

use serde_json::json;

use super::folder;
use crate::common::{stderr, successful};
use crate::table::test_each;

/// What `json.dumps` makes of vLLM's `SamplingParams(temperature=0.8, top_p=0.9, seed=3, ...)`.
const VLLM: &str = r#"{"n": 1, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0,
    "temperature": 0.8, "top_p": 0.9, "top_k": -1, "min_p": 0.0, "seed": 3, "stop": ["\n\n"], "stop_token_ids": [],
    "ignore_eos": false, "max_tokens": 128, "min_tokens": 0, "logprobs": 2, "prompt_logprobs": null,
    "detokenize": true, "skip_special_tokens": true, "spaces_between_special_tokens": true,
    "include_stop_str_in_output": false, "output_kind": 0, "skip_clone": false, "bad_words": [],
    "structured_outputs": null, "logit_bias": {"5": -Infinity, "6": 1.5}, "allowed_token_ids": null,
    "extra_args": null}"#;

/// A `generation_config.json` of the Hub's kind.
const GENERATION_CONFIG: &str = r#"{"_from_model_config": true, "bos_token_id": 1, "do_sample": true,
    "eos_token_id": [2, 3], "max_length": 4096, "pad_token_id": 0, "temperature": 0.6, "top_k": 20, "top_p": 0.9,
    "repetition_penalty": 1.05, "transformers_version": "4.51.0"}"#;

/// What llama.cpp's server tells of a request.
const LLAMA: &str = r#"{"n_predict": 16, "seed": 7, "temperature": 0.5, "dynatemp_range": 0.0, "dynatemp_exponent": 1.0,
    "top_k": 40, "top_p": 0.95, "min_p": 0.05, "top_n_sigma": -1.0, "xtc_probability": 0.0, "xtc_threshold": 0.1,
    "typical_p": 1.0, "repeat_last_n": 64, "repeat_penalty": 1.1, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":"], "mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "stop": [],
    "max_tokens": 16, "n_keep": 0, "ignore_eos": false, "stream": true, "logit_bias": [[4, false], [5, 0.5]],
    "n_probs": 2, "min_keep": 0, "grammar": "", "samplers": ["dry", "top_k", "temperature"]}"#;

#[test]
fn files_of_other_programs_are_read_as_they_are() {
    let folder = folder();
    let cases: &[(&str, &str, &[&str])] = &[
        (
            VLLM,
            "--temperature 0.8 --top-p 0.9 --seed 3 --raw-logprobs 2 --bad-words 5 --logit-bias 6:1.5",
            &["detokenize", "stop", "ignore_eos"],
        ),
        (
            GENERATION_CONFIG,
            "--temperature 0.6 --top-k 20 --top-p 0.9 --repetition-penalty 1.05 --prompt 1,2 --stop-token-ids 2,3",
            &["max_length", "do_sample", "bos_token_id", "pad_token_id", "transformers_version"],
        ),
        (
            r#"{"do_sample": true, "temperature": 0.6, "transformers_version": "5.0.0"}"#,
            "--temperature 0.6 --top-k 50 --order temperature,top_h,top_k,top_p,min_p,typical_p,epsilon_cutoff,eta_cutoff",
            &["do_sample", "transformers_version"],
        ),
        (
            LLAMA,
            "--seed 7 --temperature 0.5 --top-k 40 --top-p 0.95 --min-p 0.05 --penalty-last-n 64 \
             --repetition-penalty 1.1 --prompt 1,2 --logit-bias 4:-inf,5:0.5 --raw-logprobs 2",
            &["n_predict", "samplers", "stream", "grammar", "min_keep"],
        ),
    ];
    test_each(cases.iter().map(|case| (case.1, case)), |(text, options, unused)| {
        folder.put("own.json", text);
        // A seed for both; the file's goes over it.
        let prompt = if options.contains("--prompt") { "--prompt 1,2" } else { "" };
        let line = format!("sample flat.npy --params own.json --device cpu {prompt}");
        let seed = if options.contains("--seed") { "" } else { "--seed 9" };
        let output = successful(&line, folder.run(&format!("{line} {seed}")));
        let expected = folder.text(&format!("sample flat.npy {options} {seed} --device cpu"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        let said = stderr(&output);
        let listed: Vec<&str> =
            said.lines().filter(|line| line.contains("keys that are not used: ")).collect();
        assert_eq!(listed.len(), 1, "one note: {said}");
        assert!(unused.iter().all(|key| listed[0].contains(key)), "{}", listed[0]);
        assert!(["temperature,", "top_p", "seed", "logit_bias"].iter().all(|key| !listed[0].contains(key)));
    });
}

/// What transformers would take is taken where nobody says something.
#[test]
fn a_default_of_another_program_lies_under_the_options() {
    let folder = folder();
    folder.put("own.json", r#"{"do_sample": true, "transformers_version": "5.0.0"}"#);
    let taken = "note: own.json: as in transformers: its order of filters, top_k 50";
    let order = "note: own.json: as in transformers: its order of filters";
    for (options, kept, told) in [
        ("--seed 1", 50, Some(taken)),
        ("--seed 1 --top-k 7", 7, Some(order)),
        ("--seed 1 --top-k 0", 64, Some(order)),
        // Filters that transformers does not have keep their place in the order.
        ("--seed 1 --top-n-sigma 9 --xtc-probability 0.5 --mirostat-tau 30", 50, Some(taken)),
        ("--temperature 0", 64, None),
    ] {
        let line = format!("sample flat.npy --params own.json --device cpu {options}");
        let output = successful(&line, folder.run(&line));
        let (text, said) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
        assert!(text.contains(&format!("\"kept\":{kept},")), "{options}: {text}");
        assert_eq!(said.lines().find(|line| line.contains("as in transformers")), told, "{options}: {said}");
        assert!(!said.contains("cannot act"), "{options}: {said}");
    }
}

/// A value for "off", as an option and in a file, means what leaving it out means.
#[test]
fn the_peers_off_values_are_taken() {
    let folder = folder();
    let penalty = "--repetition-penalty 1.5 --prompt 1,2,3";
    let dry = "--dry-multiplier 1 --prompt 1,2,3,1,2";
    let cases: &[(&str, &str, String, String)] = &[
        ("--top-k -1", r#"{"top_k": -1}"#, String::new(), String::new()),
        ("--top-k 0", r#"{"top_k": 0}"#, String::new(), String::new()),
        ("--top-n-sigma -1", r#"{"top_n_sigma": -1.0}"#, String::new(), String::new()),
        ("--min-p 0", r#"{"min_p": "0"}"#, String::new(), String::new()),
        ("--penalty-last-n -1", r#"{"penalty_last_n": -1}"#, penalty.to_owned(), penalty.to_owned()),
        ("--penalty-last-n 0", r#"{"penalty_last_n": 0}"#, penalty.to_owned(), String::new()),
        ("--dry-last-n -1", r#"{"dry": {"last_n": -1}}"#, dry.to_owned(), dry.to_owned()),
        ("--dry-last-n 0", r#"{"dry": {"last_n": 0}}"#, dry.to_owned(), String::new()),
        (
            "--logit-bias 3:-inf",
            r#"{"logit_bias": {"3": -Infinity}}"#,
            String::new(),
            "--bad-words 3".to_owned(),
        ),
        ("--logit-bias 3:-inf,4:1", r#"{"logit_bias": [[3, false], [4, 1]]}"#, String::new(), {
            "--bad-words 3 --logit-bias 4:1".to_owned()
        }),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(option, object, beside, same)| {
        let line = "sample flat.npy --seed 5 --device cpu --processed-logprobs 64";
        let expected = folder.text(&format!("{line} {same}"));
        assert_eq!(folder.text(&format!("{line} {beside} {option}")), expected, "as an option");
        folder.put("own.json", object);
        assert_eq!(folder.text(&format!("{line} {beside} --params own.json")), expected, "in a file");
    });
}

#[test]
fn a_seed_of_minus_one_is_found_and_told() {
    let folder = folder();
    folder.put("own.json", r#"[{"seed": 5}, {"seed": -1}, {}, {"seed": null}]"#);
    for (options, seeds) in
        [("--seed -1", [false; 4]), ("--seed 8 --params own.json", [true, false, true, true])]
    {
        let line = format!("sample nested.npy --device cpu {options} -o drawn.jsonl");
        let said = stderr(&successful(&line, folder.run(&line)));
        let found = said.lines().find_map(|line| line.strip_prefix("seed ")).expect("a seed");
        let found: u64 = found.parse().expect("a number");
        let text = String::from_utf8(folder.get("drawn.jsonl")).expect("UTF-8");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let request = usize::try_from(line["request"].as_u64().expect("a number")).expect("small");
            let given = if request == 0 { 5 } else { 8 };
            let expected = if seeds[request] { given } else { found };
            assert_eq!(line["seed"], expected, "request {request}");
        }
        let meta: serde_json::Value =
            serde_json::from_slice(&folder.get("drawn.jsonl.meta.json")).expect("JSON");
        let expected = if options == "--seed -1" { json!(found) } else { json!(8) };
        assert_eq!(meta["options"]["sampling"]["seed"], expected);
    }
}

#[test]
fn a_file_is_read_in_proportion_to_the_job() {
    let folder = folder();
    let output = |text: &str| {
        folder.put("own.json", text);
        folder.run("sample small.npy --params own.json --seed 1 --device cpu")
    };
    let many = format!("[{}{{}}]", "{},".repeat(999_999));
    let text = stderr(&output(&many));
    assert!(text.contains("1000000 objects for 1 requests"), "{text}");
    let long = format!("{{{}}}", " ".repeat(5 << 20));
    let refused = output(&long);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused)
            .contains("own.json: holds more than 4194432 bytes: parameters for 1 requests of 4 tokens"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(output("top_k: 3").status.code(), Some(1));
    #[cfg(unix)]
    for option in ["--params", "--prompt"] {
        let endless = folder.run(&format!("sample nested.npy {option} /dev/zero --seed 1 --device cpu"));
        assert_eq!(endless.status.code(), Some(1), "{}", stderr(&endless));
        assert!(stderr(&endless).contains("/dev/zero: "), "{}", stderr(&endless));
    }
    assert_eq!(output("\u{feff} {\"top_k\": 1}").status.code(), Some(0), "a byte order mark");
    // As many keys as one likes are told in a line.
    let keys: Vec<String> = (0..10_000).map(|i| format!("\"stranger-{i}\": 0")).collect();
    let said = stderr(&successful("strangers", output(&format!("{{{}}}", keys.join(",")))));
    assert!(said.contains("stranger-0") && said.contains("and more") && said.len() < 4096, "{said}");
}
