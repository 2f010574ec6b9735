//! Records plans into the engine's encoder.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::buffers::{
    GpuInput, GpuLogits, GpuOutput, Mask, SampleBuffers, buffer, check_apart, check_logits, check_outputs,
    check_words, send_changes,
};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::exact::{self, Scale};
use crate::guard::{guarded, lock};
use crate::inputs::Inputs;
use crate::kernel::Kernel;
use crate::kernels::{
    digit_count, digit_scatter, log_softmax, row_logprobs, row_sample, row_scalar, tile_stats, top_entries,
};
use crate::params::{self, Params};
use crate::passes::{Bound, Job, Passes, Range, heads, tiles_of};
use crate::pipelines::{Pipeline, Pipelines};
use crate::plan::{Caps, Demand, Plan};
use crate::readback::{Pending, Ring, StepBuffers};
use crate::record::RawRecord;
use crate::request::RequestWords;
use crate::request::Row;
use crate::sample::{RawSample, Sample};
use crate::timing::{Clock, Stopwatch, Timing};

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

/// Bytes that a sampler has moved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, rows and targets sent to the device.
    pub bytes_uploaded: u64,
    /// Records and samples scheduled to come back.
    pub bytes_back: u64,
}

/// Records the passes that draw tokens ([`Sampler::sample`]) and log their probabilities ([`Sampler::record`]) into the
/// engine's own encoder. Cheap to call every step: pipelines, tables and
/// staging buffers are made once and reused.
///
/// # Example
/// ```
/// use sortilege::{Dtype, GpuLogits, Params, Sampler, wgpu};
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
/// let pending = sampler.record(&mut encoder, &batch, &Params::default(), &[Some(0), None])?;
/// queue.submit([encoder.finish()]);
/// // ... any number of further steps ...
/// let records = pending.wait()?; // or `pending.await?`
///
/// assert_eq!(records[0].top[0].token, 2);
/// assert_eq!(records[0].target.unwrap().rank(), 3);
/// assert_eq!(records[1].top[0].token, 0, "ties go to the smaller token");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sampler {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    options: SamplerOptions,
    caps: Caps,
    table: wgpu::Buffer,
    pipelines: Arc<Pipelines>,
    /// Between the passes of a chunk: the device runs one chunk after the other, so all calls share it.
    scratch: Mutex<Option<wgpu::Buffer>>,
    ring: Ring,
    clock: Option<Clock>,
    /// Number of the next step.
    step: AtomicU32,
    bytes_uploaded: AtomicU64,
    bytes_back: AtomicU64,
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

    /// The same with other settings.
    ///
    /// # Errors
    /// As for [`Sampler::new`], and [`Error::Limit`] for timestamps on a device that was requested without them.
    pub fn with_options(device: &wgpu::Device, queue: &wgpu::Queue, options: SamplerOptions) -> Result<Self> {
        Self::with_table(device, queue, options, &exact::TABLE)
    }

    /// The same with another table, for tests in which every comparison must fail.
    pub(crate) fn with_table(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: SamplerOptions,
        values: &[u32; exact::TABLE_SIZE],
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
        pipelines: Arc<Pipelines>,
    ) -> Result<Self> {
        let clock = options.timestamps.then(|| Clock::new(device, queue)).transpose()?;
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            options,
            caps: Caps::from(&device.limits()),
            table,
            pipelines,
            scratch: Mutex::default(),
            ring: Ring::default(),
            clock,
            step: AtomicU32::new(1),
            bytes_uploaded: AtomicU64::new(0),
            bytes_back: AtomicU64::new(0),
        })
    }

    /// Another sampler on the same device, with other settings. The compiled kernels are shared, so that it costs little to
    /// measure a step now and then.
    ///
    /// # Errors
    /// As for [`Sampler::with_options`].
    pub fn sibling(&self, options: SamplerOptions) -> Result<Self> {
        Self::assemble(&self.device, &self.queue, options, self.table.clone(), self.pipelines.clone())
    }

    /// Whether the kernels use integers of 64 bits.
    #[must_use]
    pub fn has_int64(&self) -> bool {
        !self.options.portable && self.device.features().contains(wgpu::Features::SHADER_INT64)
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> SamplerOptions {
        self.options
    }

    /// What the device allows.
    #[must_use]
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// Bytes moved so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_uploaded: self.bytes_uploaded.load(Ordering::Relaxed),
            bytes_back: self.bytes_back.load(Ordering::Relaxed),
        }
    }

    /// How long the calls took on the device whose work it has finished, the oldest first, each told once; nothing without
    /// [`SamplerOptions::timestamps`]. To be asked after [`Pending::wait`], or after a poll that saw the work done. Of calls
    /// that nobody asks about the last 1024 are remembered; one of over 2047 dispatches is not measured.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, GpuLogits, Params, Sampler, SamplerOptions, wgpu};
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
    /// let pending = sampler.record(&mut encoder, &batch, &Params::default(), &[])?;
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
    pub fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        params: &Params,
        targets: &[Option<u32>],
    ) -> Result<Pending> {
        params.validate()?;
        params::validate_targets(targets, logits.rows, logits.vocab)?;
        let plan = Plan::new(&logits.shape(), params.top_k, &self.caps)?;
        check_logits(logits, &plan)?;
        let requests = [RequestWords::observing(Scale::new(params.temperature))];
        let rows = heads(targets, logits.rows);
        let job = Job { requests: &requests, rows: &rows, ..self.job(&plan, logits) };
        let (params, targets) = (*params, targets.to_vec());
        self.schedule(encoder, &job, None, move |row, words| {
            RawRecord::from_words(words).decode(&params, targets.get(row).copied().flatten())
        })
    }

    /// Records the passes that draw tokens from each row of logits, as the row's request asks, at the end of `encoder`,
    /// and schedules the copy of the samples: one per row. Two dispatches, whatever the requests ask for. The logits
    /// are read, never written, when the encoder is submitted.
    ///
    /// # Errors
    /// As for [`Sampler::record`]; [`Error::Params`] names the row.
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
    /// assert_eq!(samples[0].raw.as_ref().unwrap().top[1].token, 1);
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

    /// The same for rows that are checked and compiled, a mask in host memory included.
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
        let plan = Plan::of(&logits.shape(), inputs.demand(mask_row_bytes), &self.caps)?;
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
        let (asked, demand) = (inputs.asked(), plan.demand);
        self.schedule(encoder, &job, tokens, move |row, words| {
            let draws = demand.draws.unwrap_or(0);
            RawSample::from_words(words, draws, demand.top_k, &asked[row]).decode(&asked[row])
        })
    }

    /// Records the maximum of each row into `out`, f32 `[rows]`; the result stays on the device. NaN for a row with a
    /// NaN, otherwise infinities as they are.
    ///
    /// # Errors
    /// As for [`Sampler::record`], and [`Error::Logits`] if `out` is too small, lacks a usage or is the buffer of the
    /// logits.
    pub fn row_max(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        self.scalars(encoder, logits, out, false)
    }

    /// Records the log-sum-exp of each row into `out`, f32 `[rows]`: `ln Σ exp(x)` within 1e-6, rounded once
    /// (`docs/exact.md`, 9). A row of only -infinity gives -infinity, one with +infinity gives +infinity, one with a
    /// NaN gives NaN.
    ///
    /// # Errors
    /// As for [`Sampler::row_max`].
    pub fn log_sum_exp(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        self.scalars(encoder, logits, out, true)
    }

    /// Records the log-softmax of each row into `out`, f32 `[rows][vocab]` without gaps. A row that is no distribution
    /// is NaN throughout.
    ///
    /// # Errors
    /// As for [`Sampler::row_max`].
    pub fn log_softmax(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        let kernel = self.pipeline(&log_softmax::KERNEL, Some(logits.dtype), false)?;
        self.operation(encoder, logits, 0, logits.vocab, &[out], |passes, bound| {
            let ranges = [bound.uniform, bound.logits, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [tiles_of(logits.vocab), bound.batch.rows, 1]);
        })
    }

    /// Records the `k` largest logits of each row, f32 `[rows][k]`, and their tokens, u32 `[rows][k]`: value
    /// descending, then token ascending. Past the last possible token, and in a row that is no distribution:
    /// -infinity and `u32::MAX`. The two outputs must lie in different buffers,
    /// at byte offsets that are equal modulo the device's binding alignment (256 at most).
    ///
    /// Up to 1024 entries take three dispatches and one read of the logits. More, up to the whole vocabulary, are selected
    /// and sorted digit by digit, 8 bits each: 14 dispatches more (8 for 16-bit logits), whatever the logits are; 24 bytes
    /// more are read per token (8), and 120 bytes are moved per entry (72). Their scratch is 8 bytes per entry and 2 KiB
    /// per 8192 tokens.
    ///
    /// # Errors
    /// As for [`Sampler::row_max`], and [`Error::Params`] if `k` is over [`Params::MAX_TOP_K`].
    pub fn top_k(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        k: u32,
        out_logits: GpuOutput<'_>,
        out_tokens: GpuOutput<'_>,
    ) -> Result<()> {
        Params { top_k: k, ..Params::default() }.validate()?;
        if k == 0 {
            return Ok(());
        }
        check_apart(out_logits.buffer, out_tokens.buffer, "the two results")?;
        let kernel = self.pipeline(&top_entries::KERNEL, None, false)?;
        let outs = [out_logits, out_tokens];
        self.operation(encoder, logits, k, k as usize, &outs, |passes, bound| {
            let ranges = [bound.uniform, bound.records, bound.outs[0], bound.outs[1]];
            passes.add(&self.device, &kernel, &ranges, [k.div_ceil(64), bound.batch.rows, 1]);
        })
    }

    /// Compiles the kernels for a type of logits, so that the first step does not wait for it. (Those of more than 1024
    /// entries per row: [`Sampler::self_check_long_lists`].)
    ///
    /// # Errors
    /// What the device says of the kernels.
    pub fn prepare(&self, dtype: Dtype) -> Result<()> {
        self.pipeline(&tile_stats::KERNEL, Some(dtype), false)?;
        self.pipeline(&row_logprobs::KERNEL, Some(dtype), false)?;
        Ok(())
    }

    /// The same for the kernels that draw.
    ///
    /// # Errors
    /// What the device says of the kernels.
    pub fn prepare_sampling(&self, dtype: Dtype) -> Result<()> {
        self.pipeline(&tile_stats::KERNEL, Some(dtype), false)?;
        self.pipeline(&row_sample::KERNEL, Some(dtype), false)?;
        Ok(())
    }

    fn scalars(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
        log_sum_exp: bool,
    ) -> Result<()> {
        let kernel = self.pipeline(&row_scalar::KERNEL, None, log_sum_exp)?;
        self.operation(encoder, logits, 0, 1, &[out], |passes, bound| {
            let ranges = [bound.uniform, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [bound.batch.rows.div_ceil(64), 1, 1]);
        })
    }

    /// The passes of `record`, then per chunk what `finish` adds, which writes `out_row_words` words per row.
    fn operation(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        top_k: u32,
        out_row_words: usize,
        outs: &[GpuOutput<'_>],
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<()> {
        let out_row_bytes = out_row_words as u64 * 4;
        let plan = Plan::of(&logits.shape(), Demand::operation(top_k, out_row_bytes), &self.caps)?;
        check_logits(logits, &plan)?;
        for out in outs {
            check_apart(logits.buffer, out.buffer, "the logits and the result")?;
        }
        check_outputs(outs, logits.rows as u64 * out_row_bytes, self.caps.offset_alignment)?;
        if logits.rows == 0 {
            return Ok(());
        }
        let mut step = self.step_buffers(&plan, false)?;
        let requests = [RequestWords::observing(Scale::new(1.0))];
        let rows = heads(&[], logits.rows);
        let job = Job { requests: &requests, rows: &rows, outs, out_row_bytes, ..self.job(&plan, logits) };
        let passes = self.encode(&job, &mut step, finish)?;
        let stopwatch = self.run(encoder, &passes)?;
        self.stop(encoder, stopwatch, false);
        let ring = self.ring.clone();
        encoder.on_submitted_work_done(move || lock(&ring).push(step));
        Ok(())
    }

    /// A job without requests, rows and buffers beside the logits.
    fn job<'a>(&self, plan: &'a Plan, logits: &'a GpuLogits<'a>) -> Job<'a> {
        Job {
            plan,
            logits,
            requests: &[],
            rows: &[],
            mask: None,
            draft: None,
            outs: &[],
            out_row_bytes: 0,
            alignment: self.caps.offset_alignment,
        }
    }

    /// Records the passes of a job, the copies of its results, and the map of the staging buffer.
    fn schedule<R>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        job: &Job<'_>,
        tokens: Option<GpuOutput<'_>>,
        decode: impl Fn(usize, &[u32]) -> R + Send + Sync + 'static,
    ) -> Result<Pending<R>> {
        let plan = job.plan;
        let mut step = None;
        if plan.shape.rows > 0 {
            let mut buffers = self.step_buffers(plan, true)?;
            let passes = self.encode(job, &mut buffers, |_, _| ())?;
            let stopwatch = self.run(encoder, &passes)?;
            if let Some(out) = tokens {
                for chunk in &plan.chunks {
                    let (at, bytes) = (out.byte_offset + chunk.first_row as u64 * 4, chunk.rows as u64 * 4);
                    encoder.copy_buffer_to_buffer(
                        &buffers.records,
                        chunk.records_offset,
                        out.buffer,
                        at,
                        bytes,
                    );
                }
            }
            if let Some(staging) = &buffers.staging {
                encoder.copy_buffer_to_buffer(&buffers.records, 0, staging, 0, plan.records_bytes);
            }
            self.stop(encoder, stopwatch, true);
            self.bytes_back.fetch_add(plan.records_bytes, Ordering::Relaxed);
            step = Some(buffers);
        }
        Ok(Pending::schedule(
            encoder,
            self.device.clone(),
            self.ring.clone(),
            step,
            plan.clone(),
            Box::new(decode),
            self.options.deadline,
        ))
    }

    /// Records the passes, with a stopwatch if there is a clock.
    fn run(&self, encoder: &mut wgpu::CommandEncoder, passes: &Passes) -> Result<Option<Stopwatch>> {
        let stopwatch = match &self.clock {
            Some(clock) => clock.start(&self.device, passes.names())?,
            None => None,
        };
        passes.run(encoder, stopwatch.as_ref());
        Ok(stopwatch)
    }

    /// Ends what `run` began, after the copies, if there are some.
    fn stop(&self, encoder: &mut wgpu::CommandEncoder, stopwatch: Option<Stopwatch>, has_copy: bool) {
        if let (Some(clock), Some(stopwatch)) = (&self.clock, stopwatch) {
            clock.finish(encoder, stopwatch, has_copy);
        }
    }

    /// Uploads requests and rows; binds the two passes, those of long lists, and what `finish` adds, chunk after chunk.
    fn encode(
        &self,
        job: &Job<'_>,
        step: &mut StepBuffers,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Passes> {
        let Job { plan, logits, .. } = *job;
        let is_sampling = plan.demand.draws.is_some();
        let tile_stats = self.pipeline(&tile_stats::KERNEL, Some(logits.dtype), false)?;
        let second = if is_sampling { &row_sample::KERNEL } else { &row_logprobs::KERNEL };
        let row_pass = self.pipeline(second, Some(logits.dtype), false)?;
        let digits = match plan.demand.stages(logits.dtype) {
            0 => None,
            _ => Some(self.digit_kernels(logits.dtype)?),
        };
        let scratch = self.scratch(plan)?;
        let (table, scratch) = (Range::whole(&self.table), Range::whole(&scratch));
        let mut batches = Vec::with_capacity(plan.chunks.len());
        let passes = guarded(&self.device, "binding the logits", || {
            let mut passes = Passes::default();
            for chunk in &plan.chunks {
                let bound = job.bind(chunk, step, table);
                let Bound { batch, uniform, logits, requests, rows, mask, draft, records, .. } = bound;
                passes.add(
                    &self.device,
                    &tile_stats,
                    &[uniform, logits, rows, requests, mask, table, scratch],
                    [batch.tiles, batch.rows, 1],
                );
                let ranges = if is_sampling {
                    &[uniform, logits, rows, requests, mask, table, scratch, draft, records][..]
                } else {
                    &[uniform, logits, rows, requests, table, scratch, records][..]
                };
                passes.add(&self.device, &row_pass, ranges, [1, batch.rows, 1]);
                if let Some(kernels) = &digits {
                    self.long_lists(&mut passes, kernels, plan, &bound, scratch);
                }
                finish(&mut passes, &bound);
                batches.push(batch);
            }
            passes
        })?;
        let upload = job.upload(&batches);
        let sent = guarded(&self.device, "uploading the requests", || {
            send_changes(&self.queue, &step.upload, &mut step.held, &upload)
        })?;
        self.bytes_uploaded.fetch_add(sent, Ordering::Relaxed);
        Ok(passes)
    }

    /// Adds the passes that make lists of more than 1024 entries, stage by stage; the last leaves them in the records.
    fn long_lists(
        &self,
        passes: &mut Passes,
        [count, scatter]: &[Pipeline; 2],
        plan: &Plan,
        bound: &Bound<'_>,
        scratch: Range<'_>,
    ) {
        let (dtype, vocab) = (plan.shape.dtype, plan.shape.vocab);
        for stage in 0..plan.demand.stages(dtype) {
            let uniform = bound.uniform.shifted(stage as u64 * plan.stage_step);
            let ranges = [uniform, bound.logits, bound.records, scratch];
            let blocks = digit_count::blocks(dtype, stage, vocab, plan.demand.top_k);
            passes.add(&self.device, count, &ranges, [blocks, bound.batch.rows, 1]);
            if stage >= digit_count::levels(dtype) {
                passes.add(&self.device, scatter, &ranges, [blocks, bound.batch.rows, 1]);
            }
        }
    }

    /// Buffers for one step: idle ones that fit, or new ones. Only records that the host wants need a staging buffer.
    fn step_buffers(&self, plan: &Plan, wants_staging: bool) -> Result<StepBuffers> {
        let number = self.step.fetch_add(1, Ordering::Relaxed);
        {
            let mut idle = lock(&self.ring);
            let fits = |step: &StepBuffers| {
                step.staging.is_some() == wants_staging
                    && step.upload.size() >= plan.upload_bytes
                    && step.records.size() >= plan.records_bytes
            };
            if let Some(place) = idle.iter().position(fits) {
                return Ok(StepBuffers { number, ..idle.swap_remove(place) });
            }
            // What is too small now stays too small: let it go instead of keeping every size ever asked for.
            idle.retain(|step| step.staging.is_some() != wants_staging);
        }
        use wgpu::BufferUsages as Usage;
        let make = |label, bytes, usage| buffer(&self.device, label, bytes, usage);
        let uploaded = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST;
        guarded(&self.device, "making the record buffers", || StepBuffers {
            number,
            held: Vec::new(),
            upload: make("sortilege upload", plan.upload_bytes, uploaded),
            records: make("sortilege records", plan.records_bytes, Usage::STORAGE | Usage::COPY_SRC),
            staging: wants_staging
                .then(|| make("sortilege staging", plan.records_bytes, Usage::MAP_READ | Usage::COPY_DST)),
        })
    }

    /// Tile statistics and delegates of the chunk that ran last.
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<wgpu::Buffer> {
        let mut scratch = lock(&self.scratch);
        if let Some(buffer) = scratch.as_ref().filter(|buffer| buffer.size() >= plan.scratch_bytes) {
            return Ok(buffer.clone());
        }
        let made = guarded(&self.device, "making the scratch buffer", || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            buffer(&self.device, "sortilege scratch", plan.scratch_bytes, usage)
        })?;
        *scratch = Some(made.clone());
        Ok(made)
    }

    /// The kernels behind lists of any length.
    fn digit_kernels(&self, dtype: Dtype) -> Result<[Pipeline; 2]> {
        Ok([
            self.pipeline(&digit_count::KERNEL, Some(dtype), false)?,
            self.pipeline(&digit_scatter::KERNEL, Some(dtype), false)?,
        ])
    }

    pub(crate) fn pipeline(
        &self,
        kernel: &Kernel,
        dtype: Option<Dtype>,
        log_sum_exp: bool,
    ) -> Result<Pipeline> {
        self.pipelines.get(&self.device, kernel, dtype, log_sum_exp, self.has_int64())
    }
}

impl From<&wgpu::Limits> for Caps {
    fn from(limits: &wgpu::Limits) -> Self {
        Self {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            offset_alignment: limits
                .min_storage_buffer_offset_alignment
                .max(limits.min_uniform_buffer_offset_alignment)
                .into(),
        }
    }
}

/// The floor of WebGPU: a device requested with `downlevel_webgl2_defaults` lies below it.
pub(crate) fn check_limits(limits: &wgpu::Limits) -> Result<()> {
    let needs = [
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, 256),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size, 16_384),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage, 8),
    ];
    for (name, has, needed) in needs {
        if has < needed {
            return Err(Error::Limit(format!(
                "the device was requested with {name} {has}, the kernels need {needed}: request it with \
                 `wgpu::Limits::default()` or the adapter's limits"
            )));
        }
    }
    Ok(())
}
