//! A device against the CPU engine, in a small batch: a driver that miscompiles the kernels is found before it writes a
//! log.

use super::buffers::{GpuLogits, SampleBuffers};
#[cfg(not(target_family = "wasm"))]
use super::guard::at_once;
use super::guard::{alive, guarded};
use super::probe::compiling;
use super::readback::Pending;
use super::sampler::Sampler;
use crate::answer::Answer;
use crate::arithmetic::format::MOST_LISTED;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::logits::{Dtype, Logits};
use crate::params::{Dry, LogprobsParams, Mirostat, Order, SamplingParams};
use crate::request::{Request, Row, SampleInputs};

/// The kernels behind a kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernels {
    /// [`Sampler::logprobs`] with up to 1024 entries per row.
    Logprobs,
    /// What [`Sampler::logprobs`] and [`Sampler::top_k`] run besides for more than 1024 entries per row.
    LongLists,
    /// What [`Sampler::sample`] runs besides for more than 1024 entries per row.
    LongSampleLists,
    /// [`Sampler::sample`]. The kernel that draws takes a while to compile.
    Sample,
    /// What [`Sampler::sample`] runs besides for rows that run ahead with [`Histories`](crate::Histories).
    Histories,
    /// What [`Sampler::logprobs_of`] and [`Sampler::sample`] run besides for given tokens.
    TokenRanks,
    /// [`Sampler::divergence`], of two batches of one type. Kernels for two types are compiled in the first call that has
    /// them.
    Divergence,
}

const DOING: &str = "the self-check";
const ROWS: usize = 4;
const VOCAB: usize = 9002; // three tiles, the last one ragged

impl Sampler {
    /// Compiles the kernels for a type of logits, checks how the device's floats round, and runs a row through: drivers
    /// compile for good when a kernel first runs, so that the first step would wait for it. Blocks until the device has done
    /// it.
    ///
    /// # Errors
    /// [`Error::Compiling`] past [`SamplerOptions::compile_deadline`](crate::SamplerOptions::compile_deadline), what the
    /// device says of the kernels, and what [`Sampler::uses_integers`] says.
    #[cfg(not(target_family = "wasm"))]
    pub fn prepare(&self, kernels: Kernels, dtype: Dtype) -> Result<()> {
        at_once(self.prepare_async(kernels, dtype))
    }

    /// [`Sampler::prepare`] for browsers, where it yields; natively it blocks as that does.
    ///
    /// # Errors
    /// As there.
    pub async fn prepare_async(&self, kernels: Kernels, dtype: Dtype) -> Result<()> {
        self.find_means(dtype).await?;
        if matches!(kernels, Kernels::Sample | Kernels::LongSampleLists | Kernels::Histories) {
            self.find_most_rounds().await?;
        }
        let params = LogprobsParams { top_logprobs: 1, ..LogprobsParams::default() };
        let long = LogprobsParams { top_logprobs: MOST_LISTED + 1, ..params };
        let request =
            Request::new(SamplingParams { seed: Some(0), top_p: 0.9, ..SamplingParams::default() })?;
        match kernels {
            Kernels::Logprobs => {
                self.warm(dtype, |encoder, row| self.logprobs(encoder, row, &params, &[Some(0)])).await
            }
            Kernels::LongLists => {
                self.warm(dtype, |encoder, row| self.logprobs(encoder, row, &long, &[])).await
            }
            Kernels::TokenRanks => {
                self.warm(dtype, |encoder, row| self.logprobs_of(encoder, row, &params, &[], &[&[1, 2]]))
                    .await
            }
            Kernels::Sample | Kernels::LongSampleLists => {
                let mut params = request.params().clone();
                params.raw_logprobs = (kernels == Kernels::LongSampleLists).then_some(MOST_LISTED + 1);
                let (request, buffers) = (Request::new(params)?, SampleBuffers::default());
                self.warm(dtype, |encoder, row| self.sample(encoder, row, &[request.row(0)], &buffers)).await
            }
            Kernels::Histories => {
                let histories = self.histories(1, 2)?;
                let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
                let request = Request::new(SamplingParams {
                    presence_penalty: 0.1,
                    seed: Some(0),
                    ..SamplingParams::default()
                })?;
                self.warm(dtype, |encoder, row| {
                    drop(self.sample(encoder, row, &[request.row(0)], &buffers)?);
                    self.sample(encoder, row, &[request.row(1)], &buffers)
                })
                .await
            }
            Kernels::Divergence => self.warm(dtype, |encoder, row| self.divergence(encoder, row, row)).await,
        }
    }

    /// Runs a row through a call, and waits for it as long as for a compiler.
    async fn warm<R: Answer>(
        &self,
        dtype: Dtype,
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<Pending<R>>,
    ) -> Result<()> {
        const DOING: &str = "preparing the kernels";
        alive(&self.device, DOING)?;
        let bytes = rows_of_every_kind(dtype);
        let pending = self.submit_rows(DOING, &bytes, dtype, |encoder, batch| {
            record(encoder, &GpuLogits { rows: 1, ..*batch })
        })?;
        #[cfg(target_family = "wasm")]
        super::late::heard(&self.device).await?;
        pending.rows_within(self.options.compile_deadline).await.map(drop).map_err(compiling)
    }

