//! What a `sample` call says of a row: what was drawn, and from which distribution.

use super::distribution::Reading;
use super::status::Status;
use super::words::{draw, given, run, sample};
use super::{Distribution, DistributionBits, FinishReason, TargetLogprob, TopLogprob};
use crate::arithmetic::draw_scale::DrawScale;
use crate::arithmetic::exact::{ROW_FRACTION, RUN_FRACTION, bits_of_key};
use crate::arithmetic::format::MOST_LISTED;

/// What was drawn from one row, and from what.
///
/// Equality is equality of bits, except for [`Self::reopened`], which says how much work a device had.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// Whether there was something to draw from: the processed logits are a distribution. If not, there are no draws.
    pub status: Status,
    /// The drawn tokens, [`SamplingParams::n`](crate::SamplingParams::n) of them, one for a greedy request.
    pub draws: Vec<Drawn>,
    /// Why the request has finished: with this row's first draw, or before the row, which then has the status
    /// [`Status::Finished`] and no draws. `None` while it goes on.
    pub finish_reason: Option<FinishReason>,
    /// The seed of the draws: with position and stream it gives them again.
    pub seed: u64,
    /// What tells them from the draws of other requests with that seed.
    pub stream: u32,
    /// The temperature that was drawn at; NaN if [`Self::status`] is not ok, and 1 for a greedy request, whose
    /// distribution is that of temperature 1.
    pub temperature: f64,
    /// Tokens that the filters kept.
    pub kept: u32,
    /// The probability that the kept tokens had before the filters, at the temperature at which the first filter
    /// worked (1 where that is dynamic). Masses are rounded apart, so that it may differ from 1 by 1e-6 where
    /// everything is kept.
    pub kept_mass: f64,
    /// The first and the last of the kept tokens, in the one total order: with [`Self::kept`] they say which tokens the
    /// filters kept. `None` where no filter acted, and all possible tokens are kept.
    pub kept_ends: Option<[TopLogprob; 2]>,
    /// Whether one of the row's draft tokens was accepted, which is then the draw. By block verification whether those before the row
    /// are: a block stands up to the last row that says so. `None` where nothing is verified.
    pub accepted: Option<bool>,
    /// The distribution that was drawn from: after changes, temperature and filters. Its list is empty unless
    /// [`SamplingParams::processed_logprobs`](crate::SamplingParams::processed_logprobs) asks for it.
    pub processed: Distribution,
    /// The distribution of the logits as they are, at temperature 1, where
    /// [`SamplingParams::raw_logprobs`](crate::SamplingParams::raw_logprobs) asks for it.
    pub raw: Option<Distribution>,
    /// Logits that the second pass read again to find all this; 0 from the CPU engine.
    pub reopened: u64,
    /// The position of the row.
    pub(crate) position: u64,
    /// Which time its request entered the histories of a device that goes on from this draw; 0 where none does.
    pub(crate) entry: u64,
}

/// A drawn token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Drawn {
    /// Token id.
    pub token: u32,
    /// Natural logarithm of its probability in the processed distribution, however it was drawn.
    pub logprob: f64,
    /// Its logprob with its logit (after the changes) and its rank among the kept tokens.
    pub processed: TargetLogprob,
    /// What the raw distribution says of it, where that was asked for and is one.
    pub raw: Option<TargetLogprob>,
    /// How surprising it is in the processed distribution, Q24 bits: what moves Mirostat's limit.
    pub(crate) surprise: u32,
}

impl Sample {
    /// The first drawn token, which [`Request::accept`](crate::Request::accept) takes; `None` of a row without a draw.
    #[must_use]
    pub fn token(&self) -> Option<u32> {
        self.draws.first().map(|drawn| drawn.token)
    }

    /// Every field as bits, for comparisons: not [`Self::reopened`], nor the entry, which no other engine has.
    fn bits(&self) -> Vec<u64> {
        let mut bits = vec![
            self.status as u64,
            self.draws.len() as u64,
            self.seed,
            u64::from(self.stream),
            self.position,
            self.temperature.to_bits(),
            u64::from(self.kept),
            self.kept_mass.to_bits(),
            self.accepted.map_or(2, u64::from),
            self.finish_reason.map_or(0, |reason| u64::from(reason.code())),
            u64::from(self.raw.is_some()),
            u64::from(self.kept_ends.is_some()),
        ];
        bits.extend(self.kept_ends.iter().flatten().flat_map(TopLogprob::bits));
        for drawn in &self.draws {
            bits.extend([u64::from(drawn.token), drawn.logprob.to_bits(), u64::from(drawn.raw.is_some())]);
            bits.extend(drawn.processed.bits());
            bits.extend(drawn.raw.iter().flat_map(TargetLogprob::bits));
        }
        bits.extend(self.processed.bits());
        bits.extend(self.raw.iter().flat_map(Distribution::bits));
        bits
    }
}

