//! From the words that come back to what a caller sees, in place: a caller's vector, and the room for the bits of a row,
//! are filled again and again.

use crate::arithmetic::format::NO_TOKEN;

use super::{
    DecodeInfo, Distribution, Divergence, DivergenceBits, Implausible, Logprobs, LogprobsBits, Sample,
    SampleBits, SampleParts, Status,
};

/// What the host knows of the rows of a call, and room for the bits of one.
#[derive(Clone, Debug, Default)]
pub struct Decoding {
    pub(crate) temperature: f32,
    pub(crate) entropy: bool,
    pub(crate) targets: Vec<Option<u32>>,
    /// Given tokens, so many a row as `parts` says: no token comes after the last of a row.
    pub(crate) asked: Vec<u32>,
    pub(crate) info: Vec<DecodeInfo>,
    /// Stop tokens of all rows; each row's info says which are its own.
    pub(crate) stops: Vec<u32>,
    /// Of every record: of one of logprobs, only `listed` counts.
    pub(crate) parts: SampleParts,
    logprobs: LogprobsBits,
    sample: SampleBits,
}

impl Decoding {
    /// Takes the given tokens of each row in place of those that were there.
    pub(crate) fn ask<'a>(&mut self, rows: impl Iterator<Item = &'a [u32]>) {
        let most = self.parts.token_ids as usize;
        self.asked.clear();
        for (row, tokens) in rows.enumerate() {
            self.asked.extend_from_slice(tokens);
            self.asked.resize((row + 1) * most, NO_TOKEN);
        }
    }
}

/// The given tokens of a row, of lists of so many.
fn asked_of(asked: &[u32], row: usize, most: u32) -> &[u32] {
    let most = most as usize;
    let own = asked.get(row * most..(row + 1) * most).unwrap_or(&[]);
    &own[..own.iter().position(|token| *token == NO_TOKEN).unwrap_or(own.len())]
}

/// What [`Pending`](crate::Pending) brings for a row: [`Logprobs`], a [`Sample`] or a [`Divergence`].
pub trait Answer: sealed::Answer {}

impl Answer for Logprobs {}
impl Answer for Sample {}
impl Answer for Divergence {}

pub(crate) mod sealed {
    use super::{Decoding, Implausible};

    /// How an answer comes about.
    pub trait Answer: Sized {
        /// Before there is something to say.
        fn empty() -> Self;
        /// Puts what the words of a row of so many tokens say in place of what it was; or says what cannot be.
        fn read(
            &mut self,
            row: usize,
            words: &[u32],
            vocab: u32,
            decoding: &mut Decoding,
        ) -> Result<(), Implausible>;
        /// What is said of a row whose history is not there, if rows have one.
        fn lost(_row: usize, _decoding: &Decoding) -> Option<Self> {
            None
        }
    }
}

impl sealed::Answer for Logprobs {
    fn empty() -> Self {
        Self::empty()
    }

    fn read(
        &mut self,
        row: usize,
        words: &[u32],
        vocab: u32,
        decoding: &mut Decoding,
    ) -> Result<(), Implausible> {
        let Decoding { temperature, entropy, parts, ref targets, ref asked, ref mut logprobs, .. } =
            *decoding;
        let target = targets.get(row).copied().flatten();
        logprobs.read(words, parts.listed);
        logprobs.check(vocab, target, asked_of(asked, row, parts.token_ids))?;
        logprobs.decode_into(temperature, entropy, target, self);
        Ok(())
    }
}

impl sealed::Answer for Sample {
    fn empty() -> Self {
        Self::empty()
    }

    fn read(
        &mut self,
        row: usize,
        words: &[u32],
        vocab: u32,
        decoding: &mut Decoding,
    ) -> Result<(), Implausible> {
        let Decoding { parts, ref info, ref stops, ref asked, ref mut sample, .. } = *decoding;
        sample.read(words, parts, &info[row]);
        sample.check(vocab, asked_of(asked, row, parts.token_ids))?;
        sample.decode_into(&info[row], stops, self);
        Ok(())
    }

    fn lost(row: usize, decoding: &Decoding) -> Option<Self> {
        let DecodeInfo { seed, stream, position, .. } = decoding.info[row];
        let processed = Distribution::none(Status::LostHistory);
        Some(Self { status: Status::LostHistory, seed, stream, position, processed, ..Self::empty() })
    }
}

impl sealed::Answer for Divergence {
    fn empty() -> Self {
        DivergenceBits::NONE.decode()
    }

    fn read(
        &mut self,
        _row: usize,
        words: &[u32],
        vocab: u32,
        _decoding: &mut Decoding,
    ) -> Result<(), Implausible> {
        let bits = DivergenceBits::read(words);
        bits.check(vocab)?;
        *self = bits.decode();
        Ok(())
    }
}
