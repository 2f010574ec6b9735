//! An engine: web-rwkv computes the logits, sortilege draws where they lie.

pub mod engine;
pub mod requests;
pub mod weights;
