//! From the words that come back to what a caller sees, in place: a caller's vector, and the room for the bits of a row,
//! are filled again and again.

use super::{DecodeInfo, Logprobs, LogprobsBits, Sample, SampleBits};

/// What the host knows of the rows of a call, and room for the bits of one.
#[derive(Clone, Debug, Default)]
pub struct Decoding {
    pub(crate) temperature: f32,
    pub(crate) entropy: bool,
    pub(crate) targets: Vec<Option<u32>>,
    pub(crate) info: Vec<DecodeInfo>,
    /// Most draws of a row, and entries of its processed list.
    pub(crate) draws: u32,
    pub(crate) listed: u32,
    logprobs: LogprobsBits,
    sample: SampleBits,
}

/// What [`Pending`](crate::Pending) brings for a row: [`Logprobs`] or a [`Sample`].
pub trait Answer: sealed::Answer {}

impl Answer for Logprobs {}
impl Answer for Sample {}

pub(crate) mod sealed {
    use super::Decoding;

    /// How an answer comes about.
    pub trait Answer: Sized {
        /// Before there is something to say.
        fn empty() -> Self;
        /// Puts what the words of a row say in place of what it was.
        fn read(&mut self, row: usize, words: &[u32], decoding: &mut Decoding);
    }
}

impl sealed::Answer for Logprobs {
    fn empty() -> Self {
        Self::empty()
    }

    fn read(&mut self, row: usize, words: &[u32], decoding: &mut Decoding) {
        let Decoding { temperature, entropy, ref targets, ref mut logprobs, .. } = *decoding;
        logprobs.read(words);
        logprobs.decode_into(temperature, entropy, targets.get(row).copied().flatten(), self);
    }
}

impl sealed::Answer for Sample {
    fn empty() -> Self {
        Self::empty()
    }

    fn read(&mut self, row: usize, words: &[u32], decoding: &mut Decoding) {
        let Decoding { draws, listed, ref info, ref mut sample, .. } = *decoding;
        sample.read(words, draws, listed, &info[row]);
        sample.decode_into(&info[row], self);
    }
}
