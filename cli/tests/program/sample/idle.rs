//! What is asked and cannot act is told in a line, and what can act is not.

use super::folder;
use crate::common::{Folder, stderr, successful};
use crate::table::test_each;

/// Lines of a run that say what cannot act, by the names before "cannot act".
fn idle(folder: &Folder, line: &str) -> Vec<String> {
    let output = successful(line, folder.run(&format!("sample {line} --device cpu")));
    let said = stderr(&output);
    let names = said.lines().filter_map(|line| line.strip_prefix("note: ")?.split_once(" cannot act"));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Options, and what of them cannot act.
const CASES: &[(&str, &[&str])] = &[
    ("small.npy", &[]),
    ("small.npy --top-k 2 --top-p 0.9 --seed 3 --logit-bias 1:2 --bad-words 3 -n 2", &[]),
    // Penalties look at a prompt, or at what feedback shows.
    ("nested.npy --presence-penalty 1", &["presence_penalty"]),
    ("nested.npy --presence-penalty 1 --feedback", &[]),
    ("nested.npy --presence-penalty 1 --prompt 3", &["presence_penalty", "prompt"]),
    ("nested.npy --presence-penalty 1 --prompt 3 --penalty-last-n 8", &[]),
    ("nested.npy --presence-penalty 1 --prompt 3 --penalty-last-n 0", &["presence_penalty", "prompt"]),
    ("small.npy --frequency-penalty -1 --penalty-last-n -1", &["frequency_penalty"]),
    ("small.npy --presence-penalty 1 --feedback", &["--feedback", "presence_penalty"]),
    ("small.npy --repetition-penalty 1.2", &["repetition_penalty"]),
    ("small.npy --repetition-penalty 1.2 --prompt 1", &[]),
    ("small.npy --repetition-penalty 1.2 --prompt 1,7", &["a token of the prompt"]),
    ("small.npy --repetition-penalty 1 --presence-penalty 0 --frequency-penalty 0", &[]),
    ("small.npy --penalty-last-n 4", &["penalty_last_n"]),
    ("small.npy --prompt 1,2", &["prompt"]),
    ("small.npy --dry-multiplier 1", &["dry"]),
    ("small.npy --dry-multiplier 1 --prompt 1,2", &["dry"]),
    ("small.npy --dry-multiplier 1 --prompt 1,2,1", &[]),
    ("small.npy --dry-multiplier 1 --prompt 1,2,1 --dry-last-n 2", &["dry"]),
    ("nested.npy --dry-multiplier 1 --feedback", &[]),
    // Restrictions.
    ("nested.npy --bad-words 0,1;2", &["bad_words of several tokens"]),
    ("nested.npy --bad-words 0,1;2 --feedback", &[]),
    ("nested.npy --bad-words 1,2,3,4,5,6,7,8,9,10,11 --feedback", &["some of bad_words"]),
    ("small.npy --no-repeat-ngram-size 2", &["no_repeat_ngram_size"]),
    ("small.npy --no-repeat-ngram-size 2 --prompt 1,2", &[]),
    ("small.npy --no-repeat-ngram-size 2 --prompt 1", &["no_repeat_ngram_size"]),
    ("small.npy --no-repeat-ngram-size 2 --prompt 1,2 --no-repeat-ngram-window 1", &["no_repeat_ngram_size"]),
    ("small.npy --no-repeat-ngram-window 9", &["no_repeat_ngram_window"]),
    ("nested.npy --no-repeat-ngram-size 2 --feedback", &[]),
    ("nested.npy --min-tokens 4", &["min_tokens"]),
    // Rows tell that they end, whatever comes after them.
    ("nested.npy --stop-token-ids 4", &[]),
    ("nested.npy --stop-token-ids 4 --feedback", &[]),
    ("small.npy --stop-token-ids 3 --feedback", &["--feedback"]),
    ("nested.npy --dry-multiplier 0 --dry-base 2", &["dry"]),
    (
        "nested.npy --profile llama --mirostat-tau 3 --xtc-probability 1 --xtc-threshold 0.2",
        &["xtc_probability", "xtc_threshold"],
    ),
    ("nested.npy --max-tokens 11", &["max_tokens"]),
    ("nested.npy --max-tokens 10", &[]),
    ("nested.npy --params late.json --max-tokens 10", &[]),
    ("nested.npy --min-tokens 4 --stop-token-ids 4", &[]),
    ("nested.npy --params late.json --min-tokens 4 --stop-token-ids 4", &["min_tokens"]),
    // Switches.
    ("nested.npy --mirostat-eta 0.1", &["mirostat eta"]),
    ("nested.npy --mirostat-eta 0.1 --mirostat-tau 3", &["mirostat eta"]),
    ("nested.npy --mirostat-eta 0.1 --mirostat-tau 3 --feedback", &[]),
    ("small.npy --xtc-threshold 0.2", &["xtc_threshold"]),
    ("small.npy --xtc-threshold 0.2 --xtc-probability 0.5", &[]),
    ("small.npy --xtc-threshold 0.7 --xtc-probability 0.5", &["xtc_probability"]),
    ("small.npy --xtc-exempt-token-ids 1", &["xtc_exempt_token_ids"]),
    ("small.npy --xtc-exempt-token-ids 1 --xtc-probability 0.5", &[]),
    ("small.npy --penalty-exempt-token-ids 1", &["penalty_exempt_token_ids"]),
    ("small.npy --penalty-exempt-token-ids 1 --repetition-penalty 2 --prompt 1,2", &[]),
    ("small.npy --dynatemp-exponent 2", &["dynatemp_exponent"]),
    ("small.npy --dynatemp-exponent 2 --dynatemp-range 0.5", &[]),
    ("small.npy --params base.json", &["dry"]),
    // Orders and greedy draws.
    ("small.npy --mirostat-tau 3 --profile llama --top-p 0.9 --min-p 0.1", &["top_p", "min_p"]),
    ("small.npy --mirostat-tau 3 --top-p 0.9 --min-p 0.1", &[]),
    ("small.npy --temperature 0", &[]),
    ("small.npy --temperature 0 --seed -1 --top-k 0 --top-p 1", &[]),
    (
        "small.npy --temperature 0 --seed 1 --stream 1 --top-k 3 --top-p 0.9 --min-p 0.1 --typical-p 0.5 \
         --top-n-sigma 1 --top-a 0.1 --epsilon-cutoff 0.1 --eta-cutoff 0.1 --p-less --top-h 0.5 --xtc-probability 0.1 --mirostat-tau 3 \
         --dynatemp-range 0.1 --profile vllm",
        &[
            "dynatemp_range",
            "top_k",
            "top_p",
            "min_p",
            "typical_p",
            "top_n_sigma",
            "top_a",
            "epsilon_cutoff",
            "eta_cutoff",
            "p_less",
            "top_h",
            "xtc_probability",
            "mirostat",
            "order",
            "seed",
            "stream",
        ],
    ),
    ("small.npy --temperature 0 --repetition-penalty 1.5 --prompt 0", &[]),
    ("nested.npy --feedback", &["--feedback"]),
    // These rows it makes one request, with other draws.
    ("flat.npy --feedback", &[]),
    ("small.npy --profile llama", &["order"]),
    ("small.npy --profile llama --top-k 2", &["order"]),
    ("small.npy --profile llama --top-k 2 --temperature 0.5", &[]),
    ("small.npy --order top_k,temperature --temperature 2", &["order"]),
    ("small.npy --order top_k,min_p --top-k 2 --min-p 0.1", &[]),
    ("nested.npy --feedback --mirostat-tau 3", &[]),
    ("nested.npy --feedback --mirostat-tau 3 --temperature 0", &["--feedback", "mirostat"]),
    // What a plan, and what a format, takes no notice of.
    (
        "small.npy --plan --format csv -o never.csv --vocab-file words.txt",
        &["--output", "--format", "--vocab-file"],
    ),
];

#[test]
fn what_cannot_act_is_told() {
    let folder = folder();
    folder.put("late.json", r#"{"position": 4}"#);
    folder.put("base.json", r#"{"dry": {"base": 2}}"#);
    folder.put("words.txt", "a\nb\nc\nd\n");
    test_each(CASES.iter().map(|case| (case.0, case)), |(line, names)| {
        // --device is idle in a plan, too.
        let expected: Vec<&str> =
            if line.contains("--plan") { [&["--device"], *names].concat() } else { names.to_vec() };
        let mut found = idle(&folder, line);
        assert!(found.iter().all(|name| expected.contains(&name.as_str())), "{found:?}");
        found.dedup();
        assert_eq!(found.len(), expected.len(), "{found:?}");
    });
    assert!(!folder.contents(".").contains_key("never.csv"));
}

/// One line for many requests, with the number of those in which an option is idle.
#[test]
fn requests_are_counted() {
    let folder = folder();
    folder.put(
        "own.json",
        r#"[{"top_k": 2}, {"min_tokens": 3}, {"min_tokens": 3, "stop_token_ids": [1]}, {"min_tokens": 9, "temperature": 0, "top_p": 0.5}]"#,
    );
    let line = "sample nested.npy --params own.json --seed 1 --device cpu";
    let said = stderr(&successful(line, folder.run(line)));
    for words in [
        "note: min_tokens cannot act in 2 of 4 requests: ",
        "note: top_p cannot act in 1 of 4 requests: temperature 0 is greedy",
        "note: seed cannot act in 1 of 4 requests: ",
    ] {
        assert!(said.lines().any(|line| line.starts_with(words)), "{words}: {said}");
    }
    assert_eq!(said.matches(" cannot act").count(), 3, "{said}");
}

#[test]
fn what_a_format_does_not_write_is_told() {
    let folder = folder();
    folder.put("words.txt", "a\nb\nc\nd\n");
    let cases: &[(&str, usize)] = &[
        ("--format jsonl --raw-logprobs 2 --processed-logprobs 2 --vocab-file words.txt", 0),
        ("--format csv --raw-logprobs 0 --vocab-file words.txt", 0),
        ("--format csv --raw-logprobs 2", 1),
        ("--format table --raw-logprobs 0", 1),
        ("--format table --processed-logprobs 1", 1),
        ("--format tokens --raw-logprobs 2 --processed-logprobs 2 --vocab-file words.txt", 3),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(options, count)| {
        let line = format!("sample small.npy --seed 1 --device cpu {options}");
        let said = stderr(&successful(&line, folder.run(&line)));
        assert_eq!(said.matches("not written: --format").count(), *count, "{said}");
    });
}
