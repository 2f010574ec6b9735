//! What a caller asks: of the logprobs of a row, of the draws from it; and what a request remembers of its tokens.

mod changes;
pub(crate) mod compiled;
mod draft;
mod inputs;
mod logprobs;
mod params;
#[expect(clippy::module_inception, reason = "a request is the noun of this room")]
mod request;
#[cfg(feature = "wgpu")]
mod words;

pub use draft::{DraftTokens, Verification, Verified};
pub use inputs::SampleInputs;
pub use logprobs::LogprobsParams;
pub use params::{Dry, Filter, Mirostat, Order, SamplingParams};
pub use request::{Request, Row};

pub(crate) use changes::Changes;
pub(crate) use compiled::{Compiled, Step};
pub(crate) use inputs::{Inputs, RowInputs};
pub(crate) use logprobs::validate_targets;
#[cfg(all(test, feature = "wgpu"))]
pub(crate) use words::NONE;
#[cfg(feature = "wgpu")]
pub(crate) use words::RequestWords;
