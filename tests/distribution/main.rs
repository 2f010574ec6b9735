//! The draws of the CPU engine have the distribution that they should, and are independent of each other. Seeds are
//! fixed; a test rejects at a probability of 1e-6. Beside each stands one in which the same statistic must reject.
//!
//! Power: Pearson's statistic is noncentral with λ = n Σ δ²/p, where δ are the shifts of the probabilities. At this
//! level λ = 80 is found in 99 of 100 tries with 7 degrees of freedom, λ = 160 with 99. So a million draws show a token
//! of p = 0.5 that is too frequent by 1 % (λ = 100), one of p = 0.01 by 10 % (λ = 101).
#![expect(clippy::cast_possible_truncation, reason = "a test")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod frequencies;
mod independence;
mod mutants;
mod tail;
mod trees;

use sortilege::{Cpu, Engine, Logits, Request, Row, Sample, SampleInputs, SamplingParams, oracle};

/// Standard normal quantile of 1 − 1e-6.
const Z: f64 = 4.753_424;

/// What a χ² variable exceeds with probability 1e-6: Wilson and Hilferty 1931. It errs upwards, to 28 for 24 at one
/// degree of freedom, 42 for 40.5 at seven, less than 1 % from thirty on.
fn chi_square_limit(freedom: usize) -> f64 {
    let width = 2.0 / (9.0 * freedom as f64);
    freedom as f64 * (1.0 - width + Z * width.sqrt()).powi(3)
}

/// Pearson's statistic of counts against probabilities, cells pooled until 5 are expected in each, as a multiple of its
/// limit: over 1 rejects. Infinite if something was drawn that has no probability.
fn misfit(counts: &[u64], probabilities: &[f64]) -> f64 {
    assert_eq!(counts.len(), probabilities.len());
    let total = counts.iter().sum::<u64>() as f64;
    assert!(total > 0.0 && (probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    if counts.iter().zip(probabilities).any(|(count, p)| *count > 0 && *p == 0.0) {
        return f64::INFINITY;
    }
    let mut cells: Vec<(f64, f64)> =
        probabilities.iter().zip(counts).map(|(p, count)| (p * total, *count as f64)).collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut pooled, mut open) = (Vec::new(), (0.0, 0.0));
    for (expected, count) in cells {
        open = (open.0 + expected, open.1 + count);
        if open.0 >= 5.0 {
            pooled.push(std::mem::take(&mut open));
        }
    }
    assert_eq!(open.0, 0.0, "the most probable token closes its own cell");
    assert!(pooled.len() > 1, "one cell says nothing");
    let statistic: f64 = pooled.iter().map(|(expected, count)| (count - expected).powi(2) / expected).sum();
    statistic / chi_square_limit(pooled.len() - 1)
}

/// Requests of consecutive positions, `rows` of them, and their draws.
fn draws(row: &[f32], params: &SamplingParams, first: u64, rows: usize) -> Vec<Sample> {
    let request = Request::new(params.clone()).unwrap();
    let batch = row.repeat(rows);
    let rows: Vec<Row<'_>> =
        (0..rows as u64).map(|position| request.row(first + position).detached()).collect();
    Cpu.sample(&Logits::f32(&batch, rows.len(), row.len()).unwrap(), &rows, &SampleInputs::default()).unwrap()
}

/// How often each token was drawn at so many positions.
fn count(row: &[f32], params: &SamplingParams, rows: usize) -> Vec<u64> {
    let mut counts = vec![0; row.len()];
    for first in (0..rows).step_by(20_000) {
        for sample in draws(row, params, first as u64, (rows - first).min(20_000)) {
            sample.draws.iter().for_each(|drawn| counts[drawn.token as usize] += 1);
        }
    }
    counts
}

/// Probability of each token, by the oracle.
fn probabilities(row: &[f32], params: &SamplingParams, xtc_acts: bool) -> Vec<f64> {
    let steps = oracle::steps(&params.order, params.mirostat.is_some());
    let truth = oracle::sampling(row, params, &steps, 0.0, xtc_acts).unwrap();
    assert!(truth.margin > 1e-6, "the case is not clear");
    let mut probabilities = vec![0.0; row.len()];
    for (token, logprob) in truth.kept.iter().zip(&truth.logprobs) {
        probabilities[*token as usize] = logprob.exp();
    }
    probabilities
}

/// Eight tokens, the second with half of the mass; one is impossible.
fn small_row() -> Vec<f32> {
    [0.1f32, 0.5, 0.15, 0.12, 0.05, 0.0, 0.049, 0.031].iter().map(|p| p.ln()).collect()
}

/// A hundred tokens with a tail of one in 10 000.
fn large_row() -> Vec<f32> {
    (0..100).map(|token| -2.0 * ((token * 37 % 100 + 1) as f32).ln()).collect()
}

fn sixteen() -> SamplingParams {
    SamplingParams { seed: Some(2024), n: 16, ..SamplingParams::default() }
}

/// Uniform in [0, 1), 53 bits: the state of a xorshift64* (Vigna 2016), nothing of the engine's.
fn unit(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / 9_007_199_254_740_992.0
}
