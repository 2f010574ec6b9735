//! Top-n-sigma: logits of at least the largest less n standard deviations of the logits, whatever the temperature.
//!
//! Keep i while d(i) ≤ n·σ. d(i) is the distance below the run's largest logit, Q20, at most 256, so that a mask of
//! −10000 does not decide; σ is the population's, over the tokens of the run. Equal tokens stand and fall together. n
//! in [0, 1000], 0 is off.
//!
//! Tang, Liu, Xu, Huang, Wang: Top-nσ: Not All Logits Are You Need, arXiv 2411.07641, 2024.

use super::cut::{Cut, CutKind};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TopNSigma,
    name: "top_n_sigma",
    parameters: &[Parameter {
        name: "top_n_sigma",
        value: |params| Some(params.top_n_sigma),
        range: 0.0..=1000.0,
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::TopNSigma,
    words: |params, _| [sigmas_q16(params.top_n_sigma), 0, 0],
    keep,
    settings: &[("top_n_sigma 1", |p| p.top_n_sigma = 1.0)],
};

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated: 0 to 1000")]
fn sigmas_q16(sigmas: f32) -> u32 {
    (f64::from(sigmas) * 65_536.0).round() as u32
}

fn keep(run: &mut Run<'_>, Cut { words: [sigmas, ..], .. }: Cut) {
    let limit = sigma_distance(run, sigmas);
    let count = run.prefix_len_where(|run, key| distance(run, key) <= limit);
    run.keep_first(count);
}

/// Distance below the run's maximum, Q20, at most 256.
fn distance(run: &Run<'_>, key: i32) -> u32 {
    const FARTHEST: u32 = 1 << 28;
    let (max, bits) = (run.max_bits(), exact::bits_of_key(key));
    let half_distance = f32::from_bits(max) * 0.5 - f32::from_bits(bits) * 0.5;
    if half_distance < 1000.0 {
        exact::fixed(max, 20).wrapping_sub(exact::fixed(bits, 20)).min(FARTHEST)
    } else {
        FARTHEST
    }
}

/// So many standard deviations (Q16) of the run's logits, Q20.
fn sigma_distance(run: &mut Run<'_>, sigmas: u32) -> u32 {
    let (mut distances, mut squares, mut count) = (0u64, 0u64, 0u64);
    for (key, _) in run.tokens() {
        let distance = u64::from(distance(run, key));
        distances += distance; // Q20
        squares += (distance * distance) >> 12; // Q28
        count += 1;
    }
    let mean = (distances << 4) / count; // Q24
    let variance = (squares / count).saturating_sub((mean * mean) >> 20); // Q28
    let scaled = ((variance << 12).isqrt() * u64::from(sigmas)) >> 16; // a root of 54 bits times 26
    u32::try_from(scaled).unwrap_or(u32::MAX).min(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};

    #[test]
    fn boundaries() {
        // 0 and 1: mean a half, deviation a half, so two of them reach the lower.
        check(&[
            ("of equal logits", FLAT, |p| p.top_n_sigma = 0.5, &[0, 1, 2, 3], 1.0),
            ("two of two logits", &[0.0, 1.0], |p| p.top_n_sigma = 2.0, &[1, 0], 1.0),
            ("less than two", &[0.0, 1.0], |p| p.top_n_sigma = 1.9, &[1], 0.731_058_6),
            ("an impossible token is none", &[IMPOSSIBLE, 0.0, 0.0], |p| p.top_n_sigma = 1.9, &[1, 2], 1.0),
            ("256 is the farthest", &[0.0, -256.0, -1e30], |p| p.top_n_sigma = 2.2, &[0, 1, 2], 1.0),
        ]);
    }
}
