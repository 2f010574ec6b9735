use crate::exact::{self, RowStats};
use crate::params::Params;

/// Whether a row is a distribution, and if not why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// At least one finite logit, no NaN and no +infinity.
    Ok,
    /// The row holds a NaN.
    Nan,
    /// The row holds +infinity (and no NaN).
    PositiveInfinity,
    /// Every logit is -infinity: no token is possible.
    NothingFinite,
}

impl Status {
    /// The word that logs use: `ok`, `nan`, `positive_infinity`, `nothing_finite`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nan => "nan",
            Self::PositiveInfinity => "positive_infinity",
            Self::NothingFinite => "nothing_finite",
        }
    }

    pub(crate) fn from_flags(flags: u32) -> Self {
        match flags {
            0 => Self::Ok,
            exact::FLAG_NAN => Self::Nan,
            exact::FLAG_INFINITY => Self::PositiveInfinity,
            _ => Self::NothingFinite,
        }
    }
}

/// One of the most probable tokens of a row.
#[derive(Clone, Copy, Debug)]
pub struct TopLogprob {
    /// Token id.
    pub token: u32,
    /// The logit as stored, widened to f32 (-0 comes back as 0).
    pub logit: f32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// What a row says of the token that the caller asked about.
#[derive(Clone, Copy, Debug)]
pub struct TargetLogprob {
    /// Token id.
    pub token: u32,
    /// The logit as stored, widened to f32 (-0 comes back as 0).
    pub logit: f32,
    /// Natural logarithm of its probability; -infinity where the logit is. From the same expression as the entries
    /// of [`Record::top`]: the greedy token's equals the first of them as a float.
    pub logprob: f64,
    /// Tokens whose logit is larger.
    pub n_greater: u32,
    /// Tokens whose logit is equal, the target included.
    pub n_equal: u32,
}

impl TargetLogprob {
    /// Whether no token has a larger logit. Several are greatest where they tie; the first of them leads
    /// [`Record::top`].
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
}

/// What one row of logits says: its distribution's summary, its best tokens and its target.
///
/// Equality is equality of bits, so a record of a row that is no distribution equals itself.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whether the row is a distribution. If not, every number below is NaN and every list empty.
    pub status: Status,
    /// Largest logit, before the temperature.
    pub max: f32,
    /// `ln Σ exp(x / T)`, in nats.
    pub logsumexp: f64,
    /// Entropy of `softmax(x / T)`, in nats.
    pub entropy: f64,
    /// The `top_k` most probable tokens: logit descending, then token ascending. Tokens at -infinity are left out.
    pub top: Vec<TopLogprob>,
    /// The target, where one was asked for.
    pub target: Option<TargetLogprob>,
}

impl Record {
    fn bits(&self) -> impl Iterator<Item = u64> + '_ {
        let head = [
            self.status as u64,
            u64::from(self.max.to_bits()),
            self.logsumexp.to_bits(),
            self.entropy.to_bits(),
            self.target.is_some().into(),
        ];
        let top = self.top.iter().flat_map(|entry| {
            [u64::from(entry.token), u64::from(entry.logit.to_bits()), entry.logprob.to_bits()]
        });
        let target = self.target.iter().flat_map(|target| {
            [
                u64::from(target.token),
                u64::from(target.logit.to_bits()),
                target.logprob.to_bits(),
                u64::from(target.n_greater),
                u64::from(target.n_equal),
            ]
        });
        head.into_iter().chain(top).chain(target)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.top.len() == other.top.len() && self.bits().eq(other.bits())
    }
}

impl Eq for Record {}

/// A token beyond the end of the entries.
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// What an engine, GPU or CPU, computes for a row before the host's logarithm: integers and stored bits only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord {
    pub(crate) stats: RowStats,
    /// Bits of the target's logit, canonical; 0 where there is no target or the row is not sound.
    pub(crate) target_bits: u32,
    /// (token, bits) in order; [`NO_TOKEN`] and -infinity past the last possible token. `top_k` of them.
    pub(crate) entries: Vec<(u32, u32)>,
}

