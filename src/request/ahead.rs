//! A row that runs ahead: the device, not the host, knows the last tokens before it. What it is told, word by word:
//! `shaders/row_history.wgsl`.

use super::change::BUCKET;
use super::penalties::Penalties;
use super::repeats::lengths_by_distance;
use super::{Request, Row};
use crate::arithmetic::format::{NO_TOKEN, layout};

layout! {
    /// What a row tells; the lists follow.
    ahead: usize, "AHEAD_" {
        FLAGS = 0,
        SLOT = 1,
        CAPACITY = 2,
        LENGTH = 3,
        ACCEPTED = 4,
        CALL = 5,
        WINDOW = 6,
        FREQUENCY = 7,
        PRESENCE = 8,
        TABLE = 9,
        BUCKETS = 10,
        KEPT = 11,
        KEPT_BUCKETS = 12,
        CUT = 13,
        TAU = 14,
        ETA = 15,
        /// Low word, then high word.
        MU = 16,
        REACH = 18,
        DRY_LENGTH = 19,
        DRY_LAST = 20,
        PROMPT = 21,
        /// Lengths of the lists.
        PENALTIES = 22,
        BREAKERS = 23,
        BAD_WORDS = 24,
        BAD_TOKENS = 25,
        STOPS = 26,
        EXEMPT = 27,
        /// Of a no-repeat n-gram.
        NGRAM = 28,
        NGRAM_LAST = 29,
        WORDS = 32,
    }
}

layout! {
    /// What there is.
    has: u32, "HAS_" {
        /// A history that the host sends whole.
        FRESH = 1,
        REPETITION = 2,
        PENALTIES = 4,
        DRY = 8,
        MIROSTAT = 16,
        /// Lengths by distance.
        LENGTHS = 32,
        /// Something beside stop tokens that looks at tokens.
        TOKENS = 64,
        /// Stop tokens that come too early.
        EARLY = 128,
        /// As many tokens before the row as the request may have.
        LENGTH = 256,
    }
}

layout! {
    /// What the device holds of a request; lengths by distance follow the tokens.
    slot: usize, "SLOT_" {
        MU = 0,
        REACH = 2,
        /// Of the last row: header and first draw.
        RECORD = 4,
        TOKENS = 36,
    }
}

// Of the kernel.
/// Invocations of a workgroup.
const LANES: usize = 256;
const BUCKET_WORDS: usize = 4 * BUCKET;
/// Places that a token may have, of two buckets.
const PLACES: usize = 2 * BUCKET;
/// Rounds of taking one, or finding it: each place, at which another may come first.
const TOUCH: usize = 2 * PLACES;
pub(crate) const MOST_CROWDED: usize = 256;

/// Words of a slot with room for so many tokens.
pub(crate) const fn slot_words(tokens: usize) -> usize {
    slot::TOKENS + 2 * tokens
}

/// Where the device holds the tokens before a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) slot: u32,
    /// Tokens that a slot holds.
    pub(crate) capacity: u32,
    /// Tokens before the row.
    pub(crate) length: u32,
    /// The call that drew the last of them; `None` if the host knows them all, and sends them.
    pub(crate) call: Option<u32>,
    /// Which time a request entered the histories: what is drawn behind one another of one time is one text.
    pub(crate) entry: u64,
}

/// Where in an upload, by words from its requests on, lies what a row refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) table: u32,
    pub(crate) kept: u32,
    pub(crate) kept_buckets: u32,
}

impl Run {
    /// Its slot's first word.
    pub(crate) fn first_word(&self) -> u32 {
        self.slot * word(slot_words(self.capacity as usize))
    }

    /// Buckets for every token that may change, a power of two or 0: at most one token each, or two where DRY may name any of
    /// the history.
    pub(crate) fn buckets(&self, row: &Row<'_>) -> usize {
        let asks = Asks::new(row);
        let ahead = self.length as usize - row.request.tokens().len();
        let counted =
            asks.penalties.map_or(0, |penalties| if penalties.window().is_some() { 2 } else { 1 }) * ahead;
        let repeated = if asks.keeps_lengths() { (self.length as usize).div_ceil(2) } else { 0 };
        let seen = asks.ngram_last(ahead).map_or(0, |last| last.min(self.length as usize));
        let named = counted + repeated + seen + asks.bad_words().count() + asks.early_stops();
        if named == 0 { 0 } else { named.next_power_of_two() }
    }

