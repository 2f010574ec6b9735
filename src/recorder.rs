//! Records plans into the engine's encoder.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::buffers::{GpuLogits, GpuOutput, buffer, check_apart, check_logits, check_outputs};
use crate::cpu;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::exact::{self, Scale};
use crate::guard::{guarded, lock};
use crate::kernel::Kernel;
use crate::kernels::{log_softmax, row_finish, row_scalar, tile_stats, top_entries};
use crate::logits::Logits;
use crate::params::{self, Params};
use crate::passes::{Bound, Job, Passes, Range, fill_upload, tiles_of};
use crate::pipelines::{Pipeline, Pipelines};
use crate::plan::{Caps, Plan};
use crate::readback::{Pending, Ring, StepBuffers};

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
/// use sortilege::{Dtype, GpuLogits, Params, Recorder, wgpu};
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
/// let recorder = Recorder::new(device, queue)?; // once
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
    pipelines: Pipelines,
    scratch: Mutex<Scratch>,
    ring: Ring,
    /// Number of the next step.
    step: AtomicU32,
    bytes_uploaded: AtomicU64,
    bytes_back: AtomicU64,
}

/// Buffers between the passes of a chunk: the device runs one chunk after the other, so all calls share them.
#[derive(Debug, Default)]
struct Scratch {
    stats: Option<wgpu::Buffer>,
    delegates: Option<wgpu::Buffer>,
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
        let table = guarded(device, "making the table", || {
            let table = buffer(device, "sortilege table", table_bytes, usage);
            queue.write_buffer(&table, 0, bytemuck::cast_slice(values));
            table
        })?;
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            options,
            caps: Caps::from(&limits),
            table,
            pipelines: Pipelines::default(),
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
            let job = self.job(&plan, logits, Scale::new(params.temperature), targets);
            self.encode(&job, &buffers, |_, _| ())?.run(encoder);
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

    /// Records the log-sum-exp of each row into `out`, f32 `[rows]`: `ln Σ exp(x)` within 1e-6, rounded once
    /// (`docs/exact.md`, 9). A row of only -infinity gives -infinity, one with +infinity gives +infinity, one with a
    /// NaN gives NaN.
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
    /// -infinity and `u32::MAX`. The two outputs must lie in different buffers,
    /// at byte offsets that are equal modulo the device's binding alignment (256 at most).
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
        let job = Job { outs, out_row_bytes, ..self.job(&plan, logits, Scale::new(1.0), &[]) };
        self.encode(&job, &step, finish)?.run(encoder);
        let ring = self.ring.clone();
        encoder.on_submitted_work_done(move || lock(&ring).push(step));
        Ok(())
    }

    /// A job without outputs of its own.
    fn job<'a>(
        &self,
        plan: &'a Plan,
        logits: &'a GpuLogits<'a>,
        scale: Scale,
        targets: &'a [Option<u32>],
    ) -> Job<'a> {
        Job {
            plan,
            logits,
            scale,
            targets,
            outs: &[],
            out_row_bytes: 0,
            alignment: self.caps.offset_alignment,
        }
    }

    /// Uploads parameters and targets; binds tile_stats, row_finish and what `finish` adds, chunk after chunk.
    fn encode(
        &self,
        job: &Job<'_>,
        step: &StepBuffers,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Passes> {
        let Job { plan, logits, .. } = *job;
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
                let bound = job.bind(chunk, step);
                fill_upload(&mut upload, job, chunk, bound.out_base, step.number);
                let Bound { rows, batch, logits, targets, records, .. } = bound;
                passes.add(
                    &self.device,
                    &tile_stats,
                    &[batch, logits, targets, table, stats, delegates],
                    [tiles_of(plan.shape.vocab), rows, 1],
                );
                passes.add(
                    &self.device,
                    &row_finish,
                    &[batch, logits, targets, table, stats, delegates, records],
                    [1, rows, 1],
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

    fn pipeline(&self, kernel: &Kernel, dtype: Option<Dtype>, log_sum_exp: bool) -> Result<Pipeline> {
        self.pipelines.get(&self.device, kernel, dtype, log_sum_exp)
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
