//! The GPU half, the only room that names wgpu. A call goes one way through it:
//!
//! ```text
//! calls, divergence,    what is asked, checked (checks), planned (crate::plan)
//! operations            (canary, loops: what the device may be trusted with, by a submit of our own, probe)
//!    ▼
//! encode                the call as a job, bound to the buffers of the pool; what changed is uploaded (upload,
//!    │                  room, blocks)
//!    ▼
//! passes                dispatches of the pipelines in the engine's encoder, timed (timing)
//!    ▼
//! readback              what came of the map (mapping), waited for here or by a thread (waiter); guard catches
//! ```
//! `sampler` is what a sampler owns, `histories` what rows that run ahead need of each other, in `slots`. `adapters`,
//! `open`, `device` and `host_logits` are for callers that have no device of their own.
//!
//! In a browser nothing can wait for the device: what blocks is absent there, its async twin stays, and what scopes tell
//! later than their calls return is heard with the answer (`late`).

#[cfg(all(feature = "device", not(target_family = "wasm")))]
mod adapters;
#[cfg(all(test, feature = "device"))]
mod ahead_tests;
mod asked;
mod blocks;
mod buffers;
mod calls;
mod canary;
mod checks;
mod complaint;
#[cfg(all(test, feature = "device"))]
mod crowded_tests;
#[cfg(feature = "device")]
mod device;
mod divergence;
mod encode;
mod guard;
mod histories;
#[cfg(all(test, feature = "device"))]
mod histories_tests;
#[cfg(feature = "device")]
mod host_logits;
mod job;
#[cfg(target_family = "wasm")]
mod late;
mod loops;
mod mapping;
#[cfg(all(feature = "device", not(target_family = "wasm")))]
mod open;
mod operations;
mod passes;
mod pipelines;
mod pool;
mod probe;
mod readback;
mod ring;
mod room;
mod sampler;
mod self_check;
mod slots;
mod timing;
mod upload;
mod wait;
mod waiter;

#[cfg(all(feature = "device", not(target_family = "wasm")))]
pub use adapters::{Adapter, adapters, best_hardware, find};
pub use buffers::{GpuInput, GpuLogits, GpuOutput, Mask, SampleBuffers};
#[cfg(feature = "device")]
pub use device::Gpu;
#[cfg(all(feature = "validate", feature = "device"))]
pub(crate) use guard::at_once;
pub use histories::Histories;
pub use pool::Traffic;
pub use readback::Pending;
pub use sampler::{Sampler, SamplerOptions};
pub use self_check::Kernels;
pub use timing::{PassTime, Timing};