    /// Rounds of loops that an invocation of `row_history` takes at most. Where a driver cuts loops short it counts those of all
    /// loops, and of all invocations that it runs as one: what any of them does counts for each.
    pub(crate) fn rounds(&self, row: &Row<'_>) -> u64 {
        let asks = Asks::new(row);
        let length = self.length as usize;
        let ahead = length - row.request.tokens().len();
        let each = |count: usize| count.div_ceil(LANES);
        let look_up = |list: &[u32]| list.len().checked_ilog2().map_or(0, |steps| steps as usize + 1);
        let punish = look_up(asks.exempt()) + TOUCH;
        // What is done twice.
        let mut visit = 0;
        if asks.penalties.is_some() {
            visit += each(ahead) * (1 + 2 * punish);
        }
        if asks.repeats {
            visit += each(length) * (1 + look_up(asks.breakers()) + punish);
        }
        if asks.ngram.is_some() {
            visit += each(length) * (1 + punish);
        }
        let longest = asks.bad_words().map(Vec::len).max().unwrap_or(0);
        visit +=
            each(asks.bad_words().count()) * (1 + longest + TOUCH) + each(asks.early_stops()) * (1 + TOUCH);
        let buckets = self.buckets(row);
        let table = each(buckets * BUCKET_WORDS) + each(buckets * 4) * (1 + PLACES);
        let crowded = if buckets > 0 { MOST_CROWDED * (1 + TOUCH + PLACES + PLACES * PLACES) } else { 0 };
        let history = 2 * each(length) + each(asks.breakers().len()) + look_up(asks.stops);
        (history + 2 * visit + table + crowded) as u64
    }

    /// Quads of what the row tells.
    pub(crate) fn quads(&self, row: &Row<'_>) -> usize {
        let asks = Asks::new(row);
        let bad_words: usize = asks.bad_words().map(|word| word.len() + 1).sum();
        let dry = if asks.repeats { asks.dry_penalties().len() + asks.breakers().len() } else { 0 };
        let fresh = match self.call {
            None if asks.tokens => self.length as usize * if asks.keeps_lengths() { 2 } else { 1 },
            _ => 0,
        };
        (ahead::WORDS + dry + asks.exempt().len() + bad_words + asks.stops.len() + fresh).div_ceil(4)
    }

    /// Leaves what the row tells in `out`.
    pub(crate) fn put(&self, row: &Row<'_>, places: Places, out: &mut Vec<u32>) {
        let (asks, request) = (Asks::new(row), row.request);
        out.clear();
        out.resize(ahead::WORDS, 0);
        out[ahead::SLOT] = self.first_word();
        out[ahead::CAPACITY] = self.capacity;
        out[ahead::LENGTH] = self.length;
        out[ahead::ACCEPTED] = word(request.tokens().len());
        out[ahead::CALL] = self.call.unwrap_or(0);
        out[ahead::TABLE] = places.table;
        out[ahead::BUCKETS] = word(self.buckets(row));
        out[ahead::KEPT] = places.kept;
        out[ahead::KEPT_BUCKETS] = places.kept_buckets;
        out[ahead::PROMPT] = word(request.tokens().len() - request.output().len());
        out[ahead::FLAGS] = (u32::from(self.call.is_none()) * has::FRESH)
            | (u32::from(asks.tokens) * has::TOKENS)
            | (u32::from(asks.early_stops() > 0) * has::EARLY)
            | (u32::from(row.is_at_length()) * has::LENGTH);
        if let Some(penalties) = asks.penalties {
            out[ahead::FLAGS] |= has::PENALTIES | (u32::from(penalties.repeats()) * has::REPETITION);
            out[ahead::WINDOW] = penalties.window().map_or(NO_TOKEN, word);
            [out[ahead::FREQUENCY], out[ahead::PRESENCE]] = penalties.of_counts().map(f32::to_bits);
        }
        asks.put_mirostat(out);
        asks.put_lists(out);
        let ahead = self.length as usize - request.tokens().len();
        out[ahead::NGRAM_LAST] =
            asks.ngram_last(ahead).map(word).or(request.params().no_repeat_ngram_window).unwrap_or(u32::MAX);
        if self.call.is_none() && asks.tokens {
            out.extend(request.tokens());
            if asks.keeps_lengths() {
                out.extend(lengths_by_distance(request.tokens()).into_iter().map(word));
            }
        }
    }
}

/// What of a row's request looks at tokens.
struct Asks<'a> {
    request: &'a Request,
    /// Something beside stop tokens.
    tokens: bool,
    penalties: Option<Penalties>,
    repeats: bool,
    /// Size of the n-gram that must not come again.
    ngram: Option<u32>,
    stops: &'a [u32],
    /// Stop tokens are impossible.
    is_early: bool,
}

