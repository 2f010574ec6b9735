//! The tables of llama.cpp's `tests/test-sampling.cpp`, where the meaning is the same.

use sortilege::{Cpu, Dry, Engine, Logits, Order, Request, SampleInputs, SamplingParams, SamplingStep};

use crate::common::test_each;
use crate::sample_one;

/// Logits from probabilities, as llama.cpp's tests make them.
fn logits_of(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

type Change = fn(&mut SamplingParams);

const TENTHS: [f32; 4] = [0.1, 0.2, 0.3, 0.4];
const FIFTHS: [f32; 4] = [0.4, 0.2, 0.2, 0.2];
const PEAKED: [f32; 4] = [0.97, 0.01, 0.01, 0.01];

/// Name, probabilities, request, probabilities of the tokens that are kept. Differences from llama.cpp:
/// - XTC and typical-p leave probabilities that do not sum to 1 there; here they do: the table is divided by its sum.
/// - The list is not sorted there after min-p; here every list is in order.
/// - Temperature 0 leaves one token there; here it is greedy and reports the distribution at temperature 1.
/// - XTC's probability is 0.99 there and the coin known to act; here it is 1.
/// - min-p over 1 is an error here.
const FILTERS: &[(&str, [f32; 4], Change, &[f64])] = &[
    ("temp 1", TENTHS, |p| p.temperature = 1.0, &[0.4, 0.3, 0.2, 0.1]),
    ("temp_ext 1, 0", TENTHS, |p| p.dynatemp_range = 0.0, &[0.4, 0.3, 0.2, 0.1]),
    ("top_k 1", TENTHS, |p| p.top_k = 1, &[1.0]),
    ("top_k 3", TENTHS, |p| p.top_k = 3, &[0.44444, 0.33333, 0.22222]),
    ("top_k 4", TENTHS, |p| p.top_k = 4, &[0.4, 0.3, 0.2, 0.1]),
    ("top_k 0", TENTHS, |p| p.top_k = 0, &[0.4, 0.3, 0.2, 0.1]),
    ("top_p 0", TENTHS, |p| p.top_p = 0.0, &[1.0]),
    ("top_p 0.7", TENTHS, |p| p.top_p = 0.7, &[0.571_429, 0.428_571]),
    ("top_p 0.8", TENTHS, |p| p.top_p = 0.8, &[0.44444, 0.33333, 0.22222]),
    ("top_p 1", TENTHS, |p| p.top_p = 1.0, &[0.4, 0.3, 0.2, 0.1]),
    ("min_p 0", TENTHS, |p| p.min_p = 0.0, &[0.4, 0.3, 0.2, 0.1]),
    ("min_p 0.24", TENTHS, |p| p.min_p = 0.24, &[0.4, 0.3, 0.2, 0.1]),
    ("min_p 0.26", TENTHS, |p| p.min_p = 0.26, &[0.4 / 0.9, 0.3 / 0.9, 0.2 / 0.9]),
    ("min_p 0.49", TENTHS, |p| p.min_p = 0.49, &[0.4 / 0.9, 0.3 / 0.9, 0.2 / 0.9]),
    ("min_p 0.51", TENTHS, |p| p.min_p = 0.51, &[0.4 / 0.7, 0.3 / 0.7]),
    ("min_p 0.74", TENTHS, |p| p.min_p = 0.74, &[0.4 / 0.7, 0.3 / 0.7]),
    ("min_p 0.76", TENTHS, |p| p.min_p = 0.76, &[1.0]),
    ("min_p 1", TENTHS, |p| p.min_p = 1.0, &[1.0]),
    ("xtc 0.09", TENTHS, |p| (p.xtc_probability, p.xtc_threshold) = (1.0, 0.09), &[1.0]),
    ("xtc 0.19", TENTHS, |p| (p.xtc_probability, p.xtc_threshold) = (1.0, 0.19), &[0.2 / 0.3, 0.1 / 0.3]),
    (
        "xtc 0.29",
        TENTHS,
        |p| (p.xtc_probability, p.xtc_threshold) = (1.0, 0.29),
        &[0.3 / 0.6, 0.2 / 0.6, 0.1 / 0.6],
    ),
    ("xtc 0.39", TENTHS, |p| (p.xtc_probability, p.xtc_threshold) = (1.0, 0.39), &[0.4, 0.3, 0.2, 0.1]),
    ("typical, even", FIFTHS, |p| p.typical_p = 0.5, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]),
    ("sigma 1", TENTHS, |p| p.top_n_sigma = 1.0, &[0.571_429, 0.428_571]),
    ("typical, peaked", PEAKED, |p| p.typical_p = 0.5, &[1.0]),
    ("sigma 3", TENTHS, |p| p.top_n_sigma = 3.0, &[0.4, 0.3, 0.2, 0.1]),
];

