//! Parameters: of logprobs, of sampling, and the steps between logits and draw by name. What they mean is for `filter`
//! and `request` to say, which import this room: `filter` has the names and texts of the steps, `request/validate.rs` the
//! ranges.

mod logprobs;
mod sampling;
mod step;

pub use logprobs::LogprobsParams;
pub use sampling::{Dry, Mirostat, SamplingParams};
pub use step::{Order, SamplingStep};
