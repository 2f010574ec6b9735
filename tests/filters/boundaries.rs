//! Ties and boundaries by hand, a table for each filter. Here the engine has no error, and f64 may have one.

use sortilege::{Mirostat, Order, SamplingParams, SamplingStep};

use crate::common::test_each;
use crate::sample_one;

type Change = fn(&mut SamplingParams);

/// Name, row, request, kept tokens in their order, and the mass that they had before.
type Case<'a> = (&'a str, &'a [f32], Change, &'a [u32], f64);

const NONE: f32 = f32::NEG_INFINITY;
const FLAT: &[f32] = &[2.0; 4];

fn check(cases: &[Case<'_>]) {
    test_each(cases.iter().map(|case| (case.0, case)), |&(_, row, change, kept, mass)| {
        let mut params =
            SamplingParams { seed: Some(5), processed_logprobs: Some(9), ..SamplingParams::default() };
        change(&mut params);
        let sample = sample_one(row, &params);
        let got: Vec<u32> = sample.processed.top_logprobs.iter().map(|entry| entry.token).collect();
        assert_eq!((&got[..], sample.kept as usize), (kept, kept.len()));
        assert!((sample.kept_mass - mass).abs() <= 1e-6, "mass {} for {mass}", sample.kept_mass);
        assert!(sample.draws.iter().all(|drawn| kept.contains(&drawn.token)), "drew {:?}", sample.draws);
    });
}

#[test]
fn top_p() {
    check(&[
        ("top_p 0", FLAT, |p| p.top_p = 0.0, &[0], 0.25),
        ("top_p a quarter", FLAT, |p| p.top_p = 0.25, &[0], 0.25),
        ("top_p above a quarter", FLAT, |p| p.top_p = 0.250_001, &[0, 1], 0.5),
        ("top_p half", FLAT, |p| p.top_p = 0.5, &[0, 1], 0.5),
        ("top_p above half", FLAT, |p| p.top_p = 0.5f32.next_up(), &[0, 1, 2], 0.75),
        ("top_p three quarters", FLAT, |p| p.top_p = 0.75, &[0, 1, 2], 0.75),
        ("top_p below 1", FLAT, |p| p.top_p = 1.0f32.next_down(), &[0, 1, 2, 3], 1.0),
        ("top_p 1", FLAT, |p| p.top_p = 1.0, &[0, 1, 2, 3], 1.0),
        ("top_p, both zeros", &[-0.0, 0.0, -0.0, 0.0], |p| p.top_p = 0.75, &[0, 1, 2], 0.75),
    ]);
}

#[test]
fn top_k() {
    let rest = 1.0 / (2.0 + 2.0 * std::f64::consts::E); // one 0 of logits 0, 0, 1, 1
    check(&[
        ("top_k 1", FLAT, |p| p.top_k = 1, &[0], 0.25),
        ("top_k 2", FLAT, |p| p.top_k = 2, &[0, 1], 0.5),
        ("top_k of all", FLAT, |p| p.top_k = 4, &[0, 1, 2, 3], 1.0),
        ("top_k over the vocabulary", FLAT, |p| p.top_k = u32::MAX, &[0, 1, 2, 3], 1.0),
        ("top_k, both zeros", &[-0.0, 0.0, -0.0, 0.0], |p| p.top_k = 3, &[0, 1, 2], 0.75),
        ("top_k over the possible", &[1.0, NONE, 1.0, NONE], |p| p.top_k = 3, &[0, 2], 1.0),
        ("top_k in a tie of the second", &[0.0, 0.0, 1.0, 1.0], |p| p.top_k = 3, &[2, 3, 0], 1.0 - rest),
    ]);
}

#[test]
fn min_p() {
    check(&[
        ("min_p 1", FLAT, |p| p.min_p = 1.0, &[0, 1, 2, 3], 1.0),
        ("min_p 1, one less", &[2.0, 2.0, NONE, 2.0f32.next_down()], |p| p.min_p = 1.0, &[0, 1], 2.0 / 3.0),
        ("min_p 1, one impossible", &[2.0, NONE, 2.0, 2.0], |p| p.min_p = 1.0, &[0, 2, 3], 1.0),
        ("min_p 1, distinct", &[0.0, NONE, 0.0, 40.0], |p| p.min_p = 1.0, &[3], 1.0),
        ("min_p smallest", &[0.0, 1.0, 2.0, 3.0], |p| p.min_p = f32::MIN_POSITIVE, &[3, 2, 1, 0], 1.0),
    ]);
}

#[test]
fn typical_p() {
    let logs: Vec<f32> = [0.4f32, 0.2, 0.2, 0.2].iter().map(|p| p.ln()).collect();
    check(&[
        ("typical 0", FLAT, |p| p.typical_p = 0.0, &[0, 1, 2, 3], 1.0),
        ("typical half, equal tokens together", FLAT, |p| p.typical_p = 0.5, &[0, 1, 2, 3], 1.0),
        ("typical without the head", &logs, |p| p.typical_p = 0.5, &[1, 2, 3], 0.6),
        ("typical with the head", &logs, |p| p.typical_p = 0.61, &[0, 1, 2, 3], 1.0),
        ("typical 1", &logs, |p| p.typical_p = 1.0, &[0, 1, 2, 3], 1.0),
    ]);
}

#[test]
fn epsilon_cutoff() {
    check(&[
        ("epsilon at the probability", FLAT, |p| p.epsilon_cutoff = 0.25, &[0, 1, 2, 3], 1.0),
        ("epsilon above every probability", FLAT, |p| p.epsilon_cutoff = 0.25f32.next_up(), &[0], 0.25),
        ("epsilon just below 1", FLAT, |p| p.epsilon_cutoff = 1.0f32.next_down(), &[0], 0.25),
    ]);
}

#[test]
fn top_n_sigma() {
    check(&[
        ("sigma of equal logits", FLAT, |p| p.top_n_sigma = 0.5, &[0, 1, 2, 3], 1.0),
        ("two sigmas of two logits", &[0.0, 1.0], |p| p.top_n_sigma = 2.0, &[1, 0], 1.0),
        ("less than two sigmas", &[NONE, 0.0, 0.0], |p| p.top_n_sigma = 1.9, &[1, 2], 1.0),
    ]);
}

#[test]
fn xtc() {
    let third = 1.0 / (1.0 + 2.0 * std::f64::consts::E); // the 0 of logits 0, 1, 1
    check(&[
        ("xtc of equal tokens", FLAT, |p| (p.xtc_threshold, p.xtc_probability) = (0.2, 1.0), &[3], 0.25),
        ("xtc at the probability", FLAT, |p| (p.xtc_threshold, p.xtc_probability) = (0.25, 1.0), &[3], 0.25),
        ("xtc above it", FLAT, |p| (p.xtc_threshold, p.xtc_probability) = (0.26, 1.0), &[0, 1, 2, 3], 1.0),
        ("xtc never", FLAT, |p| (p.xtc_threshold, p.xtc_probability) = (0.2, 0.0), &[0, 1, 2, 3], 1.0),
        ("xtc of two halves", &[1.0, 1.0], |p| (p.xtc_threshold, p.xtc_probability) = (0.5, 1.0), &[1], 0.5),
        (
            "xtc over a half",
            &[1.0, 1.0],
            |p| (p.xtc_threshold, p.xtc_probability) = (0.51, 1.0),
            &[0, 1],
            1.0,
        ),
        (
            "xtc of a tie above a tail",
            &[0.0, 1.0, NONE, 1.0],
            |p| (p.xtc_threshold, p.xtc_probability) = (0.3, 1.0),
            &[3, 0],
            (1.0 + third) / 2.0,
        ),
        (
            "xtc of one",
            &[0.0, 3.0, 0.0, 0.0],
            |p| (p.xtc_threshold, p.xtc_probability) = (0.1, 1.0),
            &[1, 0, 2, 3],
            1.0,
        ),
    ]);
}

#[test]
fn mirostat() {
    check(&[
        (
            "mirostat of two bits",
            FLAT,
            |p| p.mirostat = Some(Mirostat { tau: 1.0, eta: 0.1 }),
            &[0, 1, 2, 3],
            1.0,
        ),
        ("mirostat of one bit", FLAT, |p| p.mirostat = Some(Mirostat { tau: 0.5, eta: 0.1 }), &[0], 0.25),
        (
            "mirostat of one bit and halves",
            &[1.0, NONE, 1.0],
            |p| p.mirostat = Some(Mirostat { tau: 0.5, eta: 0.1 }),
            &[0, 2],
            1.0,
        ),
    ]);
}

#[test]
fn filters_see_what_earlier_ones_left() {
    check(&[
        (
            "top_p of what top_k left",
            FLAT,
            |p| {
                (p.top_k, p.top_p, p.order) =
                    (2, 0.5, Order::List(vec![SamplingStep::TopK, SamplingStep::TopP]));
            },
            &[0],
            0.25,
        ),
        (
            "top_k of what top_p left",
            FLAT,
            |p| {
                (p.top_k, p.top_p, p.order) =
                    (2, 0.5, Order::List(vec![SamplingStep::TopP, SamplingStep::TopK]));
            },
            &[0, 1],
            0.5,
        ),
        (
            "a filter that is not in the order",
            FLAT,
            |p| (p.top_k, p.top_p, p.order) = (1, 0.5, Order::List(vec![SamplingStep::TopP])),
            &[0, 1],
            0.5,
        ),
        (
            "epsilon of what xtc left",
            FLAT,
            |p| {
                (p.xtc_threshold, p.xtc_probability, p.epsilon_cutoff) = (0.25, 1.0, 0.9);
                p.order = Order::List(vec![SamplingStep::Xtc, SamplingStep::EpsilonCutoff]);
            },
            &[3],
            0.25,
        ),
    ]);
}

#[test]
fn greedy_and_every_filter_at_once() {
    check(&[
        ("greedy keeps all", FLAT, |p| (p.temperature, p.top_k) = (0.0, 2), &[0, 1, 2, 3], 1.0),
        (
            "the one that is possible",
            &[NONE, NONE, -80.0, NONE],
            |p| {
                (p.top_k, p.top_p, p.min_p, p.typical_p) = (2, 0.3, 0.5, 0.2);
                (p.epsilon_cutoff, p.top_n_sigma) = (0.9, 0.1);
                (p.xtc_threshold, p.xtc_probability) = (0.01, 1.0);
                p.mirostat = Some(Mirostat { tau: 0.1, eta: 0.1 });
            },
            &[2],
            1.0,
        ),
    ]);
}
