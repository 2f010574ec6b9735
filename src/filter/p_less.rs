//! P-less: tokens of at least the probability that two draws agree, Σ p², which no parameter sets.
//!
//! Keep i while p(i) ≥ Σ p². In integers w(i) ≥ ⌈S · 2⁴³ / V⌉, V the sum of the run's weights, S that of their squares, both
//! over its tokens one by one, so that the first always reaches it. Equal tokens stand and fall together.
//!
//! Tan, Wu, Howard: p-less Sampling: A Robust Hyperparameter-Free Approach for LLM Decoding, ICLR 2026.

use super::cut::{Cut, CutKind};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::numbers::share_q43;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::PLess,
    name: "p_less",
    // A switch.
    parameters: &[Parameter {
        name: "p_less",
        value: |params| params.p_less.then_some(1.0),
        range: 1.0..=1.0,
        off: None,
        remedy: "",
    }],
    kind: CutKind::PLess,
    words: |_, _| [0; 3],
    keep,
    settings: &[
        ("p_less", |p| p.p_less = true),
        ("p_less, hot", |p| (p.p_less, p.temperature) = (true, 2.5)),
    ],
};

fn keep(run: &mut Run<'_>, _: Cut) {
    let (mut mass, mut squares) = (0, 0);
    for (key, _) in run.tokens() {
        let weight = run.weight(key);
        mass += weight;
        squares += square(weight);
    }
    run.keep_weights_from(share_q43(squares, mass));
}

/// The square of a row weight, Q43: at most the weight.
fn square(weight: u64) -> u64 {
    ((weight >> 12) * (weight >> 12)) >> 19
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};
    use super::*;

    #[test]
    fn boundaries() {
        fn on(params: &mut crate::SamplingParams) {
            params.p_less = true;
        }
        const LN_2: f32 = std::f32::consts::LN_2;
        check(&[
            ("off", &[0.0, -30.0], |_| (), &[0, 1], 1.0),
            ("a flat row is at its boundary", FLAT, on, &[0, 1, 2, 3], 1.0),
            ("a single token", &[1.0, IMPOSSIBLE], on, &[0], 1.0),
            ("a tie below", &[0.0, 0.0, 0.0f32.next_down() - 1e-3], on, &[0, 1], 0.666_889),
            // p = 1/2, 1/4, 1/4: Σ p² = 3/8
            ("the head alone", &[0.0, -LN_2, -LN_2], on, &[0], 0.5),
            // p = 0.4, 0.3, 0.3: Σ p² = 0.34
            ("not 0.3", &[4f32.ln(), 3f32.ln(), 3f32.ln()], on, &[0], 0.4),
            // p = 0.4, 0.35, 0.25: Σ p² = 0.345
            // Σ p² of the first is the second's weight to the Q43; three steps of a far token's logit less, one Q43 above it.
            (
                "its limit",
                &[0.0, -0.179_979_5, -1.142_294_4, -18.428_337, -25.339_42],
                on,
                &[0, 1],
                0.851_889,
            ),
            (
                "a step of Q43 below its limit",
                &[0.0, -0.179_979_5, -1.142_294_4, -18.428_36, -25.339_42],
                on,
                &[0],
                0.464_172,
            ),
            ("but 0.35", &[40f32.ln(), 35f32.ln(), 25f32.ln()], on, &[0, 1], 0.75),
            // At temperature 1/2 p = 0.16, 0.1225, 0.0625 of 0.345: Σ p² = 0.374
            (
                "of the distribution at the temperature",
                &[40f32.ln(), 35f32.ln(), 25f32.ln()],
                |p| (p.p_less, p.temperature) = (true, 0.5),
                &[0],
                0.463_768,
            ),
        ]);
    }

    #[test]
    fn a_square_is_at_most_its_weight() {
        for weight in [0, 1, 4095, 4096, 1 << 31, (1 << 43) - 1, 1 << 43] {
            let exact = (u128::from(weight) * u128::from(weight)) >> 43;
            let got = u128::from(square(weight));
            assert!(got <= exact && exact - got <= 1 << 13, "{weight}");
        }
        assert_eq!(square(1 << 43), 1 << 43);
    }
}
