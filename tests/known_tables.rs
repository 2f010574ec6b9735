//! Worked examples published in teaching material: every one comes out of the CPU engine and of every GPU.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use serde_json::Value;
use sortilege::{Logits, Params, Record, cpu};

/// Computes records: the CPU engine or one GPU.
type Engine<'a> = (&'a str, &'a dyn Fn(&Logits<'_>, &Params) -> Vec<Record>);

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// Probabilities by token.
fn probabilities(engine: Engine<'_>, logits: &[f64], temperature: f64) -> Vec<f64> {
    let values: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
    let vocab = values.len();
    let params = Params { top_k: vocab as u32, temperature: temperature as f32 };
    let record = engine.1(&Logits::f32(&values, 1, vocab).expect("a row"), &params).remove(0);
    let mut by_token = vec![0.0; vocab];
    for entry in record.top {
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

fn check(engine: Engine<'_>, cases: &Value) {
    let mut wrong = Vec::new();
    let mut expect = |name: &str, problem: Option<String>| {
        wrong.extend(problem.map(|problem| format!("{}, {name}: {problem}", engine.0)));
    };
    for case in cases["softmax"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("a name");
        let temperature = case["temperature"].as_f64().expect("a temperature");
        let logits = numbers(&case["logits"]);
        let got = probabilities(engine, &logits, temperature);
        let printed = numbers(&case["probabilities"]);
        // "three classes" and "subset" are printed with three digits, the others with four.
        let digits =
            if printed.iter().all(|p| (p * 1e3).fract().min(1.0 - (p * 1e3).fract()) < 1e-9) { 3 } else { 4 };
        expect(name, differs(&got, &printed, digits));
        if let Some(exp) = case.get("exp").map(numbers) {
            // p · Σ exp, both out of the engine.
            let sum: f64 = (0..logits.len()).map(|i| exp[i]).sum();
            let own: Vec<f64> = got.iter().map(|p| p * sum).collect();
            expect(name, differs(&own, &exp, 2));
        }
    }
    for case in cases["shift_invariance"].as_array().expect("cases") {
        let (logits, add) = (numbers(&case["logits"]), case["add"].as_f64().expect("a number"));
        let shifted: Vec<f64> = logits.iter().map(|x| x + add).collect();
        let (before, after) = (probabilities(engine, &logits, 1.0), probabilities(engine, &shifted, 1.0));
        expect("shift", (before != after).then(|| format!("{before:?} became {after:?}")));
    }
    for case in cases["competition"].as_array().expect("cases") {
        let before = probabilities(engine, &numbers(&case["before"]), 1.0);
        let after = probabilities(engine, &numbers(&case["after"]), 1.0);
        let holds = after[0] == after[1] && after[0] < before[0] && before[0] == before[1];
        expect("competition", (!holds).then(|| format!("{before:?} became {after:?}")));
    }
    for case in cases["log_probability"].as_array().expect("cases") {
        // Two logits with this logprob for the first: the other has the rest of the mass.
        let (p, lp) = (case["probability"].as_f64().expect("p"), case["logprob"].as_f64().expect("lp"));
        let got = probabilities(engine, &[p.ln(), (1.0 - p).ln()], 1.0)[0];
        expect("log-probability", differs(&[got], &[p], 5).or_else(|| differs(&[got], &[lp.exp()], 2)));
    }
    for case in cases["sequence_scores"].as_array().expect("cases") {
        let total = |steps: &Value| -> f64 {
            numbers(steps)
                .iter()
                .map(|lp| probabilities(engine, &[*lp, (-lp.exp()).ln_1p()], 1.0)[0].ln())
                .sum()
        };
        if let Some(paths) = case["paths"].as_object() {
            let totals: Vec<(&String, f64)> =
                paths.iter().map(|(name, steps)| (name, total(steps))).collect();
            for (name, got) in &totals {
                expect(
                    name,
                    differs(&[*got], &[case["totals"][name.as_str()].as_f64().expect("a total")], 4),
                );
            }
            let best = totals.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a path").0;
            expect("preferred", (best != case["preferred"].as_str().expect("a path")).then(|| best.clone()));
        } else {
            expect(
                "sequence",
                differs(&[total(&case["logprobs"])], &[case["total"].as_f64().expect("a total")], 4),
            );
        }
    }
    for case in cases["odds"].as_array().expect("cases") {
        let got = probabilities(engine, &numbers(&case["logits"]), 1.0);
        expect("odds", differs(&[got[0] / got[1]], &[case["ratio"].as_f64().expect("a ratio")], 3));
    }
    let rejected = &cases["rejected_example"];
    let got = probabilities(engine, &numbers(&rejected["logits"]), 1.0);
    expect("rejected", differs(&got, &[0.5507, 0.2735, 0.1358, 0.0370, 0.0030], 4));
    let as_printed = differs(&got, &numbers(&rejected["printed"]), 3);
    expect("rejected", as_printed.is_none().then(|| "the wrong values came out".to_owned()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_table_comes_out_of_every_engine() {
    let cases: Value = serde_json::from_str(include_str!("data/known_tables.json")).expect("JSON");
    let on_cpu = |logits: &Logits<'_>, params: &Params| cpu::record(logits, params, &[]).expect("a record");
    check(("cpu", &on_cpu), &cases);
    for gpu in common::gpus() {
        let on_gpu =
            |logits: &Logits<'_>, params: &Params| gpu.record(logits, params, &[]).expect("a record");
        check((&gpu.info().name.clone(), &on_gpu), &cases);
    }
}

#[test]
#[should_panic(expected = "capital: place 0")]
fn a_wrong_table_is_seen() {
    let text = include_str!("data/known_tables.json").replacen("[0.8437,", "[0.8438,", 1);
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    check(("cpu", &|logits, params| cpu::record(logits, params, &[]).expect("a record")), &cases);
}
