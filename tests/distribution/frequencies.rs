//! How often each token is drawn: Pearson's statistic against the probabilities of the oracle.

use sortilege::{Order, SamplingParams, SamplingStep};

use crate::common::test_each;
use crate::{count, draws, large_row, misfit, probabilities, sixteen, small_row};

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
    let rows = [(8, small_row()), (100, large_row())];
    let cases = rows.iter().flat_map(|(vocab, row)| {
        cases.iter().map(move |(name, params)| (format!("{name}, vocab {vocab}"), (row, params)))
    });
    test_each(cases, |(row, params)| {
        let misfit = misfit(&count(row, params, ROWS), &probabilities(row, params, true));
        assert!(misfit <= 1.0, "{misfit} times the limit");
    });
}

/// What the test above must find: one probability too large by so much, a wrong temperature, a filter that keeps one
/// token more or less, an XTC that does not act, a draw without probability.
#[test]
fn shifted_frequencies_are_rejected() {
    let cases =
        [(small_row(), 1, 1.0), (small_row(), 6, 6.0), (large_row(), 0, 1.1), (large_row(), 57, 18.0)];
    let name = |row: &[f32], token, percent| format!("token {token} of {} by {percent} %", row.len());
    test_each(cases.map(|case| (name(&case.0, case.1, case.2), case)), |(row, token, percent)| {
        let expected = probabilities(&row, &sixteen(), true);
        let (own, larger) = (expected[token], expected[token] * (1.0 + percent / 100.0));
        let mut shifted = row.clone();
        shifted[token] += ((larger / (1.0 - larger)) / (own / (1.0 - own))).ln() as f32;
        let misfit = misfit(&count(&shifted, &sixteen(), ROWS), &expected);
        assert!(misfit > 1.0, "{misfit}");
    });
    let row = large_row();
    let of = |params: SamplingParams| probabilities(&row, &params, true);
    let plain = of(sixteen());
    let xtc = SamplingParams { xtc_threshold: 0.09, xtc_probability: 1.0, ..sixteen() };
    let cases = [
        ("temperature", (SamplingParams { temperature: 1.006, ..sixteen() }, plain.clone())),
        ("top_k of 97", (SamplingParams { top_k: 97, ..sixteen() }, plain)),
        ("no xtc", (sixteen(), of(xtc))),
        (
            "top_k of 99 for 98",
            (SamplingParams { top_k: 99, ..sixteen() }, of(SamplingParams { top_k: 98, ..sixteen() })),
        ),
    ];
    test_each(cases, |(params, expected)| {
        let misfit = misfit(&count(&row, &params, ROWS), &expected);
        assert!(misfit > 1.0, "{misfit}");
    });
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

/// Temperature 0 draws nothing at random.
#[test]
fn greedy_is_the_first_of_the_order() {
    let greedy =
        SamplingParams { temperature: 0.0, order: Order::List(vec![SamplingStep::Xtc]), ..sixteen() };
    for sample in draws(&[0.0, 3.0, 3.0, 1.0], &greedy, 0, 1000) {
        assert_eq!(sample.draws.iter().map(|drawn| drawn.token).collect::<Vec<_>>(), [1]);
    }
}
