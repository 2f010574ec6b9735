//! Comparators: bits against bits, results against the definition.

use super::ERROR_FLOOR;
use crate::answer::Sample;
use crate::answer::{Logprobs, Status};
use crate::proof::oracle::Truth;

/// The larger error; a NaN is the worst.
pub(super) fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

/// The first field in which two records differ.
pub(super) fn difference(got: &Logprobs, expected: &Logprobs) -> Option<String> {
    (got != expected).then(|| {
        let place = (0..got.distribution.top_logprobs.len().max(expected.distribution.top_logprobs.len()))
            .find(|&i| format!("{:?}", got.distribution.top_logprobs.get(i)) != format!("{:?}", expected.distribution.top_logprobs.get(i)));
        match place {
            Some(i) => format!("entry {i} is {:?} instead of {:?}", got.distribution.top_logprobs.get(i), expected.distribution.top_logprobs.get(i)),
            None => format!(
                "{:?} max {} logsumexp {} entropy {} target {:?} instead of {:?} max {} logsumexp {} entropy {} target {:?}",
                got.distribution.status, got.distribution.max, got.distribution.logsumexp, got.distribution.entropy, got.target, expected.distribution.status, expected.distribution.max,
                expected.distribution.logsumexp, expected.distribution.entropy, expected.target
            ),
        }
    })
}

/// The first field in which two samples differ.
pub(super) fn sample_difference(got: &Sample, expected: &Sample) -> Option<String> {
    (got != expected).then(|| {
        let lines = |sample: &Sample| -> Vec<String> {
            let Sample { status, draws, seed, temperature, kept, kept_mass, accepted, processed, raw, .. } = sample;
            vec![
                format!("{status:?}, {kept} tokens kept, of mass {kept_mass}, T {temperature}, accepted {accepted:?}, seed {seed}"),
                format!("draws {draws:?}"),
                format!("processed {processed:?}"),
                format!("raw {raw:?}"),
            ]
        };
        let (got, expected) = (lines(got), lines(expected));
        let place = got.iter().zip(&expected).position(|(got, expected)| got != expected).unwrap_or(0);
        // The first place where the words differ, with what surrounds it: lists are long.
        let (got, expected) = (&got[place], &expected[place]);
        let same = got.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
        let around = |words: &String| -> String {
            words.chars().skip(same.saturating_sub(60)).take(160).collect()
        };
        let what = got.split(' ').next().unwrap_or_default();
        format!("{what}: …{} instead of …{}", around(got), around(expected))
    })
}

/// Worst error of a record's probable logprobs, log-sum-exp and entropy, and what else the definition has against it.
pub(super) fn against_truth(
    got: &Logprobs,
    truth: Option<&Truth>,
    row: &[f32],
    top_k: u32,
) -> (Option<f64>, Option<String>) {
    let Some(truth) = truth else {
        return (
            None,
            (got.distribution.status == Status::Ok)
                .then(|| "is no distribution, but the record says ok".to_owned()),
        );
    };
    if got.distribution.status != Status::Ok {
        return (None, Some(format!("is a distribution, but the record says {:?}", got.distribution.status)));
    }
    let tokens: Vec<u32> = got.distribution.top_logprobs.iter().map(|entry| entry.token).collect();
    let mut wrong = token_difference(&tokens, &truth.order[..truth.order.len().min(top_k as usize)]);
    let logprobs = got.distribution.top_logprobs.iter().map(|entry| (entry.token, entry.logprob));
    let mut error = 0.0;
    for (token, logprob) in logprobs.chain(got.target.map(|target| (target.token, target.logprob))) {
        let truth = truth.logprobs[token as usize];
        if truth > ERROR_FLOOR.ln() {
            error = worse(error, (logprob - truth).abs());
        }
    }
    let scale = 1.0 + truth.logsumexp.abs() * 1e-9; // f64 itself has 16 digits
    error = worse(error, (got.distribution.logsumexp - truth.logsumexp).abs() / scale);
    error = worse(error, (got.distribution.entropy - truth.entropy).abs());
    if let Some(target) = got.target {
        let counts = Truth::rank_counts(row, target.token);
        if counts != (target.n_greater, target.n_equal) {
            wrong.get_or_insert(format!(
                "rank counts {:?} instead of {counts:?}",
                (target.n_greater, target.n_equal)
            ));
        }
    }
    (Some(error), wrong)
}

/// Distance from the truth beyond the rounding to f32 itself.
pub(super) fn nearest_error(got: f32, truth: f64) -> f64 {
    if f64::from(got) == truth || (truth < f64::from(f32::MIN) && got == f32::NEG_INFINITY) {
        return 0.0;
    }
    let half_ulp = f64::from(f32::EPSILON) / 2.0 * truth.abs();
    ((f64::from(got) - truth).abs() - half_ulp).max(0.0)
}

/// The first place where two runs of floats differ in their bits; any NaN equals any other.
pub(super) fn float_difference(got: &[f32], expected: &[f32]) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{} values instead of {}", got.len(), expected.len()));
    }
    let place = got.iter().zip(expected).position(|(got, expected)| {
        got.to_bits() != expected.to_bits() && !(got.is_nan() && expected.is_nan())
    })?;
    Some(format!("value {place} is {:e} instead of {:e}", got[place], expected[place]))
}

pub(super) fn token_difference(got: &[u32], expected: &[u32]) -> Option<String> {
    let place = (0..got.len().max(expected.len())).find(|&i| got.get(i) != expected.get(i))?;
    Some(format!("place {place} holds token {:?} instead of {:?}", got.get(place), expected.get(place)))
}
