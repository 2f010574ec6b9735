//! Pipelines, made on their first use and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::guard::{lock, made};
use crate::error::Result;
use crate::kernels::kernel::{Kernel, Means, Slot};
use crate::kernels::tile_stats;
use crate::logits::Dtype;

/// What is known of a device, shared by its samplers: what was compiled, by what means weights of a type of logits are
/// computed, for a sampler that asks for integers or one that does not, and how many rounds of loops it carries out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    compiled: Compiled,
    verdicts: Mutex<Verdicts>,
    most_rounds: Mutex<Option<u32>>,
}

pub(super) type Verdicts = HashMap<(Dtype, bool), Means>;
type Compiled = Mutex<HashMap<Variant, Arc<Mutex<Option<Pipeline>>>>>;

/// The pipelines of one sampler.
#[derive(Debug)]
pub(crate) struct Pipelines {
    device: wgpu::Device,
    known: Arc<Known>,
    #[cfg(test)]
    planted: Option<Planted>,
    /// The device is believed without a check.
    #[cfg(test)]
    is_unchecked: bool,
}

/// A kernel in place of the one of its name, and what was compiled of it.
#[cfg(test)]
#[derive(Debug)]
struct Planted {
    kernel: Kernel,
    compiled: Compiled,
}

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device, known: Arc<Known>) -> Self {
        Self {
            device: device.clone(),
            known,
            #[cfg(test)]
            planted: None,
            #[cfg(test)]
            is_unchecked: false,
        }
    }

    /// Compiles this kernel wherever the one of its name is asked for, and believes the device.
    #[cfg(test)]
    pub(super) fn plant(&mut self, kernel: Kernel) {
        self.planted = Some(Planted { kernel, compiled: Compiled::default() });
        self.is_unchecked = true;
    }

    /// Believes the device, or checks it as if nothing were known of it.
    #[cfg(test)]
    pub(super) fn believe(&mut self, is_unchecked: bool) {
        self.is_unchecked = is_unchecked;
        if !is_unchecked {
            self.known = Arc::default();
        }
    }

    #[cfg(test)]
    pub(super) fn is_unchecked(&self) -> bool {
        self.is_unchecked
    }

    /// What is known, for another sampler on the device.
    pub(crate) fn shared(&self) -> Arc<Known> {
        self.known.clone()
    }

    /// Lets go of all that was compiled.
    #[cfg(target_family = "wasm")]
    pub(super) fn clear(&self) {
        lock(&self.known.compiled).clear();
    }

    /// By what means weights are computed, where that was found out.
    pub(super) fn verdicts(&self) -> &Mutex<Verdicts> {
        &self.known.verdicts
    }

    /// How many rounds of loops an invocation may take, where that was found out.
    pub(super) fn most_rounds(&self) -> &Mutex<Option<u32>> {
        &self.known.most_rounds
    }

    /// The pipeline of a kernel with its overrides.
    pub(crate) fn get(&self, kernel: &Kernel, dtype: Option<Dtype>, log_sum_exp: bool) -> Result<Pipeline> {
        let variant = Variant { dtype, log_sum_exp, ..Variant::of(kernel) };
        self.get_variant(kernel, variant)
    }

    /// The pipeline of a kernel over two batches of these types.
    pub(crate) fn get_pair(&self, kernel: &Kernel, [dtype, other]: [Dtype; 2]) -> Result<Pipeline> {
        let variant = Variant { dtype: Some(dtype), other: Some(other), ..Variant::of(kernel) };
        self.get_variant(kernel, variant)
    }

    /// The pipeline of pass 1 by these means.
    pub(super) fn first_pass(&self, dtype: Dtype, means: Means) -> Result<Pipeline> {
        let kernel = &tile_stats::KERNEL;
        let variant = Variant { dtype: Some(dtype), means, ..Variant::of(kernel) };
        self.get_variant(kernel, variant)
    }

    fn get_variant(&self, kernel: &Kernel, variant: Variant) -> Result<Pipeline> {
        #[cfg(test)]
        if let Some(Planted { kernel: faulty, compiled }) = &self.planted
            && faulty.name == kernel.name
        {
            return self.get_in(compiled, faulty, variant);
        }
        self.get_in(&self.known.compiled, kernel, variant)
    }

    fn get_in(&self, compiled: &Compiled, kernel: &Kernel, variant: Variant) -> Result<Pipeline> {
        // Whoever wants another kernel does not wait while this one is compiled.
        let place = lock(compiled).entry(variant).or_default().clone();
        let mut place = lock(&place);
        if let Some(pipeline) = &*place {
            return Ok(pipeline.clone());
        }
        let made = made(&self.device, "compiling the kernels", || compile(&self.device, kernel, variant))?;
        Ok(place.insert(made).clone())
    }
}

/// A kernel with its overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    kernel: &'static str,
    dtype: Option<Dtype>,
    /// Of the second batch.
    other: Option<Dtype>,
    log_sum_exp: bool,
    means: Means,
}

impl Variant {
    /// A kernel as it is.
    fn of(kernel: &Kernel) -> Self {
        Self { kernel: kernel.name, dtype: None, other: None, log_sum_exp: false, means: Means::Floats }
    }
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
        source: wgpu::ShaderSource::Wgsl(kernel.wgsl.text(variant.means).into()),
    });
    let mut constants = Vec::new();
    if let Some(dtype) = variant.dtype {
        constants.push(("DTYPE", dtype.code().into()));
    }
    if let Some(dtype) = variant.other {
        constants.push(("OTHER_DTYPE", dtype.code().into()));
    }
    if variant.log_sum_exp {
        constants.push(("LOG_SUM_EXP", 1.0));
    }
    if variant.means == Means::WalledFloats {
        constants.push(("WALLS", 1.0));
    }
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            // Every kernel writes before it reads; but Metal miscompiles barriers and uniform loads of memory that is not
            // zero at first (wgpu issue 4500).
            zero_initialize_workgroup_memory: device.adapter_info().backend == wgpu::Backend::Metal,
        },
        cache: None,
    });
    Pipeline { name: kernel.name, layout, pipeline }
}
