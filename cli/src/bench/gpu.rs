//! Measures on a device.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use sortilege::device::{Candidate, Gpu};
use sortilege::wgpu::{self, BufferUsages as Usage};
use sortilege::{
    GpuLogits, GpuOutput, Pending, Record, Sample, SampleBuffers, Sampler, SamplerOptions, Timing,
};

use super::cell::Cell;
use super::check;
use super::data::Source;
use super::link::{Done, Link, buffer, encoder, finish, flush, read_back, staging, submit};
use super::options::Op;
use super::read::{Bound, Read};
use super::task::{Asked, Output, Task};
use super::times::{Budget, median, microseconds, microseconds_between, p95};
use crate::engine::driver;
use crate::failure::Result;

/// What is written to empty the caches of a device.
const FLUSH_BYTES: u64 = 256 << 20;
/// Copies of the logits, and what they may take together.
const COPIES: u64 = 4;
const COPIES_BYTES: u64 = 1 << 30;
/// Bytes of logits that are made and sent at a time.
const UPLOAD_BYTES: usize = 64 << 20;
/// Calls in flight in the ring.
const RING: usize = 4;

/// An open device.
pub(crate) struct Device {
    id: String,
    gpu: Gpu,
    /// With timestamps, where the device has them.
    timed: Option<Sampler>,
    read: Read,
    link: Link,
    flush: wgpu::Buffer,
    budget: Budget,
}

impl Device {
    pub(crate) fn open(candidate: Candidate, is_portable: bool, budget: Budget) -> Result<Self> {
        let id = candidate.id.clone();
        let gpu = Gpu::open(candidate)?;
        let options = SamplerOptions { portable: is_portable, ..gpu.sampler().options() };
        let gpu = gpu.with_options(options)?;
        let has_timestamps = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let options = SamplerOptions { timestamps: has_timestamps, ..options };
        let timed = gpu.sampler().sibling(options)?;
        let read = Read::new(&gpu)?;
        let link = Link::measure(&gpu, &read, budget)?;
        let flush_bytes = FLUSH_BYTES.min(gpu.device().limits().max_buffer_size);
        let flush = buffer(&gpu, "what empties the caches", flush_bytes, Usage::COPY_DST)?;
        Ok(Self { id, timed: has_timestamps.then_some(timed), read, link, flush, budget, gpu })
    }

    /// A cell with the names of this device.
    pub(crate) fn cell(&self, asked: Asked, source: &Source) -> Cell {
        let info = self.gpu.info();
        Cell {
            device: self.id.clone(),
            adapter: info.name.clone(),
            driver: Some(driver(info)),
            backend: Some(info.backend.to_string()),
            kernels: Some(if self.gpu.sampler().has_int64() { "int64" } else { "portable" }.to_owned()),
            empty_submit_us: Some(self.link.empty_submit_us),
            map_us: Some(self.link.map_us),
            gap_us: Some(self.link.gap_us),
            ..asked.cell(source)
        }
    }

    /// Brings the logits to the device, and measures a plain read of them.
    pub(crate) fn load<'a>(&'a self, source: &'a Source) -> Result<Loaded<'a>> {
        let bytes = source.bytes().next_multiple_of(16);
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let logits = buffer(&self.gpu, "logits", bytes, usage)?;
        self.upload(source, &logits)?;
        let wanted = (COPIES_BYTES / bytes).clamp(1, COPIES);
        let mut copies = vec![logits];
        // A device that is too full for copies does without.
        let further = (1..wanted).map_while(|_| buffer(&self.gpu, "logits", bytes, usage).ok());
        for copy in further {
            let mut encoder = encoder(&self.gpu);
            encoder.copy_buffer_to_buffer(&copies[0], 0, &copy, 0, bytes);
            finish(&self.gpu, encoder)?;
            copies.push(copy);
        }
        let bound: Vec<Bound> = copies.iter().map(|copy| self.read.bind(&self.gpu, copy)).collect();
        let read = |is_cold: bool| -> Result<f64> {
            let mut turn = turn(bound.len(), is_cold);
            let times = self.budget.measure(|| {
                if is_cold {
                    flush(&self.gpu, &self.flush)?;
                }
                self.read.time(&self.gpu, &bound[turn()], 1)
            })?;
            Ok(median(&times))
        };
        let (warm, cold) = (read(false)?, read(true)?);
        Ok(Loaded { device: self, source, copies, ceilings: [warm, cold] })
    }

    fn upload(&self, source: &Source, logits: &wgpu::Buffer) -> Result<()> {
        // An even number of rows ends at a whole word.
        let rows = (UPLOAD_BYTES / source.row_bytes()).max(2) & !1;
        for first in (0..source.rows).step_by(rows) {
            let mut bytes = source.read(first..source.rows.min(first + rows))?;
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            self.gpu.queue().write_buffer(logits, (first * source.row_bytes()) as u64, &bytes);
            finish(&self.gpu, encoder(&self.gpu))?;
        }
        Ok(())
    }
}

