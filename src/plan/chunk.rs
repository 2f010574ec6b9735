//! Rows that one round of dispatches handles, and the bindings around them.

use super::demand::RowBytes;
use crate::logits::Shape;

/// Rows that one round of dispatches handles. Cutting a batch elsewhere gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Binding of the logits, and the chunk's first element in it.
    pub(crate) logits: Window,
    /// Bytes from the start of the upload buffer.
    pub(crate) uniform_offset: u64,
    /// Bytes from the start of the record buffer.
    pub(crate) records_offset: u64,
}

/// An aligned binding around a range of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) element_base: u32,
}

impl Window {
    /// Around so many rows of logits, from this one on.
    pub(crate) fn of_rows(shape: &Shape, first_row: usize, rows: usize, alignment: u64) -> Self {
        let RowBytes { bytes, stride } = RowBytes::of(shape);
        let first_byte = shape.byte_offset + first_row as u64 * stride;
        Self::new(first_byte, (rows as u64 - 1) * stride + bytes, shape.dtype.bytes() as u64, alignment)
    }

    /// The window that starts at or before `first_byte`, where a binding may start, and ends at a whole word.
    pub(crate) fn new(first_byte: u64, bytes: u64, width: u64, alignment: u64) -> Self {
        let offset = first_byte / alignment * alignment;
        let slack = first_byte - offset;
        #[expect(clippy::cast_possible_truncation, reason = "below the alignment")]
        let element_base = (slack / width) as u32;
        Self { offset, bytes: (slack + bytes).next_multiple_of(4), element_base }
    }
}
