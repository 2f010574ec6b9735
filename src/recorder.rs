//! Records plans into the engine's encoder.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::cpu;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::exact::{self, Scale, TILE_TOKENS};
use crate::kernel::{Batch, Kernel, Slot, dtype_constant};
use crate::kernels::{log_softmax, row_finish, row_scalar, tile_stats, top_entries};
use crate::logits::Logits;
use crate::params::{self, Params};
use crate::plan::{BATCH_BYTES, Caps, Chunk, Plan, Shape, Window};
use crate::readback::{Pending, Ring, StepBuffers, lock};
use crate::record::{NO_TOKEN, RawRecord};

/// Logits `[rows][vocab]` in the engine's buffer, which is only read. The buffer needs the usage `STORAGE`.
#[derive(Clone, Copy, Debug)]
pub struct GpuLogits<'a> {
    /// The engine's buffer. It may be larger than the logits.
    pub buffer: &'a wgpu::Buffer,
    /// Bytes from its start to the first logit: any multiple of the element's size.
    pub byte_offset: u64,
    /// Element type.
    pub dtype: Dtype,
    /// Rows.
    pub rows: usize,
    /// Tokens of a row, 1 to 2^20.
    pub vocab: usize,
    /// Elements from the start of one row to the start of the next, at least `vocab`.
    pub row_stride: usize,
}

impl<'a> GpuLogits<'a> {
    /// Rows one after the other from the start of the buffer.
    #[must_use]
    pub const fn packed(buffer: &'a wgpu::Buffer, dtype: Dtype, rows: usize, vocab: usize) -> Self {
        Self { buffer, byte_offset: 0, dtype, rows, vocab, row_stride: vocab }
    }

    fn shape(&self) -> Shape {
        let Self { dtype, rows, vocab, row_stride, byte_offset, .. } = *self;
        Shape { dtype, rows, vocab, row_stride, byte_offset }
    }
}

/// Where an operation writes its results: f32 or u32 words in the engine's buffer, which needs the usage `STORAGE`.
#[derive(Clone, Copy, Debug)]
pub struct GpuOutput<'a> {
    /// The engine's buffer.
    pub buffer: &'a wgpu::Buffer,
    /// Bytes from its start to the first result, a multiple of 4.
    pub byte_offset: u64,
}

impl<'a> GpuOutput<'a> {
    /// Results from the start of the buffer.
    #[must_use]
    pub const fn new(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, byte_offset: 0 }
    }
}

/// Settings of a [`Recorder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// How long [`Pending::wait`] waits for the device before it gives up.
    pub deadline: Duration,
}

impl Default for RecorderOptions {
    /// One minute.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(60) }
    }
}

/// Bytes that a recorder has moved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Parameters and targets sent to the device.
    pub bytes_uploaded: u64,
    /// Records scheduled to come back.
    pub bytes_back: u64,
}

/// Records token-probability passes into the engine's own encoder. Cheap to call every step: pipelines, tables and
/// staging buffers are made once and reused.
///
/// # Example
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let Ok(gpu) = sortilege::device::Gpu::any() else { return Ok(()) };
/// # let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
/// use sortilege::{Dtype, GpuLogits, Params, Recorder, wgpu};
///
/// // The engine's own device, queue and logits: here two rows of three f32.
/// let logits = device.create_buffer(&wgpu::BufferDescriptor {
///     label: Some("the engine's logits"),
///     size: 24,
///     usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
///     mapped_at_creation: false,
/// });
/// queue.write_buffer(&logits, 0, bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 9.0, 0.0, 9.0]));
///
/// let recorder = Recorder::new(&device, &queue)?; // once
///
/// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
/// // ... the engine records its forward pass here ...
/// let batch = GpuLogits::packed(&logits, Dtype::F32, 2, 3);
/// let pending = recorder.record(&mut encoder, &batch, &Params::default(), &[Some(0), None])?;
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
pub struct Recorder {
    device: wgpu::Device,
    queue: wgpu::Queue,
    options: RecorderOptions,
    caps: Caps,
    table: wgpu::Buffer,
    pipelines: Mutex<HashMap<Variant, Pipeline>>,
    scratch: Mutex<Scratch>,
    ring: Ring,
    /// Number of the next step.
    step: AtomicU32,
    bytes_uploaded: AtomicU64,
    bytes_back: AtomicU64,
}

