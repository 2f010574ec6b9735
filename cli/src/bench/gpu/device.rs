//! An open device, and logits on it in as many copies as empty its caches. It measures what it costs to read them, and
//! nothing else.

use sortilege::device::{Adapter, Gpu};
use sortilege::wgpu::{self, BufferUsages as Usage};
use sortilege::{Sampler, SamplerOptions};

use super::ceiling::{BoundBuffer, ReadKernel};
use super::commands::{buffer, encoder, finish, flush};
use super::latencies::Latencies;
use crate::bench::cell::Cell;
use crate::bench::data::Source;
use crate::bench::task::Workload;
use crate::bench::times::{Budget, median};
use crate::engine::driver;
use crate::failure::Result;

/// What is written to empty the caches of a device.
const FLUSH_BYTES: u64 = 256 << 20;
/// Copies of the logits, and what they may take together.
const COPIES: u64 = 4;
const COPIES_BYTES: u64 = 1 << 30;
/// Bytes of logits that are made and sent at a time.
const UPLOAD_BYTES: usize = 64 << 20;

/// An open device.
pub(crate) struct Device {
    pub(super) id: String,
    pub(super) gpu: Gpu,
    /// A sampler with timestamps, where the device has them.
    pub(super) timed: Option<Sampler>,
    ceiling: ReadKernel,
    latencies: Latencies,
    /// What is written to empty the caches.
    pub(super) flush: wgpu::Buffer,
    pub(super) budget: Budget,
}

impl Device {
    /// The device of an adapter, after its latencies were measured.
    pub(crate) fn open(adapter: Adapter, integers: bool, budget: Budget) -> Result<Self> {
        let id = adapter.id.clone();
        let gpu = Gpu::open(adapter)?;
        let options = SamplerOptions { integers, ..gpu.sampler().options() };
        let gpu = gpu.with_options(options)?;
        let has_timestamps = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let options = SamplerOptions { timestamps: has_timestamps, ..options };
        let timed = gpu.sampler().with(options)?;
        let ceiling = ReadKernel::new(&gpu)?;
        let latencies = Latencies::measure(&gpu, &ceiling, budget)?;
        let flush_bytes = FLUSH_BYTES.min(gpu.device().limits().max_buffer_size);
        let flush = buffer(&gpu, "what empties the caches", flush_bytes, Usage::COPY_DST)?;
        Ok(Self { id, timed: has_timestamps.then_some(timed), ceiling, latencies, flush, budget, gpu })
    }

    /// A cell with the names of this device.
    pub(crate) fn cell(&self, workload: Workload, source: &Source) -> Cell {
        let info = self.gpu.info();
        // Known since the device was opened, which checks every type.
        let integers = self.gpu.sampler().uses_integers(source.dtype).ok();
        Cell {
            device: self.id.clone(),
            adapter: info.name.clone(),
            driver: Some(driver(info)),
            backend: Some(info.backend.to_string()),
            kernels: integers.map(|integers| if integers { "integers" } else { "floats" }.to_owned()),
            empty_submit_us: Some(self.latencies.empty_submit_us),
            map_us: Some(self.latencies.map_us),
            gap_us: Some(self.latencies.gap_us),
            ..workload.cell(source)
        }
    }

    /// Brings the logits to the device, and measures a plain read of them.
    pub(crate) fn load<'a>(&'a self, source: &'a Source) -> Result<LoadedLogits<'a>> {
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
        let bound: Vec<BoundBuffer> = copies.iter().map(|copy| self.ceiling.bind(&self.gpu, copy)).collect();
        let read = |is_cold: bool| -> Result<f64> {
            let mut next_copy = copies_to_read(bound.len(), is_cold);
            let times = self.budget.measure(|| {
                if is_cold {
                    flush(&self.gpu, &self.flush)?;
                }
                self.ceiling.time(&self.gpu, &bound[next_copy()], 1)
            })?;
            Ok(median(&times))
        };
        let (warm, cold) = (read(false)?, read(true)?);
        Ok(LoadedLogits { device: self, source, copies, ceilings_us: [warm, cold] })
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

/// Logits on a device.
pub(crate) struct LoadedLogits<'a> {
    pub(super) device: &'a Device,
    pub(super) source: &'a Source,
    pub(super) copies: Vec<wgpu::Buffer>,
    /// Microseconds of a plain read, warm and cold.
    pub(super) ceilings_us: [f64; 2],
}

/// Makes the number of the copy that each call reads: all in turn in a cold cache, always the first in a warm one.
pub(super) fn copies_to_read(copies: usize, is_cold: bool) -> impl FnMut() -> usize {
    let mut calls = 0;
    move || {
        calls += 1;
        if is_cold { calls % copies } else { 0 }
    }
}
