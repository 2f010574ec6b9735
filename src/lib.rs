//! Tokens and their probabilities from logits that lie in GPU memory, the same bits everywhere.
//!
//! A language model's last layer gives one logit per vocabulary token. This crate turns a batch of them,
//! `[rows][vocab]`, into drawn tokens and one small [`Sample`] per row (what was drawn, and from which distribution),
//! or into one [`Logprobs`] per row (logprob and rank of a target, log-sum-exp, entropy, the most probable tokens). Only
//! these leave the GPU.
//!
//! - **One read.** Two dispatches for each chunk of a batch and one copy; the logits are read once, in place, and of the
//!   few subtiles that matter once more. A chunk is what one storage binding holds, and at most 65 535 rows ([`Plan`] says
//!   it). (Lists of more than 1024 tokens, up to all of them, ranks of given tokens, blocks of draft tokens and rows that
//!   run ahead take further dispatches; divergences read both batches twice.)
//! - **Exact.** By design the same bits on every device, driver and batch size, and on the CPU: weights by floats where a
//!   check of the device finds that each rounds by itself, otherwise by integers, and all else by integers
//!   (`docs/exact.md`, `docs/sampling.md`). Each logprob of a probability above 1e-9 lies within 1e-6 nats of the true
//!   one, at a dynamic temperature within 5.4e-6.
//!   A log can be re-derived by anyone who has the logits and the seeds.
//! - **At home in the engine.** [`Sampler::sample`] adds to the engine's own encoder, reads the engine's own buffer,
//!   leaves the tokens in another, and hands the samples over when the engine asks, several steps later if it likes.
//!
//! # Where to start
//! | you have | use |
//! |---|---|
//! | a `wgpu::Device` and logits in a `wgpu::Buffer` | [`Sampler`] |
//! | logits in host memory and a GPU | [`device::Gpu`], an [`Engine`] |
//! | logits in host memory | [`Cpu`], an [`Engine`] |
//! | a sequence in the making | [`Request`], with [`SamplingParams`] |
//! | labels, or other tokens of one's own | [`Engine::logprobs_of`], [`SamplingParams::logprob_token_ids`] |
//! | a sequence to be scored | [`SequenceScore`] |
//! | a draft model | [`DraftTokens`], [`DraftTree`] |
//! | a log to write or to read | [`log`] |
//! | logits of two models: the divergence of each row | [`Engine::divergence`] |
//! | the same: statistics of all rows | [`compare`] |
//! | doubts about a driver | [`Sampler::self_check`], [`validate`] |
//! | doubts about an answer | [`audit`] |
//! | doubts about a log | [`log::Audit`] |
//! | a vocabulary that is cut over devices | [`shard`] |
//!
//! # How it works
//! ```text
//! logits [rows][vocab] f32|f16|bf16, the engine's buffer (offset, row stride)
//!    │  tile_stats: one workgroup per tile of 4096 tokens, the only read of all logits
//!    ▼
//! per tile: maximum, integer exp-sum, counts, maxima of its 64 subtiles     284 bytes
//!    │  row_sample or row_logprobs: one workgroup per row; merges the tiles, opens only the subtiles that matter
//!    ▼
//! one record per row ──one copy──► staging buffer ──► the host takes the last logarithm ──► Sample, Logprobs
//!    └► tokens [rows] u32 stay on the device
//! ```
//! A list of more than 1024 tokens comes from a radix select and a stable radix sort: `digit_count`,
//! `digit_scatter`. What it says of given tokens, beside the target, comes from a walk over the row: `token_ranks`.
//! How far two batches are from each other ([`Sampler::divergence`]) takes kernels of two inputs: `tile_divergence`,
//! `row_divergence`, and for Jensen-Shannon `tile_information`.
//!
//! # Where things are
//! Each room imports only those above it.
//!
//! | room | noun |
//! |---|---|
//! | `error` | what can go wrong |
//! | `parallel` | rows on all cores |
//! | `arithmetic` | integers that both halves share: keys, weights, masses, random numbers, the constants of the format |
//! | `logits` | types, shapes, rows in host memory |
//! | `answer` | the words that an engine leaves of a row, and what a caller sees of them |
//! | `params` | parameters, and the steps between logits and draw by name |
//! | `filter` | one truncation a file: mathematics, parameter, device form, twin on the CPU |
//! | `request` | what a caller asks, checked and compiled |
//! | `kernels` | one kernel a file: declaration of the shader, twin on the CPU |
//! | `plan` | chunks, bindings, dispatches and bytes of a call, without a device |
//! | `engine`, `cpu` | what every engine computes; the one on the CPU |
//! | `shard` | parts of a vocabulary, whose statistics merge to those of the whole |
//! | `gpu` | the one on the device, and the sampler in the engine's encoder; the only room that names wgpu |
//! | `log` | records, written, read, and told how they were made |
//! | `compare` | two models' logits of the same rows, and the statistics of all rows |
//! | `proof` | the definition in f64, audits, validation of kernels |
//!
//! # The order of tokens
//! Value descending, then token ascending; -0 equals +0. Every filter, every top-k and every rank follows it.
//!
//! # Features
//! - `wgpu` (default): [`Sampler`], and `wgpu` 30 re-exported. Without it the crate is the CPU engine alone.
//! - `wgpu29`: the same on wgpu 29, for engines that have it; without the default features, since the two exclude each
//!   other.
//! - `device` (default): [`device`], which finds adapters and opens them; with one of the two.
//! - `log`: [`log`], logs of records; it brings serde.
//! - `parquet`: logs as Parquet files too.
//! - `validate` (default): [`oracle`], [`audit`], [`synthetic`] and, with `device`, [`validate`].
//!
//! # In a browser
//! The crate compiles for `wasm32-unknown-unknown`. Nothing can wait for a device there: what blocks is absent, `.await` and
//! the methods with `_async` stay. `docs/web.md` has the rest, and the npm package.

