//! What a caller asks, checked and compiled; and what a request remembers of its tokens.

#[cfg(feature = "gpu")]
pub(crate) mod ahead;
mod bad_words;
mod block;
pub(crate) mod change;
mod changes;
mod compiled;
mod draft;
mod draft_tree;
mod finish;
mod history;
#[cfg(feature = "gpu")]
mod identity;
mod inputs;
mod lineage;
mod ngrams;
mod penalties;
mod repeats;
#[expect(clippy::module_inception, reason = "a request is the noun of this room")]
mod request;
mod row;
mod seed;
mod step;
pub(crate) mod table;
mod targets;
mod validate;
mod verified;
#[cfg(feature = "gpu")]
pub(crate) mod words;

pub use draft::{DraftTokens, Verification};
pub use draft_tree::DraftTree;
pub use inputs::SampleInputs;
pub use request::Request;
pub use row::Row;
pub use verified::Verified;

pub(crate) use changes::Changes;
pub(crate) use compiled::Compiled;
#[cfg(feature = "gpu")]
pub(crate) use identity::{Identity, Life};
pub(crate) use inputs::{Inputs, Steps};
#[cfg(all(test, feature = "gpu"))]
pub(crate) use penalties::MOST_COUNTED;
pub(crate) use targets::{validate_targets, validate_token_count, validate_token_ids};
#[cfg(all(test, feature = "gpu"))]
pub(crate) use words::NONE;
#[cfg(feature = "gpu")]
pub(crate) use words::RequestWords;
