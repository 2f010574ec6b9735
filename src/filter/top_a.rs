//! Top-a: tokens of at least a share of the square of the largest probability, so that a confident row keeps few.
//!
//! Keep i while p(i) ≥ a · p(first)². In integers w(i) ≥ part(a, t) with t = ⌊2⁸⁶ / W⌋ to 31 bits, the first token's weight times
//! its probability; the first always stays. Equal tokens stand and fall together. a in [0, 1], 0 is off.
//!
//! BlinkDL: the sampler of RWKV-LM, 2022; KoboldAI and text-generation-webui have it as `top_a`.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::numbers::{Ratio, first_squared};
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TopA,
    name: "top_a",
    parameters: &[Parameter {
        name: "top_a",
        value: |params| Some(params.top_a),
        range: 0.0..=1.0,
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::TopA,
    words: |params, _| share_words(Ratio::new(params.top_a)),
    keep,
    settings: &[
        ("top_a 0.2", |p| p.top_a = 0.2),
        ("top_a 1, cold", |p| (p.top_a, p.temperature) = (1.0, 0.6)),
    ],
};

fn keep(run: &mut Run<'_>, cut: Cut) {
    let limit = cut.share().part_of(first_squared(run.sums().mass));
    run.keep_weights_from(limit);
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};

    #[test]
    fn boundaries() {
        check(&[
            ("0", &[0.0, -30.0], |p| p.top_a = 0.0, &[0, 1], 1.0),
            ("1 of a flat row: 1/16 is below 1/4", FLAT, |p| p.top_a = 1.0, &[0, 1, 2, 3], 1.0),
            // p = 0.9, 0.1: 0.1 is 0.1234567… of 0.81
            ("below the share", &[9f32.ln(), 0.0], |p| p.top_a = 0.1234, &[0, 1], 1.0),
            ("above the share", &[9f32.ln(), 0.0], |p| p.top_a = 0.1235, &[0], 0.9),
            ("a single token", &[1.0, IMPOSSIBLE], |p| p.top_a = 1.0, &[0], 1.0),
        ]);
    }
}
