//! Mirostat v2: tokens whose surprise, in bits, is at most μ, which follows the surprise of the drawn tokens.
//!
//! Keep as the epsilon cutoff with ε = 2^−μ, μ taken as 0 to 63: surprise ≤ μ is probability ≥ 2^−μ. μ begins at 2τ;
//! accepting a draw of surprise s sets μ −= η · (s − τ), in Q24: [`Request::accept`](crate::Request::accept). τ in (0, 30], η
//! in [0, 1], off without them.
//!
//! Basu, Ramachandran, Keskar, Varshney: Mirostat, ICLR 2021; v2 as in its authors' program.

use super::cut::{CutKind, share_words};
use super::epsilon;
use super::spec::{Parameter, Spec};
use crate::arithmetic::exact;
use crate::arithmetic::numbers::Ratio;
use crate::params::{Mirostat, SamplingStep};

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
fn words(mu: i64) -> [u32; 3] {
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0 to 63 octaves")]
    let octaves = mu.clamp(0, 63 << 24) as u32;
    share_words(Ratio::of_octaves(octaves))
}

impl Mirostat {
    /// What is aimed at, Q24 bits, and how fast, Q31.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated: 0 to 30, 0 to 1")]
    pub(crate) fn fixed(&self) -> [u32; 2] {
        let fixed = |value: f32, fraction: i32| (f64::from(value) * exact::pow2(fraction)).round() as u32;
        [fixed(self.tau, 24), fixed(self.eta, 31)]
    }

    /// The state before the first draw, Q24 bits.
    pub(crate) fn first_mu(&self) -> i64 {
        2 * i64::from(self.fixed()[0])
    }

    /// The state after a draw of so much surprise, all in Q24 bits: `mu − eta · (surprise − tau)`, the product towards 0.
    pub(crate) fn next_mu(&self, mu: i64, surprise: u32) -> i64 {
        let [tau, eta] = self.fixed();
        mu - (i64::from(surprise) - i64::from(tau)) * i64::from(eta) / (1 << 31)
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, IMPOSSIBLE, check};
    use super::*;
    use crate::SamplingParams;

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
        for (mu, like) in [(-1, 0), (64 << 24, 63 << 24), (i64::MAX, 63 << 24), (i64::MIN, 0)] {
            assert_eq!(words(mu), words(like), "{mu}");
        }
        assert_eq!([words(0), words(63 << 24)], [[1 << 31, 31, 0], [1 << 31, 94, 0]]);
        assert_ne!(words(1 << 24), words((1 << 24) + (1 << 14)));
    }

    /// The state follows the formula, to a unit of its last place a step, and both sides of the product round towards 0.
    #[test]
    fn the_limit_follows_the_surprise() {
        let mirostat = Mirostat { tau: 3.0, eta: 0.1 };
        let (mut mu, mut expected) = (mirostat.first_mu(), 6.0);
        for step in 0..1000u32 {
            let surprise = step.wrapping_mul(0x9e37_79b1) >> 6; // below 4 bits
            mu = mirostat.next_mu(mu, surprise);
            expected -= f64::from(0.1f32) * (f64::from(surprise) * exact::pow2(-24) - 3.0);
            let error = mu as f64 * exact::pow2(-24) - expected;
            assert!(error.abs() < f64::from(step + 2) * exact::pow2(-24), "step {step}: {error:e}");
        }
        let half = Mirostat { tau: 1.0, eta: 0.5 };
        assert_eq!([half.next_mu(0, (1 << 24) + 1), half.next_mu(0, (1 << 24) - 1)], [0, 0]);
        assert_eq!([half.next_mu(0, (1 << 24) + 2), half.next_mu(0, (1 << 24) - 2)], [-1, 1]);
    }
}
