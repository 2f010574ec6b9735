//! A device against the CPU engine, in a small batch: a driver that miscompiles the kernels is found before it writes a
//! log.

use crate::buffers::{GpuLogits, SampleBuffers, buffer};
use crate::cpu::{self, SampleInputs};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::filter::Order;
use crate::guard::guarded;
use crate::logits::Logits;
use crate::params::Params;
use crate::readback::Pending;
use crate::request::{Mirostat, Request, Row, SamplingParams};
use crate::sampler::Sampler;

const ROWS: usize = 4;
const VOCAB: usize = 9002; // three tiles, the last one ragged
const DOING: &str = "the self-check";

impl Sampler {
    /// Runs a small batch of every type of logits on the device and compares its records with the CPU engine's, bit for
    /// bit. Blocks for three round trips.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bits differ, and what [`Sampler::record`] and [`Pending::wait`] say.
    pub fn self_check(&self) -> Result<()> {
        let targets = [Some(17), Some(9001), None, Some(0)];
        let params = Params { top_k: 8, temperature: 0.7 };
        for dtype in Dtype::ALL {
            let bytes = rows_of_every_kind(dtype);
            let expected = cpu::record(&Logits::new(&bytes, dtype, ROWS, VOCAB)?, &params, &targets)?;
            self.check(&bytes, dtype, &expected, |encoder, batch| {
                self.record(encoder, batch, &params, &targets)
            })?;
        }
        Ok(())
    }

    /// The same for records with more than 1024 entries, which further kernels make, of one type of logits. Blocks for one
    /// round trip.
    ///
    /// # Errors
    /// As for [`Sampler::self_check`].
    pub fn self_check_long_lists(&self, dtype: Dtype) -> Result<()> {
        let params = Params { top_k: 8500, temperature: 0.7 };
        let bytes = rows_of_every_kind(dtype);
        let expected = cpu::record(&Logits::new(&bytes, dtype, ROWS, VOCAB)?, &params, &[])?;
        self.check(&bytes, dtype, &expected, |encoder, batch| self.record(encoder, batch, &params, &[]))
    }

    /// The same for samples, with every kind of filter, of one type of logits: the kernel that draws takes a while to
    /// compile. Blocks for some round trips.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bits differ, and what [`Sampler::sample`] and [`Pending::wait`] say.
    pub fn self_check_sampling(&self, dtype: Dtype) -> Result<()> {
        let plain = || SamplingParams {
            seed: Some(1),
            raw_logprobs: Some(4),
            processed_logprobs: Some(4),
            logit_bias: vec![(3, 1.5)],
            repetition_penalty: 1.2,
            ..SamplingParams::default()
        };
        let bytes = rows_of_every_kind(dtype);
        for params in [
            SamplingParams { n: 4, ..plain() },
            SamplingParams { temperature: 0.0, ..plain() },
            SamplingParams { temperature: 0.7, top_k: 50, top_p: 0.9, min_p: 0.02, ..plain() },
            SamplingParams { top_p: 0.99, typical_p: 0.9, top_n_sigma: 3.0, order: Order::Llama, ..plain() },
            SamplingParams { xtc_threshold: 0.001, xtc_probability: 1.0, dynatemp_range: 0.4, ..plain() },
            SamplingParams {
                mirostat: Some(Mirostat { tau: 4.0, eta: 0.1 }),
                epsilon_cutoff: 1e-5,
                ..plain()
            },
        ] {
            let request = Request::with_prompt(params, &[5, 9000])?;
            let rows: Vec<Row<'_>> = (0..ROWS as u64).map(|position| request.row(position)).collect();
            let logits = Logits::new(&bytes, dtype, ROWS, VOCAB)?;
            let expected = cpu::sample(&logits, &rows, &SampleInputs::default())?;
            self.check(&bytes, dtype, &expected, |encoder, batch| {
                self.sample(encoder, batch, &rows, &SampleBuffers::default())
            })?;
        }
        Ok(())
    }

    fn check<R: PartialEq>(
        &self,
        bytes: &[u8],
        dtype: Dtype,
        expected: &[R],
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<Pending<R>>,
    ) -> Result<()> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let logits = guarded(&self.device, DOING, || {
            let logits = buffer(&self.device, "sortilege check", bytes.len() as u64, usage);
            self.queue.write_buffer(&logits, 0, bytes);
            logits
        })?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let pending = record(&mut encoder, &GpuLogits::packed(&logits, dtype, ROWS, VOCAB))?;
        guarded(&self.device, DOING, || self.queue.submit([encoder.finish()]))?;
        if pending.wait()? != expected {
            return Err(Error::Mismatch("this device".to_owned()));
        }
        Ok(())
    }
}

/// Spread, tied, masked, and one with a NaN.
fn rows_of_every_kind(dtype: Dtype) -> Vec<u8> {
    (0..ROWS * VOCAB)
        .flat_map(|i| {
            let noise = (i.wrapping_mul(2_654_435_761) >> 7) & 0xffff;
            let value = match i / VOCAB {
                0 => noise as f32 / 2048.0 - 16.0,
                1 => (noise % 5) as f32,
                2 if noise % 4 > 0 => f32::NEG_INFINITY,
                3 if i % VOCAB == 5000 => f32::NAN,
                _ => (noise % 256) as f32 / 16.0,
            };
            dtype.store(value).to_ne_bytes()[..dtype.bytes()].to_vec()
        })
        .collect()
}
