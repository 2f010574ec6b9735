//! A distribution as a caller sees it, and as the words of a row say it.

use super::status::Status;
use crate::arithmetic::exact::bits_of_key;
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::ln::ln_mass_at;

/// One of the most probable tokens of a distribution.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TopLogprob {
    /// Token id.
    pub token: u32,
    /// The logit as stored, widened to f32 (-0 comes back as 0).
    pub logit: f32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// What a distribution says of one token, the one that the caller asked about or that was drawn.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TargetLogprob {
    /// Token id.
    pub token: u32,
    /// The logit as stored, widened to f32 (-0 comes back as 0).
    pub logit: f32,
    /// Natural logarithm of its probability; -infinity where the logit is. From the same expression as those
    /// of [`Distribution::top_logprobs`]: the greedy token's equals the first of them as a float.
    pub logprob: f64,
    /// Tokens whose logit is larger.
    pub n_greater: u32,
    /// Tokens whose logit is equal, the target included.
    pub n_equal: u32,
}

impl TopLogprob {
    /// Every field as bits, for comparisons.
    pub(super) fn bits(&self) -> [u64; 3] {
        let Self { token, logit, logprob } = self;
        [u64::from(*token), u64::from(logit.to_bits()), logprob.to_bits()]
    }
}

impl TargetLogprob {
    /// Whether no token has a larger logit. Several are greatest where they tie; the first of them leads
    /// [`Distribution::top_logprobs`].
    #[must_use]
    pub const fn is_greatest(&self) -> bool {
        self.n_greater == 0
    }

    /// 1 plus the tokens with a larger logit: ties share the best rank. Where ties should share the worst, as in vLLM's
    /// V1 engine, take `n_greater + n_equal`.
    #[must_use]
    pub const fn rank(&self) -> u32 {
        self.n_greater + 1
    }

    /// Every field as bits, for comparisons.
    pub(super) fn bits(&self) -> [u64; 5] {
        let Self { token, logit, logprob, n_greater, n_equal } = self;
        [
            u64::from(*token),
            u64::from(logit.to_bits()),
            logprob.to_bits(),
            u64::from(*n_greater),
            u64::from(*n_equal),
        ]
    }
}

/// Summary and most probable tokens of a distribution.
///
/// Equality is equality of bits, so that what is no distribution equals itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Distribution {
    /// Whether it is one. If not, every number below is NaN and both lists are empty.
    pub status: Status,
    /// Largest logit of its tokens, before the temperature.
    pub max: f32,
    /// `ln Σ exp(x / T)` over its tokens, in nats.
    pub logsumexp: f64,
    /// Entropy of `softmax(x / T)`, in nats; NaN unless it was asked for.
    pub entropy: f64,
    /// The most probable tokens, as many as were asked for: logit descending, then token ascending. Tokens at
    /// -infinity are left out.
    pub top_logprobs: Vec<TopLogprob>,
    /// What it says of the tokens that were asked for by their ids, in that order
    /// ([`SamplingParams::logprob_token_ids`](crate::SamplingParams::logprob_token_ids),
    /// [`Engine::logprobs_of`](crate::Engine::logprobs_of)). One that a filter left out has a logit and a logprob of
    /// -infinity, behind all that are kept.
    pub token_logprobs: Vec<TargetLogprob>,
}

impl Distribution {
    /// In place of one that is none.
    pub(super) const fn none(status: Status) -> Self {
        Self {
            status,
            max: f32::NAN,
            logsumexp: f64::NAN,
            entropy: f64::NAN,
            top_logprobs: Vec::new(),
            token_logprobs: Vec::new(),
        }
    }

    /// Natural logarithms of the probabilities of [`Self::token_logprobs`] among themselves, in the same order:
    /// `logprob − ln Σ exp(logprob)`, the sum over each different token once. For a set of labels such as A, B, C, D.
    /// -infinity for an impossible token.
    ///
    /// Computed in f64 with the system's `exp` and `ln`. What all logprobs share cancels, so that the error is a few
    /// units in the last place of the logprobs, below 1e-13 where they are above -100.
    #[must_use]
    pub fn token_set_logprobs(&self) -> Vec<f64> {
        let given = &self.token_logprobs;
        let largest = given.iter().map(|entry| entry.logprob).fold(f64::NEG_INFINITY, f64::max);
        let mut each: Vec<(u32, f64)> = given.iter().map(|entry| (entry.token, entry.logprob)).collect();
        each.sort_by_key(|(token, _)| *token);
        each.dedup_by_key(|(token, _)| *token);
        let ln_sum = each.iter().map(|(_, logprob)| (logprob - largest).exp()).sum::<f64>().ln();
        let among = |logprob: f64| if logprob.is_finite() { (logprob - largest) - ln_sum } else { logprob };
        given.iter().map(|entry| among(entry.logprob)).collect()
    }

    /// Every field as bits, for comparisons.
    pub(super) fn bits(&self) -> impl Iterator<Item = u64> + '_ {
        let head = [
            self.status as u64,
            u64::from(self.max.to_bits()),
            self.logsumexp.to_bits(),
            self.entropy.to_bits(),
            self.top_logprobs.len() as u64,
            self.token_logprobs.len() as u64,
        ];
        let top = self.top_logprobs.iter().flat_map(TopLogprob::bits);
        head.into_iter().chain(top).chain(self.token_logprobs.iter().flat_map(TargetLogprob::bits))
    }
}

impl PartialEq for Distribution {
    fn eq(&self, other: &Self) -> bool {
        self.bits().eq(other.bits())
    }
}

impl Eq for Distribution {}

