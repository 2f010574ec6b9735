//! What a `logprobs` call says of a row: its distribution and its target.

use super::distribution::Reading;
use super::words::{given, record};
use super::{Distribution, DistributionBits, Status, TargetLogprob};
use crate::arithmetic::exact::ROW_FRACTION;

/// What one row of logits says: its distribution, and the token that was asked about.
///
/// Equality is equality of bits, so that a row that is no distribution equals itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logprobs {
    /// The distribution of the row at the temperature of the call.
    pub distribution: Distribution,
    /// The target, where one was asked for and the row is a distribution.
    pub target: Option<TargetLogprob>,
}

/// What an engine, GPU or CPU, computes of a row before the host's logarithm: integers and stored bits only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogprobsBits {
    /// Mass and surprisal Q40; the list has as many entries as were asked for.
    pub(crate) distribution: DistributionBits,
    /// Canonical bits of the target's logit, 0 where there is no target or the row is no distribution; how many tokens
    /// have a larger logit, and an equal one.
    pub(crate) target: [u32; 3],
}

impl LogprobsBits {
    /// Words of a record on the device.
    pub(crate) const fn words(listed: u32, token_ids: u32) -> usize {
        record::HEADER_WORDS + 2 * listed as usize + given::WORDS * token_ids as usize
    }

    /// Takes the words that `row_logprobs` wrote, and `token_ranks` for given tokens, in place of what was there.
    #[cfg(feature = "gpu")]
    pub(crate) fn read(&mut self, words: &[u32], listed: u32) {
        let places = [record::STATUS, record::MAX_KEY, record::MASS, record::SURPRISAL];
        let (list, tokens) = words[record::HEADER_WORDS..].split_at(2 * listed as usize);
        self.distribution.read(words, places, list, tokens);
        self.target = [words[record::TARGET_BITS], words[record::N_GREATER], words[record::N_EQUAL]];
    }

    /// What a caller sees of a row at this temperature, with its entropy or without.
    pub(crate) fn decode(&self, temperature: f32, entropy: bool, target: Option<u32>) -> Logprobs {
        let mut out = Logprobs::empty();
        self.decode_into(temperature, entropy, target, &mut out);
        out
    }

    /// Puts it in place of what `out` was.
    pub(crate) fn decode_into(
        &self,
        temperature: f32,
        entropy: bool,
        target: Option<u32>,
        out: &mut Logprobs,
    ) {
        let reading = Reading { temperature: temperature.into(), fraction: ROW_FRACTION, entropy };
        self.distribution.decode(reading, &mut out.distribution);
        out.target = target
            .filter(|_| self.distribution.status == 0)
            .map(|token| self.distribution.target(reading, token, self.target));
    }
}

impl Logprobs {
    /// Before there is something to say.
    pub(crate) const fn empty() -> Self {
        Self { distribution: Distribution::none(Status::NothingFinite), target: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::TopLogprob;

    fn target(token: u32) -> TargetLogprob {
        TargetLogprob { token, logit: 1.0, logprob: -1.0, n_greater: 0, n_equal: 1 }
    }

    fn sample() -> Logprobs {
        let distribution = Distribution {
            status: Status::Ok,
            max: 1.0,
            logsumexp: 2.0,
            entropy: 0.5,
            top_logprobs: vec![TopLogprob { token: 3, logit: 1.0, logprob: -1.0 }],
            token_logprobs: vec![target(5)],
        };
        Logprobs { distribution, target: Some(target(3)) }
    }

    /// The comparator behind every "same bits" test: each field alone makes two records differ.
    #[test]
    fn one_changed_field_makes_records_differ() {
        type Change = (&'static str, fn(&mut Logprobs));
        let changes: &[Change] = &[
            ("status", |r| r.distribution.status = Status::Nan),
            ("max", |r| r.distribution.max = f32::from_bits(r.distribution.max.to_bits() ^ 1)),
            ("logsumexp", |r| {
                r.distribution.logsumexp = f64::from_bits(r.distribution.logsumexp.to_bits() ^ 1)
            }),
            ("entropy", |r| r.distribution.entropy = f64::from_bits(r.distribution.entropy.to_bits() ^ 1)),
            ("zero's sign", |r| r.distribution.top_logprobs[0].logit = -0.0),
            ("top token", |r| r.distribution.top_logprobs[0].token = 4),
            ("top logprob", |r| {
                r.distribution.top_logprobs[0].logprob =
                    f64::from_bits(r.distribution.top_logprobs[0].logprob.to_bits() ^ 1)
            }),
            ("top length", |r| r.distribution.top_logprobs.clear()),
            ("given token", |r| r.distribution.token_logprobs[0].token = 4),
            ("given rank", |r| r.distribution.token_logprobs[0].n_greater = 1),
            ("given length", |r| r.distribution.token_logprobs.clear()),
            ("no target", |r| r.target = None),
            ("target token", |r| r.target.as_mut().expect("some").token = 4),
            ("target logit", |r| r.target.as_mut().expect("some").logit = 2.0),
            ("target logprob", |r| r.target.as_mut().expect("some").logprob = 0.0),
            ("n_greater", |r| r.target.as_mut().expect("some").n_greater = 1),
            ("n_equal", |r| r.target.as_mut().expect("some").n_equal = 2),
        ];
        assert_eq!(sample(), sample());
        for (name, change) in changes {
            let mut changed = sample();
            change(&mut changed);
            assert_ne!(changed, sample(), "{name}");
        }
    }
}
