//! The device as an engine for logits in host memory: uploads in blocks of rows, results read back.

use super::asked::most_of;
use super::buffers::{GpuInput, GpuLogits, GpuOutput, SampleBuffers};
use super::device::Gpu;
#[cfg(not(target_family = "wasm"))]
use super::guard::at_once;
use super::readback::Pending;
use crate::answer::words::divergence;
use crate::answer::{Answer, Divergence, Logprobs, LogprobsBits, Sample};
#[cfg(not(target_family = "wasm"))]
use crate::engine::{Engine, sealed::Sealed};
use crate::error::Result;
use crate::logits::{Logits, validate_pair};
use crate::params::LogprobsParams;
use crate::plan::Demand;
use crate::request::{Row, SampleInputs, Steps, validate_targets, validate_token_ids};

/// Most bytes of logits in one submit, and the rest of a block of draft tokens: a GPU that takes longer than some 100 ms is reset by its system.
const BLOCK_BYTES: usize = 32 << 20;

#[cfg(not(target_family = "wasm"))]
impl Sealed for Gpu {}

#[cfg(not(target_family = "wasm"))]
impl Engine for Gpu {
    fn logprobs_of(
        &self,
        logits: &Logits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
    ) -> Result<Vec<Logprobs>> {
        at_once(self.logprobs_async(logits, params, targets, token_ids))
    }

    fn sample(
        &self,
        logits: &Logits<'_>,
        rows: &[Row<'_>],
        inputs: &SampleInputs<'_>,
    ) -> Result<Vec<Sample>> {
        at_once(self.sample_async(logits, rows, inputs))
    }

    fn row_max(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        at_once(self.row_max_async(logits))
    }

    fn log_sum_exp(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        at_once(self.log_sum_exp_async(logits))
    }

    fn log_softmax(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        at_once(self.log_softmax_async(logits))
    }

    fn top_k(&self, logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)> {
        at_once(self.top_k_async(logits, k))
    }

    fn divergence(&self, first: &Logits<'_>, second: &Logits<'_>) -> Result<Vec<Divergence>> {
        at_once(self.divergence_async(first, second))
    }
}

/// What an [`Engine`](crate::Engine) computes, for browsers, where these yield; natively they block as it does.
impl Gpu {
    /// [`Engine::logprobs_of`](crate::Engine::logprobs_of).
    ///
    /// # Errors
    /// As there.
    pub async fn logprobs_async(
        &self,
        logits: &Logits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
    ) -> Result<Vec<Logprobs>> {
        params.validate()?;
        validate_targets(targets, logits.rows(), logits.vocab())?;
        validate_token_ids(token_ids, logits.rows(), logits.vocab())?;
        let demand = Demand::logprobs(params.top_logprobs, most_of(token_ids), logits.rows(), logits.vocab());
        self.in_blocks(
            logits,
            demand.record_words(),
            |_| true,
            |encoder, uploaded, first| {
                let targets = targets.get(first..first + uploaded.rows).unwrap_or(&[]);
                let token_ids = token_ids.get(first..first + uploaded.rows).unwrap_or(&[]);
                self.sampler().logprobs_of(encoder, uploaded, params, targets, token_ids)
            },
        )
        .await
    }

