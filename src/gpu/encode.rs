//! A call put into the engine's encoder: its uploads, the bindings of every chunk, its passes, the copies of its
//! results.

use std::sync::Arc;

use super::buffers::{GpuLogits, TokensOut};
use super::guard::made;
use super::job::{Bindings, Bound, Job, Own};
use super::passes::{Passes, Range};
use super::pipelines::Pipeline;
use super::readback::Pending;
use super::ring::Call;
use super::room::Room;
use super::sampler::Sampler;
use super::timing::Stopwatch;
use crate::answer::{Answer, Decoding};
use crate::arithmetic::format::TILE_TOKENS;
use crate::error::Result;
use crate::kernels::kernel::ChunkUniform;
use crate::kernels::{digit_count, digit_scatter, row_history, row_logprobs, row_sample, token_ranks};
use crate::logits::Dtype;
use crate::plan::{Plan, UNIFORM_BYTES};

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
            let mut offset = chunk.uniform_offset;
            let mut put = |raw_list, stage| {
                let uniform = ChunkUniform { raw_list, stage, call: *number, ..*uniform };
                upload.put(offset, bytemuck::bytes_of(&uniform));
                offset += plan.stage_stride;
            };
            plan.demand.told(plan.shape.dtype).for_each(|(list, stage)| put(list, stage));
        }
    }
}

/// Where each row begins in the binding of its chunk, in elements.
#[expect(clippy::cast_possible_truncation, reason = "within a binding, whose bytes are below 2^32")]
fn starts<'a>(logits: &'a GpuLogits<'_>, plan: &'a Plan) -> impl Iterator<Item = u32> + 'a {
    let width = logits.dtype.bytes() as u64;
    plan.chunks.iter().flat_map(move |chunk| {
        let rows = chunk.first_row..chunk.first_row + chunk.rows;
        rows.map(move |row| ((logits.first_byte(row) - chunk.logits.offset) / width) as u32)
    })
}

