//! `sortilege compare`: every statistic by its definition, gates, references, llama.cpp's files, inputs that do not fit.

mod definition;
mod gates;
mod llama;
mod logs;
mod reference;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sortilege::synthetic::SplitMix64;

use self::definition::{Rows, check, statistics, tolerance};
use crate::common::{Folder, i32s, npy, stderr, stored, successful};
use crate::devices::{adapters, run_on};

const VOCAB: usize = 61;

/// A number like one of a normal distribution.
#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
fn noise(numbers: &mut SplitMix64) -> f32 {
    let sum: f64 = (0..12).map(|_| numbers.unit()).sum();
    (sum - 6.0) as f32
}

/// Rows of A, of B, which is A and some noise, and targets, of which every seventh row has none.
fn rows(count: usize, difference: f32, seed: u64) -> Rows {
    let mut numbers = SplitMix64::new(seed);
    let mut rows = Rows::default();
    for row in 0..count {
        let a: Vec<f32> = (0..VOCAB).map(|_| noise(&mut numbers) * 3.0).collect();
        rows.b.push(a.iter().map(|x| x + difference * noise(&mut numbers)).collect());
        let best =
            |logits: &[f32]| (0..VOCAB).max_by(|&i, &j| logits[i].total_cmp(&logits[j])).expect("tokens");
        let target = match row % 3 {
            0 => best(&a),
            1 => best(&rows.b[row]),
            _ => numbers.below(VOCAB),
        };
        rows.targets.push((row % 7 != 6).then_some(target));
        rows.a.push(a);
    }
    rows
}

impl Rows {
    /// Puts both sides and the targets into a folder, as requests of so many rows.
    fn put(&self, folder: &Folder, positions: usize) {
        let shape = format!("({}, {positions}, {VOCAB})", self.a.len() / positions);
        folder.put("a.npy", npy("<f4", &shape, &stored("f32", &self.a.concat())));
        folder.put("b.npy", npy("<f4", &shape, &stored("f32", &self.b.concat())));
        let targets: Vec<i32> = self
            .targets
            .iter()
            .map(|target| target.map_or(-1, |token| i32::try_from(token).expect("small")))
            .collect();
        folder.put("t.npy", npy("<i4", &format!("({},)", targets.len()), &i32s(&targets)));
    }
}

/// What a run prints as one JSON object.
fn report(folder: &Folder, line: &str) -> Value {
    serde_json::from_str(&folder.text(line)).expect("one JSON object")
}

const LINE: &str = "compare a.npy b.npy --tokens t.npy --top 5 --device cpu --format json";

/// What is said of A's file counts for B's as far as that does not say it itself.
#[test]
fn options_of_a_are_of_b_where_b_says_nothing() {
    let folder = Folder::new();
    let rows = rows(6, 0.5, 3);
    rows.put(&folder, 3);
    let expected = report(&folder, "compare a.npy b.npy --device cpu --format json")["total"].clone();
    let shape = [2, 3, VOCAB];
    for (name, side) in [("a", &rows.a), ("b", &rows.b)] {
        let bytes = stored("f32", &side.concat());
        folder.put(&format!("{name}.bin"), &bytes);
        folder.put(
            &format!("{name}.safetensors"),
            crate::common::safetensors(&[("x", "F32", &shape, &bytes), ("y", "F32", &shape, &bytes)]),
        );
    }
    let raw = format!("--shape 2,3,{VOCAB} --dtype f32");
    for line in [
        format!("a.bin b.bin {raw}"),
        format!("a.bin b.npy {raw}"),
        format!("a.bin b.safetensors {raw} --tensor-b x"),
        "a.safetensors b.safetensors --tensor y".to_owned(),
        "a.safetensors b.npy --tensor x".to_owned(),
        format!("a.npy b.bin --shape-b 2,3,{VOCAB} --dtype-b f32"),
    ] {
        let found = report(&folder, &format!("compare {line} --device cpu --format json"));
        assert_eq!(found["total"], expected, "{line}");
    }
    // What is said of B itself must be right of B.
    for line in ["a.npy b.npy --dtype-b f16".to_owned(), format!("a.npy b.npy --shape-b 2,3,{VOCAB}")] {
        let output = folder.run(&format!("compare {line} --device cpu"));
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
    }
}

