//! What the keys of a file and the options mean, and which are refused.

use sortilege::{Dry, Mirostat, Order, SamplingParams, SamplingStep};

use super::params::PartialParams;
use super::params_file::{own_keys, read_object};

fn read(json: &str) -> Result<(PartialParams, Vec<String>), String> {
    read_object(json, &own_keys()).map(|read| (read.params.over(&read.defaults), read.unused))
}

fn params(json: &str) -> SamplingParams {
    read(json).unwrap_or_else(|problem| panic!("{json}: {problem}")).0.params()
}

fn plain() -> SamplingParams {
    SamplingParams { entropy: true, ..SamplingParams::default() }
}

#[test]
fn every_key_reaches_its_field() {
    let json = r#"{"temperature": 0.7, "dynatemp_range": 0.2, "dynatemp_exponent": 2, "top_k": 3, "top_p": 0.9, "min_p": 0.1,
        "typical_p": 0.8, "top_n_sigma": 2, "top_a": 0.3, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02, "p_less": true, "top_h": 0.5, "xtc_threshold": 0.2,
        "xtc_probability": 0.5, "xtc_exempt_token_ids": [2, 3], "mirostat": {"tau": 4, "eta": 0.3}, "order": ["top_k", "xtc"], "logit_bias": {"4": -1.5},
        "repetition_penalty": 1.1, "presence_penalty": 0.3, "frequency_penalty": -0.3, "penalty_last_n": 7, "penalty_exempt_token_ids": [4],
        "dry": {"multiplier": 0.5, "base": 2, "allowed_length": 3, "last_n": 9, "sequence_breakers": [5]},
        "bad_words": [[1, 2], [7]],
        "no_repeat_ngram_size": 3, "no_repeat_ngram_window": 60, "min_tokens": 5, "max_tokens": 60, "stop_token_ids": [2], "allowed_token_ids": [1], "seed": 8,
        "stream": 9, "n": 2, "raw_logprobs": 1, "processed_logprobs": 2, "logprob_token_ids": [3, 3], "prompt": [1], "position": 3}"#;
    let expected = SamplingParams {
        temperature: 0.7,
        dynatemp_range: 0.2,
        dynatemp_exponent: 2.0,
        top_k: 3,
        top_p: 0.9,
        min_p: 0.1,
        typical_p: 0.8,
        top_n_sigma: 2.0,
        top_a: 0.3,
        epsilon_cutoff: 0.01,
        eta_cutoff: 0.02,
        p_less: true,
        top_h: 0.5,
        xtc_threshold: 0.2,
        xtc_probability: 0.5,
        xtc_exempt_token_ids: vec![2, 3],
        mirostat: Some(Mirostat { tau: 4.0, eta: 0.3 }),
        order: Order::List(vec![SamplingStep::TopK, SamplingStep::Xtc]),
        logit_bias: vec![(4, -1.5)],
        repetition_penalty: 1.1,
        presence_penalty: 0.3,
        frequency_penalty: -0.3,
        penalty_last_n: Some(7),
        penalty_exempt_token_ids: vec![4],
        dry: Some(Dry {
            multiplier: 0.5,
            base: 2.0,
            allowed_length: 3,
            last_n: Some(9),
            sequence_breakers: vec![5],
        }),
        bad_words: vec![vec![1, 2], vec![7]],
        no_repeat_ngram_size: 3,
        no_repeat_ngram_window: Some(60),
        min_tokens: 5,
        max_tokens: Some(60),
        stop_token_ids: vec![2],
        allowed_token_ids: Some(vec![1]),
        seed: Some(8),
        stream: 9,
        n: 2,
        raw_logprobs: Some(1),
        processed_logprobs: Some(2),
        logprob_token_ids: vec![3, 3],
        ..plain()
    };
    let own = read(json).expect("our keys").0;
    assert_eq!(own.params(), expected);
    assert_eq!((own.prompt.clone(), own.position), (Some(vec![1]), Some(3)));
    for name in own_keys() {
        assert!(json.contains(&format!("\"{name}\"")), "{name} is not tried here");
    }
    // What is laid over another keeps every field, and lets every field of the other through.
    let nothing = PartialParams::default();
    for laid in [own.over(&nothing), nothing.over(&own), own.over(&read(r#"{"dry": {}}"#).expect("a key").0)]
    {
        assert_eq!(laid.params(), expected);
        assert_eq!((laid.prompt, laid.position), (Some(vec![1]), Some(3)));
    }
    let eta = read(r#"{"mirostat": {"eta": 0.7}, "dry": {"base": 3}}"#).expect("parts").0.over(&own).params();
    assert_eq!(eta.mirostat, Some(Mirostat { tau: 4.0, eta: 0.7 }));
    assert_eq!(eta.dry.map(|dry| (dry.multiplier, dry.base)), Some((0.5, 3.0)));
}

/// Two objects that mean the same; the second is in our plainest words.
const SAME: &[(&str, &str)] = &[
    (r#"{"logit_bias": [[4, -1.5]]}"#, r#"{"logit_bias": {"4": -1.5}}"#),
    (r#"{"order": null, "logit_bias": null, "top_p": null}"#, "{}"),
    // Values for "off" and "all", numbers as texts, whole numbers as floats.
    (r#"{"top_k": -1, "top_n_sigma": -1.0, "seed": -1}"#, "{}"),
    (r#"{"penalty_last_n": -1}"#, r#"{"penalty_last_n": 4294967295}"#),
    (r#"{"dry": {"multiplier": 1, "last_n": -1}}"#, r#"{"dry": {"multiplier": 1, "last_n": 4294967295}}"#),
    (
        r#"{"top_k": "40", "top_p": "0.9", "n": 3.0, "seed": "7"}"#,
        r#"{"top_k": 40, "top_p": 0.9, "n": 3, "seed": 7}"#,
    ),
    (r#"{"stop_token_ids": ["3", 4.0]}"#, r#"{"stop_token_ids": [3, 4]}"#),
    // Bans.
    (r#"{"logit_bias": {"3": -Infinity, "4": 1}}"#, r#"{"bad_words": [[3]], "logit_bias": {"4": 1}}"#),
    (r#"{"logit_bias": {"3": "-inf", "4": "1.5"}}"#, r#"{"bad_words": [[3]], "logit_bias": {"4": 1.5}}"#),
    (r#"{"logit_bias": [[3, false], ["4", 2]]}"#, r#"{"bad_words": [[3]], "logit_bias": {"4": 2}}"#),
    // Hugging Face.
    (r#"{"do_sample": false, "temperature": 0.6}"#, r#"{"temperature": 0}"#),
    (r#"{"do_sample": "false"}"#, r#"{"temperature": 0}"#),
    (r#"{"eos_token_id": 2, "min_new_tokens": 4}"#, r#"{"stop_token_ids": [2], "min_tokens": 4}"#),
    (r#"{"eos_token_id": [2, 5], "stop_token_ids": [7]}"#, r#"{"stop_token_ids": [7, 2, 5]}"#),
    (r#"{"bad_words_ids": [[1, 2]], "suppress_tokens": [5, 6]}"#, r#"{"bad_words": [[1, 2], [5], [6]]}"#),
    (r#"{"no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}"#, "{}"),
    (r#"{"num_return_sequences": 2}"#, r#"{"n": 2}"#),
    // vLLM and OpenAI.
    (r#"{"logprobs": 5, "stop": [], "bad_words": []}"#, r#"{"raw_logprobs": 5}"#),
    (r#"{"logprobs": true, "top_logprobs": 3, "stream": false}"#, r#"{"raw_logprobs": 3}"#),
    (r#"{"logprobs": -1}"#, r#"{"raw_logprobs": 1048576}"#),
    (r#"{"logprobs": true}"#, r#"{"raw_logprobs": 0}"#),
    (r#"{"logprobs": false, "top_logprobs": 3}"#, "{}"),
    (
        r#"{"extra_args": {"ngram_size": 30, "window_size": "90", "whitelist_token_ids": [7]}}"#,
        r#"{"no_repeat_ngram_size": 30, "no_repeat_ngram_window": 90, "penalty_exempt_token_ids": [7]}"#,
    ),
    (
        r#"{"vllm_xargs": {"ngram_size": 20, "x": {}}, "extra_args": null}"#,
        r#"{"no_repeat_ngram_size": 20, "no_repeat_ngram_window": 100}"#,
    ),
    (r#"{"prompt": "once upon", "max_tokens": 1}"#, r#"{"max_tokens": 1}"#),
    (r#"{"max_new_tokens": 7, "stop": []}"#, r#"{"max_tokens": 7}"#),
    (r#"{"max_completion_tokens": "7"}"#, r#"{"max_tokens": 7}"#),
    (r#"{"prompt": ["once", "upon"]}"#, "{}"),
    // A key that is nearly one of ours may be another's where others of theirs are.
    (r#"{"top_b": 3, "n_predict": 1, "min_p": 0.1}"#, r#"{"min_p": 0.1, "max_tokens": 1}"#),
    // transformers draws where do_sample says so, and its file may say nothing.
    (r#"{"transformers_version": "4.51.0", "temperature": 0.6}"#, r#"{"temperature": 0}"#),
    (
        r#"{"transformers_version": "4.51.0", "do_sample": true, "top_k": 5}"#,
        r#"{"top_k": 5, "order": ["temperature", "top_n_sigma", "top_h", "top_k", "top_p", "min_p", "typical_p",
            "epsilon_cutoff", "eta_cutoff", "p_less", "top_a", "xtc", "mirostat"]}"#,
    ),
    (
        r#"{"transformers_version": "4.51.0", "do_sample": true, "order": "llama"}"#,
        r#"{"top_k": 50, "order": "llama"}"#,
    ),
    // llama.cpp.
    (r#"{"n_predict": 1, "seed": 4294967295}"#, r#"{"seed": -1, "max_tokens": 1}"#),
    (r#"{"n_predict": 1, "seed": 4294967294}"#, r#"{"seed": 4294967294, "max_tokens": 1}"#),
    (
        r#"{"repeat_penalty": 1.1, "repeat_last_n": 64}"#,
        r#"{"repetition_penalty": 1.1, "penalty_last_n": 64}"#,
    ),
    (r#"{"mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1}"#, "{}"),
    (r#"{"mirostat": 2, "mirostat_tau": 3.0}"#, r#"{"mirostat": {"tau": 3}, "order": "llama"}"#),
    (r#"{"mirostat": 2}"#, r#"{"mirostat": {"tau": 5}, "order": "llama"}"#),
    (r#"{"dry_multiplier": 0.8, "dry_penalty_last_n": 9}"#, r#"{"dry": {"multiplier": 0.8, "last_n": 9}}"#),
    (
        r#"{"dry_multiplier": 0.8, "dry_sequence_breakers": ["7", 9]}"#,
        r#"{"dry": {"multiplier": 0.8, "sequence_breakers": ["7", 9]}}"#,
    ),
    (r#"{"dry_multiplier": 0.0, "dry_sequence_breakers": ["\n", ":"]}"#, r#"{"dry": {"multiplier": 0}}"#),
    (r#"{"n_probs": 4, "temp": 0.5}"#, r#"{"raw_logprobs": 4, "temperature": 0.5}"#),
    (r#"{"n_probs": 0}"#, "{}"),
    (r#"{"max_tokens": 5, "max_completion_tokens": 5}"#, r#"{"max_tokens": 5}"#),
    (r#"{"max_new_tokens": -1, "max_tokens": 7}"#, r#"{"max_tokens": 7}"#),
    (r#"{"max_tokens": -1}"#, "{}"),
    // Tau and the multiplier are the switches.
    (r#"{"mirostat": {"eta": 0.2}, "dry": {"base": 2}}"#, "{}"),
];

/// Their keys that say nothing here, as they are told.
const UNUSED: &[&str] = &[
    "stop",
    "stream",
    "top_logprobs",
    "transformers_version",
    "do_sample",
    "temperature (do_sample: false is greedy)",
    "do_sample (missing: greedy, as in transformers)",
    "prompt (texts are not tokenised here: give token ids)",
    "top_b (is it top_a?)",
    "encoder_no_repeat_ngram_size",
    "vllm_xargs.x",
];

#[test]
fn the_peers_words_are_understood() {
    for (theirs, ours) in SAME {
        let theirs = &super::params_file::tests::spelled(theirs);
        let unused = read(theirs).expect(theirs).1;
        assert!(unused.iter().all(|key| UNUSED.contains(&key.as_str())), "{unused:?}");
        assert_eq!(params(theirs), params(ours), "{theirs}");
    }
}

#[test]
fn keys_without_a_meaning_here_are_listed() {
    let json = r#"{"max_tokens": 5, "do_sample": true, "bos_token_id": 1, "transformers_version": "4.40", "top_p": 0.9,
        "top_k": 0, "order": "vllm",
        "prompt_logprobs": null, "ignore_eos": false, "_from_model_config": true, "stream": true, "x": {"y": [1]}}"#;
    let (own, mut unused) = read(json).expect("known keys");
    unused.sort();
    let expected = "_from_model_config bos_token_id do_sample ignore_eos stream transformers_version x";
    assert_eq!(unused.join(" "), expected);
    assert_eq!(own.params(), SamplingParams { top_p: 0.9, max_tokens: Some(5), ..plain() });
}

#[test]
fn what_cannot_be_read_is_named() {
    for (json, words) in [
        (r#"{"topp": 1}"#, &["\"topp\"", "\"top_p\""][..]),
        (r#"{"temprature": 1}"#, &["\"temprature\"", "\"temperature\""]),
        (r#"{"repeat_penality": 1}"#, &["\"repeat_penality\"", "\"repeat_penalty\""]),
        (r#"{"stop_token_id": 1}"#, &["\"stop_token_ids\""]),
        (r#"{"dry": {"sequence_breakers": [1.5]}}"#, &["sequence_breakers [1.5]", "llama", "ids and texts"]),
        (r#"{"dry": {"bas": 1}}"#, &["dry", "`bas`"]),
        (r#"{"mirostat": {"mu": 1}}"#, &["mirostat", "`mu`"]),
        (r#"{"mirostat": 1}"#, &["mirostat 1", "version 2"]),
        (r#"{"order": "openai"}"#, &["order", "openai"]),
        (r#"{"order": ["top_q"]}"#, &["top_q"]),
        (r#"{"order": [3]}"#, &["\"3\" is no step"]),
        (r#"{"top_k": -2}"#, &["top_k", "\"-2\"", "0 to 4294967295"]),
        (r#"{"top_k": 1.5}"#, &["top_k", "1.5"]),
        (r#"{"top_k": "many"}"#, &["top_k: \"many\" is no whole number"]),
        (r#"{"seed": -2}"#, &["seed", "-1 finds a seed"]),
        (
            r#"{"extra_args": {"ngram_size": 3}, "no_repeat_ngram_size": 2}"#,
            &["ngram_size and no_repeat_ngram_size say the same"],
        ),
        (r#"{"no_repeat_ngram_size": -1}"#, &["no_repeat_ngram_size: ", "-1", "0 to 4294967295"]),
        (r#"{"n": -1}"#, &["n: ", "-1", "0 to 4294967295"]),
        (r#"{"n": 1.5}"#, &["n: ", "1.5", "a whole number"]),
        (r#"{"top_p": true}"#, &["top_p", "true", "a number"]),
        (r#"{"top_p": "high"}"#, &["top_p", "high", "a number"]),
        (r#"{"stop_token_ids": [1, "x"]}"#, &["stop_token_ids[1]", "a whole number"]),
        (r#"{"logit_bias": "4:1"}"#, &["logit_bias", "[[ID, bias]]"]),
        (r#"{"logit_bias": {"x": 1}}"#, &["logit_bias", "\"x\" is no token id"]),
        (r#"{"logit_bias": {"1": true}}"#, &["bias of token 1 is no number"]),
        (r#"{"bad_words": ["no"]}"#, &["bad_words are texts", "token ids"]),
        (r#"{"prompt": 5}"#, &["prompt", "a list"]),
        (r#"{"logprobs": 3, "raw_logprobs": 4}"#, &["logprobs and raw_logprobs say the same"]),
        (r#"{"top_p": 1, "top_p": 0.5}"#, &["\"top_p\" stands twice"]),
        (r#"{"dry": {"multiplier": 1, "base": 2, "base": 3}}"#, &["\"base\" stands twice"]),
        (r#"{"logit_bias": {"3": 1, "3": -1}}"#, &["\"3\" stands twice"]),
        (r#"{"x": [{"y": {"z": 1, "z": 2}}]}"#, &["\"z\" stands twice"]),
        ("[1]", &["an object of parameters"]),
    ] {
        let message = read(json).expect_err(json);
        assert!(words.iter().all(|word| message.contains(word)), "{json}: {message}");
    }
}
