//! An open device as the bench uses it: buffers, waits, and what talking to it costs at least.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages as Usage};

use super::read::Read;
use super::times::{Budget, median, microseconds};
use crate::failure::{Failure, Result};

/// A buffer, or why the device has none: it may be larger than what is free.
pub(crate) fn buffer(gpu: &Gpu, what: &str, bytes: u64, usage: Usage) -> Result<wgpu::Buffer> {
    let limit = gpu.device().limits().max_buffer_size;
    if bytes > limit {
        return Err(Failure::Failed(format!(
            "{what} of {bytes} bytes are over the device's limit of {limit} for a buffer: lower --rows"
        )));
    }
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some(what),
        size: bytes,
        usage,
        mapped_at_creation: false,
    });
    let popped = std::pin::pin!(scope.pop());
    match Future::poll(popped, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(error)) => Err(Failure::Failed(format!(
            "the device has no room for {what} of {bytes} bytes: lower --rows ({error})"
        ))),
        _ => Ok(buffer),
    }
}

pub(crate) fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("bench") })
}

/// Work on its way.
pub(crate) struct Done(Arc<AtomicBool>);

impl Done {
    pub(crate) fn wait(&self, gpu: &Gpu) -> Result<()> {
        Ok(gpu.wait_until(|| self.0.load(Ordering::Acquire))?)
    }
}

/// Submits, and tells when it is done.
pub(crate) fn submit(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Done {
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    encoder.on_submitted_work_done(move || told.store(true, Ordering::Release));
    gpu.queue().submit([encoder.finish()]);
    Done(done)
}

/// Submits and waits.
pub(crate) fn finish(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Result<()> {
    submit(gpu, encoder).wait(gpu)
}

/// Writes a large buffer, so that nothing else is left in the caches. Waited for: what follows in one submit need not wait for
/// a buffer that it does not use, and its first timestamp may be later than its start.
pub(crate) fn flush(gpu: &Gpu, large: &wgpu::Buffer) -> Result<()> {
    let mut encoder = encoder(gpu);
    encoder.clear_buffer(large, 0, None);
    finish(gpu, encoder)
}

/// A buffer that the host reads.
pub(crate) fn staging(gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
    buffer(gpu, "staging", bytes, Usage::MAP_READ | Usage::COPY_DST)
}

/// Submits, and reads words of a staging buffer that the encoder fills.
pub(crate) fn read_back(gpu: &Gpu, encoder: wgpu::CommandEncoder, staging: &wgpu::Buffer) -> Result<Vec<u8>> {
    let [done, failed] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (told_done, told_failed) = (done.clone(), failed.clone());
    encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, .., move |result| {
        told_failed.store(result.is_err(), Ordering::Release);
        told_done.store(true, Ordering::Release);
    });
    gpu.queue().submit([encoder.finish()]);
    gpu.wait_until(|| done.load(Ordering::Acquire))?;
    if failed.load(Ordering::Acquire) {
        return Err(Failure::Failed("the device gave no results back: it is lost".to_owned()));
    }
    let view = staging.slice(..).get_mapped_range();
    let bytes = view.map_err(|error| Failure::Failed(format!("reading the results: {error}")))?.to_vec();
    staging.unmap();
    Ok(bytes)
}

/// What talking to the device costs at least, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) empty_submit_us: f64,
    pub(crate) map_us: f64,
    pub(crate) gap_us: f64,
}

impl Link {
    pub(crate) fn measure(gpu: &Gpu, read: &Read, budget: Budget) -> Result<Self> {
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
        let page = read.bind(gpu, &source);
        let time = |count| -> Result<f64> { Ok(median(&budget.measure(|| read.time(gpu, &page, count))?)) };
        Ok(Self {
            empty_submit_us: median(&empty),
            map_us: median(&map),
            gap_us: (time(MANY)? - time(1)?) / f64::from(MANY - 1),
        })
    }
}
