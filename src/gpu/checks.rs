//! Whether the engine's buffers and limits are what a call needs.

use super::buffers::{GpuLogits, GpuOutput};
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
            "{what}, [{}][{}] {} at byte {} with a row stride of {} ends at byte {}, the buffer has {}: correct the shape, or \
             make the buffer a multiple of 4 bytes",
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

/// Nothing, if the results of an operation fit their buffers.
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
