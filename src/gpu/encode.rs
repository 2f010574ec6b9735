//! A call put into the engine's encoder: its uploads, the bindings of every chunk, its passes, the copies of its
//! results.

use std::sync::Arc;

use super::buffers::{GpuInput, GpuLogits, GpuOutput};
use super::guard::guarded;
use super::passes::{Passes, Range};
use super::pipelines::Pipeline;
use super::pool::{Call, Kind};
use super::readback::Pending;
use super::sampler::Sampler;
use super::timing::Stopwatch;
use super::upload::{Asked, Room};
use crate::answer::{Answer, Decoding};
use crate::arithmetic::format::TILE_TOKENS;
use crate::error::Result;
use crate::kernels::kernel::ChunkUniform;
use crate::kernels::{digit_count, digit_scatter, row_logprobs, row_sample};
use crate::logits::Dtype;
use crate::plan::{Chunk, Plan, UNIFORM_BYTES, Window};

/// What to encode.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) kind: Kind,
    pub(crate) logits: &'a GpuLogits<'a>,
    pub(crate) asked: Asked<'a>,
    pub(crate) mask: Option<GpuInput<'a>>,
    pub(crate) draft: Option<GpuInput<'a>>,
    pub(crate) outs: &'a [GpuOutput<'a>],
    /// Bytes of one row in each of `outs`.
    pub(crate) out_row_bytes: u64,
}

/// The passes of a call, and the engine's buffers that they are bound to.
#[derive(Debug)]
pub(crate) struct Bindings {
    passes: Passes,
    /// What each chunk is told, but for the number of the call.
    uniforms: Vec<ChunkUniform>,
    logits: wgpu::Buffer,
    others: Vec<Option<(wgpu::Buffer, u64)>>,
    scratch: wgpu::Buffer,
}

impl<'a> Job<'a> {
    /// A job without buffers beside the logits.
    pub(crate) fn new(kind: Kind, logits: &'a GpuLogits<'a>, asked: Asked<'a>) -> Self {
        Job { kind, logits, asked, mask: None, draft: None, outs: &[], out_row_bytes: 0 }
    }

    /// The engine's buffers beside the logits, and where they begin.
    fn others(&self) -> impl Iterator<Item = Option<(&'a wgpu::Buffer, u64)>> {
        let inputs =
            [self.mask, self.draft].map(|input| input.map(|input| (input.buffer, input.byte_offset)));
        inputs.into_iter().chain(self.outs.iter().map(|out| Some((out.buffer, out.byte_offset))))
    }

    /// Whether these bindings, of the same plan, are of the same buffers.
    fn is_bound(&self, bindings: &Bindings, scratch: &wgpu::Buffer) -> bool {
        let others =
            bindings.others.iter().map(|other| other.as_ref().map(|(buffer, offset)| (buffer, *offset)));
        bindings.logits == *self.logits.buffer && bindings.scratch == *scratch && self.others().eq(others)
    }

    /// The bindings of one chunk. `unused` is bound where the engine gave no mask or draft.
    fn bind(&self, chunk: &Chunk, call: &'a Call, alignment: u64, unused: Range<'a>) -> Bound<'a> {
        let plan = &call.plan;
        let range = Range::new;
        // A chunk's part of a buffer with so many bytes per row.
        let window = |buffer, byte_offset: u64, row_bytes: u64| {
            let first = byte_offset + chunk.first_row as u64 * row_bytes;
            let window = Window::new(first, chunk.rows as u64 * row_bytes, 4, alignment);
            (range(buffer, window.offset, window.bytes), window.element_base)
        };
        let vocab = plan.shape.vocab as u64;
        let mask = self.mask.map(|mask| window(mask.buffer, mask.byte_offset, vocab.div_ceil(32) * 4));
        let draft = self.draft.map(|draft| window(draft.buffer, draft.byte_offset, vocab * 4));
        let (outs, bases): (Vec<_>, Vec<_>) =
            self.outs.iter().map(|out| window(out.buffer, out.byte_offset, self.out_row_bytes)).unzip();
        let record_words = plan.demand.record_words() + plan.demand.token_words();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the plan keeps each below 2^32, and offsets in one buffer"
        )]
        let uniform_words = ChunkUniform {
            vocab: plan.shape.vocab as u32,
            tiles: plan.tiles as u32,
            listed: plan.demand.listed,
            rows: chunk.rows as u32,
            element_base: chunk.logits.element_base,
            row_stride: plan.shape.row_stride as u32,
            record_words: plan.demand.record_words() as u32,
            out_base: bases.first().copied().unwrap_or(0),
            first_row: chunk.first_row as u32,
            call: call.number,
            views: plan.demand.views,
            mask_words: mask.map_or(0, |_| plan.shape.vocab.div_ceil(32) as u32),
            mask_base: mask.map_or(0, |(_, base)| base),
            draft_base: draft.map_or(0, |(_, base)| base),
            draft_stride: draft.map_or(0, |_| plan.shape.vocab as u32),
            draws: plan.demand.draws.unwrap_or(0),
            top_raw: plan.demand.top_raw,
            stage: 0,
            nothing: 0,
            unused: 0,
        };
        let room = &call.upload.room;
        Bound {
            uniform_words,
            uniform: range(&call.upload.buffer, chunk.uniform_offset, UNIFORM_BYTES),
            logits: range(self.logits.buffer, chunk.logits.offset, chunk.logits.bytes),
            requests: range(&call.upload.buffer, room.requests_offset(), room.requests_bytes()),
            rows: range(&call.upload.buffer, room.quads_offset(), room.quads_bytes()),
            mask: mask.map_or(unused, |(range, _)| range),
            draft: draft.map_or(unused, |(range, _)| range),
            records: range(&call.records, chunk.records_offset, (chunk.rows * record_words * 4) as u64),
            outs,
        }
    }
}

