//! A call to be encoded, and what its passes are bound to.

use super::asked::Asked;
use super::buffers::{GpuInput, GpuLogits, GpuOutput, TokensOut};
use super::histories::Histories;
use super::passes::{Passes, Range};
use super::upload::Upload;
use crate::kernels::kernel::ChunkUniform;
use crate::plan::{Chunk, Plan, UNIFORM_BYTES, Window};

/// What a call is for. Its buffers serve another of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Logprobs,
    Sample,
    /// Samples of which only the tokens are wanted, on the device.
    Tokens,
    Divergence,
    /// An operation of this name, whose records nobody wants.
    Operation(&'static str),
}

/// What to encode.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) kind: Kind,
    pub(crate) logits: &'a GpuLogits<'a>,
    pub(crate) asked: Asked<'a>,
    /// What its lists take: [`Inputs::quads`](crate::request::Inputs::quads).
    pub(crate) quads: [usize; 2],
    pub(crate) mask: Option<GpuInput<'a>>,
    pub(crate) draft: Option<GpuInput<'a>>,
    pub(crate) tokens: Option<TokensOut<'a>>,
    /// The second batch, of which a divergence is taken.
    pub(crate) second: Option<GpuLogits<'a>>,
    /// Of the rows that run ahead, if some do.
    pub(crate) histories: Option<&'a Histories>,
    pub(crate) outs: &'a [GpuOutput<'a>],
    /// Bytes of one row in each of `outs`.
    pub(crate) out_row_bytes: u64,
}

/// What a call has of its own, to be bound beside the engine's buffers.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) upload: &'a Upload,
    /// The copy of the upload that the device writes, if one does.
    pub(crate) work: Option<&'a wgpu::Buffer>,
    pub(crate) records: &'a wgpu::Buffer,
    pub(crate) alignment: u64,
    pub(crate) most_rounds: u32,
}

/// The passes of a call, and the engine's buffers that they are bound to.
#[derive(Debug)]
pub(crate) struct Bindings {
    pub(crate) passes: Passes,
    /// What each chunk is told, but for the number of the call.
    pub(crate) uniforms: Vec<ChunkUniform>,
    pub(crate) logits: wgpu::Buffer,
    pub(crate) others: Vec<Option<(wgpu::Buffer, u64)>>,
    pub(crate) scratch: wgpu::Buffer,
    /// The copy of the upload that the device writes, if one does.
    pub(crate) work: Option<wgpu::Buffer>,
}

impl Bindings {
    pub(crate) fn new(
        job: &Job<'_>,
        passes: Passes,
        uniforms: Vec<ChunkUniform>,
        scratch: wgpu::Buffer,
        work: Option<wgpu::Buffer>,
    ) -> Self {
        let others = job.others().map(|other| other.map(|(buffer, offset)| (buffer.clone(), offset)));
        Self { passes, uniforms, logits: job.logits.buffer.clone(), others: others.collect(), scratch, work }
    }
}

impl<'a> Job<'a> {
    /// A job without buffers beside the logits.
    pub(crate) fn new(kind: Kind, logits: &'a GpuLogits<'a>, asked: Asked<'a>) -> Self {
        let quads = asked.quads();
        Job {
            kind,
            logits,
            asked,
            quads,
            mask: None,
            draft: None,
            tokens: None,
            second: None,
            histories: None,
            outs: &[],
            out_row_bytes: 0,
        }
    }

    /// The engine's buffers beside the logits, and where they begin.
    pub(crate) fn others(&self) -> impl Iterator<Item = Option<(&'a wgpu::Buffer, u64)>> {
        let inputs =
            [self.mask, self.draft].map(|input| input.map(|input| (input.buffer, input.byte_offset)));
        let second = self.second.map(|second| (second.buffer, second.byte_offset));
        inputs
            .into_iter()
            .chain([second, self.histories.map(|histories| (&histories.buffer, 0))])
            .chain(self.outs.iter().map(|out| Some((out.buffer, out.byte_offset))))
    }

    /// Whether these bindings, of the same plan, are of the same buffers.
    pub(crate) fn is_bound(&self, bindings: &Bindings, scratch: &wgpu::Buffer) -> bool {
        let others =
            bindings.others.iter().map(|other| other.as_ref().map(|(buffer, offset)| (buffer, *offset)));
        bindings.logits == *self.logits.buffer && bindings.scratch == *scratch && self.others().eq(others)
    }

