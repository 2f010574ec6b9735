//! The GPU half, the only room that names wgpu. A call goes one way through it:
//!
//! ```text
//! calls, operations     what is asked, checked (checks), planned (crate::plan)
//!    ▼                  (canary: may the weights be computed by floats?)
//! encode                uploads and bindings of every chunk, out of the buffers of the pool
//!    ▼
//! passes                dispatches of the pipelines in the engine's encoder, timed (timing)
//!    ▼
//! readback              the only place that waits; guard, the only one that catches
//! ```
//! `sampler` is what a sampler owns. `adapters`, `device` and `host_logits` are for callers that have no device of
//! their own.

#[cfg(feature = "device")]
mod adapters;
mod buffers;
mod calls;
mod canary;
mod checks;
#[cfg(feature = "device")]
mod device;
mod encode;
mod guard;
#[cfg(feature = "device")]
mod host_logits;
mod mapping;
mod operations;
mod passes;
mod pipelines;
mod pool;
mod readback;
mod sampler;
mod self_check;
mod timing;
mod upload;
mod waiter;

#[cfg(feature = "device")]
pub use adapters::{Adapter, adapters, best_hardware, find};
pub use buffers::{GpuInput, GpuLogits, GpuOutput, Mask, SampleBuffers};
#[cfg(feature = "device")]
pub use device::Gpu;
pub use pool::Traffic;
pub use readback::Pending;
pub use sampler::{Sampler, SamplerOptions};
pub use self_check::Kernels;
pub use timing::{PassTime, Timing};
