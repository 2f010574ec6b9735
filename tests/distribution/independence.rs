//! Draws are independent of each other: along seeds, streams, positions, and within a row.

use sortilege::{Cpu, Engine, Logits, Request, Row, SampleInputs, SamplingParams};

use crate::common::test_each;
use crate::{draws, misfit, probabilities, sixteen, small_row, unit};

/// Pairs of draws against independence: the joint frequencies against the products, and the correlation of the token
/// numbers; the larger as a multiple of its limit.
pub(crate) fn dependence(pairs: &[(u32, u32)], row: &[f32]) -> f64 {
    let p = probabilities(row, &SamplingParams::default(), true);
    let mut counts = vec![0; p.len() * p.len()];
    pairs.iter().for_each(|(a, b)| counts[*a as usize * p.len() + *b as usize] += 1);
    let products: Vec<f64> = p.iter().flat_map(|a| p.iter().map(move |b| a * b)).collect();
    let mean: f64 = p.iter().zip(0u32..).map(|(p, token)| p * f64::from(token)).sum();
    let variance: f64 = p.iter().zip(0u32..).map(|(p, token)| p * (f64::from(token) - mean).powi(2)).sum();
    let covariance: f64 = pairs.iter().map(|(a, b)| (f64::from(*a) - mean) * (f64::from(*b) - mean)).sum();
    let correlation = covariance / variance / (pairs.len() as f64).sqrt();
    misfit(&counts, &products).max(correlation.abs() / 4.891_638) // normal quantile of 1 − 0.5e-6
}

/// Every other draw with the one `lag` later, each in one pair.
fn lagged(tokens: &[u32], lag: usize) -> Vec<(u32, u32)> {
    let chunks = tokens.chunks_exact(2 * lag);
    chunks.flat_map(|chunk| (0..lag).map(|i| (chunk[i], chunk[i + lag]))).collect()
}

/// One draw each for 100 000 seeds, streams or positions; the token numbers.
fn tokens_by(row: &[f32], of: &dyn Fn(u64) -> (u64, u32, u64)) -> Vec<u32> {
    let count = 100_000;
    let (requests, positions): (Vec<Request>, Vec<u64>) = (0..count)
        .map(|number| {
            let (seed, stream, position) = of(number);
            let params = SamplingParams { seed: Some(seed), stream, ..SamplingParams::default() };
            (Request::new(params).unwrap(), position)
        })
        .unzip();
    let rows: Vec<Row<'_>> =
        requests.iter().zip(&positions).map(|(request, position)| request.row(*position)).collect();
    let batch = row.repeat(rows.len());
    Cpu.sample(&Logits::f32(&batch, rows.len(), row.len()).unwrap(), &rows, &SampleInputs::default())
        .unwrap()
        .iter()
        .map(|sample| sample.draws[0].token)
        .collect()
}

/// Seed, stream and position of a numbered draw.
type Key = fn(u64) -> (u64, u32, u64);

const KEYS: &[(&str, Key)] = &[
    ("seeds", |number| (number + 1, 0, 0)),
    ("seeds from 2^32", |number| ((number + 1) << 32, 0, 0)),
    ("streams", |number| (1, number as u32, 0)),
    ("positions", |number| (1, 0, number)),
    ("positions from 2^32", |number| (1, 0, number << 32)),
    ("seed and position", |number| (number, 0, number)),
];

#[track_caller]
fn assert_independent(pairs: &[(u32, u32)], row: &[f32]) {
    let dependence = dependence(pairs, row);
    assert!(dependence <= 1.0, "{dependence} times the limit");
}