impl<'a> Asks<'a> {
    fn new(row: &Row<'a>) -> Self {
        let request = row.request;
        let params = request.params();
        Self {
            request,
            tokens: request.looks_back().is_some(),
            penalties: request.penalties.filter(Penalties::sees_tokens),
            repeats: request.repeats.is_some(),
            ngram: request.ngrams.is_some().then_some(params.no_repeat_ngram_size),
            stops: &params.stop_token_ids,
            is_early: row.position < params.min_tokens,
        }
    }

    /// Stop tokens that come too early.
    fn early_stops(&self) -> usize {
        if self.is_early { self.stops.len() } else { 0 }
    }

    /// Whether the device is to know how far the tokens before each place equal the last ones.
    fn keeps_lengths(&self) -> bool {
        self.repeats || self.ngram.is_some_and(|size| size > 1)
    }

    /// The last tokens, so many, that must not come again: those of which the kept changes do not know.
    fn ngram_last(&self, ahead: usize) -> Option<usize> {
        self.request.ngrams.as_ref()?.last_of_step(ahead)
    }

    /// Tokens that penalties leave alone.
    fn exempt(&self) -> &'a [u32] {
        &self.request.params().penalty_exempt_token_ids
    }

    /// Those of several tokens; the request keeps the others.
    fn bad_words(&self) -> impl Iterator<Item = &'a Vec<u32>> + use<'a> {
        self.request.params().bad_words.iter().filter(|word| word.len() > 1)
    }

    fn dry_penalties(&self) -> &'a [f32] {
        self.request.repeats.as_ref().map_or(&[], |repeats| repeats.penalties())
    }

    fn breakers(&self) -> &'a [u32] {
        self.request.params().dry.as_ref().map_or(&[], |dry| &dry.sequence_breakers)
    }

    fn put_mirostat(&self, out: &mut [u32]) {
        let Self { request, .. } = self;
        if let (Some(mirostat), Some(cut)) = (request.params().mirostat, request.compiled.mirostat) {
            out[ahead::FLAGS] |= has::MIROSTAT;
            out[ahead::CUT] = cut;
            [out[ahead::TAU], out[ahead::ETA]] = mirostat.fixed();
            let mu = request.mu.cast_unsigned();
            #[expect(clippy::cast_possible_truncation, reason = "halves")]
            let halves = [mu as u32, (mu >> 32) as u32];
            out[ahead::MU..][..2].copy_from_slice(&halves);
        }
    }

    fn put_lists(&self, out: &mut Vec<u32>) {
        if let (true, Some(dry), Some(repeats)) =
            (self.repeats, &self.request.params().dry, &self.request.repeats)
        {
            out[ahead::FLAGS] |= has::DRY;
            out[ahead::REACH] = word(repeats.reach());
            out[ahead::DRY_LENGTH] = dry.allowed_length;
            out[ahead::DRY_LAST] = dry.last_n.unwrap_or(u32::MAX);
            out[ahead::PENALTIES] = word(repeats.penalties().len());
            out[ahead::BREAKERS] = word(dry.sequence_breakers.len());
            out.extend(repeats.penalties().iter().map(|penalty| penalty.to_bits()));
            put_sorted(&dry.sequence_breakers, out);
        }
        if self.keeps_lengths() {
            out[ahead::FLAGS] |= has::LENGTHS;
        }
        out[ahead::NGRAM] = self.ngram.unwrap_or(0);
        out[ahead::EXEMPT] = word(self.exempt().len());
        put_sorted(self.exempt(), out);
        let mut end = 0;
        for bad_word in self.bad_words() {
            out[ahead::BAD_WORDS] += 1;
            end += word(bad_word.len());
            out.push(end);
        }
        out[ahead::BAD_TOKENS] = end;
        out.extend(self.bad_words().flatten());
        out[ahead::STOPS] = word(self.stops.len());
        put_sorted(self.stops, out);
    }
}

/// The kernel looks tokens up by halves of their list, as signed numbers: keys are sorted by the same code.
fn put_sorted(tokens: &[u32], out: &mut Vec<u32>) {
    let first = out.len();
    out.extend(tokens);
    bytemuck::cast_slice_mut::<u32, i32>(&mut out[first..]).sort_unstable();
}

#[expect(clippy::cast_possible_truncation, reason = "what an upload or a slot holds is counted in 32 bits")]
fn word(number: usize) -> u32 {
    number as u32
}
