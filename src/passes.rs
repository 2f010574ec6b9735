//! Dispatches in the making: bindings of every chunk, and what is uploaded for it.

use crate::buffers::{GpuLogits, GpuOutput};
use crate::exact::{Scale, TILE_TOKENS};
use crate::kernel::Batch;
use crate::pipelines::Pipeline;
use crate::plan::{BATCH_BYTES, Chunk, Plan, Window};
use crate::readback::StepBuffers;
use crate::record::{NO_TOKEN, RawRecord};

/// A range of a buffer to bind.
#[derive(Clone, Copy)]
pub(crate) struct Range<'a> {
    buffer: &'a wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl<'a> Range<'a> {
    pub(crate) fn whole(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, bytes: buffer.size() }
    }
}

/// What to encode.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) logits: &'a GpuLogits<'a>,
    pub(crate) scale: Scale,
    pub(crate) targets: &'a [Option<u32>],
    pub(crate) outs: &'a [GpuOutput<'a>],
    /// Bytes of one row in each of `outs`.
    pub(crate) out_row_bytes: u64,
    pub(crate) alignment: u64,
}

impl<'a> Job<'a> {
    /// The bindings of one chunk.
    pub(crate) fn bind(&self, chunk: &Chunk, step: &'a StepBuffers) -> Bound<'a> {
        let range = |buffer, offset, bytes| Range { buffer, offset, bytes };
        let windows: Vec<Window> = self
            .outs
            .iter()
            .map(|out| {
                let first = out.byte_offset + chunk.first_row as u64 * self.out_row_bytes;
                Window::new(first, chunk.rows as u64 * self.out_row_bytes, 4, self.alignment)
            })
            .collect();
        let record_bytes = (chunk.rows * RawRecord::words(self.plan.top_k) * 4) as u64;
        Bound {
            rows: rows_of(chunk),
            batch: range(&step.upload, chunk.batch_offset, BATCH_BYTES),
            logits: range(self.logits.buffer, chunk.logits.offset, chunk.logits.bytes),
            targets: range(&step.upload, chunk.targets_offset, chunk.rows as u64 * 4),
            records: range(&step.records, chunk.records_offset, record_bytes),
            outs: self
                .outs
                .iter()
                .zip(&windows)
                .map(|(out, w)| range(out.buffer, w.offset, w.bytes))
                .collect(),
            out_base: windows.first().map_or(0, |window| window.element_base),
        }
    }
}

/// One chunk's bindings, for the kernels that work on it.
pub(crate) struct Bound<'a> {
    pub(crate) rows: u32,
    pub(crate) batch: Range<'a>,
    pub(crate) logits: Range<'a>,
    pub(crate) targets: Range<'a>,
    pub(crate) records: Range<'a>,
    pub(crate) outs: Vec<Range<'a>>,
    /// First result in each of `outs`, in words.
    pub(crate) out_base: u32,
}

/// The uniform and the targets of one chunk.
pub(crate) fn fill_upload(upload: &mut [u8], job: &Job<'_>, chunk: &Chunk, out_base: u32, step: u32) {
    let Job { plan, scale, targets, .. } = *job;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the plan keeps each below 2^32, and offsets in one buffer"
    )]
    let (batch, at, targets_at) = (
        Batch {
            vocab: plan.shape.vocab as u32,
            tiles: plan.tiles as u32,
            top_k: plan.top_k,
            rows: chunk.rows as u32,
            element_base: chunk.logits.element_base,
            row_stride: plan.shape.row_stride as u32,
            record_words: RawRecord::words(plan.top_k) as u32,
            out_base,
            shift: scale.shift,
            rate: scale.rate,
            half_window: scale.half_window,
            step,
        },
        chunk.batch_offset as usize,
        chunk.targets_offset as usize,
    );
    upload[at..at + size_of::<Batch>()].copy_from_slice(bytemuck::bytes_of(&batch));
    for row in 0..chunk.rows {
        let token = targets.get(chunk.first_row + row).copied().flatten().unwrap_or(NO_TOKEN);
        upload[targets_at + row * 4..][..4].copy_from_slice(&token.to_ne_bytes());
    }
}

/// Dispatches, bound and ready to be recorded.
#[derive(Default)]
pub(crate) struct Passes {
    list: Vec<(wgpu::ComputePipeline, wgpu::BindGroup, [u32; 3])>,
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
        self.list.push((kernel.pipeline.clone(), group, workgroups));
    }

    pub(crate) fn run(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("sortilege"),
            timestamp_writes: None,
        });
        for (pipeline, group, [x, y, z]) in &self.list {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(*x, *y, *z);
        }
    }
}

pub(crate) fn rows_of(chunk: &Chunk) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a chunk has at most as many rows as a dispatch workgroups"
    )]
    let rows = chunk.rows as u32;
    rows
}

pub(crate) fn tiles_of(vocab: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
    let tiles = vocab.div_ceil(TILE_TOKENS) as u32;
    tiles
}