    /// [`Engine::sample`](crate::Engine::sample).
    ///
    /// # Errors
    /// As there.
    pub async fn sample_async(
        &self,
        logits: &Logits<'_>,
        rows: &[Row<'_>],
        inputs: &SampleInputs<'_>,
    ) -> Result<Vec<Sample>> {
        let vocab = logits.vocab();
        let mut steps = Steps::default();
        let all = steps.check(rows, logits.rows(), vocab, inputs.mask)?;
        inputs.validate(&all)?;
        let probabilities = inputs.draft.filter(|_| all.wants_draft());
        let result_words = Demand::sample(&all, 0).record_words() + probabilities.map_or(0, |_| vocab);
        let is_whole = |row| !all.is_within_block(row);
        self.in_blocks(logits, result_words, is_whole, |encoder, uploaded, first| {
            let block = all.slice(first, uploaded.rows);
            let own = probabilities.map(|all| &all[first * vocab..][..uploaded.rows * vocab]);
            let draft = own.map(|own| self.upload(bytemuck::cast_slice(own))).transpose()?;
            let buffers =
                SampleBuffers { draft: draft.as_ref().map(GpuInput::new), ..SampleBuffers::default() };
            self.sampler().sample_inputs(encoder, uploaded, &block, &buffers)
        })
        .await
    }

    /// [`Engine::row_max`](crate::Engine::row_max).
    ///
    /// # Errors
    /// As there.
    pub async fn row_max_async(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let [out] = self
            .operate(logits, 0, [1], |encoder, logits, [out]| self.sampler().row_max(encoder, logits, out))
            .await?;
        Ok(floats(out))
    }

    /// [`Engine::log_sum_exp`](crate::Engine::log_sum_exp).
    ///
    /// # Errors
    /// As there.
    pub async fn log_sum_exp_async(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let out = self.operate(logits, 0, [1], |encoder, logits, [out]| {
            self.sampler().log_sum_exp(encoder, logits, out)
        });
        let [out] = out.await?;
        Ok(floats(out))
    }

    /// [`Engine::log_softmax`](crate::Engine::log_softmax).
    ///
    /// # Errors
    /// As there.
    pub async fn log_softmax_async(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let out = self.operate(logits, 0, [logits.vocab()], |encoder, logits, [out]| {
            self.sampler().log_softmax(encoder, logits, out)
        });
        let [out] = out.await?;
        Ok(floats(out))
    }

    /// [`Engine::top_k`](crate::Engine::top_k).
    ///
    /// # Errors
    /// As there.
    pub async fn top_k_async(&self, logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)> {
        LogprobsParams::validate_count("top_k", k)?;
        if k == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let outs = self.operate(logits, k, [k as usize; 2], |encoder, logits, [values, tokens]| {
            self.sampler().top_k(encoder, logits, k, values, tokens)
        });
        let [values, tokens] = outs.await?;
        Ok((floats(values), tokens))
    }

    /// [`Engine::divergence`](crate::Engine::divergence).
    ///
    /// # Errors
    /// As there.
    pub async fn divergence_async(&self, first: &Logits<'_>, second: &Logits<'_>) -> Result<Vec<Divergence>> {
        validate_pair((first.rows(), first.vocab()), (second.rows(), second.vocab()))?;
        let second_words = (second.row_stride() * second.dtype().bytes()).div_ceil(4);
        self.in_blocks(
            first,
            second_words.max(divergence::WORDS),
            |_| true,
            |encoder, uploaded, first_row| {
                let block = second.slice_rows(first_row, uploaded.rows);
                let source = self.upload(&block.span())?;
                self.sampler().divergence(encoder, uploaded, &lying_in(&source, &block))
            },
        )
        .await
    }
}

impl Gpu {
    /// Uploads the logits in blocks of rows, with results of so many words per row, and lets `record` fill an encoder
    /// for each: it hears the number of the block's first row. A block goes on to a row that `may_begin` the next. Two are in flight.
    async fn in_blocks<R: Answer>(
        &self,
        logits: &Logits<'_>,
        result_words: usize,
        may_begin: impl Fn(usize) -> bool,
        mut record: impl FnMut(&mut wgpu::CommandEncoder, &GpuLogits<'_>, usize) -> Result<Pending<R>>,
    ) -> Result<Vec<R>> {
        let mut results = Vec::with_capacity(logits.rows());
        let mut in_flight: Option<Pending<R>> = None;
        let block_rows = rows_per_block(logits, result_words);
        let mut first = 0;
        while first < logits.rows() {
            let mut end = (first + block_rows).min(logits.rows());
            while end < logits.rows() && !may_begin(end) {
                end += 1;
            }
            let block = logits.slice_rows(first, end - first);
            let pending = self.submit_block(&block, |encoder, uploaded| record(encoder, uploaded, first))?;
            if let Some(earlier) = in_flight.replace(pending) {
                results.extend(self.or_lost(earlier.rows().await)?);
            }
            first = end;
        }
        if let Some(last) = in_flight {
            results.extend(self.or_lost(last.rows().await)?);
        }
        Ok(results)
    }

    /// Uploads a block and submits an encoder that `record` has filled.
    fn submit_block<T>(
        &self,
        block: &Logits<'_>,
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.upload(&block.span())?;
        self.submit(|encoder| record(encoder, &lying_in(&source, block)))
    }

    /// Runs an operation whose outputs have these many words per row, and reads them back.
    async fn operate<const OUTPUTS: usize>(
        &self,
        logits: &Logits<'_>,
        listed: u32,
        words: [usize; OUTPUTS],
        operation: impl Fn(&mut wgpu::CommandEncoder, &GpuLogits<'_>, [GpuOutput<'_>; OUTPUTS]) -> Result<()>,
    ) -> Result<[Vec<u32>; OUTPUTS]> {
        use wgpu::BufferUsages as Usage;
        let mut results = [const { Vec::new() }; OUTPUTS];
        let block_rows =
            rows_per_block(logits, words.iter().sum::<usize>().max(LogprobsBits::words(listed, 0)));
        for first in (0..logits.rows()).step_by(block_rows) {
            let block = logits.slice_rows(first, block_rows.min(logits.rows() - first));
            let mut outs = Vec::with_capacity(OUTPUTS);
            for words in words {
                let bytes = (block.rows() * words * 4) as u64;
                outs.push(self.buffer(bytes, Usage::STORAGE | Usage::COPY_SRC)?);
            }
            self.submit_block(&block, |encoder, uploaded| {
                operation(encoder, uploaded, std::array::from_fn(|i| GpuOutput::new(&outs[i])))
            })?;
            for (result, out) in results.iter_mut().zip(&outs) {
                let words = self.read_async(out).await?;
                if result.is_empty() { *result = words } else { result.extend(words) }
            }
        }
        Ok(results)
    }
}

/// A block where it was uploaded.
fn lying_in<'a>(buffer: &'a wgpu::Buffer, block: &Logits<'_>) -> GpuLogits<'a> {
    GpuLogits {
        row_stride: block.row_stride(),
        ..GpuLogits::packed(buffer, block.dtype(), block.rows(), block.vocab())
    }
}

/// Rows whose logits, and whose results of so many words, stay below the size of a block.
fn rows_per_block(logits: &Logits<'_>, result_words: usize) -> usize {
    let row_bytes = logits.row_stride().max(logits.vocab()).saturating_mul(logits.dtype().bytes());
    (BLOCK_BYTES / row_bytes.max(result_words * 4)).max(1)
}

/// In the room of the words.
fn floats(words: Vec<u32>) -> Vec<f32> {
    words.into_iter().map(f32::from_bits).collect()
}