/// One chunk's bindings, for the kernels that work on it.
pub(crate) struct Bound<'a> {
    pub(crate) uniform_words: ChunkUniform,
    pub(crate) uniform: Range<'a>,
    pub(crate) logits: Range<'a>,
    pub(crate) requests: Range<'a>,
    pub(crate) rows: Range<'a>,
    pub(crate) mask: Range<'a>,
    pub(crate) draft: Range<'a>,
    pub(crate) records: Range<'a>,
    pub(crate) outs: Vec<Range<'a>>,
}

/// Tiles of a row.
pub(crate) fn tiles_of(vocab: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
    let tiles = vocab.div_ceil(TILE_TOKENS) as u32;
    tiles
}

impl Call {
    /// Puts what the chunks, and their stages, are told.
    fn put_uniforms(&mut self) {
        let Self { plan, upload, bindings, number, .. } = self;
        let uniforms = bindings.iter().flat_map(|bindings| &bindings.uniforms);
        for (chunk, uniform) in plan.chunks.iter().zip(uniforms) {
            for stage in (0..).take(plan.demand.stages(plan.shape.dtype).max(1)) {
                let offset = chunk.uniform_offset + u64::from(stage) * plan.stage_stride;
                let uniform = ChunkUniform { stage, call: *number, ..*uniform };
                upload.put(offset, bytemuck::bytes_of(&uniform));
            }
        }
    }
}

