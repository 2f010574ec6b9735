//! What happens to one token's logit, in the words that the device reads.

use bytemuck::{Pod, Zeroable};

use crate::arithmetic::format::layout;

layout! {
    /// Bits of the first word of a change; the rest of it is the token. `EMPTY` is the whole word of a place without one.
    words: u32, "CHANGE_" {
        BANNED = 1 << 31,
        REPEATED = 1 << 30,
        TOKEN = 0xf_ffff,
        EMPTY = u32::MAX,
        /// Spreads tokens over the places.
        SPREAD = 0x9e37_79b1,
    }
}

/// What happens to one token's logit.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
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
    pub(crate) const EMPTY: Self = Self { word: words::EMPTY, bias: 0.0, penalty: 0.0, count: 0 };

    /// One that changes nothing.
    pub(crate) fn none(token: u32) -> Self {
        Self { word: token, ..Self::EMPTY }
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

    pub(crate) fn is_empty(&self) -> bool {
        self.word == words::EMPTY
    }
}