/// A kernel with its overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    kernel: &'static str,
    dtype: Option<Dtype>,
    log_sum_exp: bool,
}

#[derive(Clone, Debug)]
struct Pipeline {
    layout: wgpu::BindGroupLayout,
    pipeline: wgpu::ComputePipeline,
}

/// Buffers between the passes of a chunk: the device runs one chunk after the other, so all calls share them.
#[derive(Debug, Default)]
struct Scratch {
    stats: Option<wgpu::Buffer>,
    delegates: Option<wgpu::Buffer>,
}

/// A range of a buffer to bind.
#[derive(Clone, Copy)]
struct Range<'a> {
    buffer: &'a wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl<'a> Range<'a> {
    fn whole(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, bytes: buffer.size() }
    }
}

impl Recorder {
    /// A recorder on the engine's device.
    ///
    /// # Errors
    /// [`Error::Limit`] if the device was requested with limits below the floor of WebGPU that the kernels need, and
    /// what the device says if a buffer cannot be made.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        Self::with_options(device, queue, RecorderOptions::default())
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As for [`Recorder::new`].
    pub fn with_options(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: RecorderOptions,
    ) -> Result<Self> {
        Self::with_table(device, queue, options, &exact::TABLE)
    }

    /// The same with another table, for tests in which every comparison must fail.
    pub(crate) fn with_table(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: RecorderOptions,
        values: &[u32; exact::TABLE_SIZE],
    ) -> Result<Self> {
        let limits = device.limits();
        check_limits(&limits)?;
        let table_bytes = size_of_val(values) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let table =
            guarded(device, "making the table", || buffer(device, "sortilege table", table_bytes, usage))?;
        guarded(device, "making the table", || queue.write_buffer(&table, 0, bytemuck::cast_slice(values)))?;
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            options,
            caps: Caps::from(&limits),
            table,
            pipelines: Mutex::default(),
            scratch: Mutex::default(),
            ring: Ring::default(),
            step: AtomicU32::new(1),
            bytes_uploaded: AtomicU64::new(0),
            bytes_back: AtomicU64::new(0),
        })
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> RecorderOptions {
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

    /// Records the passes for one batch at the end of `encoder` and schedules the copy of the records: one per row.
    /// `targets` is empty, or names for each row the token whose logprob and rank are wanted. The logits are read
    /// when the encoder is submitted.
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
        let mut step = None;
        if logits.rows > 0 {
            let buffers = self.step_buffers(&plan, true)?;
            let job = Job { plan: &plan, logits, scale: Scale::new(params.temperature), targets, outs: &[] };
            self.encode(&job, &buffers, 0, |_, _| ())?.run(encoder);
            if let Some(staging) = &buffers.staging {
                encoder.copy_buffer_to_buffer(&buffers.records, 0, staging, 0, plan.records_bytes);
            }
            self.bytes_back.fetch_add(plan.records_bytes, Ordering::Relaxed);
            step = Some(buffers);
        }
        Ok(Pending::schedule(
            encoder,
            self.device.clone(),
            self.ring.clone(),
            step,
            plan,
            *params,
            targets.to_vec(),
            self.options.deadline,
        ))
    }

    /// Records the maximum of each row into `out`, f32 `[rows]`; the result stays on the device. NaN for a row with a
    /// NaN, otherwise infinities as they are.
    ///
    /// # Errors
    /// As for [`Recorder::record`], and [`Error::Logits`] if `out` is too small, lacks a usage or is the buffer of the
    /// logits.
    pub fn row_max(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        self.scalars(encoder, logits, out, false)
    }

    /// Records the log-sum-exp of each row into `out`, f32 `[rows]`: the f32 nearest to `ln Σ exp(x)`. A row of only
    /// -infinity gives -infinity, one with +infinity gives +infinity, one with a NaN gives NaN.
    ///
    /// # Errors
    /// As for [`Recorder::row_max`].
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
    /// As for [`Recorder::row_max`].
    pub fn log_softmax(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        let kernel = self.pipeline(&log_softmax::KERNEL, Some(logits.dtype), false)?;
        self.operation(encoder, logits, 0, logits.vocab, &[out], |passes, bound| {
            let ranges = [bound.batch, bound.logits, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [tiles_of(logits.vocab), bound.rows, 1]);
        })
    }

    /// Records the `k` largest logits of each row, f32 `[rows][k]`, and their tokens, u32 `[rows][k]`: value
    /// descending, then token ascending. Past the last possible token, and in a row that is no distribution:
    /// -infinity and `u32::MAX`. The two outputs must lie in different buffers.
    ///
    /// # Errors
    /// As for [`Recorder::row_max`], and [`Error::Params`] if `k` is over [`Params::MAX_TOP_K`].
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
            let ranges = [bound.batch, bound.records, bound.outs[0], bound.outs[1]];
            passes.add(&self.device, &kernel, &ranges, [k.div_ceil(64), bound.rows, 1]);
        })
    }

    /// Compiles the kernels for a type of logits, so that the first step does not wait for it.
    ///
    /// # Errors
    /// What the device says of the kernels.
    pub fn prepare(&self, dtype: Dtype) -> Result<()> {
        self.pipeline(&tile_stats::KERNEL, Some(dtype), false)?;
        self.pipeline(&row_finish::KERNEL, Some(dtype), false)?;
        Ok(())
    }

    /// Runs a small batch of every type of logits on the device and compares it with the CPU engine, bit for bit: a
    /// driver that miscompiles the kernels is found here, before it writes a log. Blocks for three round trips.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bits differ, and what [`Recorder::record`] and [`Pending::wait`] say.
    pub fn self_check(&self) -> Result<()> {
        const ROWS: usize = 4;
        const VOCAB: usize = 9002; // three tiles, the last one ragged
        let targets = [Some(17), Some(9001), None, Some(0)];
        let params = Params { top_k: 8, temperature: 0.7 };
        for dtype in Dtype::ALL {
            let bytes: Vec<u8> = (0..ROWS * VOCAB)
                .flat_map(|i| {
                    let noise = (i.wrapping_mul(2_654_435_761) >> 7) & 0xffff;
                    // Spread, tied, masked, and one NaN.
                    let value = match i / VOCAB {
                        0 => noise as f32 / 2048.0 - 16.0,
                        1 => (noise % 5) as f32,
                        2 if noise % 4 > 0 => f32::NEG_INFINITY,
                        3 if i % VOCAB == 5000 => f32::NAN,
                        _ => (noise % 256) as f32 / 16.0,
                    };
                    dtype.store(value).to_ne_bytes()[..dtype.bytes()].to_vec()
                })
                .collect();
            let expected = cpu::record(&Logits::new(&bytes, dtype, ROWS, VOCAB)?, &params, &targets)?;
            let doing = "the self-check";
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let logits = guarded(&self.device, doing, || {
                let logits = buffer(&self.device, "sortilege check", bytes.len() as u64, usage);
                self.queue.write_buffer(&logits, 0, &bytes);
                logits
            })?;
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let batch = GpuLogits::packed(&logits, dtype, ROWS, VOCAB);
            let pending = self.record(&mut encoder, &batch, &params, &targets)?;
            guarded(&self.device, doing, || self.queue.submit([encoder.finish()]))?;
            if pending.wait()? != expected {
                return Err(Error::Mismatch("this device".to_owned()));
            }
        }
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
            let ranges = [bound.batch, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [bound.rows.div_ceil(64), 1, 1]);
        })
    }

    /// The two passes of `record`, then per chunk what `finish` adds, which writes `out_row_words` words per row.
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
        let plan = Plan::with_output(&logits.shape(), top_k, out_row_bytes, &self.caps)?;
        check_logits(logits, &plan)?;
        for out in outs {
            check_apart(logits.buffer, out.buffer, "the logits and the result")?;
        }
        check_outputs(outs, logits.rows as u64 * out_row_bytes, self.caps.offset_alignment)?;
        if logits.rows == 0 {
            return Ok(());
        }
        let step = self.step_buffers(&plan, false)?;
        let job = Job { plan: &plan, logits, scale: Scale::new(1.0), targets: &[], outs };
        self.encode(&job, &step, out_row_bytes, finish)?.run(encoder);
        let ring = self.ring.clone();
        encoder.on_submitted_work_done(move || lock(&ring).push(step));
        Ok(())
    }

    /// Uploads parameters and targets; binds tile_stats, row_finish and what `finish` adds, chunk after chunk.
    fn encode(
        &self,
        job: &Job<'_>,
        step: &StepBuffers,
        out_row_bytes: u64,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Passes> {
        let Job { plan, logits, outs, .. } = *job;
        let tile_stats = self.pipeline(&tile_stats::KERNEL, Some(logits.dtype), false)?;
        let row_finish = self.pipeline(&row_finish::KERNEL, Some(logits.dtype), false)?;
        let (stats, delegates) = self.scratch(plan)?;
        let (table, stats, delegates) =
            (Range::whole(&self.table), Range::whole(&stats), Range::whole(&delegates));
        #[expect(clippy::cast_possible_truncation, reason = "within one buffer")]
        let mut upload = vec![0u8; plan.upload_bytes as usize];
        let passes = guarded(&self.device, "binding the logits", || {
            let mut passes = Passes::default();
            for chunk in &plan.chunks {
                let windows: Vec<Window> = outs
                    .iter()
                    .map(|out| {
                        let first = out.byte_offset + chunk.first_row as u64 * out_row_bytes;
                        Window::new(first, chunk.rows as u64 * out_row_bytes, 4, self.caps.offset_alignment)
                    })
                    .collect();
                let out_base = windows.first().map_or(0, |window| window.element_base);
                fill_upload(&mut upload, job, chunk, out_base, step.number);

                let range = |buffer, offset, bytes| Range { buffer, offset, bytes };
                let bound = Bound {
                    rows: rows_of(chunk),
                    batch: range(&step.upload, chunk.batch_offset, BATCH_BYTES),
                    logits: range(logits.buffer, chunk.logits.offset, chunk.logits.bytes),
                    records: range(
                        &step.records,
                        chunk.records_offset,
                        (chunk.rows * RawRecord::words(plan.top_k) * 4) as u64,
                    ),
                    outs: outs
                        .iter()
                        .zip(&windows)
                        .map(|(out, w)| range(out.buffer, w.offset, w.bytes))
                        .collect(),
                };
                let targets = range(&step.upload, chunk.targets_offset, chunk.rows as u64 * 4);
                passes.add(
                    &self.device,
                    &tile_stats,
                    &[bound.batch, bound.logits, targets, table, stats, delegates],
                    [tiles_of(plan.shape.vocab), bound.rows, 1],
                );
                passes.add(
                    &self.device,
                    &row_finish,
                    &[bound.batch, bound.logits, targets, table, stats, delegates, bound.records],
                    [1, bound.rows, 1],
                );
                finish(&mut passes, &bound);
            }
            passes
        })?;
        guarded(&self.device, "uploading the parameters", || {
            self.queue.write_buffer(&step.upload, 0, &upload)
        })?;
        self.bytes_uploaded.fetch_add(plan.upload_bytes, Ordering::Relaxed);
        Ok(passes)
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
            upload: make("sortilege upload", plan.upload_bytes, uploaded),
            records: make("sortilege records", plan.records_bytes, Usage::STORAGE | Usage::COPY_SRC),
            staging: wants_staging
                .then(|| make("sortilege staging", plan.records_bytes, Usage::MAP_READ | Usage::COPY_DST)),
        })
    }

    /// Tile statistics and delegates of the chunk that ran last.
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<(wgpu::Buffer, wgpu::Buffer)> {
        let mut scratch = lock(&self.scratch);
        let grown = |old: &Option<wgpu::Buffer>, label, bytes| match old {
            Some(buffer) if buffer.size() >= bytes => Ok(buffer.clone()),
            _ => guarded(&self.device, "making the scratch buffers", || {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
                buffer(&self.device, label, bytes, usage)
            }),
        };
        let stats = grown(&scratch.stats, "sortilege tile stats", plan.stats_bytes)?;
        let delegates = grown(&scratch.delegates, "sortilege delegates", plan.delegates_bytes)?;
        *scratch = Scratch { stats: Some(stats.clone()), delegates: Some(delegates.clone()) };
        Ok((stats, delegates))
    }

    /// The pipeline of a variant, made on its first use.
    fn pipeline(&self, kernel: &Kernel, dtype: Option<Dtype>, log_sum_exp: bool) -> Result<Pipeline> {
        let variant = Variant { kernel: kernel.name, dtype, log_sum_exp };
        let mut pipelines = lock(&self.pipelines);
        if let Some(pipeline) = pipelines.get(&variant) {
            return Ok(pipeline.clone());
        }
        let made = guarded(&self.device, "compiling the kernels", || compile(&self.device, kernel, variant))?;
        pipelines.insert(variant, made.clone());
        Ok(made)
    }
}

