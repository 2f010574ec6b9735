//! Worked examples published in teaching material: every one comes out of the CPU engine and of every GPU.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use serde_json::Value;
use sortilege::{Cpu, Engine, Logits, LogprobsParams};

use common::{gpus, test_each};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// Probabilities by token.
fn probabilities(engine: &dyn Engine, logits: &[f64], temperature: f64) -> Vec<f64> {
    let values: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
    let vocab = values.len();
    let params =
        LogprobsParams { top_logprobs: vocab as u32, temperature: temperature as f32, entropy: true };
    let row = Logits::f32(&values, 1, vocab).expect("a row");
    let answer = engine.logprobs(&row, &params, &[]).expect("an answer").remove(0);
    let mut by_token = vec![0.0; vocab];
    for entry in answer.distribution.top_logprobs {
        by_token[entry.token as usize] = entry.logprob.exp();
    }
    by_token
}

/// The first place where the values differ from what is printed, to the digits that are printed.
fn differs(got: &[f64], printed: &[f64], digits: i32) -> Option<String> {
    let half_unit = 0.5 * 10f64.powi(-digits) + 1e-9;
    let i = (0..printed.len()).find(|&i| (got[i] - printed[i]).abs() > half_unit || got[i].is_nan())?;
    Some(format!("place {i}: {} instead of {}", got[i], printed[i]))
}

#[track_caller]
fn assert_printed(got: &[f64], printed: &[f64], digits: i32) {
    if let Some(problem) = differs(got, printed, digits) {
        panic!("{problem}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn softmax(engine: &dyn Engine, case: &Value) {
    let logits = numbers(&case["logits"]);
    let got = probabilities(engine, &logits, number(&case["temperature"]));
    let printed = numbers(&case["probabilities"]);
    // "three classes" and "subset" are printed with three digits, the others with four.
    let digits =
        if printed.iter().all(|p| (p * 1e3).fract().min(1.0 - (p * 1e3).fract()) < 1e-9) { 3 } else { 4 };
    assert_printed(&got, &printed, digits);
    if let Some(exp) = case.get("exp").map(numbers) {
        // p · Σ exp, both out of the engine.
        let sum: f64 = (0..logits.len()).map(|i| exp[i]).sum();
        let own: Vec<f64> = got.iter().map(|p| p * sum).collect();
        assert_printed(&own, &exp, 2);
    }
}

fn shift_invariance(engine: &dyn Engine, case: &Value) {
    let (logits, add) = (numbers(&case["logits"]), number(&case["add"]));
    let shifted: Vec<f64> = logits.iter().map(|x| x + add).collect();
    assert_eq!(probabilities(engine, &logits, 1.0), probabilities(engine, &shifted, 1.0));
}

fn competition(engine: &dyn Engine, case: &Value) {
    let before = probabilities(engine, &numbers(&case["before"]), 1.0);
    let after = probabilities(engine, &numbers(&case["after"]), 1.0);
    let holds = after[0] == after[1] && after[0] < before[0] && before[0] == before[1];
    assert!(holds, "{before:?} became {after:?}");
}

fn log_probability(engine: &dyn Engine, case: &Value) {
    // Two logits with this logprob for the first: the other has the rest of the mass.
    let (p, logprob) = (number(&case["probability"]), number(&case["logprob"]));
    let got = probabilities(engine, &[p.ln(), (1.0 - p).ln()], 1.0)[0];
    assert_printed(&[got], &[p], 5);
    assert_printed(&[got], &[logprob.exp()], 2);
}

fn sequence_scores(engine: &dyn Engine, case: &Value) {
    let total = |steps: &Value| -> f64 {
        let logprob = |lp: &f64| probabilities(engine, &[*lp, (-lp.exp()).ln_1p()], 1.0)[0].ln();
        numbers(steps).iter().map(logprob).sum()
    };
    let Some(paths) = case["paths"].as_object() else {
        return assert_printed(&[total(&case["logprobs"])], &[number(&case["total"])], 4);
    };
    let totals: Vec<(&String, f64)> = paths.iter().map(|(name, steps)| (name, total(steps))).collect();
    for (name, got) in &totals {
        assert_printed(&[*got], &[number(&case["totals"][name.as_str()])], 4);
    }
    let best = totals.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a path").0;
    assert_eq!(best, case["preferred"].as_str().expect("a path"));
}

fn odds(engine: &dyn Engine, case: &Value) {
    let got = probabilities(engine, &numbers(&case["logits"]), 1.0);
    assert_printed(&[got[0] / got[1]], &[number(&case["ratio"])], 3);
}

fn rejected_example(engine: &dyn Engine, case: &Value) {
    let got = probabilities(engine, &numbers(&case["logits"]), 1.0);
    assert_printed(&got, &[0.5507, 0.2735, 0.1358, 0.0370, 0.0030], 4);
    assert!(differs(&got, &numbers(&case["printed"]), 3).is_some(), "the wrong values came out");
}

type Check = fn(&dyn Engine, &Value);

const SECTIONS: &[(&str, Check)] = &[
    ("softmax", softmax),
    ("shift_invariance", shift_invariance),
    ("competition", competition),
    ("log_probability", log_probability),
    ("sequence_scores", sequence_scores),
    ("odds", odds),
    ("rejected_example", rejected_example),
];

fn check(id: &str, engine: &dyn Engine, tables: &Value) {
    let sections = tables.as_object().expect("sections").len();
    assert_eq!(sections, 1 + SECTIONS.len(), "`about` and what is checked");
    let cases = SECTIONS.iter().flat_map(|&(section, holds)| {
        let section_cases = &tables[section];
        let list = section_cases.as_array().map_or(std::slice::from_ref(section_cases), Vec::as_slice);
        assert!(!list.is_empty(), "{section}");
        list.iter().zip(0..).map(move |(case, place)| {
            let name = case["name"].as_str().map_or_else(|| format!("{section} {place}"), str::to_owned);
            (format!("{}, {name}", id), (holds, case))
        })
    });
    test_each(cases, |(holds, case)| holds(engine, case));
}

#[test]
fn every_table_comes_out_of_every_engine() {
    let cases: Value = serde_json::from_str(include_str!("data/known_tables.json")).expect("JSON");
    check("cpu", &Cpu, &cases);
    for gpu in gpus() {
        check(&gpu.info().name, &gpu, &cases);
    }
}

#[test]
#[should_panic(expected = "capital: place 0")]
fn a_wrong_table_is_seen() {
    let text = include_str!("data/known_tables.json").replacen("[0.8437,", "[0.8438,", 1);
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    check("cpu", &Cpu, &cases);
}
