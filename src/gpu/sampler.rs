//! The sampler on the engine's device, its settings and what it owns.

use std::sync::Arc;
use std::time::Duration;

use super::buffers::buffer;
use super::checks::check_limits;
use super::guard::{alive, made};
use super::pipelines::{Known, Pipelines};
use super::pool::{Pool, Traffic};
use super::timing::{Clock, Timing};
use super::waiter::Waiter;
use crate::error::Result;
use crate::kernels::kernel::tables;
use crate::plan::DeviceLimits;

/// Settings of a [`Sampler`]. Construct it with `..SamplerOptions::DEFAULT`: new fields come in minor versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerOptions {
    /// How long [`Pending::wait`](crate::Pending::wait) waits for the submit and the device before it gives up: a minute.
    pub deadline: Duration,
    /// How long [`Sampler::prepare`] and the check of the device's arithmetic wait: drivers compile a kernel when it first
    /// runs, software ones for a minute and more. Ten minutes.
    pub compile_deadline: Duration,
    /// Whether to measure each dispatch on the device, for [`Sampler::take_timings`]. The device must have been
    /// requested with `Features::TIMESTAMP_QUERY`. The dispatches of a call are then a compute pass each.
    pub timestamps: bool,
    /// Whether to compute weights by integers alone: the same bits at several times the instructions. A device whose
    /// floats do not round to nearest gets them anyway ([`Sampler::uses_integers`]).
    pub integers: bool,
}

impl SamplerOptions {
    /// One minute, ten for compiling, no timestamps, floats where they hold.
    pub const DEFAULT: Self = Self {
        deadline: Duration::from_secs(60),
        compile_deadline: Duration::from_secs(600),
        timestamps: false,
        integers: false,
    };
}

impl Default for SamplerOptions {
    /// [`SamplerOptions::DEFAULT`]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Records the passes that draw tokens ([`Sampler::sample`]) and log their probabilities ([`Sampler::logprobs`]) into
/// the engine's own encoder. Cheap to call every step: pipelines, tables and staging buffers are made once and reused. The
/// first call for a type of logits compiles the kernels and waits for a check of the device's arithmetic, which polls the
/// device: [`Sampler::prepare`] does both beforehand, and runs a row, since drivers compile for good when a kernel first runs. Bindings to the engine's buffers are kept for the next step;
/// [`Sampler::trim`] lets them go.
///
/// Threads may share it, and record and wait at once. All encoders go to the queue that it was made with, in any order
/// but where rows have [`Histories`](crate::Histories): their steps are submitted in the order in which they were recorded.
///
/// # Example
/// ```
/// use sortilege::{Dtype, GpuLogits, Kernels, LogprobsParams, Sampler, wgpu};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The engine's own device, queue and logits: here any adapter, and two rows of three f32.
/// let gpu = sortilege::device::Gpu::any()?;
/// let (device, queue) = (gpu.device(), gpu.queue());
/// let logits = device.create_buffer(&wgpu::BufferDescriptor {
///     label: Some("the engine's logits"),
///     size: 24,
///     usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
///     mapped_at_creation: false,
/// });
/// queue.write_buffer(&logits, 0, bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 9.0, 0.0, 9.0]));
///
/// let sampler = Sampler::new(device, queue)?; // once
/// sampler.prepare(Kernels::Logprobs, Dtype::F32)?; // before the first step
///
/// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
/// // ... the engine records its forward pass here ...
/// let batch = GpuLogits::packed(&logits, Dtype::F32, 2, 3);
/// let pending = sampler.logprobs(&mut encoder, &batch, &LogprobsParams::default(), &[Some(0), None])?;
/// queue.submit([encoder.finish()]);
/// // ... any number of further steps ...
/// let answers = pending.wait()?; // or `pending.await?`
///
/// assert_eq!(answers[0].distribution.top_logprobs[0].token, 2);
/// assert_eq!(answers[0].target.unwrap().rank(), 3);
/// assert_eq!(answers[1].distribution.top_logprobs[0].token, 0, "ties go to the smaller token");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sampler {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) options: SamplerOptions,
    pub(super) limits: DeviceLimits,
    pub(super) table: wgpu::Buffer,
    pub(super) pipelines: Pipelines,
    pub(super) pool: Pool,
    pub(super) clock: Option<Clock>,
    pub(super) waiter: Arc<Waiter>,
    /// Complaints of a browser when a call was recorded last.
    #[cfg(target_family = "wasm")]
    complaints: std::sync::atomic::AtomicU32,
}