#[test]
fn every_statistic_is_what_it_is_defined_to_be() {
    let folder = Folder::new();
    let rows = rows(6 * 20, 0.5, 1);
    rows.put(&folder, 20);
    let found = report(&folder, LINE);
    assert_eq!(found["divergence"], "exact");
    let expected = statistics(&rows, 5);
    check(&found["total"], &expected).expect("the total");
    let requests = found["requests"].as_array().expect("a list");
    assert_eq!(requests.len(), 6);
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(request["request"], number);
        check(request, &statistics(&rows.part(20 * number..20 * (number + 1)), 5)).expect("a request");
    }
    // Numbers that are 0 whatever is computed would test nothing.
    let zero = expected.iter().filter(|(_, number)| **number == 0.0).map(|(name, _)| name.as_str());
    let expected_zero = ["kld_infinite", "reverse_kld_infinite", "unsound_a", "unsound_b"];
    assert_eq!(zero.collect::<Vec<_>>(), expected_zero);
}

/// The comparator of the test above must see an error in every number, and a number too many or too few.
#[test]
fn an_error_in_any_statistic_is_seen() {
    let folder = Folder::new();
    let rows = rows(40, 0.5, 2);
    rows.put(&folder, 40);
    let found = report(&folder, LINE);
    let expected = statistics(&rows, 5);
    check(&found["total"], &expected).expect("as it is");
    for (name, number) in &expected {
        let mut wrong: BTreeMap<String, f64> = expected.clone();
        wrong.insert(name.clone(), number + 2.5 * tolerance(name, &expected));
        let problem = check(&found["total"], &wrong).expect_err(name);
        assert!(problem.starts_with(&format!("{name} is")), "{problem}");
        let mut without = expected.clone();
        without.remove(name);
        check(&found["total"], &without).expect_err(name);
        let mut report = found["total"].clone();
        report[name] = Value::Null;
        check(&report, &expected).expect_err(name);
        report.as_object_mut().expect("an object").remove(name);
        check(&report, &expected).expect_err(name);
    }
}

/// A change of one logit of B is seen by every statistic that it concerns.
#[test]
fn a_changed_logit_is_seen() {
    let folder = Folder::new();
    let mut rows = rows(30, 0.0, 3);
    // B's best token of row 0, which is its target, becomes impossible; A's second best of row 1 moves to the top.
    let target = rows.targets[0].expect("a target");
    rows.b[0][target] -= 9.0;
    rows.put(&folder, 30);
    let total = &report(&folder, LINE)["total"];
    check(total, &statistics(&rows, 5)).expect("by definition");
    for name in
        ["kld_mean", "kld_max", "reverse_kld_max", "jsd_max", "delta_p_rms", "ln_ppl_ratio", "ppl_diff"]
    {
        assert!(total[name].as_f64().expect("a number") > 0.0, "{name}");
    }
    for (name, expected) in
        [("right_to_wrong", 1), ("wrong_to_right", 0), ("delta_p_down", 1), ("top_changed", 1)]
    {
        assert_eq!(total[name], expected, "{name}");
    }
}

#[test]
fn equal_input_differs_by_exactly_nothing() {
    let folder = Folder::with_assets();
    let line = "compare logits.npy logits.npy --tokens tokens.npy --device cpu --format json";
    let found = report(&folder, line);
    let total = found["total"].as_object().expect("an object");
    let is_difference = |name: &&String| {
        ["kld", "jsd", "delta_p", "ln_ppl_ratio", "ppl_diff"].iter().any(|part| name.contains(part))
            || [
                "top_changed",
                "right_to_wrong",
                "wrong_to_right",
                "ppl_ratio_se",
                "same_top_se",
                "top_overlap_se",
            ]
            .contains(&name.as_str())
    };
    let differences: Vec<&String> = total.keys().filter(is_difference).collect();
    assert!(differences.len() > 60, "{differences:?}");
    for name in differences {
        assert_eq!(total[name].as_f64(), Some(0.0), "{name} is {}", total[name]);
    }
    for name in ["ppl_ratio", "ln_ppl_cor", "same_top", "top_overlap", "rank_in_a_max", "rank_in_b_max"] {
        assert_eq!(total[name].as_f64(), Some(1.0), "{name} is {}", total[name]);
    }
    assert_eq!(found["worst"], json!([]), "no row is worse than another");
    assert!((total["ppl_a"].as_f64().expect("a number") - 46.393_364).abs() < 1e-5);
}

