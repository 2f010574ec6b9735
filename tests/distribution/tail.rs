//! The tail: many tokens that are seldom drawn, where samplers that add Gumbel noise in f32 fail.

use crate::{draws, misfit, sixteen, unit};

const TAIL: usize = 200_000;

/// One token above a flat tail.
fn head_and_tail(head: f32) -> Vec<f32> {
    let mut row = vec![0.0; TAIL + 1];
    row[0] = head;
    row
}

fn tail_share(head: f64) -> f64 {
    TAIL as f64 / (TAIL as f64 + head.exp())
}

/// How often the head was drawn, and each of sixteen parts of the tail.
fn count_blocks(head: f32, rows: usize) -> Vec<u64> {
    let row = head_and_tail(head);
    let mut counts = vec![0; 17];
    for first in (0..rows).step_by(25) {
        for sample in draws(&row, &sixteen(), first as u64, 25) {
            for drawn in sample.draws {
                let token = drawn.token as usize;
                counts[if token == 0 { 0 } else { 1 + (token - 1) * 16 / TAIL }] += 1;
            }
        }
    }
    counts
}

/// Probabilities of head and parts.
fn block_shares(head: f64) -> Vec<f64> {
    let tail = tail_share(head);
    let mut shares = vec![tail / 16.0; 17];
    shares[0] = 1.0 - tail;
    shares
}

/// Whether so many draws from the tail are too many or too few: exact binomial tails below 0.5e-6 each.
fn rejects_tail(tail: u64, draws: u64, share: f64) -> bool {
    // Probability of each number of tail draws, from the one before.
    let mut term = (draws as f64 * (-share).ln_1p()).exp();
    let (mut below, mut at_least) = (0.0, 1.0);
    for number in 0..tail {
        below += term;
        at_least -= term;
        term *= (draws - number) as f64 / (number + 1) as f64 * share / (1.0 - share);
    }
    below + term < 0.5e-6 || at_least < 0.5e-6
}

/// A head at 18 above 200 000 tokens at 0: 3 draws of 1000 are from the tail. Of 8000 draws 24 are expected, 4 or 53
/// would be rejected. With a head at 12 half of the draws are from the tail, uniformly.
#[test]
fn the_tail_is_drawn_at_its_share() {
    let counts = count_blocks(18.0, 500);
    let tail: u64 = counts[1..].iter().sum();
    assert!(
        !rejects_tail(tail, 8000, tail_share(18.0)),
        "{tail} of 8000, {} expected",
        8000.0 * tail_share(18.0)
    );
    let counts = count_blocks(12.0, 300);
    assert!(misfit(&counts, &block_shares(12.0)) < 1.0, "{counts:?}");
    // The same with most of one part's draws in its neighbour.
    let mut moved = counts;
    let most = moved[3] * 3 / 4;
    (moved[3], moved[4]) = (moved[3] - most, moved[4] + most);
    assert!(misfit(&moved, &block_shares(12.0)) > 1.0, "{moved:?}");
}

/// `−ln(−ln u)` in f32 with u of 24 bits, as samplers that add Gumbel noise compute it. It ends at 16.6.
fn gumbel_f32(number: u64) -> f32 {
    let uniform = number.max(1) as f32 / 16_777_216.0;
    -(-uniform.ln()).ln()
}

/// Such a sampler, on the row above: the head with its noise against the largest noise of the tail, which is that of
/// the largest of 200 000 24-bit numbers; its distribution function is (k / 2^24)^200000. `noise` says how fine it is.
fn gumbel_tail_draws(draws: u64, noise: fn(f64) -> f64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    (0..draws)
        .map(|_| {
            let head = 18.0 + noise(unit(&mut state));
            let largest = unit(&mut state).powf(1.0 / TAIL as f64);
            u64::from(noise(largest) > head)
        })
        .sum()
}

#[test]
fn a_gumbel_sampler_with_f32_noise_is_rejected() {
    let share = tail_share(18.0);
    let draws = 8000;
    let coarse = gumbel_tail_draws(draws, |uniform| f64::from(gumbel_f32((uniform * 16_777_216.0) as u64)));
    assert!(rejects_tail(coarse, draws, share), "{coarse} of {}", draws as f64 * share);
    // The noise is what is wrong with it: in f64 the same sampler passes.
    let fine = gumbel_tail_draws(draws, |uniform| -(-uniform.max(1e-300).ln()).ln());
    assert!(!rejects_tail(fine, draws, share), "{fine} of {}", draws as f64 * share);
}
