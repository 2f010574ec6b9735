//! The draws of the CPU engine have the distribution that they should, and are independent of each other. Seeds are
//! fixed; a test rejects at a probability of 1e-6. Beside each stands one in which the same statistic must reject.
//!
//! Power: Pearson's statistic is noncentral with λ = n Σ δ²/p, where δ are the shifts of the probabilities. At this
//! level λ = 80 is found in 99 of 100 tries with 7 degrees of freedom, λ = 160 with 99. So a million draws show a token
//! of p = 0.5 that is too frequent by 1 % (λ = 100), one of p = 0.01 by 10 % (λ = 101).
#![expect(clippy::cast_possible_truncation, reason = "a test")]

use sortilege::cpu::{self, SampleInputs};
use sortilege::{Logits, Order, Request, Row, Sample, SamplingParams, SamplingStep, oracle};

/// Standard normal quantile of 1 − 1e-6.
const Z: f64 = 4.753_424;

/// What a χ² variable exceeds with probability 1e-6: Wilson and Hilferty 1931. It errs upwards, to 28 for 24 at one degree
/// of freedom, 42 for 40.5 at seven, less than 1 % from thirty on.
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
    let rows: Vec<Row<'_>> = (0..rows as u64).map(|position| request.row(first + position)).collect();
    cpu::sample(&Logits::f32(&batch, rows.len(), row.len()).unwrap(), &rows, &SampleInputs::default())
        .unwrap()
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

/// 62 500 positions of 16 draws: a million.
const ROWS: usize = 62_500;