/// What to encode.
#[derive(Clone, Copy)]
struct Job<'a> {
    plan: &'a Plan,
    logits: &'a GpuLogits<'a>,
    scale: Scale,
    targets: &'a [Option<u32>],
    outs: &'a [GpuOutput<'a>],
}

/// One chunk's bindings, for a kernel that works on its records.
struct Bound<'a> {
    rows: u32,
    batch: Range<'a>,
    logits: Range<'a>,
    records: Range<'a>,
    outs: Vec<Range<'a>>,
}

/// The uniform and the targets of one chunk.
fn fill_upload(upload: &mut [u8], job: &Job<'_>, chunk: &Chunk, out_base: u32, step: u32) {
    let Job { plan, scale, targets, .. } = *job;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the plan keeps each below 2^32, and offsets in one buffer"
    )]
    let (batch, at, targets_at) = (
        Batch {
            vocab: plan.shape.vocab as u32,
            tiles: plan.tiles as u32,
            top_k: plan.top_k,
            rows: chunk.rows as u32,
            element_base: chunk.logits.element_base,
            row_stride: plan.shape.row_stride as u32,
            record_words: RawRecord::words(plan.top_k) as u32,
            out_base,
            shift: scale.shift,
            rate: scale.rate,
            half_window: scale.half_window,
            step,
        },
        chunk.batch_offset as usize,
        chunk.targets_offset as usize,
    );
    upload[at..at + size_of::<Batch>()].copy_from_slice(bytemuck::bytes_of(&batch));
    for row in 0..chunk.rows {
        let token = targets.get(chunk.first_row + row).copied().flatten().unwrap_or(NO_TOKEN);
        upload[targets_at + row * 4..][..4].copy_from_slice(&token.to_ne_bytes());
    }
}

