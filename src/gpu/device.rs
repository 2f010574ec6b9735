//! An open device: its buffers, its sampler, and the waits for it.

use std::sync::{Arc, Mutex};

use super::buffers::buffer;
#[cfg(not(target_family = "wasm"))]
use super::guard::at_once;
use super::guard::{guarded, lock, poll};
use super::mapping::{Shared, map_on_submit, mapped_range};
use super::sampler::{Sampler, SamplerOptions};
#[cfg(not(target_family = "wasm"))]
use super::wait::drive;
use super::wait::mapped;
use crate::error::{Error, Result};

/// An open device with a [`Sampler`], for logits that lie in host memory. [`Gpu::open`] has its logprobs checked
/// ([`Sampler::self_check`] checks the other kernels). In a browser it is made of a device, and awaited.
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

impl Gpu {
    /// A device that the caller opened, with a sampler of the usual settings, not checked. It takes the device's callback for
    /// its loss.
    ///
    /// # Errors
    /// As for [`Sampler::new`].
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue, info: wgpu::AdapterInfo) -> Result<Self> {
        let lost = Arc::new(Mutex::new(None));
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *lock(&told) = Some(format!("{reason:?}: {message}"));
        });
        Ok(Self { sampler: Sampler::new(&device, &queue)?, device, queue, info, lost })
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
    pub(crate) fn with_table(self, table: &[u32]) -> Self {
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
    /// Past the deadline of the sampler's options [`Error::Timeout`], or [`Error::NotSubmitted`] if the device has nothing
    /// left to do; [`Error::DeviceLost`].
    #[cfg(not(target_family = "wasm"))]
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
    #[cfg(not(target_family = "wasm"))]
    pub fn read(&self, source: &wgpu::Buffer) -> Result<Vec<u32>> {
        at_once(self.read_async(source))
    }

    /// [`Gpu::read`] for browsers, where it yields; natively it blocks as that does.
    ///
    /// # Errors
    /// As there.
    pub async fn read_async(&self, source: &wgpu::Buffer) -> Result<Vec<u32>> {
        use wgpu::BufferUsages as Usage;
        let staging = self.buffer(source.size(), Usage::MAP_READ | Usage::COPY_DST)?;
        let map = self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
            let mut map = Shared::default();
            map_on_submit(encoder, &staging, source.size(), &mut map);
            Ok(map)
        })?;
        self.or_lost(mapped(&map, &self.device, self.sampler.options().deadline).await)?;
        let view = self.or_lost(mapped_range(&staging, .., "reading the results"))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
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