/// Numbers of the copies to read: all in turn in a cold cache, always the first in a warm one.
fn turn(copies: usize, is_cold: bool) -> impl FnMut() -> usize {
    let mut calls = 0;
    move || {
        calls += 1;
        if is_cold { calls % copies } else { 0 }
    }
}

/// Logits on a device.
pub(crate) struct Loaded<'a> {
    device: &'a Device,
    source: &'a Source,
    copies: Vec<wgpu::Buffer>,
    /// Microseconds of a plain read, warm and cold.
    ceilings: [f64; 2],
}

impl Loaded<'_> {
    /// Checks what the device says, then measures it in a warm cache and in a cold one.
    pub(crate) fn measure(&self, asked: Asked) -> Result<[Cell; 2]> {
        let Self { device, source, .. } = self;
        let job = Job::new(self, asked)?;
        let before = device.gpu.traffic().bytes_back;
        job.check(device.gpu.sampler())?;
        let bytes_back = device.gpu.traffic().bytes_back - before;
        if let Some(timed) = &device.timed {
            job.check(timed)?;
        }
        let cell = |is_cold: bool| -> Result<Cell> {
            let mut cell = device.cell(asked, source);
            cell.cache = Some(if is_cold { "cold" } else { "warm" }.to_owned());
            cell.bytes_back = Some(bytes_back);
            job.time(&mut cell, is_cold)?;
            if !is_cold {
                cell.wall_ring_us = job.ring()?;
            }
            cell.rate(source.bytes(), self.ceilings[usize::from(is_cold)]);
            Ok(cell)
        };
        Ok([cell(false)?, cell(true)?])
    }
}

/// A task with its logits and the buffers of its results, where these stay on the device.
struct Job<'a> {
    loaded: &'a Loaded<'a>,
    gpu: &'a Gpu,
    task: Task,
    outs: Vec<wgpu::Buffer>,
    /// Words of a row in each of `outs`.
    out_words: usize,
}

/// A call on its way.
enum InFlight {
    Records(Pending<Record>),
    Samples(Pending<Sample>),
    OnDevice(Done),
}

/// What came of it.
enum Arrived {
    Records(Vec<Record>),
    Samples(Vec<Sample>),
    OnDevice,
}

impl<'a> Job<'a> {
    fn new(loaded: &'a Loaded<'a>, asked: Asked) -> Result<Self> {
        let (gpu, source) = (&loaded.device.gpu, loaded.source);
        let (outs, out_words) = match asked.op {
            Op::Log | Op::Sample => (0, 0),
            Op::LogSoftmax => (1, source.vocab),
            Op::TopK => (2, asked.k() as usize),
        };
        let bytes = source.rows as u64 * out_words as u64 * 4;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let outs = (0..outs).map(|_| buffer(gpu, "the results", bytes, usage)).collect::<Result<_>>()?;
        Ok(Self { loaded, gpu, task: Task::new(asked, source)?, outs, out_words })
    }

    /// Records the operation on one of the copies, and submits it.
    fn submit(&self, sampler: &Sampler, mut encoder: wgpu::CommandEncoder, copy: usize) -> Result<InFlight> {
        let Source { rows, vocab, dtype, .. } = *self.loaded.source;
        let logits = GpuLogits::packed(&self.loaded.copies[copy], dtype, rows, vocab);
        let out = |place: usize| GpuOutput::new(&self.outs[place]);
        let encoding = &mut encoder;
        let pending = match self.task.asked.op {
            Op::Log => {
                let pending = sampler.record(encoding, &logits, &self.task.params(), &self.task.targets)?;
                InFlight::Records(pending)
            }
            Op::Sample => {
                let rows = self.task.rows(0..rows);
                InFlight::Samples(sampler.sample(encoding, &logits, &rows, &SampleBuffers::default())?)
            }
            Op::LogSoftmax => {
                sampler.log_softmax(encoding, &logits, out(0))?;
                return Ok(InFlight::OnDevice(submit(self.gpu, encoder)));
            }
            Op::TopK => {
                sampler.top_k(encoding, &logits, self.task.asked.k(), out(0), out(1))?;
                return Ok(InFlight::OnDevice(submit(self.gpu, encoder)));
            }
        };
        self.gpu.queue().submit([encoder.finish()]);
        Ok(pending)
    }