/// Dispatches, bound and ready to be recorded.
#[derive(Default)]
struct Passes {
    list: Vec<(wgpu::ComputePipeline, wgpu::BindGroup, [u32; 3])>,
}

impl Passes {
    fn add(&mut self, device: &wgpu::Device, kernel: &Pipeline, ranges: &[Range<'_>], workgroups: [u32; 3]) {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(ranges)
            .map(|(binding, range)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: range.buffer,
                    offset: range.offset,
                    size: std::num::NonZeroU64::new(range.bytes),
                }),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("sortilege"),
            layout: &kernel.layout,
            entries: &entries,
        });
        self.list.push((kernel.pipeline.clone(), group, workgroups));
    }

    fn run(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("sortilege"),
            timestamp_writes: None,
        });
        for (pipeline, group, [x, y, z]) in &self.list {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(*x, *y, *z);
        }
    }
}

fn compile(device: &wgpu::Device, kernel: &Kernel, variant: Variant) -> Pipeline {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(kernel.slots)
        .map(|(binding, slot)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match slot {
                    Slot::Batch => wgpu::BufferBindingType::Uniform,
                    Slot::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Slot::Write => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let label = Some(kernel.name);
    let layout =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(kernel.wgsl.into()),
    });
    let mut constants = Vec::new();
    if let Some(dtype) = variant.dtype {
        constants.push(("DTYPE", dtype_constant(dtype)));
    }
    if variant.log_sum_exp {
        constants.push(("LOG_SUM_EXP", 1.0));
    }
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            zero_initialize_workgroup_memory: false, // every kernel writes before it reads
        },
        cache: None,
    });
    Pipeline { layout, pipeline }
}

