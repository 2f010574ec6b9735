//! An open device: its buffers, its sampler, and the waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::adapters::{Adapter, adapters};
use super::buffers::buffer;
use super::guard::{guarded, lock, panic_message, poll};
use super::mapping::{Shared, map_on_submit};
use super::readback::{drive, wait_mapped};
use super::sampler::{Sampler, SamplerOptions};
use super::self_check::Kernels;
use crate::error::{Error, Result};
use crate::logits::Dtype;

/// An open device with a [`Sampler`] whose logprobs are checked ([`Sampler::self_check`] checks the other kernels), for
/// logits that lie in host memory.
///
/// # Example
/// ```
/// use sortilege::{Cpu, Engine, Logits, LogprobsParams, device::Gpu};
/// let gpu = Gpu::any()?;
/// let values = [2.0f32, 1.0, 0.1];
/// let logits = Logits::f32(&values, 1, 3)?;
/// let answers = gpu.logprobs(&logits, &LogprobsParams::default(), &[])?;
/// assert_eq!(answers, Cpu.logprobs(&logits, &LogprobsParams::default(), &[])?, "the same bits");
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Debug)]
pub struct Gpu {
    sampler: Sampler,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    lost: Arc<Mutex<Option<String>>>,
}

/// What is asked of an adapter that has it: timestamps for
/// [`SamplerOptions::timestamps`](crate::SamplerOptions::timestamps).
const WELCOME: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

