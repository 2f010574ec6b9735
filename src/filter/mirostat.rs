//! Mirostat v2: tokens whose surprise, in bits, is at most μ, which follows the surprise of the drawn tokens.
//!
//! Keep as the epsilon cutoff with ε = 2^−μ, μ taken as 0 to 63: surprise ≤ μ is probability ≥ 2^−μ. μ begins at 2τ;
//! accepting a draw of surprise s sets μ −= η · (s − τ): [`Request::accept`](crate::Request::accept). τ in (0, 30], η
//! in [0, 1], off without them.
//!
//! Basu, Ramachandran, Keskar, Varshney: Mirostat, ICLR 2021; v2 as in its authors' program.

use super::cut::{CutKind, share_words};
use super::epsilon;
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::Mirostat,
    name: "mirostat",
    parameters: &[
        Parameter {
            name: "mirostat tau",
            value: |params| params.mirostat.map(|mirostat| mirostat.tau),
            range: f32::MIN_POSITIVE..=30.0,
            off: None,
            remedy: "it is in bits",
        },
        Parameter {
            name: "mirostat eta",
            value: |params| params.mirostat.map(|mirostat| mirostat.eta),
            range: 0.0..=1.0,
            off: None,
            remedy: "0.1 is usual",
        },
    ],
    kind: CutKind::Epsilon,
    words: |_, mu| words(mu),
    keep: epsilon::keep,
    settings: &[
        ("mirostat", |p| p.mirostat = Some(crate::Mirostat { tau: 3.0, eta: 0.1 })),
        ("mirostat, llama", |p| {
            p.mirostat = Some(crate::Mirostat { tau: 0.3, eta: 0.1 });
            (p.temperature, p.order) = (0.8, crate::params::Order::Llama);
        }),
    ],
};

/// 2^-mu out of the table: the same bits on every system.
fn words(mu: f64) -> [u32; 3] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 63 octaves")]
    let octaves = (mu.clamp(0.0, 63.0) * exact::pow2(24)).round() as u32;
    share_words(Ratio::of_octaves(octaves))
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};
    use super::*;
    use crate::{Mirostat, SamplingParams};

    #[test]
    fn boundaries() {
        fn aim(params: &mut SamplingParams, tau: f32) {
            params.mirostat = Some(Mirostat { tau, eta: 0.1 });
        }
        let halves: &[f32] = &[1.0, IMPOSSIBLE, 1.0];
        check(&[
            ("two bits", FLAT, |p| aim(p, 1.0), &[0, 1, 2, 3], 1.0),
            ("a hair below two bits", FLAT, |p| aim(p, 0.9999), &[0], 0.25),
            ("one bit", FLAT, |p| aim(p, 0.5), &[0], 0.25),
            ("one bit and halves", halves, |p| aim(p, 0.5), &[0, 2], 1.0),
        ]);
    }

    #[test]
    fn the_limit_stays_between_0_and_63_bits() {
        for (mu, like) in [(-1.0, 0.0), (64.0, 63.0), (f64::INFINITY, 63.0)] {
            assert_eq!(words(mu), words(like), "{mu}");
        }
        assert_eq!([words(0.0), words(63.0)], [[1 << 31, 31, 0], [1 << 31, 94, 0]]);
        assert_ne!(words(1.0), words(1.001));
    }
}
