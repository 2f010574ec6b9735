//! Dispatches, bound and ready to be recorded.

use super::pipelines::Pipeline;
use super::timing::Stopwatch;

/// A range of a buffer to bind.
#[derive(Clone, Copy)]
pub(crate) struct Range<'a> {
    buffer: &'a wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl<'a> Range<'a> {
    pub(crate) fn new(buffer: &'a wgpu::Buffer, offset: u64, bytes: u64) -> Self {
        Self { buffer, offset, bytes }
    }

    /// All of a buffer.
    pub(crate) fn whole(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, bytes: buffer.size() }
    }

    /// Whether it holds something of so many bytes.
    pub(crate) fn holds(&self, bytes: u64) -> bool {
        self.bytes >= bytes
    }

    /// A range of as many bytes, further on.
    pub(crate) fn shifted(self, by: u64) -> Self {
        Self { offset: self.offset + by, ..self }
    }
}

/// A dispatch, bound.
#[derive(Debug)]
struct Dispatch {
    name: &'static str,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// Dispatches, bound and ready to be recorded.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    list: Vec<Dispatch>,
}

impl Passes {
    pub(crate) fn add(
        &mut self,
        device: &wgpu::Device,
        kernel: &Pipeline,
        ranges: &[Range<'_>],
        workgroups: [u32; 3],
    ) {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(ranges)
            .map(|(binding, range)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: range.buffer,
                    offset: range.offset,
                    size: std::num::NonZeroU64::new(range.bytes),
                }),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("sortilege"),
            layout: &kernel.layout,
            entries: &entries,
        });
        self.list.push(Dispatch { name: kernel.name, pipeline: kernel.pipeline.clone(), group, workgroups });
    }

    /// The kernels in order.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.list.iter().map(|dispatch| dispatch.name).collect()
    }

    /// Records all dispatches as one pass, or each as a pass with its timestamps.
    pub(crate) fn run(&self, encoder: &mut wgpu::CommandEncoder, stopwatch: Option<&Stopwatch>) {
        let mut begin = |timestamp_writes| {
            let label = Some("sortilege");
            encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes })
                .forget_lifetime()
        };
        match stopwatch {
            None => {
                let mut pass = begin(None);
                self.list.iter().for_each(|dispatch| dispatch.record(&mut pass));
            }
            Some(stopwatch) => (0..).zip(&self.list).for_each(|(number, dispatch)| {
                dispatch.record(&mut begin(Some(stopwatch.writes(number))));
            }),
        }
    }
}

impl Dispatch {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}
