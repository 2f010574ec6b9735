//! What every filter keeps, against the definition in f64 (`sortilege::oracle`): every kind of row, size and request.

use sortilege::audit::{KnownRow, Verdict};
use sortilege::{Cpu, Engine, Logits, Order, Request, Row, Sample, SampleInputs, SamplingParams};

use crate::common::test_each;
use crate::requests::requests;
use crate::rows::{KINDS, SIZES, row_of};
use crate::{listed, sample_one};

/// What the definition has to say of a sample of one row.
fn verdict(row: &[f32], sample: &Sample, params: &SamplingParams) -> Verdict {
    let request = Request::new(listed(params)).unwrap();
    let logits = Logits::f32(row, 1, row.len()).unwrap();
    KnownRow::new(&logits, 0).sample(sample, &request.row(0), None)
}

/// Compares the engine's answer about one row to every request with the definition's, where that is clear. Returns how
/// many requests there are, and how many of them are not clear.
fn compare(row: &[f32]) -> (usize, usize) {
    let (names, list): (Vec<String>, Vec<Request>) =
        requests().into_iter().map(|(name, params)| (name, Request::new(listed(&params)).unwrap())).unzip();
    let rows: Vec<Row<'_>> = list.iter().map(|request| request.row(0)).collect();
    let batch = row.repeat(rows.len());
    let logits = Logits::f32(&batch, rows.len(), row.len()).unwrap();
    let samples = Cpu.sample(&logits, &rows, &SampleInputs::default()).unwrap();
    let answers = names.iter().zip(list.iter().zip(&samples));
    let known = KnownRow::new(&logits, 0);
    let mut unclear = 0;
    test_each(answers, |(request, sample)| {
        let verdict = known.sample(sample, &request.row(0), None);
        assert!(verdict.is_ok(), "{verdict}");
        // A probability is measured wherever the filters decided clearly.
        unclear += usize::from(verdict.error.is_none());
    });
    (list.len(), unclear)
}

#[test]
fn every_filter_keeps_what_the_definition_keeps() {
    let (mut cases, mut unclear) = (0, 0);
    let rows = KINDS.iter().flat_map(|kind| SIZES.iter().map(move |vocab| (kind, *vocab)));
    test_each(rows.map(|(kind, vocab)| (format!("{kind} {vocab}"), row_of(kind, vocab))), |row| {
        let (of_row, unclear_of_row) = compare(&row);
        cases += of_row;
        unclear += unclear_of_row;
    });
    assert!(cases > 9000 && unclear * 20 < cases, "{unclear} of {cases} cases are too near to a boundary");
}

/// A draw far below the row's maximum: a low temperature after filters that take the head away. What is left is weighed
/// against its own first token; against the row's it would have no mass.
#[test]
fn a_cold_draw_without_the_head_is_exact() {
    let plain = SamplingParams {
        order: Order::Llama,
        seed: Some(5),
        processed_logprobs: Some(4),
        ..SamplingParams::default()
    };
    let xtc = |xtc_threshold| SamplingParams { xtc_threshold, xtc_probability: 1.0, ..plain.clone() };
    let requests = [
        ("xtc", [4.0f32, 2.0, 1.0, 0.5], xtc(0.1)),
        ("xtc, small threshold", [14.0, 2.0, 1.0, 0.5], xtc(5e-6)),
        ("typical", [0.7, 0.0, 0.0, 0.0], SamplingParams { typical_p: 0.5, ..plain.clone() }),
    ];
    let temperatures = [1.0, 0.3, 0.2, 0.1, 0.06, 0.05, 0.001];
    let cases = temperatures.iter().flat_map(|&temperature| {
        requests.iter().map(move |(name, row, params)| {
            let params = SamplingParams { temperature, ..params.clone() };
            (format!("{name} at {temperature}"), (row, params))
        })
    });
    test_each(cases, |(row, params)| {
        let verdict = verdict(row, &sample_one(row, &params), &params);
        assert!(verdict.is_ok() && verdict.error.is_some(), "{verdict}");
    });
}

/// The comparison above, with the answer to a request that is a little different.
#[test]
fn another_filter_is_seen() {
    let row = row_of("normal", 1000);
    let params = SamplingParams {
        top_p: 0.8,
        temperature: 0.9,
        seed: Some(5),
        n: 16,
        processed_logprobs: Some(1024),
        ..SamplingParams::default()
    };
    let sample = sample_one(&row, &params);
    assert!(
        verdict(&row, &sample, &params).error.is_some() && (2..1000).contains(&sample.kept),
        "{sample:?}"
    );
    let others = [
        ("top_p", SamplingParams { top_p: 0.81, ..params.clone() }),
        ("temperature", SamplingParams { temperature: 0.900_01, ..params.clone() }),
        ("order", SamplingParams { order: Order::Llama, ..params.clone() }),
    ];
    test_each(others, |other| assert!(!verdict(&row, &sample, &other).is_ok()));
}
