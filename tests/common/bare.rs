//! A step with the calls on wgpu that a sampler makes, and nothing else: what of the cost of a step is wgpu's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages};

/// Two kernels that do next to nothing, with as many bindings as a sampler's, and their buffers.
pub(crate) struct BareStep {
    dispatches: Vec<(wgpu::ComputePipeline, wgpu::BindGroup)>,
    upload: wgpu::Buffer,
    records: wgpu::Buffer,
    staging: wgpu::Buffer,
    tokens: Option<wgpu::Buffer>,
    is_mapped: Arc<AtomicBool>,
}

impl BareStep {
    /// A step that brings back records of so many bytes; with `tokens`, one that leaves the tokens of so many rows on the
    /// device.
    pub(crate) fn new(gpu: &Gpu, record_bytes: u64, tokens: Option<u64>) -> Self {
        let buffer = |size, usage| {
            let label = Some("sortilege");
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let upload = buffer(1 << 20, BufferUsages::UNIFORM | BufferUsages::STORAGE | BufferUsages::COPY_DST);
        let records = buffer(record_bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC);
        let read: Vec<wgpu::Buffer> = (0..8).map(|_| buffer(1024, BufferUsages::STORAGE)).collect();
        let storage_buffers: &[usize] = if tokens.is_some() { &[7, 8] } else { &[7, 6] };
        let dispatches =
            storage_buffers.iter().map(|&count| kernel(gpu, &upload, &read[1..count], &records)).collect();
        Self {
            dispatches,
            upload,
            records,
            staging: buffer(record_bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST),
            tokens: tokens.map(|rows| buffer(4 * rows, BufferUsages::COPY_DST)),
            is_mapped: Arc::default(),
        }
    }

    /// Records the step, with uploads at so many places.
    pub(crate) fn record(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, uploads: u64) {
        guarded(gpu, || {
            for i in 0..uploads {
                gpu.queue().write_buffer(&self.upload, i * 1024, &[7; 16]);
            }
        });
        let descriptor = wgpu::ComputePassDescriptor { label: Some("sortilege"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor).forget_lifetime();
        for (pipeline, group) in &self.dispatches {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        if let Some(tokens) = &self.tokens {
            encoder.copy_buffer_to_buffer(&self.records, 0, tokens, 0, tokens.size());
        }
        encoder.copy_buffer_to_buffer(&self.records, 0, &self.staging, 0, self.records.size());
        let is_mapped = self.is_mapped.clone();
        encoder.map_buffer_on_submit(
            &self.staging,
            wgpu::MapMode::Read,
            ..self.records.size(),
            move |result| {
                is_mapped.store(result.is_ok(), Ordering::Release);
            },
        );
    }

    /// Looks at the records of a step that the device has done, and lets them go.
    pub(crate) fn read(&self, gpu: &Gpu) {
        assert!(self.is_mapped.swap(false, Ordering::Acquire), "the records are here");
        let view = self.staging.slice(..self.records.size()).get_mapped_range();
        #[cfg(not(feature = "wgpu29"))]
        let view = view.expect("mapped");
        drop(view);
        guarded(gpu, || self.staging.unmap());
    }
}

fn kernel(
    gpu: &Gpu,
    uniform: &wgpu::Buffer,
    read: &[wgpu::Buffer],
    write: &wgpu::Buffer,
) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
    let mut text = "@group(0) @binding(0) var<uniform> u: vec4<u32>;".to_owned();
    let mut sum = "u.x".to_owned();
    for i in 1..=read.len() {
        text += &format!("@group(0) @binding({i}) var<storage, read> r{i}: array<u32>;");
        sum += &format!(" + r{i}[0]");
    }
    let last = read.len() + 1;
    text += &format!("@group(0) @binding({last}) var<storage, read_write> w: array<u32>;");
    text += &format!("@compute @workgroup_size(1) fn main() {{ w[0] = {sum}; }}");
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let part = wgpu::BufferBinding { buffer: uniform, offset: 0, size: std::num::NonZeroU64::new(256) };
    let whole = read.iter().chain([write]).map(|buffer| buffer.as_entire_binding());
    let entries: Vec<_> = (0..)
        .zip([wgpu::BindingResource::Buffer(part)].into_iter().chain(whole))
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    let layout = pipeline.get_bind_group_layout(0);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("sortilege"),
        layout: &layout,
        entries: &entries,
    });
    (pipeline, group)
}

/// Runs calls within the three error scopes of a sampler's.
fn guarded(gpu: &Gpu, calls: impl FnOnce()) {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [OutOfMemory, Internal, Validation].map(|filter| gpu.device().push_error_scope(filter));
    calls();
    for scope in scopes.into_iter().rev() {
        assert!(pollster::block_on(scope.pop()).is_none(), "an error");
    }
}
