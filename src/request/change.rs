//! What happens to one token's logit, and the words that the device reads of it.

use bytemuck::{Pod, Zeroable};

use crate::arithmetic::format::layout;

layout! {
    /// Bits of the first word of a change; the rest of it is the token. `EMPTY` is the whole word of a place without one.
    words: u32, "CHANGE_" {
        BANNED = 1 << 31,
        REPEATED = 1 << 30,
        TOKEN = 0xf_ffff,
        EMPTY = u32::MAX,
        /// Spread tokens over the first and over the second buckets that they may lie in.
        FIRST = 0x9e37_79b1,
        SECOND = 0x85eb_ca6b,
    }
}

/// What happens to one token's logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    /// The token, and whether it is banned or the repetition penalty applies, which comes second.
    word: u32,
    /// Added first.
    pub(crate) bias: f32,
    /// Subtracted last.
    pub(crate) penalty: f32,
    /// How often the token was seen, for the host.
    pub(crate) count: u32,
}

impl Change {
    /// One that changes nothing.
    pub(crate) const fn none(token: u32) -> Self {
        Self { word: token, bias: 0.0, penalty: 0.0, count: 0 }
    }

    pub(crate) fn token(&self) -> u32 {
        self.word & words::TOKEN
    }

    /// Whether the token is impossible.
    pub(crate) fn is_banned(&self) -> bool {
        self.word & words::BANNED != 0
    }

    /// Whether the repetition penalty applies.
    pub(crate) fn is_repeated(&self) -> bool {
        self.word & words::REPEATED != 0
    }

    pub(crate) fn ban(&mut self) {
        self.word |= words::BANNED;
    }

    pub(crate) fn repeat(&mut self, is_repeated: bool) {
        self.word = (self.word & !words::REPEATED) | (u32::from(is_repeated) * words::REPEATED);
    }
}

/// Changes of a bucket.
pub(crate) const BUCKET: usize = 4;

/// Places for four changes, each part of all four side by side: one quad of words shows which tokens are here.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(crate) struct Bucket {
    words: [u32; BUCKET],
    biases: [f32; BUCKET],
    penalties: [f32; BUCKET],
    counts: [u32; BUCKET],
}

impl Bucket {
    pub(crate) const EMPTY: Self = Self {
        words: [words::EMPTY; BUCKET],
        biases: [0.0; BUCKET],
        penalties: [0.0; BUCKET],
        counts: [0; BUCKET],
    };

    /// The place of a token.
    pub(crate) fn find(&self, token: u32) -> Option<usize> {
        self.words.iter().position(|&word| word & words::TOKEN == token && word != words::EMPTY)
    }

    /// A place without a change.
    pub(crate) fn find_empty(&self) -> Option<usize> {
        self.words.iter().position(|&word| word == words::EMPTY)
    }

    /// The change in a place.
    pub(crate) fn get(&self, place: usize) -> Option<Change> {
        let change = Change {
            word: self.words[place],
            bias: self.biases[place],
            penalty: self.penalties[place],
            count: self.counts[place],
        };
        (change.word != words::EMPTY).then_some(change)
    }

    /// All changes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Change> {
        (0..BUCKET).filter_map(|place| self.get(place))
    }

    pub(crate) fn set(&mut self, place: usize, change: Option<Change>) {
        let change = change.unwrap_or(Change { word: words::EMPTY, ..Change::none(0) });
        self.words[place] = change.word;
        self.biases[place] = change.bias;
        self.penalties[place] = change.penalty;
        self.counts[place] = change.count;
    }
}
