//! Whether the engine's buffers and limits are what a call needs.

use super::buffers::{GpuLogits, GpuOutput, TokensOut};
use crate::error::{Error, Result};
use crate::logits::bytes_needed;
use crate::plan::{DeviceLimits, Plan};

/// Nothing, if the logits lie in their buffer and it may be read.
pub(crate) fn check_logits(logits: &GpuLogits<'_>, plan: &Plan) -> Result<()> {
    check_range(logits, plan.bytes_needed(), "the logits")
}

/// Nothing, if these logits may be read and end, at this byte, within their buffer.
fn check_range(logits: &GpuLogits<'_>, end: u64, what: &str) -> Result<()> {
    check_usage(logits.buffer, wgpu::BufferUsages::STORAGE, what)?;
    if end > logits.buffer.size() {
        return Err(Error::Logits(format!(
            "{what}, [{}][{}] {} at byte {} with a row stride of {}, in whole words of 4 bytes, ends at byte {}, the buffer has \
             {}: correct the shape, or make it larger",
            logits.rows,
            logits.vocab,
            logits.dtype,
            logits.byte_offset,
            logits.row_stride,
            end,
            logits.buffer.size()
        )));
    }
    Ok(())
}

/// Nothing, if the second of two batches, whose shape is checked, lies in its buffer and may be read.
pub(crate) fn check_second(logits: &GpuLogits<'_>) -> Result<()> {
    let GpuLogits { dtype, rows, vocab, row_stride, .. } = *logits;
    let bytes = bytes_needed(dtype, rows, vocab, row_stride).map_or(u64::MAX, |bytes| bytes as u64);
    let end = if rows == 0 { 0 } else { logits.byte_offset.saturating_add(bytes).next_multiple_of(4) };
    check_range(logits, end, "the second batch")
}

/// Nothing, if each row has an offset, with which it lies in the buffer; or none has.
pub(crate) fn check_offsets(logits: &GpuLogits<'_>) -> Result<()> {
    let GpuLogits { buffer, byte_offset, dtype, rows, vocab, row_offsets, .. } = *logits;
    if row_offsets.is_empty() {
        return Ok(());
    }
    if row_offsets.len() != rows {
        return Err(Error::Logits(format!(
            "{} row offsets for {rows} rows: give one for each, or none",
            row_offsets.len()
        )));
    }
    let end_of = |offset: u64| {
        let end = offset.checked_add(vocab as u64)?.checked_mul(dtype.bytes() as u64)?;
        end.checked_add(byte_offset)?.checked_next_multiple_of(4)
    };
    for (row, &offset) in row_offsets.iter().enumerate() {
        if end_of(offset).is_none_or(|end| end > buffer.size()) {
            return Err(Error::Logits(format!(
                "row {row} of {vocab} {dtype}, {offset} elements from byte {byte_offset}, does not lie in the buffer of {} \
                 bytes, of which whole words are read: correct `row_offsets`",
                buffer.size()
            )));
        }
    }
    Ok(())
}

/// Nothing, if rows have one stride: the kernels of a divergence know of no other.
pub(crate) fn check_strided(logits: &GpuLogits<'_>) -> Result<()> {
    if logits.row_offsets.is_empty() {
        return Ok(());
    }
    Err(Error::Logits(format!(
        "a divergence takes rows of one stride, and {} have offsets: leave `row_offsets` empty, and make a call for each run \
         of rows",
        logits.row_offsets.len()
    )))
}

/// Nothing, if the tokens of so many rows lie in their buffer.
pub(crate) fn check_tokens(tokens: &TokensOut<'_>, rows: usize) -> Result<()> {
    let TokensOut { out: GpuOutput { buffer, byte_offset }, offsets } = *tokens;
    if !offsets.is_empty() && offsets.len() != rows {
        return Err(Error::Logits(format!(
            "{} token offsets for {rows} rows: give one for each, or none",
            offsets.len()
        )));
    }
    let words = match offsets.iter().max() {
        Some(&last) => last.saturating_add(1),
        None => rows as u64,
    };
    check_words(buffer, byte_offset, words.saturating_mul(4), wgpu::BufferUsages::COPY_DST, "the tokens")
}

/// Nothing, if no result lies where a row of the logits does, or another result.
pub(crate) fn check_apart(logits: &GpuLogits<'_>, outs: &[GpuOutput<'_>], bytes: u64) -> Result<()> {
    let overlaps = |from: u64, bytes_from: u64, to: u64| from < to + bytes && to < from + bytes_from;
    let row_bytes = (logits.vocab * logits.dtype.bytes()) as u64;
    for (number, out) in outs.iter().enumerate() {
        let at = out.byte_offset;
        let is_in_row = |row: &usize| overlaps(logits.first_byte(*row), row_bytes, at);
        if out.buffer == logits.buffer
            && let Some(row) = (0..logits.rows).find(is_in_row)
        {
            return Err(Error::Logits(format!(
                "the result of {bytes} bytes at byte {at} lies over row {row} of the logits, at byte {} of the same buffer: \
                 write it elsewhere",
                logits.first_byte(row)
            )));
        }
        let is_taken =
            |other: &&GpuOutput<'_>| other.buffer == out.buffer && overlaps(other.byte_offset, bytes, at);
        if let Some(other) = outs[..number].iter().find(is_taken) {
            return Err(Error::Logits(format!(
                "the results of {bytes} bytes at bytes {} and {at} of one buffer overlap: write one elsewhere",
                other.byte_offset
            )));
        }
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
    if !byte_offset.is_multiple_of(4) {
        return Err(Error::Logits(format!(
            "byte offset {byte_offset} of {what} is no multiple of the 4 bytes of a word: begin at one that is"
        )));
    }
    if byte_offset.saturating_add(bytes) > buffer.size() {
        return Err(Error::Logits(format!(
            "{what} of {bytes} bytes at byte {byte_offset} does not fit a buffer of {} bytes: make it larger",
            buffer.size()
        )));
    }
    Ok(())
}

/// Whether a dispatch can write the results where they go: it cannot read and write, or write twice, one buffer, and one
/// `out_base` serves all outputs of a kernel.
pub(crate) fn can_be_bound(logits: &GpuLogits<'_>, outs: &[GpuOutput<'_>], alignment: u64) -> bool {
    outs.iter().enumerate().all(|(number, out)| {
        out.buffer != logits.buffer
            && outs[..number].iter().all(|other| other.buffer != out.buffer)
            && out.byte_offset % alignment == outs[0].byte_offset % alignment
    })
}

impl From<&wgpu::Limits> for DeviceLimits {
    fn from(limits: &wgpu::Limits) -> Self {
        Self {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            offset_alignment: limits
                .min_storage_buffer_offset_alignment
                .max(limits.min_uniform_buffer_offset_alignment)
                .into(),
        }
    }
}

/// The floor of WebGPU: a device requested with `downlevel_webgl2_defaults` lies below it.
pub(crate) fn check_limits(limits: &wgpu::Limits) -> Result<()> {
    let needs = [
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, 256),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size, 16_384),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage, 8),
    ];
    for (name, has, needed) in needs {
        if has < needed {
            return Err(Error::Limit(format!(
                "the device was requested with {name} {has}, the kernels need {needed}: request it with \
                 `wgpu::Limits::default()` or the adapter's limits"
            )));
        }
    }
    Ok(())
}
