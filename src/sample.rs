use crate::exact;
#[cfg(feature = "wgpu")]
use crate::record::NO_TOKEN;
use crate::record::{Status, TargetLogprob, TopLogprob};
use crate::request::compiled::DrawScale;

/// What was drawn from one row, and from what.
///
/// Equality is equality of bits, except for [`Self::reopened`], which says how much work a device had.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whether there was something to draw from: the processed logits are a distribution. If not, there are no draws.
    pub status: Status,
    /// The drawn tokens, [`SamplingParams::n`](crate::SamplingParams::n) of them, one for a greedy request.
    pub draws: Vec<Drawn>,
    /// The seed of the draws: with position and stream it gives them again.
    pub seed: u64,
    /// The temperature that was drawn at; NaN if [`Self::status`] is not ok, and 1 for a greedy request, whose
    /// distribution is that of temperature 1.
    pub temperature: f64,
    /// Tokens that the filters kept.
    pub kept: u32,
    /// The probability that the kept tokens had before the filters, at the temperature at which the first filter worked (1
    /// where that is dynamic). Masses are rounded apart, so that it may differ from 1 by 1e-6 where everything is kept.
    pub kept_mass: f64,
    /// Whether the draft token of the row was accepted; `None` without one.
    pub accepted: Option<bool>,
    /// The distribution that was drawn from: after changes, temperature and filters. Its top is empty unless
    /// [`SamplingParams::processed_logprobs`](crate::SamplingParams::processed_logprobs) asks for it.
    pub processed: Distribution,
    /// The distribution of the logits as they are, at temperature 1, where
    /// [`SamplingParams::raw_logprobs`](crate::SamplingParams::raw_logprobs) asks for it.
    pub raw: Option<Distribution>,
    /// Logits that the second pass read again to find all this; 0 from the CPU engine.
    pub reopened: u64,
}

/// A drawn token.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// Token id.
    pub token: u32,
    /// Natural logarithm of its probability in the processed distribution, however it was drawn.
    pub logprob: f64,
    /// The same with its logit (after the changes) and its rank among the kept tokens.
    pub processed: TargetLogprob,
    /// The same in the raw distribution, where that was asked for and is one.
    pub raw: Option<TargetLogprob>,
}

/// Summary and best tokens of a distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Whether it is one. If not, every number below is NaN and the list empty.
    pub status: Status,
    /// Largest logit of its tokens, before the temperature.
    pub max: f32,
    /// `ln Σ exp(x / T)` over its tokens.
    pub logsumexp: f64,
    /// Entropy, in nats.
    pub entropy: f64,
    /// The most probable tokens: logit descending, then token ascending.
    pub top: Vec<TopLogprob>,
}

