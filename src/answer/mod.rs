//! What comes back: the words that an engine leaves of a row, and what a caller sees of them.

#[cfg(feature = "gpu")]
mod decoding;
mod distribution;
mod divergence;
mod finish;
mod logprobs;
mod plausible;
mod sample;
mod sequence;
mod status;
pub(crate) mod words;

pub use distribution::{Distribution, TargetLogprob, TopLogprob};
pub use divergence::Divergence;
pub use finish::FinishReason;
pub use logprobs::Logprobs;
pub use sample::{Drawn, Sample};
pub use sequence::{ScoredToken, SequenceScore, best_first};
pub use status::Status;

#[cfg(feature = "gpu")]
pub use decoding::Answer;
#[cfg(feature = "gpu")]
pub(crate) use decoding::Decoding;
pub(crate) use distribution::DistributionBits;
pub(crate) use divergence::DivergenceBits;
pub(crate) use logprobs::LogprobsBits;
#[cfg(feature = "gpu")]
pub(crate) use plausible::Implausible;
pub(crate) use sample::{DecodeInfo, DrawnBits, SampleBits, SampleParts};
