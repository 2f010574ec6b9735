//! Typical-p, locally typical sampling: the tokens whose surprise is nearest to the entropy, as few as reach a share of
//! the mass.
//!
//! In octaves below the run's maximum, −log₂ p − H is q − E\[q\]: the mass cancels. With deviations |q − E\[q\]|, let D
//! be the first, from the smallest up, at which the sum of weights reaches part(p, W). Keep i with |q(i) − E\[q\]| ≤ D,
//! ties included: a range of the order, which may begin below the first token. Where rounding puts part(p, W) above the
//! sum of the weights, all stay. p in [0, 1], 1 is off.
//!
//! Meister, Pimentel, Wiher, Cotterell: Locally Typical Sampling, TACL 2023.

use super::cut::{Cut, CutKind, share_words};
use super::run::{Run, Sums};
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::arithmetic::numbers::{Ratio, quotient_q24};
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TypicalP,
    name: "typical_p",
    parameters: &[Parameter {
        name: "typical_p",
        value: |params| Some(params.typical_p),
        range: 0.0..=1.0,
        off: Some(1.0),
        remedy: "1 keeps all",
    }],
    kind: CutKind::TypicalP,
    words: |params, _| share_words(Ratio::new(params.typical_p)),
    keep,
    settings: &[
        ("typical_p 0.6", |p| p.typical_p = 0.6),
        ("typical_p, cold", |p| {
            (p.typical_p, p.temperature, p.order) = (0.3, 0.003, crate::params::Order::Llama)
        }),
    ],
};

fn keep(run: &mut Run<'_>, cut: Cut) {
    let Sums { mass, surprisal, .. } = run.sums();
    let wanted = cut.share().part_of(mass);
    let centre = quotient_q24(surprisal, mass);
    let mut near: Vec<(u32, u64)> = run
        .tokens()
        .iter()
        .filter_map(|(key, _)| run.octaves(*key))
        .map(|octaves| (octaves.abs_diff(centre), exact::row_weight(octaves)))
        .collect();
    near.sort_unstable();
    let mut reached = 0;
    let enough = near.iter().find(|(_, weight)| {
        reached += weight;
        reached >= wanted
    });
    if let Some(&(deviation, _)) = enough {
        let within = |limit: u32| {
            move |run: &Run<'_>, key: i32| run.octaves(key).is_some_and(|octaves| octaves <= limit)
        };
        // Both are counted in the run as it is: its first token is what octaves are below.
        let kept = run.prefix_len_where(within(centre + deviation));
        let dropped =
            if centre > deviation { run.prefix_len_where(within(centre - deviation - 1)) } else { 0 };
        run.keep_first(kept);
        run.drop_first(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, check};

    #[test]
    fn boundaries() {
        let logs: Vec<f32> = [0.4f32, 0.2, 0.2, 0.2].iter().map(|p| p.ln()).collect();
        // 0, 1 and 2 octaves below, on average 7/6: the second token is the nearest, and lies above the entropy.
        let octaves = [0.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0].map(|q: f32| -q * std::f32::consts::LN_2);
        check(&[
            ("between head and tail", &octaves, |p| p.typical_p = 0.1, &[1], 1.0 / 6.0),
            ("the tail joins", &octaves, |p| p.typical_p = 0.2, &[1, 2, 3, 4, 5, 6, 7], 2.0 / 3.0),
            ("0", FLAT, |p| p.typical_p = 0.0, &[0, 1, 2, 3], 1.0),
            ("half, equal tokens together", FLAT, |p| p.typical_p = 0.5, &[0, 1, 2, 3], 1.0),
            ("without the head", &logs, |p| p.typical_p = 0.5, &[1, 2, 3], 0.6),
            ("with the head", &logs, |p| p.typical_p = 0.61, &[0, 1, 2, 3], 1.0),
            ("1", &logs, |p| p.typical_p = 1.0, &[0, 1, 2, 3], 1.0),
        ]);
    }
}