    fn wait(&self, call: InFlight) -> Result<Arrived> {
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
    fn check(&self, sampler: &Sampler) -> Result<()> {
        let source = self.loaded.source;
        let mut encoder = encoder(self.gpu);
        // What an earlier call left must not pass for results.
        self.outs.iter().for_each(|out| encoder.clear_buffer(out, 0, None));
        let arrived = self.wait(self.submit(sampler, encoder, self.loaded.copies.len() - 1)?)?;
        let rows = check::rows(source);
        let outputs: Vec<Output> = match arrived {
            Arrived::Records(all) => {
                rows.iter().map(|&row| Output::Records(vec![all[row].clone()])).collect()
            }
            Arrived::Samples(all) => {
                rows.iter().map(|&row| Output::Samples(vec![all[row].clone()])).collect()
            }
            Arrived::OnDevice => rows.iter().map(|&row| self.read_row(row)).collect::<Result<_>>()?,
        };
        check::against_cpu(&self.loaded.device.id, &self.task, source, &rows, &outputs)
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
        let floats = read(&self.outs[0])?.into_iter().map(f32::from_bits).collect();
        Ok(match self.outs.get(1) {
            Some(tokens) => Output::Entries(floats, read(tokens)?),
            None => Output::Logprobs(floats),
        })
    }

    /// Measures GPU time and wall time, one call at a time.
    fn time(&self, cell: &mut Cell, is_cold: bool) -> Result<()> {
        let wall = self.wall(is_cold)?;
        let timings = self.device_times(is_cold)?;
        cell.wall_us = Some(median(&wall));
        match timings {
            Some(timings) => {
                let totals: Vec<f64> = timings.iter().map(|t| t.total.as_secs_f64() * 1e6).collect();
                cell.gpu_us = Some(median(&totals));
                cell.p95_us = Some(p95(&totals));
                cell.calls = Some(totals.len() as u64);
                cell.pass_us = Some(of_passes(&timings));
                let dispatches =
                    timings.first().map(|t| t.passes.iter().filter(|pass| pass.name != "copy").count());
                cell.dispatches = dispatches.map(|count| count as u64);
            }
            None => {
                cell.p95_us = Some(p95(&wall));
                cell.calls = Some(wall.len() as u64);
            }
        }
        Ok(())
    }

    /// Microseconds from recording to the results.
    fn wall(&self, is_cold: bool) -> Result<Vec<f64>> {
        let device = self.loaded.device;
        let mut turn = turn(self.loaded.copies.len(), is_cold);
        device.budget.measure(|| {
            if is_cold {
                flush(self.gpu, &device.flush)?;
            }
            let start = Instant::now();
            self.wait(self.submit(self.gpu.sampler(), encoder(self.gpu), turn())?)?;
            Ok(microseconds(start))
        })
    }

    /// What the device's own clock says, where it has one and the call is not too long for it.
    fn device_times(&self, is_cold: bool) -> Result<Option<Vec<Timing>>> {
        let device = self.loaded.device;
        let Some(sampler) = &device.timed else { return Ok(None) };
        let mut turn = turn(self.loaded.copies.len(), is_cold);
        let timings = device.budget.measure(|| {
            let _ = sampler.take_timings(); // of calls that were not measured
            if is_cold {
                flush(self.gpu, &device.flush)?;
            }
            self.wait(self.submit(sampler, encoder(self.gpu), turn())?)?;
            Ok(sampler.take_timings().pop())
        })?;
        Ok(arrived(timings))
    }

    /// Microseconds per call with several in flight; none of a single call.
    fn ring(&self) -> Result<Option<f64>> {
        let submit = || self.submit(self.gpu.sampler(), encoder(self.gpu), 0);
        let mut in_flight = (0..RING).map(|_| submit()).collect::<Result<VecDeque<_>>>()?;
        // For each call that ends another one begins: the last ones, behind which the ring only empties, do not count.
        let ends = self.loaded.device.budget.measure(|| {
            in_flight.push_back(submit()?);
            if let Some(oldest) = in_flight.pop_front() {
                self.wait(oldest)?;
            }
            Ok(Instant::now())
        })?;
        for call in in_flight {
            self.wait(call)?;
        }
        Ok(microseconds_between(&ends))
    }
}

/// What arrived, if anything did: a timing that the device lost is no reason to forget the others.
fn arrived<T>(timings: Vec<Option<T>>) -> Option<Vec<T>> {
    let arrived: Vec<T> = timings.into_iter().flatten().collect();
    (!arrived.is_empty()).then_some(arrived)
}

/// Medians by name; a call of several chunks has several dispatches of a name, which add up.
fn of_passes(timings: &[Timing]) -> BTreeMap<String, f64> {
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for timing in timings {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for pass in &timing.passes {
            *sums.entry(pass.name).or_default() += pass.time.as_secs_f64() * 1e6;
        }
        for (name, time) in sums {
            times.entry(name.to_owned()).or_default().push(time);
        }
    }
    times.into_iter().map(|(name, times)| (name, median(&times))).collect()
}

#[cfg(test)]
mod tests {
    use super::arrived;

    #[test]
    fn a_lost_timing_leaves_the_others() {
        assert_eq!(arrived(vec![Some(1), None, Some(3)]), Some(vec![1, 3]));
        assert_eq!(arrived::<u32>(vec![None, None]), None);
        assert_eq!(arrived::<u32>(Vec::new()), None);
    }
}
