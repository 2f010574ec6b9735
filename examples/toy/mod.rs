//! A language model of the examples in two buffers: its logits are a function of the last token.

use sortilege::wgpu::{self, BufferUsages};

pub(crate) const VOCAB: u32 = 1000;

const MODEL: &str = "
@group(0) @binding(0) var<storage, read> tokens: array<u32>;             // [rows]
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;       // [rows][vocab]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < 1000u {
        let mixed = (tokens[id.y] * 2654435761u) ^ (id.x * 2246822519u);
        logits[id.y * 1000u + id.x] = f32((mixed >> 7u) & 1023u) / 64.0;
    }
}";

pub(crate) struct Model {
    /// The last token of each row, u32.
    pub(crate) tokens: wgpu::Buffer,
    /// `[rows][VOCAB]` f32.
    pub(crate) logits: wgpu::Buffer,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    rows: u32,
}

impl Model {
    pub(crate) fn new(device: &wgpu::Device, rows: u32) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("model"),
            source: wgpu::ShaderSource::Wgsl(MODEL.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("model"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let buffer = |words: u32| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: u64::from(words) * 4,
                usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (tokens, logits) = (buffer(rows), buffer(rows * VOCAB));
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: tokens.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: logits.as_entire_binding() },
            ],
        });
        Self { tokens, logits, pipeline, bindings, rows }
    }

    /// Records the forward pass of all rows.
    pub(crate) fn forward(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(VOCAB.div_ceil(64), self.rows, 1);
    }
}