    /// The bindings of one chunk. `unused` is bound where the engine gave none.
    pub(crate) fn bind(&self, chunk: &Chunk, own: &Own<'a>, unused: Range<'a>) -> Bound<'a> {
        let Own { plan, upload, work, records, alignment, most_rounds } = *own;
        let range = Range::new;
        // A chunk's part of a buffer with so many bytes per row.
        let window = |buffer, byte_offset: u64, row_bytes: u64| {
            let first = byte_offset + chunk.first_row as u64 * row_bytes;
            let window = Window::new(first, chunk.rows as u64 * row_bytes, 4, alignment);
            (range(buffer, window.offset, window.bytes), window.element_base)
        };
        let vocab = plan.shape.vocab as u64;
        let mask = self.mask.map(|mask| window(mask.buffer, mask.byte_offset, vocab.div_ceil(32) * 4));
        let draft = self.draft.map(|draft| {
            let (range, base) = window(draft.buffer, draft.byte_offset, vocab * 4);
            (range, base, plan.shape.vocab)
        });
        let second = self.second.map(|second| {
            let lies = Window::of_rows(&second.shape(), chunk.first_row, chunk.rows, alignment);
            (range(second.buffer, lies.offset, lies.bytes), lies.element_base, second.row_stride)
        });
        // A call has one of them at most.
        let (other, other_base, other_stride) = second.or(draft).unwrap_or((unused, 0, 0));
        let (outs, bases): (Vec<_>, Vec<_>) =
            self.outs.iter().map(|out| window(out.buffer, out.byte_offset, self.out_row_bytes)).unzip();
        let record_words = plan.demand.record_words() + plan.demand.token_words();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the plan keeps each below 2^32, and a stride within a binding"
        )]
        let (element_base, row_stride) = match plan.demand.has_offsets {
            true => (plan.shape.rows as u32, 0), // behind the heads
            // That of a single row says nothing, and may be anything.
            false => {
                (chunk.logits.element_base, if chunk.rows > 1 { plan.shape.row_stride as u32 } else { 1 })
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the plan keeps each below 2^32, and offsets in one buffer"
        )]
        let uniform_words = ChunkUniform {
            vocab: plan.shape.vocab as u32,
            tiles: plan.tiles as u32,
            listed: plan.demand.listed,
            rows: chunk.rows as u32,
            element_base,
            row_stride,
            record_words: plan.demand.record_words() as u32,
            out_base: bases.first().copied().unwrap_or(0),
            first_row: chunk.first_row as u32,
            call: 0,
            views: plan.demand.views,
            mask_words: mask.map_or(0, |_| plan.shape.vocab.div_ceil(32) as u32),
            mask_base: mask.map_or(0, |(_, base)| base),
            other_base,
            other_stride: other_stride as u32,
            draws: plan.demand.draws.unwrap_or(0),
            top_raw: plan.demand.top_raw,
            stage: 0,
            raw_list: 0,
            nothing: 0,
            most_rounds,
            token_ids: plan.demand.token_ids,
            first_given: upload.room.first_given() as u32,
        };
        let room = &upload.room;
        let words = work.unwrap_or(&upload.buffer);
        let quads_bytes = work.map_or(room.quads_bytes(), |work| work.size() - room.quads_offset());
        Bound {
            uniform_words,
            uniform: range(&upload.buffer, chunk.uniform_offset, UNIFORM_BYTES),
            logits: range(self.logits.buffer, chunk.logits.offset, chunk.logits.bytes),
            requests: range(words, room.requests_offset(), room.requests_bytes()),
            rows: range(words, room.quads_offset(), quads_bytes),
            mask: mask.map_or(unused, |(range, _)| range),
            other,
            records: range(records, chunk.records_offset, (chunk.rows * record_words * 4) as u64),
            outs,
        }
    }
}

/// One chunk's bindings, for the kernels that work on it.
pub(crate) struct Bound<'a> {
    pub(crate) uniform_words: ChunkUniform,
    pub(crate) uniform: Range<'a>,
    pub(crate) logits: Range<'a>,
    pub(crate) requests: Range<'a>,
    pub(crate) rows: Range<'a>,
    pub(crate) mask: Range<'a>,
    /// The draft's probabilities, or the second batch.
    pub(crate) other: Range<'a>,
    pub(crate) records: Range<'a>,
    pub(crate) outs: Vec<Range<'a>>,
}
