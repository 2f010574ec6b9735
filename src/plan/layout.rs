//! The layout of a call: how many rows a chunk holds, and where each chunk lies in every buffer.

use super::chunk::{Chunk, Window};
use super::demand::{Demand, RowBytes};
use super::limits::DeviceLimits;
use super::span::Span;
use crate::arithmetic::format::TILE_TOKENS;
use crate::error::{Error, Result};
use crate::kernels::digit_count;
use crate::logits::Shape;

/// Bytes of the uniform of one chunk, of which each stage has its own.
pub(crate) const UNIFORM_BYTES: u64 = 92;
/// Scratch of a chunk, 2 % of its f32 logits: keeps it flat however long the batch.
pub(super) const MAX_SCRATCH_BYTES: u64 = 36 << 20;

/// Bytes of one row in each of the buffers that it needs.
pub(super) struct Needs {
    logits: RowBytes,
    pub(super) scratch: u64,
    pub(super) record: u64,
    /// See [`Demand::other`].
    other: RowBytes,
}

/// Where chunks lie in every buffer.
pub(super) struct Layout {
    pub(super) chunks: Vec<Chunk>,
    /// Bytes from one stage's uniform to the next.
    pub(super) stage_stride: u64,
    pub(super) uniform_bytes: u64,
    pub(super) records_bytes: u64,
}

impl Layout {
    /// Chunks of at most so many rows, one after the other in every buffer; each begins where one may, if it can.
    pub(super) fn new(
        shape: &Shape,
        spans: &[Span],
        demand: &Demand,
        (needs, rows_per_chunk): (&Needs, usize),
        may_begin: impl Fn(usize) -> bool,
        alignment: u64,
    ) -> Self {
        let aligned = |bytes: u64| bytes.next_multiple_of(alignment);
        let stages = demand.told(shape.dtype).count() as u64;
        let stage_stride = aligned(UNIFORM_BYTES);
        let chunks = Vec::with_capacity(shape.rows.div_ceil(rows_per_chunk).max(spans.len()));
        let mut layout = Self { chunks, stage_stride, uniform_bytes: 0, records_bytes: 0 };
        let mut first_row = 0;
        let runs = match spans {
            [] => vec![(shape.rows, None)],
            spans => spans.iter().map(|span| (span.rows, Some(span))).collect(),
        };
        for (run_rows, span) in runs {
            let end = first_row + run_rows;
            while first_row < end {
                let most = rows_per_chunk.min(end - first_row);
                let fits = |rows: &usize| first_row + rows == end || may_begin(first_row + rows);
                let rows = (1..=most).rev().find(fits).unwrap_or(most);
                let records_offset = if demand.records_stay { 0 } else { layout.records_bytes };
                let logits = match span {
                    Some(span) => span.window(shape.dtype, alignment),
                    None => Window::of_rows(shape, first_row, rows, alignment),
                };
                let uniform_offset = layout.uniform_bytes;
                layout.chunks.push(Chunk { first_row, rows, logits, uniform_offset, records_offset });
                layout.uniform_bytes += stages * stage_stride;
                layout.records_bytes =
                    layout.records_bytes.max(aligned(records_offset + rows as u64 * needs.record));
                first_row += rows;
            }
        }
        layout
    }
}

impl Needs {
    pub(super) fn new(shape: &Shape, demand: &Demand) -> Self {
        let tiles = (shape.vocab.div_ceil(TILE_TOKENS) * demand.tile_words() * 4) as u64;
        let row = RowBytes::of(shape);
        // Digits are counted where the tiles were, which nobody reads any more.
        let digits = demand.long_lists().map(|(_, entries)| {
            digit_count::scratch_words(demand.digits_of(shape.dtype), shape.vocab, entries) as u64 * 4
        });
        let scratch = digits.fold(tiles, u64::max);
        Self {
            // A span holds all of its rows.
            logits: RowBytes { stride: if demand.has_offsets { 0 } else { row.stride }, ..row },
            scratch,
            record: (demand.record_words() + demand.token_words()) as u64 * 4,
            other: demand.other,
        }
    }

    /// The most rows whose every binding fits; each binding may start up to one alignment early.
    pub(super) fn rows_per_chunk(&self, shape: &Shape, limits: &DeviceLimits) -> Result<usize> {
        let max_binding_bytes = limits.binding_bytes();
        let slack = limits.slack();
        let room = limits.most_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "at most the workgroups of a dispatch, a u32")]
        let rows = self
            .logits
            .most_in(room)
            .min(MAX_SCRATCH_BYTES.min(max_binding_bytes) / self.scratch)
            .min(room / self.record)
            .min(self.other.most_in(room))
            .min(u64::from(limits.max_workgroups)) as usize;
        if rows == 0 || shape.vocab.div_ceil(TILE_TOKENS) > limits.max_workgroups as usize {
            return Err(Error::Limit(format!(
                "one row of vocab {} needs bindings of {} bytes, the device allows {}: \
                 request a higher `max_storage_buffer_binding_size`",
                shape.vocab,
                self.logits.bytes.max(self.scratch).max(self.record).max(self.other.bytes) + slack,
                limits.max_binding_bytes
            )));
        }
        Ok(rows)
    }
}
