//! Pipelines, made on their first use and kept.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::dtype::Dtype;
use crate::error::Result;
use crate::guard::{guarded, lock};
use crate::kernel::{Kernel, Slot, dtype_constant};

/// The pipelines of one device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines(Mutex<HashMap<Variant, Pipeline>>);

impl Pipelines {
    /// The pipeline of a kernel with its overrides.
    pub(crate) fn get(
        &self,
        device: &wgpu::Device,
        kernel: &Kernel,
        dtype: Option<Dtype>,
        log_sum_exp: bool,
        int64: bool,
    ) -> Result<Pipeline> {
        let variant = Variant { kernel: kernel.name, dtype, log_sum_exp, int64 };
        let mut pipelines = lock(&self.0);
        if let Some(pipeline) = pipelines.get(&variant) {
            return Ok(pipeline.clone());
        }
        let made = guarded(device, "compiling the kernels", || compile(device, kernel, variant))?;
        pipelines.insert(variant, made.clone());
        Ok(made)
    }
}

/// A kernel with its overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    kernel: &'static str,
    dtype: Option<Dtype>,
    log_sum_exp: bool,
    /// Which text: [`crate::kernel::Wgsl`].
    int64: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) name: &'static str,
    pub(crate) layout: wgpu::BindGroupLayout,
    pub(crate) pipeline: wgpu::ComputePipeline,
}

fn compile(device: &wgpu::Device, kernel: &Kernel, variant: Variant) -> Pipeline {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(kernel.slots)
        .map(|(binding, slot)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match slot {
                    Slot::Chunk => wgpu::BufferBindingType::Uniform,
                    Slot::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Slot::Write => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let label = Some(kernel.name);
    let layout =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(kernel.wgsl.text(variant.int64).into()),
    });
    let mut constants = Vec::new();
    if let Some(dtype) = variant.dtype {
        constants.push(("DTYPE", dtype_constant(dtype)));
    }
    if variant.log_sum_exp {
        constants.push(("LOG_SUM_EXP", 1.0));
    }
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            zero_initialize_workgroup_memory: false, // every kernel writes before it reads
        },
        cache: None,
    });
    Pipeline { name: kernel.name, layout, pipeline }
}