#[test]
fn rows_that_are_no_distribution_are_counted_and_told() {
    let folder = Folder::new();
    let mut rows = rows(24, 0.4, 4);
    rows.a[3][7] = f32::NAN;
    rows.b[3][1] = f32::NAN;
    rows.b[5][60] = f32::INFINITY;
    rows.a[9] = vec![f32::NEG_INFINITY; VOCAB];
    // Impossible in both, in B alone, in A alone; a target that is impossible in B.
    (rows.a[11][8], rows.b[11][8]) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    rows.b[12][9] = f32::NEG_INFINITY;
    rows.a[14][10] = f32::NEG_INFINITY;
    rows.put(&folder, 8);
    let output = successful(LINE, folder.run(LINE));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = statistics(&rows, 5);
    assert_eq!((expected["unsound_a"], expected["unsound_b"], expected["compared"]), (2.0, 2.0, 21.0));
    assert_eq!((expected["kld_infinite"], expected["reverse_kld_infinite"]), (1.0, 1.0));
    check(&found["total"], &expected).expect("the total");
    let said = stderr(&output);
    assert!(said.contains("2 of 24 rows are no distribution in A"), "{said}");
    assert!(said.contains("2 of 24 rows are no distribution in B"), "{said}");
    // The infinite row is the worst.
    assert_eq!(found["worst"][0]["request"], 1);
    assert_eq!(found["worst"][0]["position"], 4);
}

#[test]
fn the_worst_rows_are_told_with_their_texts() {
    let folder = Folder::with_assets();
    let mut words: Vec<String> = (0..VOCAB).map(|token| format!("w{token} ")).collect();
    words[3] = "\u{1b}[31m".to_owned();
    folder.put("words.json", serde_json::to_vec(&words).expect("JSON"));
    let rows = rows(3 * 9, 0.6, 5);
    rows.put(&folder, 9);
    let line = format!("{LINE} --vocab-file words.json --worst 4");
    let found = report(&folder, &line);
    let worst = found["worst"].as_array().expect("a list");
    let mut by_kld: Vec<(usize, f64)> =
        (0..27).map(|row| (row, statistics(&rows.part(row..row + 1), 5)["kld_mean"])).collect();
    by_kld.sort_by(|x, y| y.1.total_cmp(&x.1));
    assert_eq!(worst.len(), 4);
    for (entry, (row, kld)) in worst.iter().zip(by_kld) {
        assert_eq!(entry["request"], row / 9);
        assert_eq!(entry["position"], row % 9);
        assert!((entry["kld"].as_f64().expect("a number") - kld).abs() < 1e-6);
        assert_eq!(entry["token"], json!(rows.targets[row]));
        let context: String =
            rows.targets[row - row % 9..row].iter().flatten().map(|&token| words[token].clone()).collect();
        let expected = if context.is_empty() { Value::Null } else { json!(context) };
        assert_eq!(entry["context"], expected);
        assert_eq!(entry["top_a"].as_array().map(Vec::len), Some(5));
        let gap = entry["top_b"][0]["logprob"].as_f64().expect("one")
            - entry["top_b"][1]["logprob"].as_f64().expect("two");
        assert!((entry["gap_b"].as_f64().expect("a gap") - gap).abs() < 1e-12);
        assert_eq!(entry["near_tie"], entry["gap_a"].as_f64().expect("a gap") < 0.1);
        let token = entry["top_a"][0]["token"].as_u64().expect("an id");
        assert_eq!(entry["top_a"][0]["text"], words[usize::try_from(token).expect("small")]);
    }
    let table = folder.text(&line.replace("json --vocab", "table --vocab"));
    assert!(table.contains("worst 4 rows") && !table.contains('\u{1b}'), "{table}");
    assert_eq!(report(&folder, &format!("{LINE} --worst 0"))["worst"], json!([]));
}

