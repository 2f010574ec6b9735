//! Whether an answer follows from its logits.
//!
//! A [`KnownRow`] holds a row of logits and what the definition ([`oracle`](crate::oracle), in f64) says of it. Its
//! methods are those of [`Engine`](crate::Engine), each with the answer of an engine about this row, and return a
//! [`Verdict`]: the worst error in nats, and in words what else the definition has against the answer. An answer may
//! hold anything, tokens from outside the row included: that is wrong, and never a panic. One thing is taken from the
//! library: how masks, bias and penalties change the logits before they are sampled
//! ([`oracle::changed_logits`](crate::oracle::changed_logits) is the definition of that).
//!
//! [`difference`] compares answers of two engines, bit for bit.
//!
//! # Example
//! ```
//! use sortilege::audit::{KnownRow, difference};
//! use sortilege::{Cpu, Engine, Logits, LogprobsParams};
//! let logits = [8.0f32, 6.0, 5.0, -1.0];
//! let (batch, params) = (Logits::f32(&logits, 1, 4)?, LogprobsParams::default());
//! let answer = Cpu.logprobs(&batch, &params, &[Some(1)])?.remove(0);
//!
//! let row = KnownRow::new(&batch, 0);
//! let verdict = row.logprobs(&answer, &params, Some(1));
//! assert!(verdict.is_ok() && verdict.error < Some(1e-6), "{verdict}");
//!
//! let mut other = answer.clone();
//! other.distribution.top_logprobs.swap(0, 1);
//! let verdict = row.logprobs(&other, &params, Some(1));
//! assert_eq!(verdict.to_string(), "entry 0 is token 1 instead of 0");
//! assert!(difference(&other, &answer).unwrap().starts_with("entry 0: token 1"));
//! # Ok::<(), sortilege::Error>(())
//! ```

mod difference;
mod distribution;
mod row;
mod sample;
#[cfg(test)]
mod tests;
mod verdict;

pub use difference::{Answer, difference};
pub use row::KnownRow;
pub use verdict::{ERROR_FLOOR, ERROR_LIMIT, KL_RELATIVE, Verdict};

#[cfg(feature = "device")]
pub(super) use verdict::worse;
