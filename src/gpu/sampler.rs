//! The sampler on the engine's device: what it owns, and the two calls that every step makes.

use std::sync::Arc;
use std::time::Duration;

use super::buffers::{GpuInput, GpuLogits, GpuOutput, Mask, SampleBuffers};
use super::checks::{check_limits, check_logits, check_words};
use super::encode::{Job, heads};
use super::guard::guarded;
use super::pipelines::{Compiled, Pipelines};
use super::pool::{Pool, Traffic, buffer};
use super::readback::Pending;
use super::timing::{Clock, Timing};
use crate::answer::{Logprobs, LogprobsBits, Sample, SampleBits};
use crate::arithmetic::exact::{Scale, TABLE, TABLE_SIZE};
use crate::error::Result;
use crate::plan::{Demand, DeviceLimits, Plan};
use crate::request::{Inputs, LogprobsParams, RequestWords, Row, validate_targets};

/// Settings of a [`Sampler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerOptions {
    /// How long [`Pending::wait`] waits for the device before it gives up.
    pub deadline: Duration,
    /// Whether to measure each dispatch on the device, for [`Sampler::take_timings`]. The device must have been requested
    /// with `Features::TIMESTAMP_QUERY`. The dispatches of a call are then a compute pass each.
    pub timestamps: bool,
    /// Whether to use the kernels for any device although this one has integers of 64 bits (`Features::SHADER_INT64`), with
    /// which they take fewer instructions. Both give the same bits.
    pub portable: bool,
}

impl Default for SamplerOptions {
    /// One minute, no timestamps, the best kernels for the device.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(60), timestamps: false, portable: false }
    }
}

/// Records the passes that draw tokens ([`Sampler::sample`]) and log their probabilities ([`Sampler::logprobs`]) into the
/// engine's own encoder. Cheap to call every step: pipelines, tables and
/// staging buffers are made once and reused.
///
/// # Example
/// ```
/// use sortilege::{Dtype, GpuLogits, LogprobsParams, Sampler, wgpu};
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
    pub(crate) pipelines: Pipelines,
    pub(super) pool: Pool,
    pub(super) clock: Option<Clock>,
}