    /// Prepares the kernels, runs small batches of a type of logits on the device and compares every bit with the CPU
    /// engine's. Blocks for two round trips, or for some more with [`Kernels::Sample`], which tries every kind of filter.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bits differ, and what [`Sampler::prepare`], the call and [`Pending::wait`] say.
    #[cfg(not(target_family = "wasm"))]
    pub fn self_check(&self, kernels: Kernels, dtype: Dtype) -> Result<()> {
        at_once(self.self_check_async(kernels, dtype))
    }

    /// [`Sampler::self_check`] for browsers, where it yields; natively it blocks as that does.
    ///
    /// # Errors
    /// As there.
    pub async fn self_check_async(&self, kernels: Kernels, dtype: Dtype) -> Result<()> {
        self.prepare_async(kernels, dtype).await?;
        match kernels {
            Kernels::Logprobs => {
                self.check_logprobs(8, &[Some(17), Some(9001), None, Some(0)], &[], dtype).await
            }
            Kernels::LongLists => self.check_logprobs(8500, &[], &[], dtype).await,
            Kernels::TokenRanks => {
                let many: Vec<u32> = (0..600).map(|i| i * 15).collect();
                self.check_logprobs(0, &[], &[&[9001, 3, 3, 0, 77], &many, &many, &[]], dtype).await?;
                self.check_sample(
                    SamplingParams {
                        seed: Some(2),
                        top_k: 50,
                        logit_bias: vec![(3, 1.5), (77, -2.0)],
                        logprob_token_ids: vec![9001, 3, 0, 77, 5000],
                        raw_logprobs: Some(0),
                        processed_logprobs: Some(0),
                        ..SamplingParams::default()
                    },
                    dtype,
                )
                .await
            }
            Kernels::LongSampleLists => {
                self.check_sample(
                    SamplingParams {
                        seed: Some(4),
                        top_p: 0.999,
                        temperature: 1.5,
                        logit_bias: vec![(3, 1.5), (77, -2.0)],
                        raw_logprobs: Some(8500),
                        processed_logprobs: Some(9002),
                        ..SamplingParams::default()
                    },
                    dtype,
                )
                .await
            }
            Kernels::Sample => self.check_samples(dtype).await,
            Kernels::Histories => self.check_ahead(dtype).await,
            Kernels::Divergence => self.check_divergence(dtype).await,
        }
    }

