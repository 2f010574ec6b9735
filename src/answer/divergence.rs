//! How far two distributions are from each other, as a caller sees it, and as the words of a row say it.

use super::Status;
#[cfg(feature = "gpu")]
use super::words::{divergence, pair};
use crate::arithmetic::divergence::{CROSS_FRACTION, INFORMATION_FRACTION, unmatched};
use crate::arithmetic::exact::{ROW_FRACTION, pow2};
use crate::arithmetic::ln::ln_mass_at;
#[cfg(feature = "gpu")]
use crate::arithmetic::merge::STATUS_EMPTY;

/// How far a distribution P, the softmax of a row of the first batch, and a distribution Q, that of the same row of the
/// second, are from each other: in nats, at temperature 1. Exactly 0 throughout where the rows are equal. Error at most
/// 1e-6 + 2e-7 · KL. A logit more than 65 536 nats below its maximum counts as that far; −∞ gives +∞.
///
/// Equality is equality of bits, so that rows that are no distributions equal themselves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Divergence {
    /// Whether P is a distribution, and whether Q is. Unless both are, every number below is NaN.
    pub statuses: [Status; 2],
    /// Kullback-Leibler divergence of P from Q, `KL(P‖Q) = Σ p ln(p / q)`: what `scipy.stats.entropy(p, q)` is, and
    /// PyTorch's `kl_div(log q, p)`, summed. 0 or more; +infinity where a token is possible in P and -infinity in Q.
    pub kl: f64,
    /// That of Q from P, `KL(Q‖P) = Σ q ln(q / p)`.
    pub reverse_kl: f64,
    /// Jensen-Shannon divergence, `½ KL(P‖M) + ½ KL(Q‖M)` with M the mean of P and Q: from 0 to ln 2. SciPy's
    /// `jensenshannon` is its square root.
    pub jensen_shannon: f64,
}

impl Divergence {
    /// Every field as bits, for comparisons.
    fn bits(&self) -> [u64; 5] {
        let Self { statuses: [p, q], kl, reverse_kl, jensen_shannon } = *self;
        [p as u64, q as u64, kl.to_bits(), reverse_kl.to_bits(), jensen_shannon.to_bits()]
    }
}

impl PartialEq for Divergence {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Divergence {}

/// What an engine, GPU or CPU, computes of two rows before the host's logarithms; pairs are of the first batch, then of the
/// second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DivergenceBits {
    pub(crate) statuses: [u32; 2],
    pub(crate) max_keys: [i32; 2],
    /// Q40, relative to the maxima.
    pub(crate) masses: [u64; 2],
    /// Q45: mass times the mean difference of distances below the maxima.
    pub(crate) crosses: [i128; 2],
    pub(crate) unmatched: u32,
    /// Q43: mass times the mean information.
    pub(crate) informations: [u64; 2],
}

impl DivergenceBits {
    /// Before there is something to say.
    #[cfg(feature = "gpu")]
    pub(crate) const NONE: Self = Self {
        statuses: [STATUS_EMPTY; 2],
        max_keys: [0; 2],
        masses: [0; 2],
        crosses: [0; 2],
        unmatched: 0,
        informations: [0; 2],
    };

    /// What the words of a record say.
    #[cfg(feature = "gpu")]
    pub(crate) fn read(words: &[u32]) -> Self {
        let cross = |low: usize| {
            let high = i128::from(words[low + 2].cast_signed()) << 64;
            high | i128::from(pair(words, low))
        };
        Self {
            statuses: [0, 1].map(|i| words[divergence::STATUSES + i]),
            max_keys: [0, 1].map(|i| words[divergence::MAX_KEYS + i].cast_signed()),
            masses: [0, 2].map(|i| pair(words, divergence::MASSES + i)),
            crosses: [0, 3].map(|i| cross(divergence::CROSSES + i)),
            unmatched: words[divergence::UNMATCHED],
            informations: [0, 2].map(|i| pair(words, divergence::INFORMATIONS + i)),
        }
    }

    /// What a caller sees (docs/exact.md, 14).
    pub(crate) fn decode(&self) -> Divergence {
        let statuses = self.statuses.map(Status::from_code);
        if statuses != [Status::Ok; 2] {
            return Divergence { statuses, kl: f64::NAN, reverse_kl: f64::NAN, jensen_shannon: f64::NAN };
        }
        let ln_masses = self.masses.map(|mass| ln_mass_at(mass, ROW_FRACTION));
        let mean = |sum: f64, i: usize, fraction: u32| {
            sum / self.masses[i] as f64 * pow2(ROW_FRACTION.cast_signed() - fraction.cast_signed())
        };
        let kl = |i: usize, flag: u32| {
            if self.unmatched & flag != 0 {
                return f64::INFINITY;
            }
            let kl = mean(self.crosses[i] as f64, i, CROSS_FRACTION) + (ln_masses[1 - i] - ln_masses[i]);
            if kl > 0.0 { kl } else { 0.0 } // below it is what rounding left of nothing
        };
        let [p, q] = [0, 1].map(|i| mean(self.informations[i] as f64, i, INFORMATION_FRACTION));
        Divergence {
            statuses,
            kl: kl(0, unmatched::FIRST),
            reverse_kl: kl(1, unmatched::SECOND),
            jensen_shannon: (0.5 * (p + q)).min(std::f64::consts::LN_2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comparator behind every "same bits" test: each field alone makes two answers differ.
    #[test]
    fn one_changed_field_makes_divergences_differ() {
        let sound =
            Divergence { statuses: [Status::Ok; 2], kl: 0.5, reverse_kl: f64::NAN, jensen_shannon: 0.25 };
        let flip = |x: &mut f64| *x = f64::from_bits(x.to_bits() ^ 1);
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Divergence));
        let changes: &[Change<'_>] = &[
            ("status of P", &|d| d.statuses[0] = Status::Nan),
            ("status of Q", &|d| d.statuses[1] = Status::Nan),
            ("kl", &|d| flip(&mut d.kl)),
            ("reverse_kl", &|d| flip(&mut d.reverse_kl)),
            ("jensen_shannon", &|d| flip(&mut d.jensen_shannon)),
            ("directions", &|d| std::mem::swap(&mut d.kl, &mut d.reverse_kl)),
        ];
        assert_eq!(sound, sound);
        for (name, change) in changes {
            let mut changed = sound;
            change(&mut changed);
            assert_ne!(changed, sound, "{name}");
        }
    }
}
