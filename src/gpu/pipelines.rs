//! Pipelines, made on their first use and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::guard::{guarded, lock};
use crate::error::Result;
use crate::kernels::kernel::{Kernel, Slot};
use crate::logits::Dtype;

/// What was compiled for a device, shared by its samplers.
pub(crate) type Cache = Mutex<HashMap<Variant, Pipeline>>;

/// The pipelines of one sampler.
#[derive(Debug)]
pub(crate) struct Pipelines {
    device: wgpu::Device,
    compiled: Arc<Cache>,
    /// Which text of a kernel: [`Wgsl`](crate::kernels::kernel::Wgsl).
    int64: bool,
    /// A kernel in place of the one of its name.
    #[cfg(test)]
    planted: Option<Planted>,
}

/// A kernel with a fault, and what was compiled of it.
#[cfg(test)]
#[derive(Debug)]
struct Planted {
    kernel: Kernel,
    compiled: Cache,
}

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device, compiled: Arc<Cache>, int64: bool) -> Self {
        Self {
            device: device.clone(),
            compiled,
            int64,
            #[cfg(test)]
            planted: None,
        }
    }

    /// Compiles this kernel wherever the one of its name is asked for.
    #[cfg(test)]
    pub(super) fn plant(&mut self, kernel: Kernel) {
        self.planted = Some(Planted { kernel, compiled: Cache::default() });
    }

    /// What is compiled, for another sampler on the device.
    pub(crate) fn shared(&self) -> Arc<Cache> {
        self.compiled.clone()
    }

    pub(crate) fn has_int64(&self) -> bool {
        self.int64
    }

    /// The pipeline of a kernel with its overrides.
    pub(crate) fn get(&self, kernel: &Kernel, dtype: Option<Dtype>, log_sum_exp: bool) -> Result<Pipeline> {
        let variant = Variant { kernel: kernel.name, dtype, log_sum_exp, int64: self.int64 };
        #[cfg(test)]
        if let Some(Planted { kernel: faulty, compiled }) = &self.planted
            && faulty.name == kernel.name
        {
            return self.get_in(compiled, faulty, variant);
        }
        self.get_in(&self.compiled, kernel, variant)
    }

    fn get_in(&self, compiled: &Cache, kernel: &Kernel, variant: Variant) -> Result<Pipeline> {
        let mut compiled = lock(compiled);
        if let Some(pipeline) = compiled.get(&variant) {
            return Ok(pipeline.clone());
        }
        let made = guarded(&self.device, "compiling the kernels", || compile(&self.device, kernel, variant))?;
        compiled.insert(variant, made.clone());
        Ok(made)
    }
}

/// A kernel with its overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    kernel: &'static str,
    dtype: Option<Dtype>,
    log_sum_exp: bool,
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
        constants.push(("DTYPE", dtype.code().into()));
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
