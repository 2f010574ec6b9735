//! From the words that come back to what a caller sees, in place: a caller's vector, and the room for the bits of a row,
//! are filled again and again.

use super::{
    DecodeInfo, Divergence, DivergenceBits, Implausible, Logprobs, LogprobsBits, Sample, SampleBits,
    SampleParts,
};

/// What the host knows of the rows of a call, and room for the bits of one.
#[derive(Clone, Debug, Default)]
pub struct Decoding {
    pub(crate) temperature: f32,
    pub(crate) entropy: bool,
    pub(crate) targets: Vec<Option<u32>>,
    pub(crate) info: Vec<DecodeInfo>,
    /// Of every record: of one of logprobs, only `listed` counts.
    pub(crate) parts: SampleParts,
    logprobs: LogprobsBits,
    sample: SampleBits,
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
        let Decoding { temperature, entropy, parts, ref targets, ref mut logprobs, .. } = *decoding;
        let target = targets.get(row).copied().flatten();
        logprobs.read(words, parts.listed);
        logprobs.check(vocab, target)?;
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
        let Decoding { parts, ref info, ref mut sample, .. } = *decoding;
        sample.read(words, parts, &info[row]);
        sample.check(vocab)?;
        sample.decode_into(&info[row], self);
        Ok(())
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