impl Sampler {
    /// A sampler on the engine's device. The queue is that device's own: wgpu does not tell another one, with which nothing that
    /// is uploaded arrives.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) if the device was requested with limits below the floor of WebGPU that
    /// the kernels need, and what the device says if a buffer cannot be made.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        Self::with_options(device, queue, SamplerOptions::default())
    }

    /// A sampler on the engine's device with these settings.
    ///
    /// # Errors
    /// As for [`Sampler::new`], and [`Error::Limit`](crate::Error::Limit) for timestamps on a device that was
    /// requested without them.
    pub fn with_options(device: &wgpu::Device, queue: &wgpu::Queue, options: SamplerOptions) -> Result<Self> {
        Self::with_table(device, queue, options, &tables())
    }

    /// A sampler with other tables, for tests in which every comparison must fail.
    pub(crate) fn with_table(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: SamplerOptions,
        values: &[u32],
    ) -> Result<Self> {
        check_limits(&device.limits())?;
        let table_bytes = size_of_val(values) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let table = made(device, "making the table", || {
            let table = buffer(device, "sortilege table", table_bytes, usage);
            queue.write_buffer(&table, 0, bytemuck::cast_slice(values));
            table
        })?;
        Self::assemble(device, queue, options, table, Arc::default(), Waiter::new(device))
    }

    fn assemble(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: SamplerOptions,
        table: wgpu::Buffer,
        known: Arc<Known>,
        waiter: Arc<Waiter>,
    ) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            options,
            limits: DeviceLimits::from(&device.limits()),
            table,
            pipelines: Pipelines::new(device, known),
            pool: Pool::new(device, queue),
            clock: options.timestamps.then(|| Clock::new(device, queue)).transpose()?,
            waiter,
            #[cfg(target_family = "wasm")]
            complaints: super::late::complaints().into(),
        })
    }

    /// Lets go of what was made before a browser complained of something: that may be what it complained of.
    #[cfg(target_family = "wasm")]
    pub(super) fn let_go_of_doubtful(&self) {
        let complaints = super::late::complaints();
        if self.complaints.swap(complaints, std::sync::atomic::Ordering::Relaxed) != complaints {
            self.pool.trim();
            self.pipelines.clear();
        }
    }

    /// Another sampler on the same device, with these settings. The compiled kernels are shared, so that it costs
    /// little to measure a step now and then, and so is the thread that polls for those who await.
    ///
    /// # Errors
    /// As for [`Sampler::with_options`].
    pub fn with(&self, options: SamplerOptions) -> Result<Self> {
        alive(&self.device, "making a sampler")?;
        let (table, known, waiter) = (self.table.clone(), self.pipelines.shared(), self.waiter.clone());
        Self::assemble(&self.device, &self.queue, options, table, known, waiter)
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> SamplerOptions {
        self.options
    }

    /// Bytes moved so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.pool.traffic()
    }

    /// Lets go of the buffers and bindings of idle calls, and of those in flight when they come back; the next calls make
    /// theirs anew. Bindings keep the engine's own buffers alive, until [`Buffer::destroy`](wgpu::Buffer::destroy): without
    /// this, those of the calls that came back last, for 64 calls more (as many as were in flight at once, if more), and the
    /// last four buffers that were copied to.
    pub fn trim(&self) {
        self.pool.trim();
    }

    /// How long the calls took on the device whose work it has finished, the oldest first, each told once; nothing
    /// without [`SamplerOptions::timestamps`]. To be asked after [`Pending::wait`](crate::Pending::wait), or after a
    /// poll that saw the work done. Of calls that nobody asks about the last 1024 are remembered; one of over 2047
    /// dispatches is not measured.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, GpuLogits, LogprobsParams, Sampler, SamplerOptions, wgpu};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = sortilege::device::Gpu::any()?;
    /// # let (device, queue) = (gpu.device(), gpu.queue());
    /// # let usage = wgpu::BufferUsages::STORAGE;
    /// # let logits = device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 24, usage, mapped_at_creation: false });
    /// if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
    ///     return Ok(());
    /// }
    /// let options = SamplerOptions { timestamps: true, ..SamplerOptions::default() };
    /// let sampler = Sampler::with_options(device, queue, options)?;
    /// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    /// let batch = GpuLogits::packed(&logits, Dtype::F32, 2, 3);
    /// let pending = sampler.logprobs(&mut encoder, &batch, &LogprobsParams::default(), &[])?;
    /// queue.submit([encoder.finish()]);
    /// pending.wait()?;
    /// let [timing] = &sampler.take_timings()[..] else { panic!("one call") };
    /// assert_eq!(timing.passes[0].name, "tile_stats");
    /// assert!(timing.passes[0].time <= timing.total);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "each timing is told once"]
    pub fn take_timings(&self) -> Vec<Timing> {
        self.clock.as_ref().map_or_else(Vec::new, |clock| clock.take(&self.device))
    }
}
