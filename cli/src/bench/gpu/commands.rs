//! Buffers of a device, and commands that are submitted, waited for and read back. It does not know what they compute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages as Usage};

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

/// An encoder of commands.
pub(crate) fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("bench") })
}

/// Commands on their way.
pub(crate) struct Done(Arc<AtomicBool>);

impl Done {
    /// Waits until they are done.
    pub(crate) fn wait(&self, gpu: &Gpu) -> Result<()> {
        Ok(gpu.wait_until(|| self.0.load(Ordering::Acquire))?)
    }
}

/// Submits commands, which are not waited for.
pub(crate) fn submit(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Done {
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    encoder.on_submitted_work_done(move || is_done.store(true, Ordering::Release));
    gpu.queue().submit([encoder.finish()]);
    Done(done)
}

/// Submits commands and waits for them.
pub(crate) fn finish(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Result<()> {
    submit(gpu, encoder).wait(gpu)
}

/// Writes a large buffer, so that nothing else is left in the caches. Waited for: what follows in one submit need not
/// wait for a buffer that it does not use, and its first timestamp may be later than its start.
pub(crate) fn flush(gpu: &Gpu, large: &wgpu::Buffer) -> Result<()> {
    let mut encoder = encoder(gpu);
    encoder.clear_buffer(large, 0, None);
    finish(gpu, encoder)
}

/// A buffer that the host reads.
pub(crate) fn staging(gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
    buffer(gpu, "staging", bytes, Usage::MAP_READ | Usage::COPY_DST)
}

/// Bytes of a staging buffer that the commands fill.
pub(crate) fn read_back(gpu: &Gpu, encoder: wgpu::CommandEncoder, staging: &wgpu::Buffer) -> Result<Vec<u8>> {
    let [done, failed] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (is_done, has_failed) = (done.clone(), failed.clone());
    encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, .., move |result| {
        has_failed.store(result.is_err(), Ordering::Release);
        is_done.store(true, Ordering::Release);
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
