//! The eta cutoff: tokens of at least a probability that falls with the entropy, so that a flat row keeps more.
//!
//! Keep i while p(i) ≥ η = min(ε, √ε · e^−H), H the entropy; the first stays in any case. In integers w(i) ≥ min(part(ε, W),
//! part(r, W)), r = 2^−o out of the table, o = −½ log2 ε + H in octaves. Equal tokens stand and fall together. ε in [0, 1), 0 is
//! off.
//!
//! Hewitt, Manning, Liang: Truncation Sampling as Language Model Desmoothing, Findings of EMNLP 2022; as in Transformers.

use super::cut::{Cut, CutKind, share_words};
use super::run::{Run, Sums};
use super::spec::{Parameter, Spec};
use crate::arithmetic::draw_scale::entropy_q26;
use crate::arithmetic::exact::log2_q26;
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::EtaCutoff,
    name: "eta_cutoff",
    parameters: &[Parameter {
        name: "eta_cutoff",
        value: |params| Some(params.eta_cutoff),
        range: 0.0..=1.0f32.next_down(),
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::Eta,
    words: |params, _| {
        let epsilon = Ratio::new(params.eta_cutoff);
        let [factor, by, _] = share_words(epsilon);
        [factor, by, half_octaves(epsilon)]
    },
    keep,
    settings: &[
        ("eta 1e-5", |p| p.eta_cutoff = 1e-5),
        ("eta 0.002", |p| p.eta_cutoff = 0.002),
        ("eta 0.3, hot", |p| (p.eta_cutoff, p.temperature) = (0.3, 1.8)),
    ],
};

/// `−½ log2 ε`, Q24.
fn half_octaves(epsilon: Ratio) -> u32 {
    let octaves = (u64::from(epsilon.by) << 26) - u64::from(log2_q26(epsilon.factor.into())); // Q26
    #[expect(clippy::cast_possible_truncation, reason = "at most 63 octaves")]
    let half = (octaves >> 3) as u32;
    half
}

fn keep(run: &mut Run<'_>, cut: Cut) {
    let Sums { mass, surprisal, .. } = run.sums();
    let octaves = cut.words[2] + (entropy_q26(mass, surprisal) >> 2);
    let limit = cut.share().part_of(mass).min(Ratio::of_octaves(octaves).part_of(mass));
    run.keep_weights_from(limit);
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, check};
    use super::*;

    #[test]
    fn boundaries() {
        check(&[
            ("0", &[0.0, -30.0], |p| p.eta_cutoff = 0.0, &[0, 1], 1.0),
            // ε decides: p = 0.9, 0.1, H = 0.325, √0.1 · e^−H = 0.228
            ("at ε", &[9f32.ln(), 0.0], |p| p.eta_cutoff = 0.0999, &[0, 1], 1.0),
            ("above ε", &[9f32.ln(), 0.0], |p| p.eta_cutoff = 0.1001, &[0], 0.9),
            // The entropy decides: four equal tokens, √ε / 4 is below 1/4 for every ε
            ("a flat row", FLAT, |p| p.eta_cutoff = 0.999, &[0, 1, 2, 3], 1.0),
            // p = 0.6, 0.2, 0.2, H = 0.950: √0.25 · e^−H = 0.193 keeps what ε = 0.25 does not; √0.28 · e^−H = 0.2046
            ("lowered by the entropy", &[3f32.ln(), 0.0, 0.0], |p| p.eta_cutoff = 0.25, &[0, 1, 2], 1.0),
            ("not lowered enough", &[3f32.ln(), 0.0, 0.0], |p| p.eta_cutoff = 0.28, &[0], 0.6),
        ]);
    }

    #[test]
    fn half_octaves_are_close() {
        for epsilon in [1.0f32, 0.5, 0.3, 1e-4, f32::MIN_POSITIVE] {
            let got = f64::from(half_octaves(Ratio::new(epsilon))) / 16_777_216.0;
            assert!((got + f64::from(epsilon).log2() / 2.0).abs() < 1e-7, "{epsilon}: {got}");
        }
    }
}