impl PartialEq for TargetLogprob {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for TargetLogprob {}

/// What an engine, GPU or CPU, computes of a distribution before the host's logarithm: integers and stored bits only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DistributionBits {
    pub(crate) status: u32,
    pub(crate) max_key: i32,
    /// At the scale of [`Reading::fraction`].
    pub(crate) mass: u64,
    pub(crate) surprisal: u64,
    /// (token, bits) in order; what comes after [`NO_TOKEN`] is past the last possible token.
    pub(crate) top: Vec<(u32, u32)>,
    /// The given tokens, each with its bits and how many logits are larger and equal.
    pub(crate) given: Vec<(u32, [u32; 3])>,
}

/// How the bits of a distribution are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The temperature of the distribution.
    pub(super) temperature: f64,
    /// Fraction bits of mass and surprisal.
    pub(super) fraction: u32,
    /// Whether the surprisal was summed up.
    pub(super) entropy: bool,
}

impl DistributionBits {
    /// Takes what a record says in place of what was there: a header, the places of status, key, mass and surprisal in
    /// it, a list, and given tokens.
    #[cfg(feature = "gpu")]
    pub(super) fn read(&mut self, header: &[u32], places: [usize; 4], list: &[u32], given: &[u32]) {
        use super::words::{pair, read_entries, read_given};
        let [status, max_key, mass, surprisal] = places;
        self.status = header[status];
        self.max_key = header[max_key].cast_signed();
        self.mass = pair(header, mass);
        self.surprisal = pair(header, surprisal);
        read_entries(list, &mut self.top);
        // Nothing is said of a token of what is no distribution.
        read_given(if self.status == 0 { given } else { &[] }, &mut self.given);
    }

    /// Puts what a caller sees in place of what `out` was: the last logarithms, in f64 (docs/exact.md, 9).
    pub(super) fn decode(&self, reading: Reading, out: &mut Distribution) {
        let mut top_logprobs = std::mem::take(&mut out.top_logprobs);
        let mut token_logprobs = std::mem::take(&mut out.token_logprobs);
        top_logprobs.clear();
        token_logprobs.clear();
        let status = Status::from_code(self.status);
        if status != Status::Ok {
            *out = Distribution { top_logprobs, token_logprobs, ..Distribution::none(status) };
            return;
        }
        let ln_mass = ln_mass_at(self.mass, reading.fraction);
        let given = self.given.iter();
        token_logprobs.extend(given.map(|&(token, bits)| self.target_at(reading, ln_mass, token, bits)));
        let spread = self.surprisal as f64 / self.mass as f64 * std::f64::consts::LN_2;
        let listed = self.top.iter().take_while(|(token, _)| *token != NO_TOKEN);
        top_logprobs.extend(listed.map(|&(token, bits)| {
            let logit = f32::from_bits(bits);
            TopLogprob { token, logit, logprob: self.logprob(reading, ln_mass, logit) }
        }));
        *out = Distribution {
            status,
            max: self.max(),
            logsumexp: f64::from(self.max()) / reading.temperature + ln_mass,
            // H = ln S + E[distance]; the distance was summed in octaves.
            entropy: if reading.entropy { ln_mass + spread } else { f64::NAN },
            top_logprobs,
            token_logprobs,
        };
    }

    /// What a sound distribution says of a token whose bits, and whose counts of larger and equal logits, these are.
    pub(super) fn target(&self, reading: Reading, token: u32, bits: [u32; 3]) -> TargetLogprob {
        self.target_at(reading, ln_mass_at(self.mass, reading.fraction), token, bits)
    }

    fn target_at(
        &self,
        reading: Reading,
        ln_mass: f64,
        token: u32,
        [bits, n_greater, n_equal]: [u32; 3],
    ) -> TargetLogprob {
        let logit = f32::from_bits(bits);
        TargetLogprob { token, logit, logprob: self.logprob(reading, ln_mass, logit), n_greater, n_equal }
    }

    /// What a sound distribution says of a token with this key.
    pub(super) fn entry(&self, reading: Reading, token: u32, key: i32) -> TopLogprob {
        let logit = f32::from_bits(bits_of_key(key));
        let ln_mass = ln_mass_at(self.mass, reading.fraction);
        TopLogprob { token, logit, logprob: self.logprob(reading, ln_mass, logit) }
    }

    fn max(&self) -> f32 {
        f32::from_bits(bits_of_key(self.max_key))
    }

    /// The one expression of every logprob, so that equal logits have equal ones.
    fn logprob(&self, reading: Reading, ln_mass: f64, logit: f32) -> f64 {
        (f64::from(logit) - f64::from(self.max())) / reading.temperature - ln_mass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(logprobs: &[(u32, f64)]) -> Distribution {
        let given = |&(token, logprob): &(u32, f64)| TargetLogprob {
            token,
            logit: 0.0,
            logprob,
            n_greater: 0,
            n_equal: 1,
        };
        Distribution {
            token_logprobs: logprobs.iter().map(given).collect(),
            ..Distribution::none(Status::Ok)
        }
    }

    #[test]
    fn a_set_of_tokens_has_a_distribution_of_its_own() {
        let impossible = f64::NEG_INFINITY;
        let given = [(4, -800.0 - 4f64.ln()), (9, impossible), (2, -800.0), (4, -800.0 - 4f64.ln())];
        let among = distribution(&given).token_set_logprobs();
        for (got, probability) in among.iter().zip([0.2, 0.0, 0.8, 0.2]) {
            assert!((got.exp() - probability).abs() < 1e-12, "{among:?}");
        }
        assert_eq!(among[1], impossible);
        let nothing = distribution(&[(1, impossible), (2, impossible)]).token_set_logprobs();
        assert_eq!(nothing, [impossible; 2]);
        assert!(distribution(&[]).token_set_logprobs().is_empty());
    }
}