#[test]
fn types_and_devices_say_the_same() {
    let folder = Folder::new();
    let rows = rows(12, 0.3, 6);
    rows.put(&folder, 4);
    for dtype in ["f16", "bf16"] {
        folder.put(&format!("{dtype}.bin"), stored(dtype, &rows.a.concat()));
    }
    let raw = format!("--shape 3,4,{VOCAB} --dtype");
    let line = format!(
        "compare f16.bin bf16.bin {raw} f16 --shape-b 3,4,{VOCAB} --dtype-b bf16 --tokens t.npy --format json"
    );
    let cpu = folder.text(&format!("{line} --device cpu"));
    for (id, _) in adapters(&folder) {
        assert_eq!(String::from_utf8_lossy(&run_on(&folder, &line, &id).stdout), cpu, "{id}");
    }
    let half = |dtype: &str| -> Vec<Vec<f32>> {
        let rounded = |x: &f32| match dtype {
            "f16" => half::f16::from_f32(*x).to_f32(),
            _ => half::bf16::from_f32(*x).to_f32(),
        };
        rows.a.iter().map(|row| row.iter().map(rounded).collect()).collect()
    };
    let rounded = Rows { a: half("f16"), b: half("bf16"), targets: rows.targets };
    let found: Value = serde_json::from_str(&cpu).expect("JSON");
    check(&found["total"], &statistics(&rounded, 10)).expect("of what is stored");
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = Folder::new();
    let all = rows(12, 0.3, 7);
    all.put(&folder, 4);
    let values = stored("f32", &all.a.concat());
    folder.put("turned.npy", npy("<f4", &format!("(4, 3, {VOCAB})"), &values));
    folder.put("flat.npy", npy("<f4", &format!("(12, {VOCAB})"), &values));
    folder.put("fewer.npy", npy("<f4", &format!("(3, 3, {VOCAB})"), &stored("f32", &all.a[..9].concat())));
    folder.put("wider.npy", npy("<f4", "(12, 64)", &stored("f32", &[0.5; 12 * 64])));
    folder.put("ids.npy", npy("<i4", "(12,)", &i32s(&[1; 12])));
    for (line, code, words) in [
        ("a.npy", 2, "required arguments were not provided"),
        ("a.npy missing.npy", 1, "missing.npy: No such file"),
        (
            "a.npy turned.npy",
            2,
            "A has 3 requests of 4 rows, B 4 requests of 3 rows: compare logits of the same text",
        ),
        ("a.npy fewer.npy", 2, "A has 3 requests of 4 rows, B 3 requests of 3 rows"),
        ("a.npy wider.npy", 2, "A has a vocabulary of 61, B of 64"),
        ("a.npy wider.npy", 2, "--vocab-size 61 leaves them out"),
        ("a.npy ids.npy", 1, "these are int32, not logits"),
        ("a.npy b.npy --tokens 1,2,3", 2, "3 tokens for logits of [3, 4] rows"),
        ("a.npy b.npy --top 0", 2, "\"0\" is no whole number from 1"),
        ("a.npy b.npy --save-top 5", 2, "--save"),
        ("- - ", 2, "standard input holds one of the inputs"),
        ("a.npy b.npy -o b.npy", 2, "b.npy would replace the input b.npy"),
        ("a.npy b.npy --save a.npy", 2, "a.npy would replace the input a.npy"),
        ("a.npy b.npy --save one --format json -o one", 2, "one would be written twice: choose another file"),
        ("a.npy --save one -o two", 2, "-o is of a comparison: give B too"),
        ("a.npy --save one --tensor-b x", 2, "--tensor-b is of a comparison"),
        ("a.npy --save one --worst 2", 2, "--worst is of a comparison"),
    ] {
        let output = folder.run(&format!("compare {line} --device cpu"));
        assert_eq!(output.status.code(), Some(code), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{line}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
    assert_eq!(folder.get("b.npy"), {
        let shape = format!("(3, 4, {VOCAB})");
        npy("<f4", &shape, &stored("f32", &all.b.concat()))
    });
    // Requests that one side alone knows are those of both.
    let found = report(&folder, "compare flat.npy b.npy --device cpu --format json");
    assert_eq!(found["requests"].as_array().map(Vec::len), Some(3));
    let padded = report(&folder, "compare wider.npy wider.npy --vocab-size 61 --device cpu --format json");
    assert_eq!(padded["total"]["compared"], 12);
    assert_eq!(padded["total"]["targets"], Value::Null, "without targets there is nothing of them");
}

#[test]
fn an_output_comes_with_how_it_was_made() {
    let folder = Folder::new();
    rows(8, 0.2, 8).put(&folder, 8);
    let line = format!("{LINE} --fail-if kld_mean>9");
    let printed = folder.printed(&line);
    successful(&line, folder.run(&format!("{line} -o out.json")));
    assert_eq!(folder.get("out.json"), printed);
    let meta: Value = serde_json::from_slice(&folder.get("out.json.meta.json")).expect("JSON");
    for (side, name) in [("a", "a.npy"), ("b", "b.npy")] {
        assert_eq!(meta[side]["file"], name);
        assert_eq!(meta[side]["sha256"], crate::common::sha256(&folder.get(name)));
        assert_eq!(meta[side]["shape"], json!([1, 8, VOCAB]));
    }
    assert_eq!(meta["output_sha256"], crate::common::sha256(&printed));
    assert_eq!(meta["options"]["fail_if"], json!(["kld_mean>9"]));
    assert_eq!(meta["options"]["tokens"], "t.npy");
    assert_eq!(meta["rows"], 8);
}