#[test]
fn filters_hold() {
    let orders = [Order::Llama, Order::Vllm];
    let cases = orders
        .iter()
        .flat_map(|order| FILTERS.iter().map(move |case| (format!("{}, {order:?}", case.0), (order, case))));
    test_each(cases, |(order, &(_, row, change, expected))| {
        let mut params = SamplingParams {
            order: order.clone(),
            seed: Some(5),
            processed_logprobs: Some(4),
            ..SamplingParams::default()
        };
        change(&mut params);
        let sample = sample_one(&logits_of(&row), &params);
        let got: Vec<f64> = sample.processed.top_logprobs.iter().map(|entry| entry.logprob.exp()).collect();
        assert_near(&got, expected);
    });
    let greedy = SamplingParams { temperature: 0.0, seed: Some(5), ..SamplingParams::default() };
    assert_eq!(sample_one(&logits_of(&TENTHS), &greedy).draws[0].token, 3);
}

fn assert_near(got: &[f64], expected: &[f64]) {
    let is_near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-5);
    assert!(got.len() == expected.len() && is_near, "{got:?} for {expected:?}");
}

/// Tables of penalties and DRY: history, what is asked, probabilities by token.
#[test]
fn penalties_hold() {
    let penalties = |repetition_penalty, frequency_penalty, presence_penalty| SamplingParams {
        repetition_penalty,
        frequency_penalty,
        presence_penalty,
        ..SamplingParams::default()
    };
    let dry = |multiplier, allowed_length, sequence_breakers: &[u32]| SamplingParams {
        dry: Some(Dry {
            multiplier,
            base: 1.1,
            allowed_length,
            last_n: None,
            sequence_breakers: sequence_breakers.to_vec(),
        }),
        ..SamplingParams::default()
    };
    let even = [0.2; 5];
    let cases: &[(&[u32], SamplingParams, &[f64])] = &[
        (&[0], penalties(50.0, 0.0, 0.0), &[0.0, 0.25, 0.25, 0.25, 0.25]),
        (&[0, 1, 2], penalties(50.0, 0.0, 0.0), &[0.0, 0.0, 0.0, 0.5, 0.5]),
        (&[0, 1, 2, 0, 0], penalties(50.0, 0.0, 0.0), &[0.0, 0.0, 0.0, 0.5, 0.5]),
        (&[0], penalties(1.0, 5.0, 5.0), &[0.000_011, 0.249_997, 0.249_997, 0.249_997, 0.249_997]),
        (&[0, 1, 2], penalties(1.0, 5.0, 5.0), &[0.000_023, 0.000_023, 0.000_023, 0.499_966, 0.499_966]),
        (&[0, 1, 2, 0, 0], penalties(1.0, 5.0, 5.0), &[0.0, 0.000_023, 0.000_023, 0.499_977, 0.499_977]),
        (&[0, 1], dry(1.0, 2, &[]), &[0.25; 4]),
        (&[0, 1, 2, 0, 1], dry(1.0, 2, &[]), &[0.296_923, 0.296_923, 0.109_232, 0.296_923]),
        (&[0, 1, 3, 4, 0, 1], dry(1.0, 2, &[3]), &even),
        (&[0, 1, 2, 0, 1], dry(2.0, 2, &[]), &[0.241_818, 0.241_818, 0.032_727, 0.241_818, 0.241_818]),
        (&[0, 1, 2, 3, 4, 0, 1], dry(1.0, 4, &[]), &even),
    ];
    let name = |history: &[u32], params: &SamplingParams| format!("{history:?} {params:?}");
    test_each(cases.iter().map(|case| (name(case.0, &case.1), case)), |(history, params, expected)| {
        let params = SamplingParams {
            penalty_last_n: Some(history.len() as u32),
            processed_logprobs: Some(5),
            seed: Some(5),
            ..params.clone()
        };
        let vocab = expected.len();
        let row = logits_of(&vec![1.0 / vocab as f32; vocab]);
        let request = Request::with_prompt(params, history).unwrap();
        let logits = Logits::f32(&row, 1, vocab).unwrap();
        let sample = Cpu.sample(&logits, &[request.row(0)], &SampleInputs::default()).unwrap().remove(0);
        let mut got = vec![f64::NAN; vocab];
        sample
            .processed
            .top_logprobs
            .iter()
            .for_each(|entry| got[entry.token as usize] = entry.logprob.exp());
        assert_near(&got, expected);
    });
}

