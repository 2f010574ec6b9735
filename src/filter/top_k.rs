//! Top-k: the k most probable tokens.
//!
//! Keep the first k of the order; ties go to the smaller ids. k is any count, 0 is off.
//!
//! Fan, Lewis, Dauphin: Hierarchical Neural Story Generation, ACL 2018.

use super::cut::{Cut, CutKind};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TopK,
    name: "top_k",
    parameters: &[Parameter {
        name: "top_k",
        value: |params| Some(params.top_k as f32), // rounded, but 0 only for 0
        range: 0.0..=f32::MAX,
        off: Some(0.0),
        remedy: "0 keeps all",
    }],
    kind: CutKind::TopK,
    words: |params, _| [params.top_k, 0, 0],
    keep,
    settings: &[("top_k 5", |p| p.top_k = 5), ("top_k 3000", |p| (p.top_k, p.temperature) = (3000, 1.7))],
};

fn keep(run: &mut Run<'_>, Cut { words: [count, ..], .. }: Cut) {
    run.keep_first(count as usize);
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};

    #[test]
    fn boundaries() {
        const ZEROS: &[f32] = &[-0.0, 0.0, -0.0, 0.0];
        let rest = 1.0 / (2.0 + 2.0 * std::f64::consts::E); // one 0 of logits 0, 0, 1, 1
        check(&[
            ("1", FLAT, |p| p.top_k = 1, &[0], 0.25),
            ("2", FLAT, |p| p.top_k = 2, &[0, 1], 0.5),
            ("all", FLAT, |p| p.top_k = 4, &[0, 1, 2, 3], 1.0),
            ("0", FLAT, |p| p.top_k = 0, &[0, 1, 2, 3], 1.0),
            ("over the vocabulary", FLAT, |p| p.top_k = u32::MAX, &[0, 1, 2, 3], 1.0),
            ("both zeros", ZEROS, |p| p.top_k = 3, &[0, 1, 2], 0.75),
            ("over the possible", &[1.0, IMPOSSIBLE, 1.0, IMPOSSIBLE], |p| p.top_k = 3, &[0, 2], 1.0),
            ("in a tie of the second", &[0.0, 0.0, 1.0, 1.0], |p| p.top_k = 3, &[2, 3, 0], 1.0 - rest),
        ]);
    }
}
