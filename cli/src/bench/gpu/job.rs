//! A workload on a device: calls that are submitted and waited for, and the check of what they gave. It has no clock.

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages as Usage};
use sortilege::{GpuLogits, GpuOutput, Logprobs, Pending, Sample, SampleBuffers, Sampler};

use super::commands::{Done, buffer, encoder, read_back, staging, submit};
use super::device::LoadedLogits;
use crate::bench::check::{against_cpu, rows_to_check};
use crate::bench::data::Source;
use crate::bench::op::Op;
use crate::bench::task::{Output, Task, Workload};
use crate::failure::Result;

/// A task with its logits and the buffers of its results, where these stay on the device.
pub(super) struct Job<'a> {
    pub(super) loaded: &'a LoadedLogits<'a>,
    pub(super) gpu: &'a Gpu,
    task: Task,
    outs: Vec<wgpu::Buffer>,
    /// Words of a row in each of `outs`.
    out_words: usize,
}

/// A call on its way.
pub(super) enum InFlight {
    Records(Pending<Logprobs>),
    Samples(Pending<Sample>),
    OnDevice(Done),
}

/// What came of a call.
pub(super) enum Arrived {
    Records(Vec<Logprobs>),
    Samples(Vec<Sample>),
    OnDevice,
}

impl<'a> Job<'a> {
    /// The workload on these logits, before its first call.
    pub(super) fn new(loaded: &'a LoadedLogits<'a>, workload: Workload) -> Result<Self> {
        let (gpu, source) = (&loaded.device.gpu, loaded.source);
        let (outs, out_words) = match workload.op {
            Op::Log | Op::Sample => (0, 0),
            Op::SampleTokens => (1, 1),
            Op::LogSoftmax => (1, source.vocab),
            Op::TopK => (2, workload.k() as usize),
        };
        let bytes = source.rows as u64 * out_words as u64 * 4;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let outs = (0..outs).map(|_| buffer(gpu, "the results", bytes, usage)).collect::<Result<_>>()?;
        Ok(Self { loaded, gpu, task: Task::new(workload, source)?, outs, out_words })
    }

    /// Encodes the operation on one of the copies, and submits it.
    pub(super) fn submit(
        &self,
        sampler: &Sampler,
        mut encoder: wgpu::CommandEncoder,
        copy: usize,
    ) -> Result<InFlight> {
        let Source { rows, vocab, dtype, .. } = *self.loaded.source;
        let logits = GpuLogits::packed(&self.loaded.copies[copy], dtype, rows, vocab);
        let out = |place: usize| GpuOutput::new(&self.outs[place]);
        let encoding = &mut encoder;
        let pending = match self.task.workload.op {
            Op::Log => {
                let pending = sampler.logprobs(encoding, &logits, &self.task.params(), &self.task.targets)?;
                InFlight::Records(pending)
            }
            Op::Sample => {
                let rows = self.task.rows(0..rows);
                InFlight::Samples(sampler.sample(encoding, &logits, &rows, &SampleBuffers::default())?)
            }
            Op::SampleTokens => {
                let rows = self.task.rows(0..rows);
                let buffers = SampleBuffers { tokens: Some(out(0)), ..SampleBuffers::default() };
                sampler.sample_tokens(encoding, &logits, &rows, &buffers)?;
                return Ok(InFlight::OnDevice(submit(self.gpu, encoder)));
            }
            Op::LogSoftmax => {
                sampler.log_softmax(encoding, &logits, out(0))?;
                return Ok(InFlight::OnDevice(submit(self.gpu, encoder)));
            }
            Op::TopK => {
                sampler.top_k(encoding, &logits, self.task.workload.k(), out(0), out(1))?;
                return Ok(InFlight::OnDevice(submit(self.gpu, encoder)));
            }
        };
        self.gpu.queue().submit([encoder.finish()]);
        Ok(pending)
    }

    /// Waits for a call.
    pub(super) fn wait(&self, call: InFlight) -> Result<Arrived> {
        Ok(match call {
            InFlight::Records(pending) => Arrived::Records(pending.wait()?),
            InFlight::Samples(pending) => Arrived::Samples(pending.wait()?),
            InFlight::OnDevice(done) => {
                done.wait(self.gpu)?;
                Arrived::OnDevice
            }
        })
    }

    /// An error unless the device says what the CPU engine says.
    pub(super) fn check(&self, sampler: &Sampler) -> Result<()> {
        let source = self.loaded.source;
        let mut encoder = encoder(self.gpu);
        // What an earlier call left must not pass for results.
        self.outs.iter().for_each(|out| encoder.clear_buffer(out, 0, None));
        let arrived = self.wait(self.submit(sampler, encoder, self.loaded.copies.len() - 1)?)?;
        let rows = rows_to_check(source);
        let outputs: Vec<Output> = match arrived {
            Arrived::Records(all) => {
                rows.iter().map(|&row| Output::Records(vec![all[row].clone()])).collect()
            }
            Arrived::Samples(all) => {
                rows.iter().map(|&row| Output::Samples(vec![all[row].clone()])).collect()
            }
            Arrived::OnDevice => rows.iter().map(|&row| self.read_row(row)).collect::<Result<_>>()?,
        };
        against_cpu(&self.loaded.device.id, &self.task, source, &rows, &outputs)
    }

    /// A row of the results that stay on the device.
    fn read_row(&self, row: usize) -> Result<Output> {
        let bytes = self.out_words as u64 * 4;
        let read = |out: &wgpu::Buffer| -> Result<Vec<u32>> {
            let mut encoder = encoder(self.gpu);
            let staging = staging(self.gpu, bytes)?;
            encoder.copy_buffer_to_buffer(out, row as u64 * bytes, &staging, 0, bytes);
            let bytes = read_back(self.gpu, encoder, &staging)?;
            Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word)).collect())
        };
        let words = read(&self.outs[0])?;
        if self.task.workload.op == Op::SampleTokens {
            return Ok(Output::Tokens(words));
        }
        let floats = words.into_iter().map(f32::from_bits).collect();
        Ok(match self.outs.get(1) {
            Some(tokens) => Output::Entries(floats, read(tokens)?),
            None => Output::Logprobs(floats),
        })
    }
}