/// Copies the first drawn tokens, which lie before the records of each chunk: in one piece, or each to its own place.
fn copy_tokens(encoder: &mut wgpu::CommandEncoder, call: &Call, TokensOut { out, offsets }: TokensOut<'_>) {
    for chunk in &call.plan.chunks {
        let mut copy = |row: usize, rows: usize, word: u64| {
            let from = chunk.records_offset + (row - chunk.first_row) as u64 * 4;
            let to = out.byte_offset + word * 4;
            encoder.copy_buffer_to_buffer(&call.records, from, out.buffer, to, rows as u64 * 4);
        };
        if offsets.is_empty() {
            copy(chunk.first_row, chunk.rows, chunk.first_row as u64);
        } else {
            let rows = chunk.first_row..chunk.first_row + chunk.rows;
            rows.for_each(|row| copy(row, 1, offsets[row]));
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
        known: impl FnOnce(&mut Decoding),
    ) -> Result<Pending<R>> {
        let lists = job.quads.iter().sum();
        if plan.shape.rows == 0 {
            return Ok(Pending::empty(self, plan, lists));
        }
        let mut call = self.record(encoder, job, plan)?;
        self.pool.count_back(plan.records_bytes);
        known(&mut call.decoding);
        Ok(Pending::schedule(self, encoder, call, lists))
    }

    /// Records the passes of a job, and the copies of the tokens and of the records that are wanted.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        job: &Job<'_>,
        plan: &Arc<Plan>,
    ) -> Result<Call> {
        let call = self.encode(job, plan, |_, _| ())?;
        if let Some(TokensOut { out, .. }) = job.tokens {
            self.pool.check_target(&call.records, out.buffer)?;
        }
        let stopwatch = self.run(encoder, &call)?;
        if let (Some(histories), Some(inputs)) = (job.histories, job.asked.inputs()) {
            histories.keep(encoder, inputs, plan, (call.number, &call.records));
        }
        if let Some(tokens) = job.tokens {
            copy_tokens(encoder, &call, tokens);
        }
        if let Some(staging) = &call.staging {
            encoder.copy_buffer_to_buffer(&call.records, 0, staging, 0, plan.records_bytes);
        }
        self.stop(encoder, stopwatch, job.tokens.is_some() || call.staging.is_some());
        Ok(call)
    }

    /// Tile statistics and delegates of the chunk that ran last.
    #[cfg(all(feature = "validate", feature = "device"))]
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<wgpu::Buffer> {
        self.pool.scratch(plan)
    }

    /// Records the passes, and the copy that one over histories takes, with a stopwatch if there is a clock.
    pub(super) fn run(&self, encoder: &mut wgpu::CommandEncoder, call: &Call) -> Result<Option<Stopwatch>> {
        let Some(Bindings { passes, work, .. }) = &call.bindings else { return Ok(None) };
        let stopwatch = match &self.clock {
            Some(clock) => clock.start(&self.device, passes.names())?,
            None => None,
        };
        if let Some(work) = work {
            encoder.copy_buffer_to_buffer(&call.upload.buffer, 0, work, 0, call.upload.room.bytes());
        }
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

    /// Uploads requests and rows; binds the two passes, those of long lists and of given tokens, and what `finish` adds,
    /// chunk after chunk.
    pub(super) fn encode(
        &self,
        job: &Job<'_>,
        plan: &Arc<Plan>,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Call> {
        let room = Room::of(plan, job.quads, self.limits.offset_alignment);
        let scratch = self.pool.scratch(plan)?;
        let mut call = self.pool.call(job.kind, plan, &room, |bindings| job.is_bound(bindings, &scratch))?;
        let work = match (job.histories, job.asked.inputs()) {
            (Some(_), Some(inputs)) => Some(self.pool.work(&call.upload.room, inputs.table_quads())?),
            _ => None,
        };
        let is_bound = |bindings: &Bindings| job.is_bound(bindings, &scratch) && bindings.work == work;
        if !call.bindings.as_ref().is_some_and(is_bound) {
            call.bindings = Some(match &job.second {
                Some(second) => self.bind_divergence(job, second, &call, scratch)?,
                None => self.bind(job, &call, scratch, work, finish)?,
            });
        }
        call.put_uniforms();
        call.upload.put_asked(&job.asked, plan.shape.rows);
        if plan.demand.has_offsets {
            call.upload.put_offsets(plan.shape.rows, starts(job.logits, plan));
        }
        self.pool.send(&mut call.upload)?;
        Ok(call)
    }

    fn bind(
        &self,
        job: &Job<'_>,
        call: &Call,
        scratch: wgpu::Buffer,
        work: Option<wgpu::Buffer>,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<Bindings> {
        let (plan, dtype) = (&call.plan, job.logits.dtype);
        let is_sampling = plan.demand.draws.is_some();
        let tile_stats = self.first_pass(dtype)?;
        let second = if is_sampling { &row_sample::KERNEL } else { &row_logprobs::KERNEL };
        let row_pass = self.pipelines.get(second, Some(dtype), false)?;
        let digits = match plan.demand.long_lists().count() {
            0 => None,
            _ => Some(self.digit_kernels(dtype, is_sampling)?),
        };
        let token_ranks = match plan.demand.token_ids {
            0 => None,
            _ => Some(self.pipelines.get(&token_ranks::KERNEL, Some(dtype), false)?),
        };
        let own = Own {
            plan,
            upload: &call.upload,
            work: work.as_ref(),
            records: &call.records,
            alignment: self.limits.offset_alignment,
            most_rounds: if is_sampling { self.most_rounds()? } else { u32::MAX },
        };
        let row_history = match job.histories {
            Some(histories) => Some((self.pipelines.get(&row_history::KERNEL, None, false)?, histories)),
            None => None,
        };
        let mut uniforms = Vec::with_capacity(plan.chunks.len());
        let passes = made(&self.device, "binding the buffers of the call", || {
            let (table, scratch) = (Range::whole(&self.table), Range::whole(&scratch));
            let mut passes = Passes::default();
            if let (Some((kernel, histories)), Some(work)) = (&row_history, &work) {
                let uniform = Range::new(&call.upload.buffer, plan.chunks[0].uniform_offset, UNIFORM_BYTES);
                let first = call.upload.room.requests_offset();
                let words = Range::new(work, first, work.size() - first);
                let ranges = [uniform, words, Range::whole(&histories.buffer), table];
                #[expect(clippy::cast_possible_truncation, reason = "at most the workgroups of a dispatch")]
                let rows = plan.shape.rows as u32;
                passes.add(&self.device, kernel, &ranges, [1, rows, 1]);
            }
            for chunk in &plan.chunks {
                let bound = job.bind(chunk, &own, table);
                let Bound { uniform_words, uniform, logits, requests, rows, mask, other, records, .. } =
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
                    &[uniform, logits, rows, requests, mask, table, scratch, other, records][..]
                } else {
                    &[uniform, logits, rows, requests, table, scratch, records][..]
                };
                // The stages of blocks are told last.
                let told = plan.demand.told(dtype).count();
                let of_blocks = told - plan.demand.block_stages().len()..told;
                for number in of_blocks.chain([0]) {
                    let uniform = uniform.shifted(number as u64 * plan.stage_stride);
                    let ranges = [&[uniform], &ranges[1..]].concat();
                    passes.add(&self.device, &row_pass, &ranges, [1, uniform_words.rows, 1]);
                }
                if let Some(kernels) = &digits {
                    self.long_lists(&mut passes, kernels, plan, &bound, scratch);
                }
                if let Some(kernel) = &token_ranks {
                    let ranges = [uniform, logits, rows, requests, mask, records];
                    let workgroups = [plan.demand.token_views, uniform_words.rows, 1];
                    passes.add(&self.device, kernel, &ranges, workgroups);
                }
                finish(&mut passes, &bound);
                uniforms.push(uniform_words);
            }
            passes
        })?;
        Ok(Bindings::new(job, passes, uniforms, scratch, work))
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
        let Bound { uniform, logits, rows, records, requests, mask, .. } = *bound;
        let dtype = plan.demand.digits_of(plan.shape.dtype);
        let stages = plan.demand.list_stages(plan.shape.dtype);
        for (number, (_, entries, stage)) in (0..).zip(stages) {
            let stage = stage as usize;
            let uniform = uniform.shifted(number * plan.stage_stride);
            let ranges = [uniform, logits, rows, records, scratch, requests, mask];
            let ranges = if plan.demand.draws.is_some() { &ranges[..] } else { &ranges[..5] };
            let blocks = digit_count::blocks(dtype, stage, plan.shape.vocab, entries);
            let workgroups = [blocks, bound.uniform_words.rows, 1];
            passes.add(&self.device, count, ranges, workgroups);
            if stage >= digit_count::levels(dtype) {
                passes.add(&self.device, scatter, ranges, workgroups);
            }
        }
    }

    /// The kernels behind lists of any length, of samples or of logprobs.
    fn digit_kernels(&self, dtype: Dtype, is_sampling: bool) -> Result<[Pipeline; 2]> {
        let [count, scatter] = match is_sampling {
            true => [&digit_count::OF_VIEW, &digit_scatter::OF_VIEW],
            false => [&digit_count::KERNEL, &digit_scatter::KERNEL],
        };
        Ok([self.pipelines.get(count, Some(dtype), false)?, self.pipelines.get(scatter, Some(dtype), false)?])
    }
}