impl RawRecord {
    /// Word that says which step wrote the record.
    #[cfg(feature = "wgpu")]
    pub(crate) const STEP_WORD: usize = 9;

    /// Words before the entries in a record on the device.
    pub(crate) const HEADER_WORDS: usize = 10;

    /// Words of a record on the device.
    pub(crate) const fn words(top_k: u32) -> usize {
        Self::HEADER_WORDS + 2 * top_k as usize
    }

    /// Reads the words that `row_logprobs` wrote.
    #[cfg(feature = "wgpu")]
    pub(crate) fn from_words(words: &[u32]) -> Self {
        let pair = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        Self {
            stats: RowStats {
                max_key: words[0].cast_signed(),
                flags: words[1],
                mass: pair(words[2], words[3]),
                surprisal: pair(words[4], words[5]),
                n_greater: words[6],
                n_equal: words[7],
            },
            target_bits: words[8],
            entries: words[Self::HEADER_WORDS..].chunks_exact(2).map(|entry| (entry[0], entry[1])).collect(),
        }
    }

    /// The record that a caller sees: the last logarithm, in f64 (docs/exact.md, 8).
    pub(crate) fn decode(&self, params: &Params, target: Option<u32>) -> Record {
        let status = Status::from_flags(self.stats.flags);
        if status != Status::Ok {
            return Record {
                status,
                max: f32::NAN,
                logsumexp: f64::NAN,
                entropy: f64::NAN,
                top: Vec::new(),
                target: None,
            };
        }
        let RowStats { mass, surprisal, n_greater, n_equal, .. } = self.stats;
        let max = f32::from_bits(exact::bits_of_key(self.stats.max_key));
        let temperature = f64::from(params.temperature);
        let ln_mass = exact::ln_mass(mass);
        let logprob = |logit: f32| (f64::from(logit) - f64::from(max)) / temperature - ln_mass;
        Record {
            status,
            max,
            logsumexp: f64::from(max) / temperature + ln_mass,
            entropy: exact::entropy(mass, surprisal),
            top: self
                .entries
                .iter()
                .take_while(|(token, _)| *token != NO_TOKEN)
                .map(|&(token, bits)| {
                    let logit = f32::from_bits(bits);
                    TopLogprob { token, logit, logprob: logprob(logit) }
                })
                .collect(),
            target: target.map(|token| {
                let logit = f32::from_bits(self.target_bits);
                TargetLogprob { token, logit, logprob: logprob(logit), n_greater, n_equal }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        Record {
            status: Status::Ok,
            max: 1.0,
            logsumexp: 2.0,
            entropy: 0.5,
            top: vec![TopLogprob { token: 3, logit: 1.0, logprob: -1.0 }],
            target: Some(TargetLogprob { token: 3, logit: 1.0, logprob: -1.0, n_greater: 0, n_equal: 1 }),
        }
    }

    /// The comparator behind every "same bits" test: each field alone makes two records differ.
    #[test]
    fn one_changed_field_makes_records_differ() {
        type Change = (&'static str, fn(&mut Record));
        let changes: [Change; 14] = [
            ("status", |r| r.status = Status::Nan),
            ("max", |r| r.max = f32::from_bits(r.max.to_bits() ^ 1)),
            ("logsumexp", |r| r.logsumexp = f64::from_bits(r.logsumexp.to_bits() ^ 1)),
            ("entropy", |r| r.entropy = f64::from_bits(r.entropy.to_bits() ^ 1)),
            ("zero's sign", |r| r.top[0].logit = -0.0),
            ("top token", |r| r.top[0].token = 4),
            ("top logprob", |r| r.top[0].logprob = f64::from_bits(r.top[0].logprob.to_bits() ^ 1)),
            ("top length", |r| r.top.clear()),
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
