//! The engine's buffers: where logits and results lie, and whether they fit.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::plan::{Plan, Shape};

/// Logits `[rows][vocab]` in the engine's buffer, which is only read. The buffer needs the usage `STORAGE`.
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
}

impl<'a> GpuLogits<'a> {
    /// Rows one after the other from the start of the buffer.
    #[must_use]
    pub const fn packed(buffer: &'a wgpu::Buffer, dtype: Dtype, rows: usize, vocab: usize) -> Self {
        Self { buffer, byte_offset: 0, dtype, rows, vocab, row_stride: vocab }
    }

    pub(crate) fn shape(&self) -> Shape {
        let Self { dtype, rows, vocab, row_stride, byte_offset, .. } = *self;
        Shape { dtype, rows, vocab, row_stride, byte_offset }
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

/// A grammar mask: one bit per token, set where it is allowed; `[rows][ceil(vocab / 32)]` words, the lowest bit first, as
/// xgrammar and llguidance pack it. Bits past the vocabulary are not looked at.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// In host memory; it is uploaded with the requests.
    Host(&'a [u32]),
    /// On the device.
    Gpu(GpuInput<'a>),
}

/// What [`Sampler::sample`](crate::Sampler::sample) reads and writes beside the logits; `Default` is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleBuffers<'a> {
    /// The grammar mask.
    pub mask: Option<Mask<'a>>,
    /// Probabilities of the draft, f32 `[rows][vocab]`, for rows that verify a draft token by rejection. Only those rows
    /// are read.
    pub draft: Option<GpuInput<'a>>,
    /// Where the first drawn token of each row goes, u32 `[rows]`: the next step's input. The buffer needs the usage
    /// `COPY_DST`. A row without a token gets `u32::MAX`.
    pub tokens: Option<GpuOutput<'a>>,
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

pub(crate) fn check_logits(logits: &GpuLogits<'_>, plan: &Plan) -> Result<()> {
    check_usage(logits.buffer, wgpu::BufferUsages::STORAGE, "the logits")?;
    if plan.bytes_needed() > logits.buffer.size() {
        return Err(Error::Logits(format!(
            "[{}][{}] {} at byte {} with a row stride of {} ends at byte {}, the buffer has {}: correct the shape, or \
             make the buffer a multiple of 4 bytes",
            logits.rows,
            logits.vocab,
            logits.dtype,
            logits.byte_offset,
            logits.row_stride,
            plan.bytes_needed(),
            logits.buffer.size()
        )));
    }
    Ok(())
}

/// One dispatch cannot read and write, or write twice, one buffer.
pub(crate) fn check_apart(a: &wgpu::Buffer, b: &wgpu::Buffer, what: &str) -> Result<()> {
    if a == b {
        return Err(Error::Logits(format!("{what} lie in one buffer: use two")));
    }
    Ok(())
}

fn check_usage(buffer: &wgpu::Buffer, usage: wgpu::BufferUsages, what: &str) -> Result<()> {
    if !buffer.usage().contains(usage) {
        let names: Vec<&str> = usage.iter_names().map(|(name, _)| name).collect();
        return Err(Error::Logits(format!(
            "the buffer of {what} lacks the usage {}: create it with it",
            names.join(" | ")
        )));
    }
    Ok(())
}

/// Whether so many bytes of words lie in a buffer that may be used so.
pub(crate) fn check_words(
    buffer: &wgpu::Buffer,
    byte_offset: u64,
    bytes: u64,
    usage: wgpu::BufferUsages,
    what: &str,
) -> Result<()> {
    check_usage(buffer, usage, what)?;
    if !byte_offset.is_multiple_of(4) || byte_offset.saturating_add(bytes) > buffer.size() {
        return Err(Error::Logits(format!(
            "{what} of {bytes} bytes at byte {byte_offset} does not fit a buffer of {}, or the offset is no multiple of 4",
            buffer.size()
        )));
    }
    Ok(())
}

/// Sends what differs from what the buffer holds, and says how many bytes that were.
pub(crate) fn send_changes(
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    held: &mut Vec<u8>,
    wanted: &[u8],
) -> u64 {
    // Differences nearer than this go in one write, which costs more than the bytes.
    const GAP: usize = 128;
    let is_same = |held: &[u8], at: usize| held.get(at..at + 4) == Some(&wanted[at..at + 4]);
    let mut sent = 0;
    let mut at = 0;
    while at < wanted.len() {
        if is_same(held, at) {
            at += 4;
            continue;
        }
        let (start, mut end) = (at, at + 4);
        while at < wanted.len() && at < end + GAP {
            if !is_same(held, at) {
                end = at + 4;
            }
            at += 4;
        }
        queue.write_buffer(buffer, start as u64, &wanted[start..end]);
        sent += (end - start) as u64;
        at = end;
    }
    if held.len() < wanted.len() {
        held.resize(wanted.len(), 0);
    }
    held[..wanted.len()].copy_from_slice(wanted);
    sent
}

pub(crate) fn check_outputs(outs: &[GpuOutput<'_>], bytes: u64, alignment: u64) -> Result<()> {
    for out in outs {
        check_words(out.buffer, out.byte_offset, bytes, wgpu::BufferUsages::STORAGE, "the result")?;
        // One `out_base` serves all outputs of a kernel.
        if out.byte_offset % alignment != outs[0].byte_offset % alignment {
            return Err(Error::Logits(format!(
                "the outputs start at bytes {} and {}: the remainders modulo {alignment} must be equal",
                outs[0].byte_offset, out.byte_offset
            )));
        }
    }
    Ok(())
}
