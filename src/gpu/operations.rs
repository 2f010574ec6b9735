//! The operations whose results stay on the device: maximum, log-sum-exp, log-softmax and top k of each row. A dispatch
//! writes them where they go; or where it cannot, since they go to the logits' own buffer or two to one, to room of ours,
//! from which they are copied.

use super::asked::Asked;
use super::buffers::{GpuLogits, GpuOutput};
use super::checks::{can_be_bound, check_apart, check_words};
use super::encode::tiles_of;
use super::job::{Bound, Job, Kind};
use super::passes::Passes;
use super::sampler::Sampler;
use crate::arithmetic::lane::PassScale;
use crate::error::Result;
use crate::kernels::{log_softmax, row_scalar, top_entries};
use crate::params::LogprobsParams;
use crate::plan::Demand;
use crate::request::RequestWords;

/// An operation and its results.
struct Operation<'a> {
    name: &'static str,
    /// Entries of the list behind it.
    listed: u32,
    /// Words of one row in each of `outs`.
    out_row_words: usize,
    outs: &'a [GpuOutput<'a>],
}

impl Sampler {
    /// Records the maximum of each row into `out`, f32 `[rows]`; the result stays on the device. NaN for a row with a
    /// NaN, otherwise infinities as they are. `out` may lie beside the logits in their own buffer: it needs the usage
    /// `COPY_DST` then, and costs room of its size and a copy.
    ///
    /// # Errors
    /// As for [`Sampler::logprobs`], and [`Error::Logits`](crate::Error::Logits) if `out` is too small, lacks a usage
    /// or lies over logits.
    pub fn row_max(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
    ) -> Result<()> {
        self.scalars(encoder, logits, out, false)
    }

    /// Records the log-sum-exp of each row into `out`, f32 `[rows]`: `ln Σ exp(x)` within 1e-6, rounded once
    /// (`docs/exact.md`, 10). A row of only -infinity gives -infinity, one with +infinity gives +infinity, one with a
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
        let kernel = self.pipelines.get(&log_softmax::KERNEL, Some(logits.dtype), false)?;
        let operation =
            Operation { name: "log_softmax", listed: 0, out_row_words: logits.vocab, outs: &[out] };
        self.operation(encoder, logits, &operation, |passes, bound| {
            let ranges = [bound.uniform, bound.logits, bound.rows, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [tiles_of(logits.vocab), bound.uniform_words.rows, 1]);
        })
    }

    /// Records the `k` largest logits of each row, f32 `[rows][k]`, and their tokens, u32 `[rows][k]`: value
    /// descending, then token ascending. Past the last possible token, and in a row that is no distribution:
    /// -infinity and [`NO_TOKEN`](crate::NO_TOKEN). The two outputs are written in place where they lie in different buffers,
    /// at byte offsets that are equal modulo the device's binding alignment (256 at most), and copied there otherwise.
    ///
    /// Up to 1024 entries take three dispatches and one read of the logits. More, up to the whole vocabulary, are
    /// selected and sorted digit by digit, 8 bits each: 14 dispatches more (8 for 16-bit logits), whatever the logits
    /// are; 24 bytes more are read per token (8), and 120 bytes are moved per entry (72). Their scratch is 8 bytes per
    /// entry and 2 KiB per 8192 tokens.
    ///
    /// # Errors
    /// As for [`Sampler::row_max`], and [`Error::Params`](crate::Error::Params) if `k` is over
    /// [`LogprobsParams::MAX_TOP_LOGPROBS`].
    pub fn top_k(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        k: u32,
        out_logits: GpuOutput<'_>,
        out_tokens: GpuOutput<'_>,
    ) -> Result<()> {
        LogprobsParams::validate_count("top_k", k)?;
        if k == 0 {
            return Ok(());
        }
        let kernel = self.pipelines.get(&top_entries::KERNEL, None, false)?;
        let outs = [out_logits, out_tokens];
        let operation = Operation { name: "top_k", listed: k, out_row_words: k as usize, outs: &outs };
        self.operation(encoder, logits, &operation, |passes, bound| {
            let ranges = [bound.uniform, bound.records, bound.outs[0], bound.outs[1]];
            passes.add(&self.device, &kernel, &ranges, [k.div_ceil(64), bound.uniform_words.rows, 1]);
        })
    }

    fn scalars(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        out: GpuOutput<'_>,
        log_sum_exp: bool,
    ) -> Result<()> {
        let kernel = self.pipelines.get(&row_scalar::KERNEL, None, log_sum_exp)?;
        let name = if log_sum_exp { "log_sum_exp" } else { "row_max" };
        let operation = Operation { name, listed: 0, out_row_words: 1, outs: &[out] };
        self.operation(encoder, logits, &operation, |passes, bound| {
            let ranges = [bound.uniform, bound.records, bound.outs[0]];
            passes.add(&self.device, &kernel, &ranges, [bound.uniform_words.rows.div_ceil(64), 1, 1]);
        })
    }

    /// The passes of `logprobs`, then per chunk what `finish` adds, which writes the results.
    fn operation(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        operation: &Operation<'_>,
        finish: impl Fn(&mut Passes, &Bound<'_>),
    ) -> Result<()> {
        let Operation { name, listed, out_row_words, outs } = *operation;
        let out_row_bytes = (out_row_words as u64).saturating_mul(4); // the plan refuses what is no vocabulary
        let plan = self.plan(logits, Demand::operation(listed, out_row_bytes))?;
        let bytes = logits.rows as u64 * out_row_bytes;
        let in_place = can_be_bound(logits, outs, self.limits.offset_alignment);
        let usage = if in_place { wgpu::BufferUsages::STORAGE } else { wgpu::BufferUsages::COPY_DST };
        for out in outs {
            check_words(out.buffer, out.byte_offset, bytes, usage, "the result")?;
        }
        check_apart(logits, outs, bytes)?;
        if logits.rows == 0 {
            return Ok(());
        }
        let room = match in_place {
            true => Vec::new(),
            false => (0..outs.len()).map(|number| self.pool.result(number, bytes)).collect::<Result<_>>()?,
        };
        let around: Vec<GpuOutput<'_>> = room.iter().map(GpuOutput::new).collect();
        let bound = if in_place { outs } else { &around[..] };
        let request = RequestWords::observing(PassScale::new(1.0), false);
        let asked = Asked::Observe(&request, &[], &[]);
        let job = Job { outs: bound, out_row_bytes, ..Job::new(Kind::Operation(name), logits, asked) };
        let call = self.encode(&job, &plan, finish)?;
        for (from, to) in around.iter().zip(outs) {
            self.pool.check_target(from.buffer, to.buffer)?;
        }
        let stopwatch = self.run(encoder, &call)?;
        for (from, to) in around.iter().zip(outs) {
            encoder.copy_buffer_to_buffer(from.buffer, 0, to.buffer, to.byte_offset, bytes);
        }
        self.stop(encoder, stopwatch, !in_place);
        self.pool.give_back_when_done(encoder, call);
        Ok(())
    }
}
