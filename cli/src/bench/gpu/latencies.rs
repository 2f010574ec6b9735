//! What talking to a device costs at least.

use std::time::Instant;

use sortilege::device::Gpu;
use sortilege::wgpu::BufferUsages as Usage;

use super::ceiling::ReadKernel;
use super::commands::{buffer, encoder, finish, read_back, staging};
use crate::bench::times::{Budget, median, microseconds};
use crate::failure::Result;

/// What talking to the device costs at least, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latencies {
    /// From an empty submit to the word that it is done.
    pub(crate) empty_submit_us: f64,
    /// From a submit that copies a page to its map.
    pub(crate) map_us: f64,
    /// What a small dispatch costs that waits for the one before it.
    pub(crate) gap_us: f64,
}

impl Latencies {
    pub(crate) fn measure(gpu: &Gpu, ceiling: &ReadKernel, budget: Budget) -> Result<Self> {
        const BYTES: u64 = 4096;
        let empty = budget.wall(|| finish(gpu, encoder(gpu)))?;
        let source = buffer(gpu, "a page", BYTES, Usage::STORAGE | Usage::COPY_SRC)?;
        let staging = staging(gpu, BYTES)?;
        let map = budget.measure(|| {
            let mut encoder = encoder(gpu);
            let start = Instant::now();
            encoder.copy_buffer_to_buffer(&source, 0, &staging, 0, BYTES);
            read_back(gpu, encoder, &staging)?;
            Ok(microseconds(start))
        })?;
        // Each dispatch writes the word that the next one writes: the device must run them one after the other.
        const MANY: u32 = 101;
        let page = ceiling.bind(gpu, &source);
        let time =
            |count| -> Result<f64> { Ok(median(&budget.measure(|| ceiling.time(gpu, &page, count))?)) };
        Ok(Self {
            empty_submit_us: median(&empty),
            map_us: median(&map),
            gap_us: (time(MANY)? - time(1)?) / f64::from(MANY - 1),
        })
    }
}
