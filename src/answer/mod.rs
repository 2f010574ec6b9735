//! What comes back: the words that an engine leaves of a row, and what a caller sees of them.

mod distribution;
mod logprobs;
mod sample;
pub(crate) mod words;

pub use distribution::{Distribution, Status, TargetLogprob, TopLogprob};
pub use logprobs::Logprobs;
pub use sample::{Drawn, Sample};

pub(crate) use distribution::DistributionBits;
pub(crate) use logprobs::LogprobsBits;
pub(crate) use sample::{DecodeInfo, DrawnBits, SampleBits};
