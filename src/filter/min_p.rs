//! Min-p: tokens of at least a share of the most probable one's probability.
//!
//! Keep i while w(i) ≥ part(p, w(1)), w(1) the weight of the run's first token. Equal tokens stand and fall together. p
//! in [0, 1], 0 is off.
//!
//! Nguyen, Baker, Neo, Roush, Kirsch, Shwartz-Ziv: Turning Up the Heat: Min-p Sampling, arXiv 2407.01082, 2024.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::MinP,
    name: "min_p",
    parameters: &[Parameter {
        name: "min_p",
        value: |params| Some(params.min_p),
        range: 0.0..=1.0,
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::MinP,
    words: |params, _| share_words(Ratio::new(params.min_p)),
    keep,
    settings: &[("min_p 0.05", |p| p.min_p = 0.05), ("min_p 1", |p| p.min_p = 1.0)],
};

fn keep(run: &mut Run<'_>, cut: Cut) {
    let limit = cut.share().part_of(run.weight(run.first_key()));
    run.keep_weights_from(limit);
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};

    #[test]
    fn boundaries() {
        let below: &[f32] = &[2.0, 2.0, IMPOSSIBLE, 2.0f32.next_down()];
        let quarters: &[f32] = &[0.0, -std::f32::consts::LN_2, -2.0 * std::f32::consts::LN_2];
        check(&[
            ("1", FLAT, |p| p.min_p = 1.0, &[0, 1, 2, 3], 1.0),
            ("0", &[0.0, -30.0], |p| p.min_p = 0.0, &[0, 1], 1.0),
            ("1, one less", below, |p| p.min_p = 1.0, &[0, 1], 2.0 / 3.0),
            ("1, one impossible", &[2.0, IMPOSSIBLE, 2.0, 2.0], |p| p.min_p = 1.0, &[0, 2, 3], 1.0),
            ("1, distinct", &[0.0, IMPOSSIBLE, 0.0, 40.0], |p| p.min_p = 1.0, &[3], 1.0),
            ("smallest", &[0.0, 1.0, 2.0, 3.0], |p| p.min_p = f32::MIN_POSITIVE, &[3, 2, 1, 0], 1.0),
            ("below a half", quarters, |p| p.min_p = 0.4999, &[0, 1], 6.0 / 7.0),
            ("above a half", quarters, |p| p.min_p = 0.5001, &[0], 4.0 / 7.0),
        ]);
    }
}