impl Sampler {
    /// Records the passes of a job, the copies of its results, and the map of the staging buffer. `known` fills in what
    /// the host knows of the rows.
    pub(super) fn schedule<R: Answer>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        job: &Job<'_>,
        plan: &Arc<Plan>,
        tokens: Option<GpuOutput<'_>>,
        known: impl FnOnce(&mut Decoding),
    ) -> Result<Pending<R>> {
        let lists = job.asked.quads().iter().sum();
        if plan.shape.rows == 0 {
            return Ok(Pending::empty(self, plan, lists));
        }
        let mut call = self.encode(job, plan, |_, _| ())?;
        let stopwatch = self.run(encoder, &call)?;
        if let Some(out) = tokens {
            for chunk in &plan.chunks {
                let (at, bytes) = (out.byte_offset + chunk.first_row as u64 * 4, chunk.rows as u64 * 4);
                encoder.copy_buffer_to_buffer(&call.records, chunk.records_offset, out.buffer, at, bytes);
            }
        }
        if let Some(staging) = &call.staging {
            encoder.copy_buffer_to_buffer(&call.records, 0, staging, 0, plan.records_bytes);
        }
        self.stop(encoder, stopwatch, true);
        self.pool.count_back(plan.records_bytes);
        known(&mut call.decoding);
        Ok(Pending::schedule(self, encoder, call, lists))
    }

    /// Tile statistics and delegates of the chunk that ran last.
    #[cfg(all(feature = "validate", feature = "device"))]
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<wgpu::Buffer> {
        self.pool.scratch(plan)
    }

    /// Records the passes, with a stopwatch if there is a clock.
    pub(super) fn run(&self, encoder: &mut wgpu::CommandEncoder, call: &Call) -> Result<Option<Stopwatch>> {
        let Some(Bindings { passes, .. }) = &call.bindings else { return Ok(None) };
        let stopwatch = match &self.clock {
            Some(clock) => clock.start(&self.device, passes.names())?,
            None => None,
        };
        passes.run(encoder, stopwatch.as_ref());
        Ok(stopwatch)
    }

    /// Ends what `run` began, after the copies, if there are some.
    pub(super) fn stop(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        stopwatch: Option<Stopwatch>,
        has_copy: bool,
    ) {
        if let (Some(clock), Some(stopwatch)) = (&self.clock, stopwatch) {
            clock.finish(encoder, stopwatch, has_copy);
        }
    }

    /// Uploads requests and rows; binds the two passes, those of long lists, and what `finish` adds, chunk after chunk.
    pub(super) fn encode(
        &self,
        job: &Job<'_>,
        plan: &Arc<Plan>,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Call> {
        let room = Room::of(plan, job.asked.quads(), self.limits.offset_alignment);
        let mut call = self.pool.call(job.kind, plan, &room)?;
        let scratch = self.pool.scratch(plan)?;
        if !call.bindings.as_ref().is_some_and(|bindings| job.is_bound(bindings, &scratch)) {
            call.bindings = Some(self.bind(job, &call, scratch, finish)?);
        }
        call.put_uniforms();
        call.upload.put_asked(&job.asked, plan.shape.rows);
        self.pool.send(&mut call.upload)?;
        Ok(call)
    }

    fn bind(
        &self,
        job: &Job<'_>,
        call: &Call,
        scratch: wgpu::Buffer,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Bindings> {
        let (plan, dtype) = (&call.plan, job.logits.dtype);
        let is_sampling = plan.demand.draws.is_some();
        let tile_stats = self.first_pass(dtype)?;
        let second = if is_sampling { &row_sample::KERNEL } else { &row_logprobs::KERNEL };
        let row_pass = self.pipelines.get(second, Some(dtype), false)?;
        let digits = match plan.demand.stages(dtype) {
            0 => None,
            _ => Some(self.digit_kernels(dtype)?),
        };
        let mut uniforms = Vec::with_capacity(plan.chunks.len());
        let passes = guarded(&self.device, "binding the logits", || {
            let (table, scratch) = (Range::whole(&self.table), Range::whole(&scratch));
            let mut passes = Passes::default();
            for chunk in &plan.chunks {
                let bound = job.bind(chunk, call, self.limits.offset_alignment, table);
                let Bound { uniform_words, uniform, logits, requests, rows, mask, draft, records, .. } =
                    bound;
                // Too few bytes for one quad are not read as quads.
                let quads = if logits.holds(16) { logits } else { table };
                passes.add(
                    &self.device,
                    &tile_stats,
                    &[uniform, logits, quads, rows, requests, mask, table, scratch],
                    [uniform_words.tiles, uniform_words.rows, 1],
                );
                let ranges = if is_sampling {
                    &[uniform, logits, rows, requests, mask, table, scratch, draft, records][..]
                } else {
                    &[uniform, logits, rows, requests, table, scratch, records][..]
                };
                passes.add(&self.device, &row_pass, ranges, [1, uniform_words.rows, 1]);
                if let Some(kernels) = &digits {
                    self.long_lists(&mut passes, kernels, plan, &bound, scratch);
                }
                finish(&mut passes, &bound);
                uniforms.push(uniform_words);
            }
            passes
        })?;
        let others = job.others().map(|other| other.map(|(buffer, offset)| (buffer.clone(), offset)));
        Ok(Bindings {
            passes,
            uniforms,
            logits: job.logits.buffer.clone(),
            others: others.collect(),
            scratch,
        })
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
            let uniform = bound.uniform.shifted(stage as u64 * plan.stage_stride);
            let ranges = [uniform, bound.logits, bound.records, scratch];
            let blocks = digit_count::blocks(dtype, stage, vocab, plan.demand.listed);
            passes.add(&self.device, count, &ranges, [blocks, bound.uniform_words.rows, 1]);
            if stage >= digit_count::levels(dtype) {
                passes.add(&self.device, scatter, &ranges, [blocks, bound.uniform_words.rows, 1]);
            }
        }
    }

    /// The kernels behind lists of any length.
    fn digit_kernels(&self, dtype: Dtype) -> Result<[Pipeline; 2]> {
        Ok([
            self.pipelines.get(&digit_count::KERNEL, Some(dtype), false)?,
            self.pipelines.get(&digit_scatter::KERNEL, Some(dtype), false)?,
        ])
    }
}