#[cfg(all(feature = "gpu", not(any(feature = "wgpu", feature = "wgpu29"))))]
compile_error!("the features `gpu` and `device` need `wgpu` (wgpu 30) or `wgpu29` beside them");
#[cfg(all(feature = "wgpu", feature = "wgpu29"))]
compile_error!(
    "the features `wgpu` (wgpu 30, a default) and `wgpu29` exclude each other: default-features = false"
);

// One text for both: what differs between the versions is in gpu/mapping.rs.
#[cfg(feature = "wgpu29")]
pub extern crate wgpu29 as wgpu;

mod answer;
mod arithmetic;
pub mod compare;
mod cpu;
mod engine;
mod error;
mod filter;
#[cfg(feature = "gpu")]
mod gpu;
mod kernels;
#[cfg(feature = "log")]
pub mod log;
mod logits;
mod parallel;
mod params;
mod plan;
mod proof;
mod request;
pub mod shard;

#[cfg(feature = "gpu")]
pub use answer::Answer;
pub use answer::{
    Distribution, Divergence, Drawn, FinishReason, Logprobs, Sample, ScoredToken, SequenceScore, Status,
    TargetLogprob, TopLogprob, best_first,
};
pub use arithmetic::format::{ARITHMETIC_VERSION, MAX_VOCAB, NO_TOKEN};
pub use cpu::Cpu;
pub use engine::Engine;
pub use error::{Error, Result};
#[cfg(feature = "gpu")]
pub use gpu::{
    GpuInput, GpuLogits, GpuOutput, Histories, Kernels, Mask, PassTime, Pending, SampleBuffers, Sampler,
    SamplerOptions, Timing, Traffic,
};
pub use logits::{Dtype, Logits, Shape};
pub use params::{Dry, LogprobsParams, Mirostat, Order, SamplingParams, SamplingStep};
pub use plan::{Cost, DeviceLimits, Plan};
#[cfg(all(feature = "validate", feature = "device"))]
pub use proof::validate;
#[cfg(feature = "validate")]
pub use proof::{audit, oracle, synthetic};
pub use request::{DraftTokens, DraftTree, Request, Row, SampleInputs, Verification, Verified};
#[cfg(feature = "wgpu")]
pub use wgpu;

/// The README's programs compile.
#[cfg(all(doctest, feature = "gpu"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Adapters and open devices, for callers that have none.
#[cfg(feature = "device")]
pub mod device {
    pub use crate::gpu::Gpu;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::gpu::{Adapter, adapters, best_hardware, find};
}
