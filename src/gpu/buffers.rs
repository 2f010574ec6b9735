//! The engine's buffers, where logits, masks, drafts and results lie; and how our own are made.

use super::histories::Histories;
use crate::logits::{Dtype, Shape};

/// Logits `[rows][vocab]` in the engine's buffer, which is only read. The buffer needs the usage `STORAGE`. Construct it from
/// [`GpuLogits::packed`] with `..`: new fields come in minor versions.
#[derive(Clone, Copy, Debug)]
pub struct GpuLogits<'a> {
    /// The engine's buffer. It may be larger than the logits, whose end is rounded up to a whole word of 4 bytes.
    pub buffer: &'a wgpu::Buffer,
    /// Bytes from its start to the first logit: any multiple of the element's size.
    pub byte_offset: u64,
    /// Element type.
    pub dtype: Dtype,
    /// Rows.
    pub rows: usize,
    /// Tokens of a row, 1 to 2^20.
    pub vocab: usize,
    /// Elements from the start of one row to the start of the next, at least `vocab`.
    pub row_stride: usize,
    /// Empty, or for each row, in place of the stride, the elements from `byte_offset` to its start: the last positions of
    /// prompts of several lengths, say. In any order; a row may come more than once. Still two dispatches, where one binding
    /// holds the rows; where it holds the buffer from `byte_offset` to its end, nothing is bound anew when they move.
    pub row_offsets: &'a [u64],
}

impl<'a> GpuLogits<'a> {
    /// Rows one after the other from the start of the buffer.
    #[must_use]
    pub const fn packed(buffer: &'a wgpu::Buffer, dtype: Dtype, rows: usize, vocab: usize) -> Self {
        Self { buffer, byte_offset: 0, dtype, rows, vocab, row_stride: vocab, row_offsets: &[] }
    }

    pub(crate) fn shape(&self) -> Shape {
        let Self { dtype, rows, vocab, byte_offset, .. } = *self;
        let row_stride = if self.row_offsets.is_empty() { self.row_stride } else { vocab };
        Shape { dtype, rows, vocab, row_stride, byte_offset }
    }

    /// Bytes from the start of the buffer to that of a row that is known to lie in it.
    pub(crate) fn first_byte(&self, row: usize) -> u64 {
        let elements = match self.row_offsets.get(row) {
            Some(offset) => *offset,
            None => row as u64 * self.row_stride as u64,
        };
        self.byte_offset + elements * self.dtype.bytes() as u64
    }
}

/// Where an operation writes its results: f32 or u32 words in the engine's buffer, which needs the usage `STORAGE` (for
/// [`SampleBuffers::tokens`] `COPY_DST`).
#[derive(Clone, Copy, Debug)]
pub struct GpuOutput<'a> {
    /// The engine's buffer.
    pub buffer: &'a wgpu::Buffer,
    /// Bytes from its start to the first result, a multiple of 4.
    pub byte_offset: u64,
}

impl<'a> GpuOutput<'a> {
    /// Results from the start of the buffer.
    #[must_use]
    pub const fn new(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, byte_offset: 0 }
    }
}

/// Numbers in the engine's buffer that are only read. It needs the usage `STORAGE`.
#[derive(Clone, Copy, Debug)]
pub struct GpuInput<'a> {
    /// The engine's buffer.
    pub buffer: &'a wgpu::Buffer,
    /// Bytes from its start to the first number, a multiple of 4.
    pub byte_offset: u64,
}

impl<'a> GpuInput<'a> {
    /// Numbers from the start of the buffer.
    #[must_use]
    pub const fn new(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, byte_offset: 0 }
    }
}

/// A grammar mask: one bit per token, set where it is allowed; `[rows][ceil(vocab / 32)]` words, the lowest bit first,
/// as xgrammar and llguidance pack it. Bits past the vocabulary are not looked at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Mask<'a> {
    /// In host memory; it is uploaded with the requests.
    Host(&'a [u32]),
    /// On the device.
    Gpu(GpuInput<'a>),
}

/// What [`Sampler::sample`](crate::Sampler::sample) reads and writes beside the logits; `Default` is nothing. Construct it with
/// `..Default::default()`: new fields come in minor versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleBuffers<'a> {
    /// The grammar mask.
    pub mask: Option<Mask<'a>>,
    /// Probabilities of the draft, which the engine computes: f32 `[rows][vocab]` without gaps, in the order of the batch. A
    /// row holds what the row's own draft tokens were drawn from: the draft's answer to the same text as the row's logits.
    /// Only rows with draft tokens by rejection or as a block, and not greedy, are looked at; the last row of a chain, and
    /// a leaf of a tree, may hold anything. Where few of many rows have drafts, give them a call of their own.
    pub draft: Option<GpuInput<'a>>,
    /// Where the first drawn token of each row goes, u32 `[rows]`: the next step's input. The buffer needs the usage
    /// `COPY_DST`. A row without a token gets [`NO_TOKEN`](crate::NO_TOKEN).
    pub tokens: Option<GpuOutput<'a>>,
    /// Empty, or for each row the words from the start of `tokens` to where its token goes, such as the next position of a
    /// `[rows][context]`; a copy for each row then, in their order.
    pub token_offsets: &'a [u64],
    /// Where requests that look at their tokens keep them, to run ahead of the host and to finish there; all steps of a
    /// request have the same. A dispatch more where a row uses them. Rows of drafts, and rows that are detached, do not run
    /// ahead.
    pub histories: Option<&'a Histories>,
}

/// Where the drawn tokens go.
#[derive(Clone, Copy)]
pub(crate) struct TokensOut<'a> {
    pub(crate) out: GpuOutput<'a>,
    pub(crate) offsets: &'a [u64],
}

/// A buffer, unmapped.
pub(crate) fn buffer(
    device: &wgpu::Device,
    label: &str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}