/// Compositions: logits ln(id) over 10 000 ids, of which 0 is impossible (here never kept, there at times), and integer
/// rules for the number that is kept.
#[test]
fn compositions_hold() {
    let row: Vec<f32> = (0..10_000).map(|id| (id as f32).ln()).collect();
    let mut cases = vec![
        ("k", 10_000, 1.0, 1.0),
        ("k", 1, 1.0, 1.0),
        ("p", 10_000, 1.0, 1.0),
        ("p", 10_000, 0.0, 1.0),
        ("m", 10_000, 1.0, 1.0),
        ("m", 10_000, 1.0, 1e-12),
        ("k", 100, 1.0, 1.0),
        ("p", 10_000, 0.0003, 1.0),
        ("p", 10_000, 0.8, 1.0),
        ("m", 10_000, 1.0, 9997.9 / 9999.0),
        ("m", 10_000, 1.0, 0.1),
        ("mp", 100, 0.8, 9997.9 / 9999.0),
    ];
    for sequence in ["kp", "km", "pk", "pm", "mk", "mp", "kpm", "kmp", "pkm", "pmk", "mkp", "mpk"] {
        cases.push((sequence, 100, 0.8, 0.1));
    }
    let name = |(sequence, top_k, top_p, min_p): (&str, u32, f32, f32)| {
        format!("{sequence} {top_k} {top_p} {min_p}")
    };
    test_each(cases.into_iter().map(|case| (name(case), case)), |(sequence, top_k, top_p, min_p)| {
        let (order, kept) = kept_by_rule(sequence, top_k, top_p, min_p);
        let params = SamplingParams {
            order: Order::List(order),
            top_k,
            top_p,
            min_p,
            seed: Some(5),
            ..SamplingParams::default()
        };
        assert_eq!(u64::from(sample_one(&row, &params).kept), kept);
    });
}

/// The order that the letters name, and how many ids it keeps.
fn kept_by_rule(sequence: &str, top_k: u32, top_p: f32, min_p: f32) -> (Vec<SamplingStep>, u64) {
    let mut kept = 9999u64; // the largest ids
    let mass = |count: u64| (10_000 - count..10_000).sum::<u64>();
    let mut order = Vec::new();
    for letter in sequence.chars() {
        let (filter, left) = match letter {
            'k' => (SamplingStep::TopK, u64::from(top_k)),
            'p' => {
                let wanted = (f64::from(top_p) * mass(kept) as f64).ceil() as u64;
                (SamplingStep::TopP, (1..kept).find(|count| mass(*count) >= wanted).unwrap_or(kept))
            }
            _ => (SamplingStep::MinP, ((1.0 - f64::from(min_p)) * 10_000.0).ceil() as u64),
        };
        order.push(filter);
        kept = left.clamp(1, kept);
    }
    (order, kept)
}