/// At least 50 000 pairs of each kind, 7 × 7 possible cells: a share c of copies among them gives λ = 6 n c², and
/// c = 2 % (λ = 120 with 48 degrees of freedom) is found in 99 of 100 tries.
#[test]
fn draws_are_independent() {
    let row = small_row();
    let tokens: Vec<Vec<u32>> = KEYS.iter().map(|(_, of)| tokens_by(&row, of)).collect();
    let cases = KEYS.iter().zip(&tokens).flat_map(|((name, _), tokens)| {
        [1, 2, 16, 1000].map(|lag| (format!("{name}, {lag} apart"), (tokens, lag)))
    });
    test_each(cases, |(tokens, lag)| assert_independent(&lagged(tokens, lag), &row));
}

/// Draws of one row: neighbours, halves, and the first of each with the first of the next row.
#[test]
fn draws_of_a_row_are_independent() {
    let row = small_row();
    let samples = draws(&row, &sixteen(), 0, 20_000);
    let tokens: Vec<u32> =
        samples.iter().flat_map(|sample| sample.draws.iter().map(|drawn| drawn.token)).collect();
    test_each([1, 2, 4, 8, 16].map(|lag| (format!("{lag} apart"), lag)), |lag| {
        assert_independent(&lagged(&tokens, lag), &row);
    });
}

/// One draw under two seeds, streams, numbers.
#[test]
fn draws_under_two_keys_are_independent() {
    let row = small_row();
    let one = tokens_by(&row, &|number| (1, 0, number));
    let others: [(&str, Key); 3] = [
        ("seed", |number| (2, 0, number)),
        ("high seed", |number| (1 + (1 << 32), 0, number)),
        ("stream", |number| (1, 1, number)),
    ];
    test_each(others, |other| {
        let pairs: Vec<(u32, u32)> = one.iter().copied().zip(tokens_by(&row, &other)).collect();
        assert_independent(&pairs, &row);
    });
}

/// The draw takes two numbers, one for the tile of 4096 tokens and one within: both together are uniform.
#[test]
fn places_within_tiles_do_not_depend_on_the_tile() {
    let row = vec![1.0f32; 4 * 4096];
    let mut counts = vec![0u64; 64];
    for sample in draws(&row, &sixteen(), 0, 1000) {
        sample.draws.iter().for_each(|drawn| counts[drawn.token as usize / 256] += 1);
    }
    assert!(misfit(&counts, &[1.0 / 64.0; 64]) < 1.0, "{counts:?}");
    // The same for sixteen parts whose place is that of the tile: what one number for both would give.
    let tied: Vec<u64> = (0..64).map(|block| if block % 16 / 4 == block / 16 { 1000 } else { 0 }).collect();
    assert!(misfit(&tied, &[1.0 / 64.0; 64]) > 1.0);
}

#[test]
fn dependent_draws_are_rejected() {
    let row = small_row();
    let tokens = tokens_by(&row, &|number| (1, 0, number));
    let mut state = 7;
    // Every second draw repeats the one before, at 3 % of the places.
    let mut copied = tokens.clone();
    for i in (1..copied.len()).step_by(2) {
        if unit(&mut state) < 0.03 {
            copied[i] = copied[i - 1];
        }
    }
    assert!(dependence(&lagged(&tokens, 1), &row) < 1.0);
    assert!(dependence(&lagged(&copied, 1), &row) > 1.0, "{}", dependence(&lagged(&copied, 1), &row));
    // Streams that are one stream; seeds of which only half count.
    let same: Vec<(u32, u32)> = tokens.iter().map(|token| (*token, *token)).collect();
    assert!(dependence(&same, &row) > 1.0);
    let halved = tokens_by(&row, &|number| (number / 2, 0, 0));
    assert!(dependence(&lagged(&halved, 1), &row) > 1.0);
    // Antithetic pairs, of which the frequencies of single tokens say nothing.
    let mut sorted = tokens.clone();
    for pair in sorted.chunks_exact_mut(2).step_by(10) {
        pair.sort_unstable();
    }
    assert!(dependence(&lagged(&sorted, 1), &row) > 1.0, "{}", dependence(&lagged(&sorted, 1), &row));
}
