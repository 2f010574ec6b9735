//! Dispatches in the making: bindings of every chunk, and what is uploaded for it.

use crate::buffers::{GpuInput, GpuLogits, GpuOutput};
use crate::exact::TILE_TOKENS;
use crate::kernel::ChunkUniform;
use crate::pipelines::Pipeline;
use crate::plan::{BATCH_BYTES, Chunk, Plan, Window};
use crate::readback::StepBuffers;
use crate::record::NO_TOKEN;
use crate::request::RequestWords;
use crate::timing::Stopwatch;

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

    /// As many bytes, further on.
    pub(crate) fn shifted(self, by: u64) -> Self {
        Self { offset: self.offset + by, ..self }
    }
}

/// What to encode.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) logits: &'a GpuLogits<'a>,
    pub(crate) requests: &'a [RequestWords],
    /// A head per row, then changes and allowed sets.
    pub(crate) rows: &'a [[u32; 4]],
    pub(crate) mask: Option<GpuInput<'a>>,
    pub(crate) draft: Option<GpuInput<'a>>,
    pub(crate) outs: &'a [GpuOutput<'a>],
    /// Bytes of one row in each of `outs`.
    pub(crate) out_row_bytes: u64,
    pub(crate) alignment: u64,
}

impl<'a> Job<'a> {
    /// The bindings of one chunk. `nothing` is bound where the engine gave no mask or draft.
    pub(crate) fn bind(&self, chunk: &Chunk, step: &'a StepBuffers, nothing: Range<'a>) -> Bound<'a> {
        let plan = self.plan;
        let range = |buffer, offset, bytes| Range { buffer, offset, bytes };
        // A chunk's part of a buffer with so many bytes per row.
        let window = |buffer, byte_offset: u64, row_bytes: u64| {
            let first = byte_offset + chunk.first_row as u64 * row_bytes;
            let window = Window::new(first, chunk.rows as u64 * row_bytes, 4, self.alignment);
            (range(buffer, window.offset, window.bytes), window.element_base)
        };
        let vocab = plan.shape.vocab as u64;
        let mask = self.mask.map(|mask| window(mask.buffer, mask.byte_offset, vocab.div_ceil(32) * 4));
        let draft = self.draft.map(|draft| window(draft.buffer, draft.byte_offset, vocab * 4));
        let (outs, bases): (Vec<_>, Vec<_>) =
            self.outs.iter().map(|out| window(out.buffer, out.byte_offset, self.out_row_bytes)).unzip();
        let record_words = plan.demand.record_words() + plan.demand.token_words();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the plan keeps each below 2^32, and offsets in one buffer"
        )]
        let batch = ChunkUniform {
            vocab: plan.shape.vocab as u32,
            tiles: plan.tiles as u32,
            listed: plan.demand.top_k,
            rows: chunk.rows as u32,
            element_base: chunk.logits.element_base,
            row_stride: plan.shape.row_stride as u32,
            record_words: plan.demand.record_words() as u32,
            out_base: bases.first().copied().unwrap_or(0),
            first_row: chunk.first_row as u32,
            call: step.number,
            views: plan.demand.views,
            mask_words: mask.map_or(0, |_| plan.shape.vocab.div_ceil(32) as u32),
            mask_base: mask.map_or(0, |(_, base)| base),
            draft_base: draft.map_or(0, |(_, base)| base),
            draft_stride: draft.map_or(0, |_| plan.shape.vocab as u32),
            draws: plan.demand.draws.unwrap_or(0),
            top_raw: plan.demand.top_raw,
            stage: 0,
            unused: [0; 2],
        };
        Bound {
            batch,
            uniform: range(&step.upload, chunk.batch_offset, BATCH_BYTES),
            logits: range(self.logits.buffer, chunk.logits.offset, chunk.logits.bytes),
            requests: range(&step.upload, plan.requests_offset, size_of_val(self.requests) as u64),
            rows: range(&step.upload, plan.rows_offset, size_of_val(self.rows) as u64),
            mask: mask.map_or(nothing, |(range, _)| range),
            draft: draft.map_or(nothing, |(range, _)| range),
            records: range(&step.records, chunk.records_offset, (chunk.rows * record_words * 4) as u64),
            outs,
        }
    }

    /// What the step uploads.
    pub(crate) fn upload(&self, batches: &[ChunkUniform]) -> Vec<u8> {
        let plan = self.plan;
        #[expect(clippy::cast_possible_truncation, reason = "within one buffer")]
        let place = |bytes: u64| bytes as usize;
        let mut upload = vec![0u8; place(plan.upload_bytes)];
        let mut put = |at: u64, bytes: &[u8]| upload[place(at)..][..bytes.len()].copy_from_slice(bytes);
        for (chunk, batch) in plan.chunks.iter().zip(batches) {
            for stage in (0..).take(plan.demand.stages(plan.shape.dtype).max(1)) {
                let offset = chunk.batch_offset + u64::from(stage) * plan.stage_step;
                put(offset, bytemuck::bytes_of(&ChunkUniform { stage, ..*batch }));
            }
        }
        put(plan.requests_offset, bytemuck::cast_slice(self.requests));
        put(plan.rows_offset, bytemuck::cast_slice(self.rows));
        upload
    }
}

/// One chunk's bindings, for the kernels that work on it.
pub(crate) struct Bound<'a> {
    pub(crate) batch: ChunkUniform,
    pub(crate) uniform: Range<'a>,
    pub(crate) logits: Range<'a>,
    pub(crate) requests: Range<'a>,
    pub(crate) rows: Range<'a>,
    pub(crate) mask: Range<'a>,
    pub(crate) draft: Range<'a>,
    pub(crate) records: Range<'a>,
    pub(crate) outs: Vec<Range<'a>>,
}

/// The heads of rows that are only observed.
pub(crate) fn heads(targets: &[Option<u32>], rows: usize) -> Vec<[u32; 4]> {
    (0..rows).map(|row| [0, targets.get(row).copied().flatten().unwrap_or(NO_TOKEN), 0, 0]).collect()
}

/// A dispatch, bound.
struct Dispatch {
    name: &'static str,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// Dispatches, bound and ready to be recorded.
#[derive(Default)]
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

pub(crate) fn tiles_of(vocab: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
    let tiles = vocab.div_ceil(TILE_TOKENS) as u32;
    tiles
}