impl Sample {
    fn bits(&self) -> Vec<u64> {
        let target = |target: &TargetLogprob| {
            let TargetLogprob { token, logit, logprob, n_greater, n_equal } = target;
            [
                u64::from(*token),
                u64::from(logit.to_bits()),
                logprob.to_bits(),
                u64::from(*n_greater),
                u64::from(*n_equal),
            ]
        };
        let distribution = |of: &Distribution| {
            let head =
                [of.status as u64, u64::from(of.max.to_bits()), of.logsumexp.to_bits(), of.entropy.to_bits()];
            let top = of.top.iter().flat_map(|entry| {
                [u64::from(entry.token), u64::from(entry.logit.to_bits()), entry.logprob.to_bits()]
            });
            head.into_iter().chain([of.top.len() as u64]).chain(top).collect::<Vec<_>>()
        };
        let mut bits = vec![
            self.status as u64,
            self.draws.len() as u64,
            self.seed,
            self.temperature.to_bits(),
            u64::from(self.kept),
            self.kept_mass.to_bits(),
            self.accepted.map_or(2, u64::from),
            u64::from(self.raw.is_some()),
        ];
        for drawn in &self.draws {
            bits.extend([u64::from(drawn.token), drawn.logprob.to_bits(), u64::from(drawn.raw.is_some())]);
            bits.extend(target(&drawn.processed));
            bits.extend(drawn.raw.iter().flat_map(target));
        }
        bits.extend(distribution(&self.processed));
        bits.extend(self.raw.iter().flat_map(distribution));
        bits
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Sample {}

/// What an engine, GPU or CPU, finds for a row before the host's logarithm: integers and stored bits only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawSample {
    pub(crate) flags: u32,
    pub(crate) max_key: i32,
    /// Q43, of the kept tokens, at the scale that is drawn at.
    pub(crate) mass: u64,
    /// Q43.
    pub(crate) surprisal: u64,
    pub(crate) kept: u32,
    pub(crate) shift: i32,
    pub(crate) unit: u32,
    /// Q43, of the kept tokens and of the row, at the scale of pass 1.
    pub(crate) kept_mass: u64,
    pub(crate) all_mass: u64,
    pub(crate) reopened: u32,
    pub(crate) is_accepted: bool,
    pub(crate) draws: Vec<RawDraw>,
    /// (token, bits) in order.
    pub(crate) processed: Vec<(u32, u32)>,
    pub(crate) raw: Option<RawView>,
}

/// The raw view of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawView {
    pub(crate) flags: u32,
    pub(crate) max_key: i32,
    /// Q40.
    pub(crate) mass: u64,
    /// Q40.
    pub(crate) surprisal: u64,
    pub(crate) top: Vec<(u32, u32)>,
}

/// A drawn token, and its bits and rank counts in both views; the raw ones only where that view is wanted and sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawDraw {
    pub(crate) token: u32,
    pub(crate) processed: [u32; 3],
    pub(crate) raw: [u32; 3],
}

/// What the host knows of a row besides.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "wgpu"), expect(dead_code, reason = "a device's record needs more to be read"))]
pub(crate) struct Asked {
    pub(crate) seed: u64,
    pub(crate) has_draft: bool,
    pub(crate) wants_raw: bool,
    pub(crate) n_draws: u32,
}

impl RawSample {
    pub(crate) const HEADER_WORDS: usize = 22;
    pub(crate) const DRAW_WORDS: usize = 7;

    /// Words of a record on the device.
    pub(crate) const fn words(draws: u32, top_processed: u32, top_raw: u32) -> usize {
        Self::HEADER_WORDS + Self::DRAW_WORDS * draws as usize + 2 * (top_processed + top_raw) as usize
    }

    /// Reads the words that `row_sample` wrote for a row; `draws` and `top_processed` are the batch's.
    #[cfg(feature = "wgpu")]
    pub(crate) fn from_words(words: &[u32], draws: u32, top_processed: u32, asked: &Asked) -> Self {
        let pair = |low: usize| u64::from(words[low]) | (u64::from(words[low + 1]) << 32);
        let (header, rest) = words.split_at(Self::HEADER_WORDS);
        let (drawn, lists) = rest.split_at(Self::DRAW_WORDS * draws as usize);
        let (processed, raw) = lists.split_at(2 * top_processed as usize);
        let entries = |words: &[u32]| {
            words
                .chunks_exact(2)
                .map(|entry| (entry[0], entry[1]))
                .take_while(|(token, _)| *token != NO_TOKEN)
                .collect()
        };
        let flags = header[1];
        let n_draws = if flags == 0 { asked.n_draws as usize } else { 0 };
        let raw_flags = header[17];
        Self {
            max_key: header[0].cast_signed(),
            flags,
            mass: pair(2),
            surprisal: pair(4),
            kept: header[6],
            shift: header[7].cast_signed(),
            unit: header[8],
            kept_mass: pair(10),
            all_mass: pair(12),
            reopened: header[14],
            is_accepted: header[15] == 1,
            draws: drawn
                .chunks_exact(Self::DRAW_WORDS)
                .take(n_draws)
                .map(|words| RawDraw {
                    token: words[0],
                    processed: [words[1], words[2], words[3]],
                    raw: if asked.wants_raw && raw_flags == 0 {
                        [words[4], words[5], words[6]]
                    } else {
                        [0; 3]
                    },
                })
                .collect(),
            processed: entries(processed),
            raw: asked.wants_raw.then(|| RawView {
                max_key: header[16].cast_signed(),
                flags: raw_flags,
                mass: pair(18),
                surprisal: pair(20),
                top: entries(raw),
            }),
        }
    }