    /// Steps without a wait, beside those of the CPU, which waits.
    async fn check_ahead(&self, dtype: Dtype) -> Result<()> {
        const STEPS: u32 = 4;
        let params = |stream| SamplingParams {
            seed: Some(3),
            stream,
            top_k: if stream == 0 { 0 } else { 40 },
            repetition_penalty: 1.2,
            presence_penalty: 0.3,
            frequency_penalty: 0.2,
            dry: Some(Dry { allowed_length: 1, ..Dry::default() }),
            no_repeat_ngram_size: 2,
            bad_words: vec![vec![9000, 17], vec![5, 9000, 1]],
            // Most of a row of eight bits and more, then one token.
            mirostat: (stream == 0).then_some(Mirostat { tau: 5.0, eta: 1.0 }),
            stop_token_ids: if stream == 2 { (0..9002).step_by(3).collect() } else { Vec::new() },
            max_tokens: Some(3),
            ..SamplingParams::default()
        };
        let bytes = rows_of_every_kind(dtype);
        // All but the row that is none.
        let logits = Logits::new(&bytes, dtype, ROWS - 1, VOCAB)?;
        let mut requests = (0..3)
            .map(|stream| Request::with_prompt(params(stream), &[5, 9000]))
            .collect::<Result<Vec<_>>>()?;
        let histories = self.histories(requests.len(), 2 + STEPS as usize)?;
        let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
        let steps = self.submit_rows(DOING, &bytes, dtype, |encoder, batch| {
            let batch = GpuLogits { rows: ROWS - 1, ..*batch };
            let step = |position| {
                let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position)).collect();
                self.sample(encoder, &batch, &rows, &buffers)
            };
            (0..STEPS.into()).map(step).collect::<Result<Vec<_>>>()
        })?;
        for (position, pending) in (0..).zip(steps) {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position)).collect();
            let expected = Cpu.sample(&logits, &rows, &SampleInputs::default())?;
            if pending.rows().await? != expected {
                return Err(mismatch());
            }
            requests.iter_mut().zip(&expected).try_for_each(|(request, sample)| request.accept(sample))?;
        }
        Ok(())
    }

    /// Each row from the next.
    async fn check_divergence(&self, dtype: Dtype) -> Result<()> {
        let bytes = rows_of_every_kind(dtype);
        let row_bytes = VOCAB * dtype.bytes();
        let first = Logits::new(&bytes, dtype, ROWS - 1, VOCAB)?;
        let second = Logits::new(&bytes[row_bytes..], dtype, ROWS - 1, VOCAB)?;
        let expected = Cpu.divergence(&first, &second)?;
        self.check(&bytes, dtype, &expected, |encoder, batch| {
            let first = GpuLogits { rows: ROWS - 1, ..*batch };
            self.divergence(encoder, &first, &GpuLogits { byte_offset: row_bytes as u64, ..first })
        })
        .await
    }

    async fn check_logprobs(
        &self,
        top_logprobs: u32,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
        dtype: Dtype,
    ) -> Result<()> {
        let params = LogprobsParams { top_logprobs, temperature: 0.7, entropy: false };
        let bytes = rows_of_every_kind(dtype);
        let logits = Logits::new(&bytes, dtype, ROWS, VOCAB)?;
        let expected = Cpu.logprobs_of(&logits, &params, targets, token_ids)?;
        self.check(&bytes, dtype, &expected, |encoder, batch| {
            self.logprobs_of(encoder, batch, &params, targets, token_ids)
        })
        .await
    }

    async fn check_samples(&self, dtype: Dtype) -> Result<()> {
        let plain = || SamplingParams {
            seed: Some(1),
            raw_logprobs: Some(4),
            processed_logprobs: Some(4),
            entropy: true,
            logit_bias: vec![(3, 1.5)],
            repetition_penalty: 1.2,
            ..SamplingParams::default()
        };
        for params in [
            SamplingParams { n: 4, ..plain() },
            SamplingParams { temperature: 0.0, max_tokens: Some(3), ..plain() },
            SamplingParams { temperature: 0.7, top_k: 50, top_p: 0.9, min_p: 0.02, ..plain() },
            SamplingParams { top_p: 0.99, typical_p: 0.9, top_n_sigma: 3.0, order: Order::Llama, ..plain() },
            SamplingParams { p_less: true, top_h: 0.8, temperature: 1.5, ..plain() },
            SamplingParams { xtc_threshold: 0.001, xtc_probability: 0.5, dynatemp_range: 0.4, ..plain() },
            SamplingParams {
                mirostat: Some(Mirostat { tau: 4.0, eta: 0.1 }),
                epsilon_cutoff: 1e-5,
                eta_cutoff: 1e-5,
                top_a: 0.01,
                ..plain()
            },
        ] {
            self.check_sample(params, dtype).await?;
        }
        Ok(())
    }

    async fn check_sample(&self, params: SamplingParams, dtype: Dtype) -> Result<()> {
        let bytes = rows_of_every_kind(dtype);
        let request = Request::with_prompt(params, &[5, 9000])?;
        let rows: Vec<Row<'_>> = (0..ROWS as u64).map(|position| request.row(position).detached()).collect();
        let logits = Logits::new(&bytes, dtype, ROWS, VOCAB)?;
        let expected = Cpu.sample(&logits, &rows, &SampleInputs::default())?;
        self.check(&bytes, dtype, &expected, |encoder, batch| {
            self.sample(encoder, batch, &rows, &SampleBuffers::default())
        })
        .await
    }

    async fn check<R: Answer + PartialEq>(
        &self,
        bytes: &[u8],
        dtype: Dtype,
        expected: &[R],
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<Pending<R>>,
    ) -> Result<()> {
        let pending = self.submit_rows(DOING, bytes, dtype, record)?;
        if pending.rows().await? == expected { Ok(()) } else { Err(mismatch()) }
    }

    /// Uploads rows, and submits an encoder that `record` has filled.
    fn submit_rows<T>(
        &self,
        doing: &'static str,
        bytes: &[u8],
        dtype: Dtype,
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<T>,
    ) -> Result<T> {
        let (logits, mut encoder) = guarded(&self.device, doing, || {
            let logits = self.filled(bytes, wgpu::BufferUsages::STORAGE);
            (logits, self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
        })?;
        let recorded = record(&mut encoder, &GpuLogits::packed(&logits, dtype, ROWS, VOCAB))?;
        guarded(&self.device, doing, || self.queue.submit([encoder.finish()]))?;
        Ok(recorded)
    }
}

fn mismatch() -> Error {
    Error::Mismatch("this device".to_owned())
}

/// Spread, tied, masked, and one with a NaN.
fn rows_of_every_kind(dtype: Dtype) -> Vec<u8> {
    let mut bytes = vec![0; ROWS * VOCAB * dtype.bytes()];
    for (i, element) in bytes.chunks_exact_mut(dtype.bytes()).enumerate() {
        let noise = (i.wrapping_mul(2_654_435_761) >> 7) & 0xffff;
        let value = match i / VOCAB {
            0 => noise as f32 / 2048.0 - 16.0,
            1 => (noise % 5) as f32,
            2 if noise % 4 > 0 => f32::NEG_INFINITY,
            3 if i % VOCAB == 5000 => f32::NAN,
            _ => (noise % 256) as f32 / 16.0,
        };
        dtype.store(value, element);
    }
    bytes
}
