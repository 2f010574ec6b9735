//! Which prompt belongs to which request.

use serde_json::Value;
use zip::CompressionMethod::Deflated;

use super::folder;
use crate::common::{Folder, i32s, npy, npz, stderr, stored};
use crate::table::test_each;

/// Tokens that a request was punished for: their processed logprob is below that of the others.
fn punished(line: &Value) -> Vec<u64> {
    let entries = line["processed"]["top"].as_array().expect("a list");
    let best = entries[0]["logprob"].as_f64().expect("a number");
    let is_below = |entry: &&Value| entry["logprob"].as_f64().expect("a number") < best - 1e-9;
    let mut tokens: Vec<u64> =
        entries.iter().filter(is_below).map(|entry| entry["token"].as_u64().expect("an id")).collect();
    tokens.sort_unstable();
    tokens
}

/// A folder with `three.npy`, three requests of eight equal logits.
fn three() -> Folder {
    let folder = folder();
    folder.put("three.npy", npy("<f4", "(3, 1, 8)", &stored("f32", &[1.0; 24])));
    let put = |name: &str, descr: &str, shape: &str, tokens: &[i64]| {
        let bytes: Vec<u8> = match descr {
            "<i8" => tokens.iter().flat_map(|token| token.to_le_bytes()).collect(),
            _ => {
                tokens.iter().flat_map(|&token| i32::try_from(token).expect("short").to_le_bytes()).collect()
            }
        };
        folder.put(name, npy(descr, shape, &bytes));
    };
    put("rows.npy", "<i8", "(3, 2)", &[1, 2, 3, 4, 5, 6]);
    put("padded.npy", "<i4", "(3, 3)", &[1, 2, -100, -1, -1, 4, -1, -1, -1]);
    put("flat.npy", "<i4", "(3,)", &[1, 2, 3]);
    put("single.npy", "<i4", "(1, 3)", &[1, 2, 3]);
    put("batch.npy", "<i4", "(1, 3, 2)", &[1, 2, 3, 4, 5, 6]);
    put("two.npy", "<i4", "(2, 3)", &[1, 2, 3, 4, 5, 6]);
    put("cube.npy", "<i4", "(3, 2, 1)", &[1, 2, 3, 4, 5, 6]);
    for (name, shape) in [("endless.npy", "(1152921504606846976, 0)"), ("long.npy", "(100000000000, 0)")] {
        put(name, "<i8", shape, &[]);
    }
    put("four_million.npy", "<i8", "(4000000, 0)", &[]);
    put("hole.npy", "<i4", "(3, 3)", &[1, 2, 3, 4, -1, 4, 5, 6, 7]);
    folder.put("ragged.json", "[[1], [2, 3,\n 4], []]");
    folder.put("ragged_two.json", "[[1], [2, 3]]");
    folder.put("mixed.json", "[[1], 2, [3]]");
    folder
}

#[test]
fn a_prompt_belongs_to_its_request() {
    let folder = three();
    let cases: &[(&str, [&[u64]; 3])] = &[
        ("rows.npy", [&[1, 2], &[3, 4], &[5, 6]]),
        ("padded.npy", [&[1, 2], &[4], &[]]),
        ("batch.npy", [&[1, 2], &[3, 4], &[5, 6]]),
        ("ragged.json", [&[1], &[2, 3, 4], &[]]),
        ("[[7],[1,2],[3]]", [&[7], &[1, 2], &[3]]),
        // One for all.
        ("flat.npy", [&[1, 2, 3]; 3]),
        ("single.npy", [&[1, 2, 3]; 3]),
        ("[[4,5]]", [&[4, 5]; 3]),
        ("4,5", [&[4, 5]; 3]),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(prompt, expected)| {
        let options = "--repetition-penalty 2 --processed-logprobs 8 --seed 1 --device cpu";
        let lines = folder.lines(&format!("sample three.npy --prompt {prompt} {options}"));
        let found: Vec<Vec<u64>> = lines.iter().map(punished).collect();
        assert_eq!(found, expected.map(<[u64]>::to_vec));
    });
    // A request's own prompt stands in place of its row.
    folder.put("own.json", r#"[{}, {"prompt": [7]}, {"prompt": []}]"#);
    let options = "--params own.json --repetition-penalty 2 --processed-logprobs 8 --seed 1 --device cpu";
    let lines = folder.lines(&format!("sample three.npy --prompt rows.npy {options}"));
    assert_eq!(lines.iter().map(punished).collect::<Vec<_>>(), [vec![1, 2], vec![7], vec![]]);
}

#[test]
fn prompts_that_fit_no_request_are_refused() {
    let folder = three();
    let cases: &[(&str, &[&str])] = &[
        ("two.npy", &["two.npy", "shape [2, 3]", "3 requests", "a row of tokens for each"]),
        ("cube.npy", &["shape [3, 2, 1]", "3 requests"]),
        ("endless.npy", &["endless.npy: over 12582912 tokens"]),
        ("long.npy", &["long.npy: over 12582912 tokens"]),
        ("four_million.npy", &["shape [4000000, 0]", "3 requests"]),
        ("hole.npy", &["-1 is no token", "0 to 4294967295"]),
        ("ragged_two.json", &["2 lists of 1, 2 tokens", "3 requests"]),
        ("-1,2", &["-1 is no token"]),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(prompt, words)| {
        let output = folder.run(&format!("sample three.npy --prompt {prompt} --device cpu"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    });
    let output = folder.run("sample three.npy --prompt mixed.json --device cpu");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("mixed.json: some tokens stand in lists"), "{}", stderr(&output));
}

/// Of a file with several arrays, the one that is called a prompt.
#[test]
fn a_prompt_is_found_by_its_name() {
    let folder = three();
    let array = |tokens: &[i32]| npy("<i4", &format!("({},)", tokens.len()), &i32s(tokens));
    let line =
        "sample three.npy --repetition-penalty 2 --processed-logprobs 8 --seed 1 --device cpu --prompt";
    folder.put("batch.npz", npz(Deflated, &[("input_ids", array(&[1, 2])), ("labels", array(&[5, 6]))]));
    assert_eq!(punished(&folder.lines(&format!("{line} batch.npz"))[0]), [1, 2]);
    folder.printed(&format!("{line} batch.npz -o drawn"));
    let meta: Value = serde_json::from_slice(&folder.get("drawn.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["prompt_tensor"], "input_ids");
    folder.put("both.npz", npz(Deflated, &[("input_ids", array(&[1, 2])), ("prompt", array(&[5, 6]))]));
    let output = folder.run(&format!("{line} both.npz"));
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("both.npz: input_ids or prompt may be meant"), "{message}");
}