    /// What a caller sees: the last logarithms, in f64 (docs/exact.md, 8, and docs/sampling.md).
    pub(crate) fn decode(&self, asked: &Asked) -> Sample {
        let status = Status::from_flags(self.flags);
        let raw = self.raw.as_ref().map(RawView::decode);
        if status != Status::Ok {
            return Sample {
                status,
                draws: Vec::new(),
                seed: asked.seed,
                temperature: f64::NAN,
                kept: 0,
                kept_mass: f64::NAN,
                accepted: asked.has_draft.then_some(false),
                processed: Distribution::none(status),
                raw,
                reopened: self.reopened.into(),
            };
        }
        let temperature = DrawScale::temperature(self.shift, self.unit);
        let view = View { max_key: self.max_key, temperature, ln_mass: exact::ln_mass_at(self.mass, 43) };
        let raw_view = self.raw.as_ref().filter(|raw| raw.flags == 0).map(RawView::view);
        Sample {
            status,
            draws: self
                .draws
                .iter()
                .map(|drawn| {
                    let processed = view.target(drawn.token, drawn.processed);
                    Drawn {
                        token: drawn.token,
                        logprob: processed.logprob,
                        processed,
                        raw: raw_view.as_ref().map(|raw| raw.target(drawn.token, drawn.raw)),
                    }
                })
                .collect(),
            seed: asked.seed,
            temperature,
            kept: self.kept,
            kept_mass: self.kept_mass as f64 / self.all_mass as f64,
            accepted: asked.has_draft.then_some(self.is_accepted),
            processed: view.distribution(self.mass, self.surprisal, &self.processed),
            raw,
            reopened: self.reopened.into(),
        }
    }
}

impl RawView {
    fn view(&self) -> View {
        View { max_key: self.max_key, temperature: 1.0, ln_mass: exact::ln_mass(self.mass) }
    }

    fn decode(&self) -> Distribution {
        match Status::from_flags(self.flags) {
            Status::Ok => self.view().distribution(self.mass, self.surprisal, &self.top),
            status => Distribution::none(status),
        }
    }
}

/// What every logprob of a distribution needs.
struct View {
    max_key: i32,
    temperature: f64,
    ln_mass: f64,
}

impl View {
    fn max(&self) -> f32 {
        f32::from_bits(exact::bits_of_key(self.max_key))
    }

    fn logprob(&self, logit: f32) -> f64 {
        (f64::from(logit) - f64::from(self.max())) / self.temperature - self.ln_mass
    }

    fn target(&self, token: u32, [bits, n_greater, n_equal]: [u32; 3]) -> TargetLogprob {
        let logit = f32::from_bits(bits);
        TargetLogprob { token, logit, logprob: self.logprob(logit), n_greater, n_equal }
    }

    fn distribution(&self, mass: u64, surprisal: u64, top: &[(u32, u32)]) -> Distribution {
        Distribution {
            status: Status::Ok,
            max: self.max(),
            logsumexp: f64::from(self.max()) / self.temperature + self.ln_mass,
            entropy: self.ln_mass + surprisal as f64 / mass as f64 * std::f64::consts::LN_2,
            top: top
                .iter()
                .map(|&(token, bits)| {
                    let logit = f32::from_bits(bits);
                    TopLogprob { token, logit, logprob: self.logprob(logit) }
                })
                .collect(),
        }
    }
}

impl Distribution {
    fn none(status: Status) -> Self {
        Self { status, max: f32::NAN, logsumexp: f64::NAN, entropy: f64::NAN, top: Vec::new() }
    }
}