impl Gpu {
    /// The device of an adapter, with all the limits of its adapter and its timestamps, after a self-check of the kernels of
    /// logprobs on it.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if it is unfit or the driver refuses, and what [`Sampler::self_check`] says.
    pub fn open(adapter: Adapter) -> Result<Self> {
        let limits = adapter.inner.limits();
        let id = adapter.id.clone();
        let gpu = Self::open_unchecked(adapter, limits)?;
        for &dtype in Dtype::ALL {
            gpu.sampler.self_check(Kernels::Logprobs, dtype).map_err(|error| match error {
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
        let lost = Arc::new(Mutex::new(None));
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *lock(&told) = Some(format!("{reason:?}: {message}"));
        });
        let gpu =
            Self { sampler: Sampler::new(&device, &queue)?, device, queue, info: adapter.info.clone(), lost };
        if gpu.info.backend == wgpu::Backend::Gl {
            // Some OpenGL drivers abort the process when their context is closed; this one stays open until its end.
            std::mem::forget((gpu.device.clone(), gpu.queue.clone(), adapter.inner.clone()));
        }
        Ok(gpu)
    }

    /// This device with a sampler of other settings.
    ///
    /// # Errors
    /// As for [`Sampler::with_options`].
    pub fn with_options(self, options: SamplerOptions) -> Result<Self> {
        let sampler = self.sampler.with(options)?;
        Ok(Self { sampler, ..self })
    }

    /// This device with another table.
    #[cfg(all(test, feature = "validate"))]
    pub(crate) fn with_table(self, table: &[u32; crate::kernels::kernel::TABLES_SIZE]) -> Self {
        let sampler = Sampler::with_table(&self.device, &self.queue, self.sampler.options(), table);
        let mut sampler = sampler.expect("the device allows it");
        sampler.pipelines.believe(true);
        Self { sampler, ..self }
    }

    /// This device with a sampler of other settings beside the one that it has, and with a kernel in place of the one of
    /// its name. What is compiled of the others is shared.
    #[cfg(test)]
    pub(crate) fn beside(
        &self,
        options: SamplerOptions,
        planted: Option<crate::kernels::kernel::Kernel>,
    ) -> Result<Self> {
        let mut sampler = self.sampler.with(options)?;
        planted.into_iter().for_each(|kernel| sampler.pipelines.plant(kernel));
        Ok(self.beside_with(sampler))
    }

    /// The same with a kernel that is checked as the sound one is.
    #[cfg(test)]
    pub(crate) fn beside_checked(
        &self,
        options: SamplerOptions,
        planted: crate::kernels::kernel::Kernel,
    ) -> Result<Self> {
        let mut sampler = self.sampler.with(options)?;
        sampler.pipelines.plant(planted);
        sampler.pipelines.believe(false);
        Ok(self.beside_with(sampler))
    }

    #[cfg(test)]
    fn beside_with(&self, sampler: Sampler) -> Self {
        let Self { device, queue, info, lost, .. } = self;
        Self { sampler, device: device.clone(), queue: queue.clone(), info: info.clone(), lost: lost.clone() }
    }

    /// Any device, the best first, software adapters included: for tests and examples.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none at all.
    pub fn any() -> Result<Self> {
        let fit = adapters(false).into_iter().find(|adapter| adapter.unfit.is_none());
        Self::open(
            fit.ok_or_else(|| {
                Error::NoAdapter("this machine has no adapter that can run compute".to_owned())
            })?,
        )
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// What the driver says of itself.
    #[must_use]
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The sampler on this device.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Polls the device until `is_done`, which a callback of the caller brings about, such as `on_submitted_work_done`
    /// or that of a map.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] if the device has nothing left to do and it still is not, [`Error::DeviceLost`], or
    /// [`Error::Timeout`] past the deadline of the sampler's options.
    pub fn wait_until(&self, is_done: impl Fn() -> bool) -> Result<()> {
        self.or_lost(drive(is_done, &self.device, self.sampler.options().deadline))
    }

    /// A buffer of this size and usage, filled with zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Validation`] or [`Error::DeviceLost`].
    pub fn buffer(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let doing = "making a buffer";
        let made =
            self.or_lost(guarded(&self.device, doing, || buffer(&self.device, "sortilege", bytes, usage)))?;
        // The lost callback runs inside a poll.
        poll(&self.device)?;
        match &*lock(&self.lost) {
            Some(message) => Err(Error::DeviceLost { doing, message: message.clone() }),
            None => Ok(made),
        }
    }

    /// A buffer with these bytes, rounded up to whole words of 4, for kernels to read or write.
    ///
    /// # Errors
    /// As for [`Gpu::buffer`].
    pub fn upload(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        use wgpu::BufferUsages as Usage;
        let size = (bytes.len() as u64).next_multiple_of(4);
        let made = self.buffer(size, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        // A write is whole words; the last half word of an odd number of 16-bit logits travels alone.
        let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
        self.or_lost(guarded(&self.device, "uploading", || {
            self.queue.write_buffer(&made, 0, whole);
            if !rest.is_empty() {
                let mut word = [0; 4];
                word[..rest.len()].copy_from_slice(rest);
                self.queue.write_buffer(&made, whole.len() as u64, &word);
            }
        }))?;
        Ok(made)
    }

    /// The words of a buffer that has the usage `COPY_SRC`, once the device has done what was submitted before.
    ///
    /// # Errors
    /// As for [`Gpu::buffer`], and [`Error::Timeout`] past the deadline of the sampler's options.
    pub fn read(&self, source: &wgpu::Buffer) -> Result<Vec<u32>> {
        use wgpu::BufferUsages as Usage;
        let staging = self.buffer(source.size(), Usage::MAP_READ | Usage::COPY_DST)?;
        let map = self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
            let mut map = Shared::default();
            map_on_submit(encoder, &staging, source.size(), &mut map);
            Ok(map)
        })?;
        self.or_lost(wait_mapped(&map, &self.device, self.sampler.options().deadline))?;
        let view = self.or_lost(staging.slice(..).get_mapped_range().map_err(|error| Error::DeviceLost {
            doing: "reading the results",
            message: error.to_string(),
        }))?;
        Ok(bytemuck::cast_slice(&view).to_vec())
    }

    /// Submits an encoder that `record` has filled.
    ///
    /// # Errors
    /// What `record` says; as for [`Gpu::buffer`].
    pub fn submit<T>(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>) -> Result<T> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("sortilege") };
        let begun = guarded(&self.device, "recording", || self.device.create_command_encoder(&descriptor));
        let mut encoder = self.or_lost(begun)?;
        let result = self.or_lost(record(&mut encoder))?;
        self.or_lost(guarded(&self.device, "submitting", || self.queue.submit([encoder.finish()])))?;
        Ok(result)
    }

    /// An error of a lost device as such: calls on one "succeed" and leave invalid objects behind.
    pub(super) fn or_lost<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            // The lost callback runs inside a poll.
            if let Err(lost) = poll(&self.device) {
                return lost;
            }
            match (&*lock(&self.lost), error) {
                (Some(message), Error::DeviceLost { doing, .. } | Error::Validation { doing, .. }) => {
                    Error::DeviceLost { doing, message: message.clone() }
                }
                (_, error) => error,
            }
        })
    }
}
