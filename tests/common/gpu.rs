//! Devices, and buffers on them: a GPU test without an adapter fails, it never skips.

use sortilege::device::{Gpu, adapters, find};
use sortilege::wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, CommandEncoderDescriptor, MapMode, PollType,
};
use sortilege::{Dtype, SamplerOptions};

/// Every adapter that `SORTILEGE_TEST_ADAPTERS` names (ids, comma separated), or if it is not set every adapter that
/// can run the kernels. Each is opened with its own kernels, and once more with those by integers alone.
///
/// # Panics
/// If one of them is missing, or there is none.
pub(crate) fn gpus() -> Vec<Gpu> {
    let wanted = std::env::var("SORTILEGE_TEST_ADAPTERS").ok();
    let mut list = adapters(true);
    if let Some(wanted) = &wanted {
        let ids: Vec<&str> = wanted.split(',').map(str::trim).collect();
        list.retain(|adapter| ids.contains(&adapter.id.as_str()));
        for id in ids {
            assert!(list.iter().any(|adapter| adapter.id == id), "adapter {id} is required and missing");
        }
    } else {
        list.retain(|adapter| adapter.unfit.is_none());
    }
    assert!(!list.is_empty(), "no adapter: scripts/test installs a software driver");
    let integers = SamplerOptions { integers: true, ..SamplerOptions::default() };
    let mut gpus = Vec::new();
    for adapter in list {
        let id = adapter.id.clone();
        let open = |adapter| Gpu::open(adapter).expect("the adapter opens and passes its self-check");
        gpus.push(open(adapter));
        if gpus.last().is_some_and(|gpu| !gpu.sampler().uses_integers(Dtype::F32).expect("a verdict")) {
            let again = open(find(adapters(true), &id).expect("it was there"));
            gpus.push(again.with_options(integers).expect("the same device"));
        }
    }
    gpus
}

/// A buffer of zeros.
pub(crate) fn buffer(gpu: &Gpu, bytes: u64, usage: BufferUsages) -> Buffer {
    let descriptor = BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
    gpu.device().create_buffer(&descriptor)
}

/// A storage buffer with this content, which `read` can read back.
pub(crate) fn upload(gpu: &Gpu, bytes: &[u8]) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let made = buffer(gpu, bytes.len() as u64, usage);
    gpu.queue().write_buffer(&made, 0, bytes);
    made
}

/// The words of a buffer with the usage `COPY_SRC`, once the device has done what was submitted.
pub(crate) fn read(gpu: &Gpu, from: &Buffer) -> Vec<u32> {
    let staging = buffer(gpu, from.size(), BufferUsages::MAP_READ | BufferUsages::COPY_DST);
    let mut open = encoder(gpu);
    open.copy_buffer_to_buffer(from, 0, &staging, 0, from.size());
    open.map_buffer_on_submit(&staging, MapMode::Read, .., |_| ());
    gpu.queue().submit([open.finish()]);
    gpu.device().poll(PollType::wait_indefinitely()).expect("the device finishes");
    let view = staging.slice(..).get_mapped_range();
    #[cfg(not(feature = "wgpu29"))]
    let view = view.expect("mapped");
    bytemuck::cast_slice(&view).to_vec()
}

pub(crate) fn encoder(gpu: &Gpu) -> CommandEncoder {
    gpu.device().create_command_encoder(&CommandEncoderDescriptor::default())
}
