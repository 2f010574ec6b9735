//! Top-h: the most probable tokens while their part of the entropy is at most a share of it, so that a row keeps as much
//! uncertainty as it has.
//!
//! With e(i) = −p(i) log₂ p(i), keep i while e(1) + … + e(i) ≤ h · Σ e; the first stays in any case. In integers e(i) is
//! the weight times octaves from the maximum and log₂ W, Q38. Ties go to the smaller ids. h in [0, 1], 1 is off.
//!
//! Top-H decoding, github.com/ErfanBaghaei/Top-H-Decoding, 2025; as in Transformers, which looks at the first hundred tokens.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TopH,
    name: "top_h",
    parameters: &[Parameter {
        name: "top_h",
        value: |params| Some(params.top_h),
        range: 0.0..=1.0,
        off: Some(1.0),
        remedy: "1 keeps all",
    }],
    kind: CutKind::TopH,
    words: |params, _| share_words(Ratio::new(params.top_h)),
    keep,
    settings: &[
        ("top_h 0.4", |p| p.top_h = 0.4),
        ("top_h 0.95, hot", |p| (p.top_h, p.temperature) = (0.95, 2.0)),
    ],
};

fn keep(run: &mut Run<'_>, cut: Cut) {
    let log2_mass = exact::log2_q26(run.sums().mass) - (43 << 26);
    let term =
        |run: &Run<'_>, key: i32| run.octaves(key).map_or(0, |octaves| entropy_q38(octaves, log2_mass));
    let tokens = run.tokens();
    let total = tokens.iter().map(|&(key, _)| term(run, key)).sum();
    let most = cut.share().part_of(total);
    let mut entropy = 0;
    for place in 0..run.len() {
        let (key, _) = run.at(place);
        entropy += term(run, key);
        if entropy > most {
            run.keep_first(place);
            break;
        }
    }
}

/// Row weight times surprise, Q38, of a token so many octaves (Q24) from the maximum of a run whose mass has this logarithm
/// (Q26): 2^20 of them fit 64 bits.
fn entropy_q38(octaves: u32, log2_mass: u32) -> u64 {
    let weight = exact::row_weight(octaves) >> 12; // Q31
    (exact::row_surprisal(octaves) >> 5) + ((weight * u64::from(log2_mass)) >> 19)
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};

    #[test]
    fn boundaries() {
        const LN_2: f32 = std::f32::consts::LN_2;
        // p = 1/2, 1/4, 1/8, 1/8 have 1/2, 1/2, 3/8, 3/8 bits: together 7/4.
        let halves: &[f32] = &[0.0, -LN_2, -2.0 * LN_2, -2.0 * LN_2];
        check(&[
            ("1", FLAT, |p| p.top_h = 1.0, &[0, 1, 2, 3], 1.0),
            ("0 keeps the first", FLAT, |p| p.top_h = 0.0, &[0], 0.25),
            ("at a quarter", FLAT, |p| p.top_h = 0.25, &[0], 0.25),
            ("below a half", FLAT, |p| p.top_h = 0.5f32.next_down(), &[0], 0.25),
            ("at a half", FLAT, |p| p.top_h = 0.5, &[0, 1], 0.5),
            ("below 1", FLAT, |p| p.top_h = 1.0f32.next_down(), &[0, 1, 2], 0.75),
            ("no entropy at all", &[1.0, IMPOSSIBLE], |p| p.top_h = 0.5, &[0], 1.0),
            ("below 4/7", halves, |p| p.top_h = 0.571, &[0], 0.5),
            ("above 4/7", halves, |p| p.top_h = 0.572, &[0, 1], 0.75),
            ("above 11/14", halves, |p| p.top_h = 0.786, &[0, 1, 2], 0.875),
        ]);
    }
}
