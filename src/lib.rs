//! Tokens and their probabilities from logits that lie in GPU memory, the same bits everywhere.
//!
//! A language model's last layer gives one logit per vocabulary token. This crate turns a batch of them,
//! `[rows][vocab]`, into drawn tokens and one small [`Sample`] per row (what was drawn, and from which distribution), or
//! into one [`Record`] per row (logprob and rank of a given token, log-sum-exp, entropy, the `top_k` most probable tokens).
//! Only these leave the GPU.
//!
//! - **One read.** Two dispatches and one copy per batch, whatever is asked for; the logits are read once, in place, and
//!   of the few subtiles that matter once more. (Only lists of more than 1024 tokens, up to all of them, take further passes.)
//! - **Exact.** By design the same bits on every device, driver and batch size, and on the CPU: sums are integers
//!   (`docs/exact.md`, `docs/sampling.md`). Each logprob of a probability above 1e-9 lies within 1e-6 of the true one. A
//!   log can be re-derived by anyone who has the logits and the seeds.
//! - **At home in the engine.** [`Sampler::sample`] adds to the engine's own encoder, reads the engine's own buffer, leaves
//!   the tokens in another, and hands the samples over when the engine asks, several steps later if it likes.
//!
//! # Where to start
//! | you have | use |
//! |---|---|
//! | a `wgpu::Device` and logits in a `wgpu::Buffer` | [`Sampler`] |
//! | logits in host memory and a GPU | [`device::Gpu`] |
//! | logits in host memory | [`cpu`] |
//! | a sequence in the making | [`Request`], with [`SamplingParams`] |
//! | a draft model | [`Chain`] |
//! | doubts about a driver | [`Sampler::self_check`], its `_sampling` and `_long_lists`, [`validate`] |
//!
//! # How it works
//! ```text
//! logits [rows][vocab] f32|f16|bf16, the engine's buffer (offset, row stride)
//!    │  tile_stats: one workgroup per tile of 4096 tokens, the only read of all logits
//!    ▼
//! per tile: maximum, flags, integer exp-sum, maxima of its 64 subtiles     2 % of the logits
//!    │  row_sample or row_logprobs: one workgroup per row; merges the tiles, opens only the subtiles that matter
//!    ▼
//! one record per row ──one copy──► staging buffer ──► the host takes the last logarithm ──► Sample, Record
//!    └► tokens [rows] u32 stay on the device
//! ```
//! A record of more than 1024 tokens gets them from a radix select and a stable radix sort: `digit_count`, `digit_scatter`.
//!
//! `request` is what a row asks, `inputs` a step of them, checked and compiled. `plan` computes chunks, bindings and bytes
//! without a device; `kernel` and `kernels` declare the shaders and hold their twins on the CPU; `sampler` puts passes into
//! the engine's encoder, with `pipelines`, `buffers`, `passes` and `timing` behind it; `readback` is the only place that waits,
//! `guard` the only one that catches; `exact`, `numbers` and `rng` are the arithmetic that both halves share. `oracle` is the
//! definition in f64, and shares nothing with them.
//!
//! # The order of tokens
//! Value descending, then token ascending; -0 equals +0. Every filter, every top-k and every rank follows it.
//!
//! # Features
//! `wgpu` (default): the GPU half, and `wgpu` 30 re-exported. Without it the crate is the CPU engine alone.

mod dtype;
mod error;
mod exact;
mod inputs;
mod kernels;
mod logits;
mod numbers;
mod params;
mod plan;
mod record;
mod request;
mod rng;
mod sample;
mod speculative;

pub mod cpu;
pub mod oracle;

#[cfg(feature = "wgpu")]
mod buffers;
#[cfg(feature = "wgpu")]
pub mod device;
#[cfg(feature = "wgpu")]
mod guard;
#[cfg(feature = "wgpu")]
mod kernel;
#[cfg(feature = "wgpu")]
mod passes;
#[cfg(feature = "wgpu")]
mod pipelines;
#[cfg(feature = "wgpu")]
mod readback;
#[cfg(feature = "wgpu")]
mod sampler;
#[cfg(feature = "wgpu")]
mod self_check;
#[cfg(feature = "wgpu")]
mod timing;
#[cfg(feature = "wgpu")]
pub mod validate;

#[cfg(test)]
mod simd;
#[cfg(test)]
mod vectors;

pub use dtype::Dtype;
pub use error::{Error, Result};
pub use exact::{ARITHMETIC_VERSION, MAX_VOCAB, SUBTILE_TOKENS, TILE_TOKENS};
pub use logits::Logits;
pub use params::Params;
pub use plan::{Caps, Plan, Shape};
pub use record::{Record, Status, TargetLogprob, TopLogprob};
pub use request::{Dry, Filter, Mirostat, Order, Request, Row, SamplingParams};
pub use sample::{Distribution, Drawn, Sample};
pub use speculative::{Chain, Verification, Verified};

#[cfg(feature = "wgpu")]
pub use buffers::{GpuInput, GpuLogits, GpuOutput, Mask, SampleBuffers};
#[cfg(feature = "wgpu")]
pub use readback::Pending;
#[cfg(feature = "wgpu")]
pub use sampler::{Sampler, SamplerOptions, Traffic};
#[cfg(feature = "wgpu")]
pub use timing::{PassTime, Timing};
#[cfg(feature = "wgpu")]
pub use wgpu;