impl Sampler {
    /// A sampler on the engine's device.
    ///
    /// # Errors
    /// [`Error::Limit`] if the device was requested with limits below the floor of WebGPU that the kernels need, and
    /// what the device says if a buffer cannot be made.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        Self::with_options(device, queue, SamplerOptions::default())
    }

    /// A sampler on the engine's device with these settings.
    ///
    /// # Errors
    /// As for [`Sampler::new`], and [`Error::Limit`] for timestamps on a device that was requested without them.
    pub fn with_options(device: &wgpu::Device, queue: &wgpu::Queue, options: SamplerOptions) -> Result<Self> {
        Self::with_table(device, queue, options, &TABLE)
    }

    /// A sampler with another table, for tests in which every comparison must fail.
    pub(crate) fn with_table(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: SamplerOptions,
        values: &[u32; TABLE_SIZE],
    ) -> Result<Self> {
        check_limits(&device.limits())?;
        let table_bytes = size_of_val(values) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let table = guarded(device, "making the table", || {
            let table = buffer(device, "sortilege table", table_bytes, usage);
            queue.write_buffer(&table, 0, bytemuck::cast_slice(values));
            table
        })?;
        Self::assemble(device, queue, options, table, Arc::default())
    }

    fn assemble(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: SamplerOptions,
        table: wgpu::Buffer,
        compiled: Arc<Compiled>,
    ) -> Result<Self> {
        let int64 = !options.portable && device.features().contains(wgpu::Features::SHADER_INT64);
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            options,
            limits: DeviceLimits::from(&device.limits()),
            table,
            pipelines: Pipelines::new(device, compiled, int64),
            pool: Pool::new(device, queue),
            clock: options.timestamps.then(|| Clock::new(device, queue)).transpose()?,
        })
    }

    /// Another sampler on the same device, with these settings. The compiled kernels are shared, so that it costs little to
    /// measure a step now and then.
    ///
    /// # Errors
    /// As for [`Sampler::with_options`].
    pub fn with(&self, options: SamplerOptions) -> Result<Self> {
        Self::assemble(&self.device, &self.queue, options, self.table.clone(), self.pipelines.shared())
    }

    /// Whether the kernels use integers of 64 bits.
    #[must_use]
    pub fn has_int64(&self) -> bool {
        self.pipelines.has_int64()
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

    /// How long the calls took on the device whose work it has finished, the oldest first, each told once; nothing without
    /// [`SamplerOptions::timestamps`]. To be asked after [`Pending::wait`], or after a poll that saw the work done. Of calls
    /// that nobody asks about the last 1024 are remembered; one of over 2047 dispatches is not measured.
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
        self.clock.as_ref().map_or_else(Vec::new, Clock::take)
    }

    /// Records the passes for one batch at the end of `encoder` and schedules the copy of the records: one per row.
    /// `targets` is empty, or names for each row the token whose logprob and rank are wanted. The logits are read
    /// when the encoder is submitted. Two dispatches; more than 1024 entries per row take further ones, as for
    /// [`Sampler::top_k`].
    ///
    /// # Errors
    /// [`Error::Params`] and [`Error::Logits`] for what cannot be asked, [`Error::Limit`] where the device is too
    /// small, [`Error::OutOfMemory`] and [`Error::Validation`] for what the device rejects. Nothing is recorded then.
    pub fn logprobs(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
    ) -> Result<Pending<Logprobs>> {
        params.validate()?;
        validate_targets(targets, logits.rows, logits.vocab)?;
        let plan = Plan::new(&logits.shape(), params.top_logprobs, &self.limits)?;
        check_logits(logits, &plan)?;
        let requests = [RequestWords::observing(Scale::new(params.temperature))];
        let rows = heads(targets, logits.rows);
        let job = Job { requests: &requests, rows: &rows, ..self.job(&plan, logits) };
        let (temperature, targets) = (params.temperature, targets.to_vec());
        self.schedule(encoder, &job, None, move |row, words| {
            LogprobsBits::from_words(words).decode(temperature, targets.get(row).copied().flatten())
        })
    }

    /// Records the passes that draw tokens from each row of logits, as the row's request asks, at the end of `encoder`,
    /// and schedules the copy of the samples: one per row. Two dispatches, whatever the requests ask for. The logits
    /// are read, never written, when the encoder is submitted.
    ///
    /// # Errors
    /// As for [`Sampler::logprobs`]; [`Error::Params`] names the row.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, GpuLogits, GpuOutput, Request, SampleBuffers, SamplingParams, wgpu};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = sortilege::device::Gpu::any()?;
    /// # let (device, queue) = (gpu.device(), gpu.queue());
    /// # let make = |size, usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    /// # let logits = make(32, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    /// # queue.write_buffer(&logits, 0, bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 0.5, 9.0, 0.0, 9.0, 1.0]));
    /// # let tokens = make(8, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    /// let greedy = Request::new(SamplingParams { temperature: 0.0, raw_logprobs: Some(2), ..SamplingParams::default() })?;
    /// let warm = Request::new(SamplingParams { top_p: 0.9, seed: Some(1), ..SamplingParams::default() })?;
    ///
    /// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    /// // ... the engine records its forward pass here, which writes `logits` ...
    /// let batch = GpuLogits::packed(&logits, Dtype::F32, 2, 4);
    /// let buffers = SampleBuffers { tokens: Some(GpuOutput::new(&tokens)), ..SampleBuffers::default() };
    /// let pending = gpu.sampler().sample(&mut encoder, &batch, &[greedy.row(0), warm.row(0)], &buffers)?;
    /// // ... and here the next one, which reads `tokens` ...
    /// queue.submit([encoder.finish()]);
    ///
    /// let samples = pending.wait()?;
    /// assert_eq!(samples[0].draws[0].token, 2);
    /// assert_eq!(samples[0].raw.as_ref().unwrap().top_logprobs[1].token, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sample(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        rows: &[Row<'_>],
        buffers: &SampleBuffers<'_>,
    ) -> Result<Pending<Sample>> {
        let (host_mask, mask) = match buffers.mask {
            Some(Mask::Host(words)) => (Some(words), None),
            Some(Mask::Gpu(input)) => (None, Some(input)),
            None => (None, None),
        };
        let inputs = Inputs::new(rows, logits.rows, logits.vocab, host_mask)?;
        self.sample_inputs(encoder, logits, &inputs, mask, buffers.draft, buffers.tokens)
    }

    /// Records a `sample` call for rows that are checked and compiled, a mask in host memory included.
    pub(crate) fn sample_inputs(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        inputs: &Inputs,
        mask: Option<GpuInput<'_>>,
        draft: Option<GpuInput<'_>>,
        tokens: Option<GpuOutput<'_>>,
    ) -> Result<Pending<Sample>> {
        use wgpu::BufferUsages as Usage;
        inputs.check_draft(draft.is_some())?;
        let mask_row_bytes = if mask.is_some() { logits.vocab.div_ceil(32) as u64 * 4 } else { 0 };
        let plan = Plan::of(&logits.shape(), Demand::sample(inputs, mask_row_bytes), &self.limits)?;
        check_logits(logits, &plan)?;
        let rows = logits.rows as u64;
        let draft = draft.filter(|_| inputs.wants_draft());
        let vocab = logits.vocab as u64;
        if let Some(GpuInput { buffer, byte_offset }) = mask {
            check_words(buffer, byte_offset, rows * mask_row_bytes, Usage::STORAGE, "the grammar mask")?;
        }
        if let Some(GpuInput { buffer, byte_offset }) = draft {
            check_words(buffer, byte_offset, rows * vocab * 4, Usage::STORAGE, "the draft")?;
        }
        if let Some(GpuOutput { buffer, byte_offset }) = tokens {
            check_words(buffer, byte_offset, rows * 4, Usage::COPY_DST, "the tokens")?;
        }
        let (requests, lists) = inputs.words();
        let job = Job { requests: &requests, rows: &lists, mask, draft, ..self.job(&plan, logits) };
        let (info, demand) = (inputs.decode_info(), plan.demand);
        self.schedule(encoder, &job, tokens, move |row, words| {
            let draws = demand.draws.unwrap_or(0);
            SampleBits::from_words(words, draws, demand.listed, &info[row]).decode(&info[row])
        })
    }
}
