//! The ceiling of a device: a kernel that reads a buffer and does nothing else.

use std::time::Instant;

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages as Usage};

use super::commands::{buffer, encoder, finish, read_back, staging};
use crate::bench::times::microseconds;
use crate::failure::{Failure, Result};

const WORKGROUP: u64 = 256;
/// WebGPU's limit for a dimension.
const MAX_WORKGROUPS: u64 = 65_535;
/// Half of what an index of 32 bits reaches.
const MAX_BINDING: u64 = 1 << 31;
/// Alignment of a binding's offset.
const ALIGNMENT: u64 = 256;

/// The kernel that reads, and the clock that it is measured with.
pub(crate) struct ReadKernel {
    pipeline: wgpu::ComputePipeline,
    sums: wgpu::Buffer,
    clock: Option<Clock>,
}

/// Two timestamps, from the start of a pass to its end.
struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    period: f64,
}

/// A buffer, bound in parts as large as the device allows.
pub(crate) struct BoundBuffer(Vec<(wgpu::BindGroup, u32)>);

impl ReadKernel {
    /// The kernel, after it was seen to read every word.
    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("read"),
            source: wgpu::ShaderSource::Wgsl(include_str!("ceiling.wgsl").into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("read"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let sums =
            buffer(gpu, "sums", MAX_WORKGROUPS * 4, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        let has_timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let clock = if has_timestamps { Some(Clock::new(gpu)?) } else { None };
        let kernel = Self { pipeline, sums, clock };
        kernel.check(gpu)?;
        Ok(kernel)
    }

    /// An error unless the kernel sums words that no two places share, over a size that no workgroup divides.
    fn check(&self, gpu: &Gpu) -> Result<()> {
        const WORDS: u32 = 300_004;
        let words: Vec<u32> = (0..WORDS).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let source = buffer(gpu, "words", bytes.len() as u64, Usage::STORAGE | Usage::COPY_DST)?;
        gpu.queue().write_buffer(&source, 0, &bytes);
        let staging = staging(gpu, self.sums.size())?;
        let mut encoder = encoder(gpu);
        encoder.clear_buffer(&self.sums, 0, None);
        self.encode(&mut encoder, &self.bind(gpu, &source), 1, None);
        encoder.copy_buffer_to_buffer(&self.sums, 0, &staging, 0, staging.size());
        let sums = read_back(gpu, encoder, &staging)?;
        let sum = |words: &mut dyn Iterator<Item = u32>| words.fold(0, u32::wrapping_add);
        let got = sum(&mut sums.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word)));
        let expected = sum(&mut words.into_iter());
        if got != expected {
            return Err(Failure::Mismatch(format!(
                "{}: the read kernel sums to {got} instead of {expected}",
                gpu.info().name
            )));
        }
        Ok(())
    }

    /// A whole buffer, whose size is a multiple of 16.
    pub(crate) fn bind(&self, gpu: &Gpu, words: &wgpu::Buffer) -> BoundBuffer {
        let limit = gpu.device().limits().max_storage_buffer_binding_size;
        let largest = limit.min(MAX_BINDING) / ALIGNMENT * ALIGNMENT;
        let layout = self.pipeline.get_bind_group_layout(0);
        let parts = (0..words.size().div_ceil(largest)).map(|part| {
            let offset = part * largest;
            let bytes = largest.min(words.size() - offset);
            let binding =
                wgpu::BufferBinding { buffer: words, offset, size: std::num::NonZeroU64::new(bytes) };
            let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("read"),
                layout: &layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(binding) },
                    wgpu::BindGroupEntry { binding: 1, resource: self.sums.as_entire_binding() },
                ],
            });
            (group, workgroups(bytes / 16))
        });
        BoundBuffer(parts.collect())
    }

    /// Encodes so many reads.
    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        bound: &BoundBuffer,
        count: u32,
        clock: Option<&Clock>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("read"),
            timestamp_writes: clock.map(|clock| wgpu::ComputePassTimestampWrites {
                query_set: &clock.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        pass.set_pipeline(&self.pipeline);
        for _ in 0..count {
            for (group, workgroups) in &bound.0 {
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(*workgroups, 1, 1);
            }
        }
    }

    /// Microseconds of so many reads, on the device where it has timestamps.
    pub(crate) fn time(&self, gpu: &Gpu, bound: &BoundBuffer, count: u32) -> Result<f64> {
        let start = Instant::now();
        let mut encoder = encoder(gpu);
        self.encode(&mut encoder, bound, count, self.clock.as_ref());
        if let Some(clock) = &self.clock {
            return clock.read(gpu, encoder);
        }
        finish(gpu, encoder)?;
        Ok(microseconds(start))
    }
}

/// One vector per lane, until there are so many workgroups that lanes had better read several.
fn workgroups(vectors: u64) -> u32 {
    let per_lane = (vectors / (WORKGROUP * 1024)).clamp(1, 16);
    let count = vectors.div_ceil(WORKGROUP * per_lane).clamp(1, MAX_WORKGROUPS);
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Clock {
    fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self {
            queries: gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("read"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(gpu, "timestamps", 16, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?,
            staging: staging(gpu, 16)?,
            period: gpu.queue().get_timestamp_period().into(),
        })
    }

    /// Submits, and returns the microseconds between the two timestamps.
    fn read(&self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder) -> Result<f64> {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 16);
        let bytes = read_back(gpu, encoder, &self.staging)?;
        let ticks: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|tick| u64::from_ne_bytes(*tick)).collect();
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * self.period / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use naga::{Expression, Literal};

    #[test]
    fn the_kernel_has_the_workgroup_that_the_host_counts_with() {
        let module = naga::front::wgsl::parse_str(include_str!("ceiling.wgsl")).expect("WGSL");
        assert_eq!(module.entry_points[0].workgroup_size.map(u64::from), [super::WORKGROUP, 1, 1]);
        let stride =
            module.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some("WORKGROUP"));
        let (_, stride) = stride.expect("a constant");
        let Expression::Literal(Literal::U32(stride)) = module.global_expressions[stride.init] else {
            panic!("no literal")
        };
        assert_eq!(u64::from(stride), super::WORKGROUP);
    }
}