impl Sample {
    /// Before there is something to say.
    pub(crate) const fn empty() -> Self {
        Self {
            status: Status::NothingFinite,
            draws: Vec::new(),
            finish_reason: None,
            seed: 0,
            stream: 0,
            temperature: f64::NAN,
            kept: 0,
            kept_mass: f64::NAN,
            kept_ends: None,
            accepted: None,
            processed: Distribution::none(Status::NothingFinite),
            raw: None,
            reopened: 0,
            position: 0,
            entry: 0,
        }
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
pub(crate) struct SampleBits {
    /// Of the kept tokens, at the scale that is drawn at: mass and surprisal Q43.
    pub(crate) processed: DistributionBits,
    pub(crate) kept: u32,
    pub(crate) shift: i32,
    pub(crate) unit: u32,
    /// Q43, of the kept tokens and of the row, at the scale of pass 1.
    pub(crate) kept_mass: u64,
    pub(crate) all_mass: u64,
    /// Tokens and keys of the first and the last kept token, where a filter acted.
    pub(crate) ends: Option<[(u32, i32); 2]>,
    pub(crate) reopened: u32,
    pub(crate) is_accepted: bool,
    pub(crate) draws: Vec<DrawnBits>,
    /// Of the logits as they are, at temperature 1: mass and surprisal Q40.
    pub(crate) raw: Option<DistributionBits>,
}

/// A drawn token, and its bits and rank counts in both views; the raw ones only where that view is wanted and sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DrawnBits {
    pub(crate) token: u32,
    pub(crate) processed: [u32; 3],
    pub(crate) raw: [u32; 3],
}

/// What the host knows of a row, and its record does not say.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "a device's record needs more to be read"))]
pub(crate) struct DecodeInfo {
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    pub(crate) position: u64,
    /// That of its run in a device's histories; 0 without one.
    pub(crate) entry: u64,
    /// It draws the last of the tokens that its request may have.
    pub(crate) is_last: bool,
    /// Where its stop tokens lie among those of all rows, and how many there are.
    pub(crate) stops: (usize, usize),
    /// A draft has a say in what it draws.
    pub(crate) is_verified: bool,
    pub(crate) wants_raw: bool,
    pub(crate) n_draws: u32,
    pub(crate) entropy: bool,
}

/// How many of everything the record of any row of a batch has room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SampleParts {
    pub(crate) draws: u32,
    /// Entries of the processed list.
    pub(crate) listed: u32,
    pub(crate) top_raw: u32,
    /// Given tokens, and the views of which something is said of them: 2 where a row asks for the raw one.
    pub(crate) token_ids: u32,
    pub(crate) token_views: u32,
}

impl SampleBits {
    /// Of a row whose request had finished before.
    pub(crate) fn finished(reason: FinishReason) -> Self {
        let processed = DistributionBits { status: reason.code(), ..DistributionBits::default() };
        Self { processed, ..Self::default() }
    }

    /// Words of a record on the device.
    pub(crate) const fn words(parts: SampleParts) -> usize {
        let SampleParts { draws, listed, top_raw, token_ids, token_views } = parts;
        let has_run = token_ids > 0 || listed > MOST_LISTED || top_raw > MOST_LISTED;
        let behind = if has_run { run::WORDS } else { 0 } + given::WORDS * (token_ids * token_views) as usize;
        sample::HEADER_WORDS + draw::WORDS * draws as usize + 2 * (listed + top_raw) as usize + behind
    }

