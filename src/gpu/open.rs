//! Devices opened for callers that have none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::adapters::{Adapter, adapters};
use super::device::Gpu;
use super::guard::panic_message;
use super::self_check::Kernels;
use crate::error::{Error, Result};
use crate::logits::Dtype;

/// What is asked of an adapter that has it: timestamps for
/// [`SamplerOptions::timestamps`](crate::SamplerOptions::timestamps).
const WELCOME: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

impl Gpu {
    /// The device of an adapter, with all the limits of its adapter and its timestamps, after a self-check of the kernels of
    /// logprobs on it.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if it is unfit or the driver refuses, and what
    /// [`Sampler::self_check`](crate::Sampler::self_check) says.
    pub fn open(adapter: Adapter) -> Result<Self> {
        let limits = adapter.inner.limits();
        let id = adapter.id.clone();
        let gpu = Self::open_unchecked(adapter, limits)?;
        for &dtype in Dtype::ALL {
            gpu.sampler().self_check(Kernels::Logprobs, dtype).map_err(|error| match error {
                Error::Mismatch(_) => Error::Mismatch(id.clone()),
                error => error,
            })?;
        }
        Ok(gpu)
    }

    /// The device of an adapter with these limits, as an engine might have requested them, and without the self-check.
    ///
    /// # Errors
    /// As for [`Gpu::open`].
    pub fn open_unchecked(adapter: Adapter, limits: wgpu::Limits) -> Result<Self> {
        let refused =
            |message: String| Error::NoAdapter(format!("{} cannot be opened: {message}", adapter.id));
        if let Some(reason) = &adapter.unfit {
            return Err(refused(reason.clone()));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("sortilege"),
            required_features: adapter.features() & WELCOME,
            required_limits: limits,
            ..wgpu::DeviceDescriptor::default()
        };
        // request_device panics where a driver runs out of memory.
        let request =
            catch_unwind(AssertUnwindSafe(|| pollster::block_on(adapter.inner.request_device(&descriptor))));
        let (device, queue) = request
            .map_err(|panic| refused(panic_message(&*panic)))?
            .map_err(|error| refused(error.to_string()))?;
        let gpu = Self::from_device(device, queue, adapter.info.clone())?;
        if gpu.info().backend == wgpu::Backend::Gl {
            // Some OpenGL drivers abort the process when their context is closed; this one stays open until its end.
            std::mem::forget((gpu.device().clone(), gpu.queue().clone(), adapter.inner.clone()));
        }
        Ok(gpu)
    }

    /// The first device that opens, the best first, software adapters included: for tests and examples.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none at all; if none opens, what [`Gpu::open`] says of the best one.
    pub fn any() -> Result<Self> {
        let none = Error::NoAdapter("this machine has no adapter that can run compute".to_owned());
        let mut failed = None;
        for adapter in adapters(false).into_iter().filter(|adapter| adapter.unfit.is_none()) {
            match Self::open(adapter) {
                Ok(gpu) => return Ok(gpu),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(none))
    }
}
