//! XTC, exclude top choices: now and then, all but the least probable of the tokens over a threshold.
//!
//! With c the number of tokens with w(i) ≥ part(threshold, W): where c ≥ 2 and the coin acts, keep all but the first c
//! − 1. Of equal tokens the last in the order stays. Where a token that is spared is among the first c − 1, all stay, so
//! that what ends a text or a line is never taken away. The coin is random word 0 of the position's purpose Xtc, and acts
//! where it is ≤ max(round(probability · 2³²) − 1, 0): all draws of a row share it. threshold in [0, 1], without effect
//! over one half; probability in [0, 1], 0 is off.
//!
//! p-e-w: Exclude Top Choices (XTC), github.com/oobabooga/text-generation-webui, pull request 6335, 2024.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::arithmetic::numbers::Ratio;
use crate::arithmetic::rng::{Key, Purpose};
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::Xtc,
    name: "xtc",
    parameters: &[
        Parameter {
            name: "xtc_threshold",
            value: |params| Some(params.xtc_threshold),
            range: 0.0..=1.0,
            off: None,
            remedy: "over 0.5 it never acts",
        },
        Parameter {
            name: "xtc_probability",
            value: |params| Some(params.xtc_probability),
            range: 0.0..=1.0,
            off: Some(0.0),
            remedy: "0 never acts",
        },
    ],
    kind: CutKind::Xtc,
    words: |params, _| {
        let [factor, by, _] = share_words(Ratio::new(params.xtc_threshold));
        [factor, by, largest_coin(params.xtc_probability)]
    },
    keep,
    settings: &[
        ("xtc spares a token", |p| {
            (p.xtc_threshold, p.xtc_probability, p.xtc_exempt_token_ids) = (0.02, 1.0, vec![3]);
        }),
        ("xtc spares many", |p| {
            (p.xtc_threshold, p.xtc_probability) = (1e-6, 1.0);
            p.xtc_exempt_token_ids = (0..64).map(|i| i * 9).collect();
        }),
        ("xtc", |p| (p.xtc_threshold, p.xtc_probability) = (0.02, 1.0)),
        ("xtc, cold", |p| {
            (p.xtc_threshold, p.xtc_probability) = (0.001, 1.0);
            (p.temperature, p.order) = (0.004, crate::params::Order::Llama);
        }),
    ],
};

/// The largest word of a coin that acts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a probability, at most 2^32 - 1"
)]
fn largest_coin(probability: f32) -> u32 {
    ((f64::from(probability) * exact::pow2(32)).round() - 1.0).max(0.0) as u32
}

/// Whether a cut is an XTC whose coin acts here.
fn acts(cut: Cut, key: Key) -> bool {
    let Cut { kind, words: [_, _, largest] } = cut;
    kind == CutKind::Xtc && key.words(Purpose::Xtc)[0] <= largest
}

fn keep(run: &mut Run<'_>, cut: Cut) {
    let limit = cut.share().part_of(run.sums().mass);
    let above = run.prefix_len_where(|run, key| run.weight(key) >= limit);
    if above >= 2 && acts(cut, run.key) {
        let excluded: Vec<u32> = run.top(above - 1).iter().map(|(_, token)| *token).collect();
        if !excluded.iter().any(|token| run.xtc_exempt.contains(token)) {
            run.drop_first(above - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};
    use super::*;
    use crate::SamplingParams;

    #[test]
    fn boundaries() {
        fn always(params: &mut SamplingParams, threshold: f32) {
            (params.xtc_threshold, params.xtc_probability) = (threshold, 1.0);
        }
        const TIE: &[f32] = &[0.0, 1.0, IMPOSSIBLE, 1.0];
        let third = 1.0 / (1.0 + 2.0 * std::f64::consts::E); // the 0 of logits 0, 1, 1
        check(&[
            ("equal tokens", FLAT, |p| always(p, 0.2), &[3], 0.25),
            ("at the probability", FLAT, |p| always(p, 0.25), &[3], 0.25),
            ("above it", FLAT, |p| always(p, 0.26), &[0, 1, 2, 3], 1.0),
            ("never", FLAT, |p| p.xtc_threshold = 0.2, &[0, 1, 2, 3], 1.0),
            ("two halves", &[1.0, 1.0], |p| always(p, 0.5), &[1], 0.5),
            ("over a half", &[1.0, 1.0], |p| always(p, 0.51), &[0, 1], 1.0),
            ("a tie above a tail", TIE, |p| always(p, 0.3), &[3, 0], (1.0 + third) / 2.0),
            (
                "a token that would go is spared",
                TIE,
                |p| {
                    always(p, 0.3);
                    p.xtc_exempt_token_ids = vec![2, 1];
                },
                &[1, 3, 0],
                1.0,
            ),
            (
                "the last of them, a lower one and an impossible one stay anyway",
                TIE,
                |p| {
                    always(p, 0.3);
                    p.xtc_exempt_token_ids = vec![3, 0, 2];
                },
                &[3, 0],
                (1.0 + third) / 2.0,
            ),
            ("only one", &[0.0, 3.0, 0.0, 0.0], |p| always(p, 0.1), &[1, 0, 2, 3], 1.0),
        ]);
    }

    #[test]
    fn a_coin_acts_as_often_as_its_probability() {
        let coins = [0.0, 1e-20, 0.25, 0.5, 1.0].map(largest_coin);
        assert_eq!(coins, [0, 0, (1 << 30) - 1, (1 << 31) - 1, u32::MAX]);
        let cut = |kind, probability| Cut { kind, words: [0, 0, largest_coin(probability)] };
        let acting = |kind, probability| {
            let keys = (0..1000).map(|position| Key { seed: 1, position, stream: 0 });
            keys.filter(|&key| acts(cut(kind, probability), key)).count()
        };
        assert_eq!([acting(CutKind::Xtc, 1.0), acting(CutKind::Xtc, 1e-20)], [1000, 0]);
        assert!((200..300).contains(&acting(CutKind::Xtc, 0.25)), "250 on average, deviation 14");
        assert_eq!(acting(CutKind::TopP, 1.0), 0, "another cut");
    }
}