    /// Takes the words that `row_sample` wrote for a row, and `token_ranks` for given tokens, in place of what was there.
    #[cfg(feature = "gpu")]
    pub(crate) fn read(&mut self, words: &[u32], parts: SampleParts, info: &DecodeInfo) {
        use super::words::pair;
        use crate::arithmetic::format::NO_TOKEN;
        let (header, rest) = words.split_at(sample::HEADER_WORDS);
        if let Some(reason) = FinishReason::from_code(header[sample::STATUS]) {
            // Nothing else was written.
            *self = Self { is_accepted: header[sample::ACCEPTED] == 1, ..Self::finished(reason) };
            return;
        }
        let (drawn, lists) = rest.split_at(draw::WORDS * parts.draws as usize);
        let (processed, lists) = lists.split_at(2 * parts.listed as usize);
        let (raw, tokens) = lists.split_at(2 * parts.top_raw as usize);
        let tokens = tokens.get(run::WORDS..).unwrap_or(&[]);
        let (of_processed, of_raw) = tokens.split_at(given::WORDS * parts.token_ids as usize);
        let has_raw = info.wants_raw && header[sample::RAW_STATUS] == 0;
        let n_draws = if header[sample::STATUS] == 0 { info.n_draws as usize } else { 0 };
        let of_view = |words: &[u32], view: usize| std::array::from_fn(|i| words[draw::VIEWS + 3 * view + i]);
        self.processed.read(
            header,
            [sample::STATUS, sample::MAX_KEY, sample::MASS, sample::SURPRISAL],
            processed,
            of_processed,
        );
        self.kept = header[sample::KEPT];
        self.shift = header[sample::SHIFT].cast_signed();
        self.unit = header[sample::UNIT];
        self.kept_mass = pair(header, sample::KEPT_MASS);
        self.all_mass = pair(header, sample::ALL_MASS);
        let [first, last] = [header[sample::FIRST_TOKEN], header[sample::LAST_TOKEN]];
        let last_key = header[sample::LAST_KEY].cast_signed();
        self.ends = (first != NO_TOKEN).then_some([(first, self.processed.max_key), (last, last_key)]);
        self.reopened = header[sample::REOPENED];
        self.is_accepted = header[sample::ACCEPTED] == 1;
        self.draws.clear();
        self.draws.extend(drawn.chunks_exact(draw::WORDS).take(n_draws).map(|words| DrawnBits {
            token: words[draw::TOKEN],
            processed: of_view(words, 0),
            raw: if has_raw { of_view(words, 1) } else { [0; 3] },
        }));
        if info.wants_raw {
            let places = [sample::RAW_STATUS, sample::RAW_MAX_KEY, sample::RAW_MASS, sample::RAW_SURPRISAL];
            self.raw.get_or_insert_default().read(header, places, raw, of_raw);
        } else {
            self.raw = None;
        }
    }

    /// What a caller sees: the last logarithms, in f64 (docs/exact.md, 9, and docs/sampling.md).
    pub(crate) fn decode(&self, info: &DecodeInfo, stops: &[u32]) -> Sample {
        let mut out = Sample::empty();
        self.decode_into(info, stops, &mut out);
        out
    }

    /// Why the request has finished, with the first draw or before.
    fn finish_reason(&self, info: &DecodeInfo, stops: &[u32]) -> Option<FinishReason> {
        let first = self.draws.first().map(|drawn| drawn.token);
        match first {
            Some(token) if stops.contains(&token) => Some(FinishReason::Stop),
            Some(_) if info.is_last => Some(FinishReason::Length),
            _ => FinishReason::from_code(self.processed.status),
        }
    }

    /// Puts it in place of what `out` was. `stops` are the stop tokens of all rows.
    pub(crate) fn decode_into(&self, info: &DecodeInfo, stops: &[u32], out: &mut Sample) {
        let of_raw = Reading { temperature: 1.0, fraction: ROW_FRACTION, entropy: info.entropy };
        let status = Status::from_code(self.processed.status);
        let is_sound = status == Status::Ok;
        let temperature = if is_sound { DrawScale::temperature(self.shift, self.unit) } else { f64::NAN };
        let reading = Reading { temperature, fraction: RUN_FRACTION, entropy: info.entropy };
        let sound_raw = self.raw.as_ref().filter(|raw| raw.status == 0);
        let drawn = |bits: &DrawnBits| {
            let processed = self.processed.target(reading, bits.token, bits.processed);
            let raw = sound_raw.map(|raw| raw.target(of_raw, bits.token, bits.raw));
            let logits = [bits_of_key(self.processed.max_key), bits.processed[0]];
            let surprise = DrawScale::surprise(self.shift, self.unit, logits, self.processed.mass);
            Drawn { token: bits.token, logprob: processed.logprob, processed, raw, surprise }
        };
        out.draws.clear();
        if is_sound {
            out.draws.extend(self.draws.iter().map(drawn));
        }
        self.processed.decode(reading, &mut out.processed);
        match &self.raw {
            Some(raw) => raw.decode(of_raw, out.raw.get_or_insert(Distribution::none(status))),
            None => out.raw = None,
        }
        out.status = status;
        out.finish_reason = self.finish_reason(info, &stops[info.stops.0..][..info.stops.1]);
        (out.seed, out.stream, out.position) = (info.seed, info.stream, info.position);
        out.entry = info.entry;
        out.temperature = temperature;
        out.kept = if is_sound { self.kept } else { 0 };
        out.kept_mass = if is_sound { self.kept_mass as f64 / self.all_mass as f64 } else { f64::NAN };
        let ends = self.ends.filter(|_| is_sound);
        out.kept_ends = ends.map(|ends| ends.map(|(token, key)| self.processed.entry(reading, token, key)));
        out.accepted = info.is_verified.then_some(self.is_accepted);
        out.reopened = self.reopened.into();
    }
}
