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
            "--seed 7 --temperature 0.5 --top-k 40 --order top_k,temperature --logit-bias 4:-inf,5:0.5 --raw-logprobs 2",
            &["n_keep", "stream", "grammar", "min_keep"],
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

/// What the words of other programs mean: each file asks what the options beside it ask, and says of its keys these words alone.
#[test]
fn their_keys_mean_what_they_mean_there() {
    let folder = folder();
    // A file, the options, and what is said of which keys.
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    const UNUSED: &str = "keys that are not used: ";
    const CHANGING: &str = "keys that would change what is drawn, and are not used: ";
    let cases: &[Case] = &[
        (r#"{"bad_words": ["foo"], "_bad_words_token_ids": [[6], [1, 2]]}"#, "--bad-words 6;1,2", &[]),
        (r#"{"bad_words": [[5]], "_bad_words_token_ids": [[6]]}"#, "--bad-words 5;6", &[]),
        (
            r#"{"samplers": ["top_k", "top_p", "temperature"], "top_k": 4, "top_p": 0.9, "min_p": 0.3, "temperature": 3.0,
                "repeat_penalty": 1.5, "dry_multiplier": 0.8, "xtc_probability": 0.5, "xtc_threshold": 0.2}"#,
            "--order top_k,top_p,temperature --top-k 4 --top-p 0.9 --temperature 3",
            &[],
        ),
        (
            r#"{"samplers": "emkt", "top_k": 4, "min_p": 0.001, "temperature": 0.5, "repeat_penalty": 1.5, "prompt": [3, 4]}"#,
            "--order min_p,top_k,temperature --top-k 4 --min-p 0.001 --temperature 0.5 --repetition-penalty 1.5 --prompt 3,4",
            &[],
        ),
        (
            r#"{"samplers": ["min_p", "penalties", "infill", "temperature", "min_p"], "min_p": 0.001, "temperature": 0.5}"#,
            "--order min_p,temperature --min-p 0.001 --temperature 0.5",
            &[(
                CHANGING,
                "samplers: infill, samplers: min_p a second time, samplers: penalties behind a filter",
            )],
        ),
        (r#"{"samplers": ["top_k"], "top_k": 4, "temperature": 0.8}"#, "--order top_k --top-k 4", &[]),
        (
            r#"{"samplers": ["top_k", "min_p"], "top_k": 4, "temperature": 0}"#,
            "--order top_k,min_p --top-k 4",
            &[],
        ),
        (
            r#"{"samplers": ["top_k"], "top_k": 4, "mirostat": 2, "mirostat_tau": 3.0, "repeat_penalty": 1.5, "min_p": 0.5}"#,
            "--profile llama --mirostat-tau 3",
            &[],
        ),
        (
            r#"{"cache_prompt": true, "mirostat_tau": 3.0, "top_k": 4}"#,
            "--top-k 4",
            &[(UNUSED, "cache_prompt")],
        ),
        (
            r#"{"bad_words_ids": [[6], [5], [6, 7]], "eos_token_id": [6], "min_tokens": 2}"#,
            "--bad-words 5;6,7 --stop-token-ids 6 --min-tokens 2",
            &[],
        ),
        (
            r#"{"min_tokens": 5, "stop_token_ids": [], "_all_stop_token_ids": [6], "ignore_eos": false}"#,
            "--min-tokens 5 --stop-token-ids 6",
            &[(UNUSED, "ignore_eos")],
        ),
        (
            r#"{"min_tokens": 5, "stop_token_ids": [3], "_all_stop_token_ids": [3, 6], "ignore_eos": true}"#,
            "--min-tokens 5 --stop-token-ids 3",
            &[(CHANGING, "ignore_eos")],
        ),
        (
            r#"{"logprobs": true, "n_probs": 3, "top_logprobs": 5}"#,
            "--raw-logprobs 3",
            &[(UNUSED, "top_logprobs (n_probs goes before)")],
        ),
        (
            r#"{"logprobs": 2, "top_logprobs": 5}"#,
            "--raw-logprobs 2",
            &[(UNUSED, "top_logprobs (logprobs is a number)")],
        ),
        (
            r#"{"num_beams": 4, "guidance_scale": 1.0, "sequence_bias": [], "tfs_z": 0.5, "min_length": 0,
                "forced_eos_token_id": 0, "adaptive_target": 0.0, "response_format": {"type": "text"},
                "structured_outputs": {"json": null, "regex": null}}"#,
            "",
            &[
                (CHANGING, "adaptive_target, forced_eos_token_id, num_beams, tfs_z"),
                (UNUSED, "guidance_scale, min_length, response_format, sequence_bias, structured_outputs"),
            ],
        ),
        (
            r#"{"cache_prompt": true, "repeat_last_n": 64, "repeat_penalty": 1.0, "xtc_threshold": 0.1, "xtc_probability": 0,
                "dynatemp_range": 0.0, "dynatemp_exponent": 1.0, "top_k": 5}"#,
            "--top-k 5",
            &[(UNUSED, "cache_prompt")],
        ),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(text, options, words)| {
        folder.put("own.json", text);
        let line = "sample flat.npy --params own.json --device cpu --seed 9";
        let output = successful(line, folder.run(line));
        let expected = folder.text(&format!("sample flat.npy {options} --seed 9 --device cpu"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        let said = stderr(&output);
        let of_keys: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("note: own.json: ")).collect();
        let words: Vec<String> = words.iter().map(|(what, keys)| format!("{what}{keys}")).collect();
        assert_eq!(of_keys, words);
        let is_idle = folder.run(&format!("sample flat.npy {options} --seed 9 --device cpu"));
        assert_eq!(said.contains("cannot act"), stderr(&is_idle).contains("cannot act"), "{said}");
    });
    // A length ends a request.
    folder.put("own.json", r#"{"n_predict": 1, "cache_prompt": true}"#);
    let line = "sample flat.npy --device cpu --seed 9 --format jsonl";
    let [theirs, ours] =
        ["--params own.json", "--max-tokens 1"].map(|option| folder.text(&format!("{line} {option}")));
    assert!(theirs == ours && theirs.contains(r#""finish_reason":"length""#), "{theirs}");
    for (text, words) in [
        (r#"{"suppress_tokens": [-1]}"#, "suppress_tokens: [-1] is no list of token ids"),
        (r#"{"eos_token_id": "x"}"#, "eos_token_id: \"x\" is no list of token ids"),
        (r#"{"samplers": 3}"#, "samplers: 3 is no list of names"),
    ] {
        folder.put("own.json", text);
        let refused = folder.run("sample flat.npy --params own.json --device cpu");
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    }
}

/// A stream of a request's own may be that of another's number.
#[test]
fn equal_streams_are_told() {
    let folder = folder();
    let line = "sample flat.npy --params own.json --device cpu --seed 9";
    let rows = folder.lines("sample flat.npy --device cpu --seed 9").len();
    let objects = |first: &str| format!("[{first}{}]", ", {}".repeat(rows - 1));
    let words = "requests 0 and 1 have the same seed and stream 1";
    for (first, is_told) in [
        (r#"{"stream": 1}"#, true),
        (r#"{"stream": 0}"#, false),
        (r#"{"stream": 1, "seed": 4}"#, false),
        (r#"{"stream": 1, "temperature": 0}"#, false),
    ] {
        folder.put("own.json", objects(first));
        let said = stderr(&successful(line, folder.run(line)));
        assert_eq!(said.contains(words), is_told, "{first}: {said}");
    }
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