#[test]
fn frequencies_are_the_probabilities() {
    let xtc = SamplingParams { xtc_threshold: 0.09, xtc_probability: 1.0, ..sixteen() };
    let cases = [
        ("plain", sixteen()),
        ("top_p", SamplingParams { top_p: 0.83, ..sixteen() }),
        ("min_p, temperature", SamplingParams { min_p: 0.07, temperature: 1.4, ..sixteen() }),
        (
            "min_p, then temperature",
            SamplingParams { min_p: 0.07, temperature: 0.6, order: Order::Llama, ..sixteen() },
        ),
        (
            "top_k, dynamic temperature",
            SamplingParams { top_k: 6, dynatemp_range: 0.5, order: Order::Llama, ..sixteen() },
        ),
        ("typical", SamplingParams { typical_p: 0.42, ..sixteen() }),
        ("xtc", xtc),
    ];
    let mut failures = Vec::new();
    for (vocab, row) in [(8, small_row()), (100, large_row())] {
        for (name, params) in &cases {
            let misfit = misfit(&count(&row, params, ROWS), &probabilities(&row, params, true));
            if misfit.is_nan() || misfit > 1.0 {
                failures.push(format!("{name}, vocab {vocab}: {misfit} times the limit"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What the test above must find: one probability too large by so much, a wrong temperature, a filter that keeps one
/// token more or less, an XTC that does not act, a draw without probability.
#[test]
fn shifted_frequencies_are_rejected() {
    for (row, token, percent) in
        [(small_row(), 1, 1.0), (small_row(), 6, 6.0), (large_row(), 0, 1.1), (large_row(), 57, 18.0)]
    {
        let expected = probabilities(&row, &sixteen(), true);
        let (own, larger) = (expected[token], expected[token] * (1.0 + percent / 100.0));
        let mut shifted = row.clone();
        shifted[token] += ((larger / (1.0 - larger)) / (own / (1.0 - own))).ln() as f32;
        let misfit = misfit(&count(&shifted, &sixteen(), ROWS), &expected);
        assert!(misfit > 1.0, "token {token} of {} by {percent} %: {misfit}", row.len());
    }
    let row = large_row();
    let plain = probabilities(&row, &sixteen(), true);
    for (name, params, expected) in [
        ("temperature", SamplingParams { temperature: 1.006, ..sixteen() }, plain.clone()),
        ("top_k of 97", SamplingParams { top_k: 97, ..sixteen() }, plain.clone()),
        (
            "no xtc",
            sixteen(),
            probabilities(
                &row,
                &SamplingParams { xtc_threshold: 0.09, xtc_probability: 1.0, ..sixteen() },
                true,
            ),
        ),
        ("top_k of 99 for 98", SamplingParams { top_k: 99, ..sixteen() }, {
            probabilities(&row, &SamplingParams { top_k: 98, ..sixteen() }, true)
        }),
    ] {
        let misfit = misfit(&count(&row, &params, ROWS), &expected);
        assert!(misfit > 1.0, "{name}: {misfit}");
    }
    let mut counts = count(&small_row(), &sixteen(), ROWS);
    assert_eq!(counts[5], 0);
    assert!(misfit(&counts, &probabilities(&small_row(), &sixteen(), true)) < 1.0);
    counts[5] = 1;
    assert_eq!(misfit(&counts, &probabilities(&small_row(), &sixteen(), true)), f64::INFINITY);
}

/// 200 000 positions: XTC's coin acts at its share of them, independently of the draw. 0.29 or 0.31 for 0.3 is
/// λ = 95.
#[test]
fn xtc_acts_as_often_as_asked() {
    let row = small_row();
    let asked = |xtc_probability| SamplingParams { xtc_threshold: 0.09, xtc_probability, n: 1, ..sixteen() };
    let (with, without) = (probabilities(&row, &asked(1.0), true), probabilities(&row, &asked(1.0), false));
    // Cells: did it act, and which token.
    let expected = |share: f64| -> Vec<f64> {
        let acted = with.iter().map(|p| p * share);
        acted.chain(without.iter().map(|p| p * (1.0 - share))).collect()
    };
    let mut counts = vec![0; 16];
    for first in (0..200_000).step_by(20_000) {
        for sample in draws(&row, &asked(0.3), first, 20_000) {
            let cell = if sample.kept < 7 { 0 } else { 8 };
            counts[cell + sample.draws[0].token as usize] += 1;
        }
    }
    assert!(misfit(&counts, &expected(0.3)) < 1.0, "{counts:?}");
    for share in [0.29, 0.31] {
        assert!(misfit(&counts, &expected(share)) > 1.0, "{share}: {counts:?}");
    }
}

/// Tokens without probability are never drawn, even where they are most of the row, and the last is drawn at times.
#[test]
fn the_impossible_is_never_drawn() {
    let vocab = 5000;
    let row: Vec<f32> =
        (0..vocab).map(|token| if token % 1000 == 999 { 0.0 } else { f32::NEG_INFINITY }).collect();
    let counts = count(&row, &sixteen(), 1000);
    let expected: Vec<f64> = row.iter().map(|logit| if *logit == 0.0 { 0.2 } else { 0.0 }).collect();
    assert!(misfit(&counts, &expected) < 1.0);
    // What a filter took away stays away: two equal tokens of 5000.
    let counts = count(&vec![0.0; vocab], &SamplingParams { top_k: 2, ..sixteen() }, 1000);
    assert_eq!(counts[0] + counts[1], 16_000);
    let halves: Vec<f64> = (0..vocab).map(|token| if token < 2 { 0.5 } else { 0.0 }).collect();
    assert!(misfit(&counts, &halves) < 1.0);
    assert!(
        misfit(&count(&vec![0.0; vocab], &SamplingParams { top_k: 3, ..sixteen() }, 1000), &halves) > 1.0
    );
}

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

/// A head at 18 above 200 000 tokens at 0: 3 draws of 1000 are from the tail. Of 8000 draws 24 are expected, 4 or 53 would be
/// rejected. With a head at 12 half of the draws are from the tail, uniformly.
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

/// Uniform in [0, 1), 53 bits: the state of a xorshift64* (Vigna 2016), nothing of the engine's.
fn unit(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / 9_007_199_254_740_992.0
}

/// `−ln(−ln u)` in f32 with u of 24 bits, as samplers that add Gumbel noise compute it. It ends at 16.6.
fn gumbel_f32(number: u64) -> f32 {
    let uniform = number.max(1) as f32 / 16_777_216.0;
    -(-uniform.ln()).ln()
}

/// Such a sampler, on the row above: the head with its noise against the largest noise of the tail, which is that of the
/// largest of 200 000 24-bit numbers; its distribution function is (k / 2^24)^200000. `noise` says how fine it is.
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

/// Pairs of draws against independence: the joint frequencies against the products, and the correlation of the token
/// numbers; the larger as a multiple of its limit.
fn dependence(pairs: &[(u32, u32)], row: &[f32]) -> f64 {
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
    cpu::sample(&Logits::f32(&batch, rows.len(), row.len()).unwrap(), &rows, &SampleInputs::default())
        .unwrap()
        .iter()
        .map(|sample| sample.draws[0].token)
        .collect()
}

/// At least 50 000 pairs of each kind, 7 × 7 possible cells: a share c of copies among them gives λ = 6 n c², and c = 2 %
/// (λ = 120 with 48 degrees of freedom) is found in 99 of 100 tries.
#[test]
fn draws_are_independent() {
    type Key = fn(u64) -> (u64, u32, u64);
    let keys: [(&str, Key); 6] = [
        ("seeds", |number| (number + 1, 0, 0)),
        ("seeds from 2^32", |number| ((number + 1) << 32, 0, 0)),
        ("streams", |number| (1, number as u32, 0)),
        ("positions", |number| (1, 0, number)),
        ("positions from 2^32", |number| (1, 0, number << 32)),
        ("seed and position", |number| (number, 0, number)),
    ];
    let row = small_row();
    let mut failures = Vec::new();
    for (name, of) in keys {
        let tokens = tokens_by(&row, &of);
        for lag in [1, 2, 16, 1000] {
            let dependence = dependence(&lagged(&tokens, lag), &row);
            if dependence.is_nan() || dependence > 1.0 {
                failures.push(format!("{name}, {lag} apart: {dependence} times the limit"));
            }
        }
    }
    // Draws of one row: neighbours, halves, and the first of each with the first of the next row.
    let samples = draws(&row, &sixteen(), 0, 20_000);
    let tokens: Vec<u32> =
        samples.iter().flat_map(|sample| sample.draws.iter().map(|drawn| drawn.token)).collect();
    for lag in [1, 2, 4, 8, 16] {
        let dependence = dependence(&lagged(&tokens, lag), &row);
        if dependence.is_nan() || dependence > 1.0 {
            failures.push(format!("draws of a row, {lag} apart: {dependence} times the limit"));
        }
    }
    // One draw under two seeds, streams, numbers.
    let one = tokens_by(&row, &|number| (1, 0, number));
    for (name, other) in [
        ("seed", tokens_by(&row, &|number| (2, 0, number))),
        ("high seed", tokens_by(&row, &|number| (1 + (1 << 32), 0, number))),
        ("stream", tokens_by(&row, &|number| (1, 1, number))),
    ] {
        let pairs: Vec<(u32, u32)> = one.iter().copied().zip(other).collect();
        let dependence = dependence(&pairs, &row);
        if dependence.is_nan() || dependence > 1.0 {
            failures.push(format!("another {name}: {dependence} times the limit"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The draw takes two numbers, one for the tile of 4096 tokens and one within: both together are uniform.
#[test]
fn places_within_tiles_do_not_depend_on_the_tile() {
    let row = vec![1.0f32; 4 * sortilege::TILE_TOKENS];
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

/// Temperature 0 draws nothing at random.
#[test]
fn greedy_is_the_first_of_the_order() {
    let greedy =
        SamplingParams { temperature: 0.0, order: Order::List(vec![SamplingStep::Xtc]), ..sixteen() };
    for sample in draws(&[0.0, 3.0, 3.0, 1.0], &greedy, 0, 1000) {
        assert_eq!(sample.draws.iter().map(|drawn| drawn.token).collect::<Vec<_>>(), [1]);
    }
}
