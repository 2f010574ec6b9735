//! The epsilon cutoff: tokens of at least a probability.
//!
//! Keep i while w(i) ≥ part(ε, W); the first stays in any case. Equal tokens stand and fall together. ε in [0, 1), 0 is
//! off.
//!
//! Hewitt, Manning, Liang: Truncation Sampling as Language Model Desmoothing, Findings of EMNLP 2022.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::EpsilonCutoff,
    name: "epsilon_cutoff",
    parameters: &[Parameter {
        name: "epsilon_cutoff",
        value: |params| Some(params.epsilon_cutoff),
        range: 0.0..=1.0f32.next_down(),
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::Epsilon,
    words: |params, _| share_words(Ratio::new(params.epsilon_cutoff)),
    keep,
    settings: &[("epsilon 0.001", |p| p.epsilon_cutoff = 0.001), ("epsilon 0.9", |p| p.epsilon_cutoff = 0.9)],
};

pub(super) fn keep(run: &mut Run<'_>, cut: Cut) {
    let limit = cut.share().part_of(run.sums().mass);
    run.keep_weights_from(limit);
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, check};

    #[test]
    fn boundaries() {
        check(&[
            ("0", &[0.0, -30.0], |p| p.epsilon_cutoff = 0.0, &[0, 1], 1.0),
            ("at the probability", FLAT, |p| p.epsilon_cutoff = 0.25, &[0, 1, 2, 3], 1.0),
            ("above every probability", FLAT, |p| p.epsilon_cutoff = 0.25f32.next_up(), &[0], 0.25),
            ("just below 1", FLAT, |p| p.epsilon_cutoff = 1.0f32.next_down(), &[0], 0.25),
        ]);
    }
}