fn rows_of(chunk: &Chunk) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a chunk has at most as many rows as a dispatch workgroups"
    )]
    let rows = chunk.rows as u32;
    rows
}

fn tiles_of(vocab: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
    let tiles = vocab.div_ceil(TILE_TOKENS) as u32;
    tiles
}

fn buffer(device: &wgpu::Device, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// Runs calls on the device and returns its complaint as a value instead of a panic.
pub(crate) fn guarded<T>(device: &wgpu::Device, doing: &'static str, calls: impl FnOnce() -> T) -> Result<T> {
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let made = calls();
    for scope in [validation, internal, memory] {
        match ready(scope.pop()) {
            None => {}
            Some(wgpu::Error::OutOfMemory { source }) => {
                return Err(Error::OutOfMemory { doing, message: source.to_string() });
            }
            Some(error) => return Err(Error::Validation { doing, message: error.to_string() }),
        }
    }
    Ok(made)
}

/// The result of a scope, which is there at once everywhere but in the browser; there it goes to the console.
fn ready(scope: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    match std::pin::pin!(scope).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(error) => error,
        Poll::Pending => None,
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
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage, 6),
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

fn check_logits(logits: &GpuLogits<'_>, plan: &Plan) -> Result<()> {
    if !logits.buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
        return Err(Error::Logits(
            "the logits' buffer lacks the usage STORAGE: create it with it".to_owned(),
        ));
    }
    if plan.bytes_needed() > logits.buffer.size() {
        return Err(Error::Logits(format!(
            "[{}][{}] {} at byte {} with a row stride of {} ends at byte {}, the buffer has {}: correct the shape, or \
             make the buffer a multiple of 4 bytes",
            logits.rows,
            logits.vocab,
            logits.dtype,
            logits.byte_offset,
            logits.row_stride,
            plan.bytes_needed(),
            logits.buffer.size()
        )));
    }
    Ok(())
}

/// One dispatch cannot read and write, or write twice, one buffer.
fn check_apart(a: &wgpu::Buffer, b: &wgpu::Buffer, what: &str) -> Result<()> {
    if a == b {
        return Err(Error::Logits(format!("{what} lie in one buffer: use two")));
    }
    Ok(())
}

fn check_outputs(outs: &[GpuOutput<'_>], bytes: u64, alignment: u64) -> Result<()> {
    for out in outs {
        if !out.buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Logits(
                "the output's buffer lacks the usage STORAGE: create it with it".to_owned(),
            ));
        }
        if !out.byte_offset.is_multiple_of(4) || out.byte_offset.saturating_add(bytes) > out.buffer.size() {
            return Err(Error::Logits(format!(
                "{bytes} bytes of results at byte {} do not fit a buffer of {}, or the offset is no multiple of 4",
                out.byte_offset,
                out.buffer.size()
            )));
        }
        // One `out_base` serves all outputs of a kernel.
        if out.byte_offset % alignment != outs[0].byte_offset % alignment {
            return Err(Error::Logits(format!(
                "the outputs start at bytes {} and {}: the remainders modulo {alignment} must be equal",
                outs[0].byte_offset, out.byte_offset
            )));
        }
    }
    Ok(())
}
