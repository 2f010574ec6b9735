//! What a batch costs and where everything lies: chunks of rows, bindings, dispatches, bytes. Pure arithmetic, no
//! device; print a [`Plan`] to see what a call will do.

use std::fmt;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::exact::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::inputs::Inputs;
use crate::kernels::digit_count;
use crate::kernels::tile_stats::TILE_WORDS;
use crate::logits::{bytes_needed, validate_shape};
use crate::params::Params;
use crate::record::RawRecord;
use crate::request::Row;
use crate::sample::RawSample;

/// What a device allows; `From<&wgpu::Limits>` exists with the feature `wgpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Largest storage binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Alignment of a binding's offset, bytes.
    pub offset_alignment: u64,
}

impl Default for Caps {
    /// The floor that WebGPU promises on every device.
    fn default() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_workgroups: 65_535,
            offset_alignment: 256,
        }
    }
}

/// Where a batch of logits lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Element type.
    pub dtype: Dtype,
    /// Rows.
    pub rows: usize,
    /// Tokens of a row.
    pub vocab: usize,
    /// Elements from the start of one row to the start of the next.
    pub row_stride: usize,
    /// Bytes from the start of the buffer to the first element, a multiple of the element's size.
    pub byte_offset: u64,
}

/// Rows that one round of dispatches handles. Cutting a batch elsewhere gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Binding of the logits, and the chunk's first element in it.
    pub(crate) logits: Window,
    /// Bytes from the start of the upload buffer.
    pub(crate) batch_offset: u64,
    /// Bytes from the start of the record buffer.
    pub(crate) records_offset: u64,
}

/// What a batch asks of the device, beside its shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Entries of the list that follows a record's header.
    pub(crate) top_k: u32,
    /// The same of the raw list, in a sample's record.
    pub(crate) top_raw: u32,
    /// Most draws of a row; `None` where nothing is drawn.
    pub(crate) draws: Option<u32>,
    /// Distributions that pass 1 sums up: 2 where the raw one differs from the one that is drawn from.
    pub(crate) views: u32,
    /// Records stay on the device, where the next chunk's replace them.
    pub(crate) records_stay: bool,
    /// Requests that are uploaded.
    pub(crate) requests: usize,
    /// Changes of logits, and 128 tokens each of allowed sets.
    pub(crate) lists: usize,
    /// Bytes per row of the widest of the engine's further buffers: outputs, grammar mask, draft.
    pub(crate) other_row_bytes: u64,
}

impl Demand {
    /// Of a batch whose rows are only observed.
    pub(crate) fn observing(top_k: u32) -> Self {
        Self { top_k, views: 1, requests: 1, ..Self::default() }
    }

    /// Of an operation, which turns the records into so many bytes of output per row.
    #[cfg(feature = "wgpu")]
    pub(crate) fn operation(top_k: u32, out_row_bytes: u64) -> Self {
        Self { records_stay: true, other_row_bytes: out_row_bytes, ..Self::observing(top_k) }
    }

    /// Stages in which digits are counted, none where one workgroup per row holds the list.
    pub(crate) fn stages(&self, dtype: Dtype) -> usize {
        if self.top_k > MOST_LISTED { digit_count::stages(dtype) } else { 0 }
    }

    /// Words of a row's record.
    pub(crate) fn record_words(&self) -> usize {
        match self.draws {
            Some(draws) => RawSample::words(draws, self.top_k, self.top_raw),
            None => RawRecord::words(self.top_k),
        }
    }

    /// Words before the records of a chunk, per row: the first drawn token.
    pub(crate) fn token_words(&self) -> usize {
        usize::from(self.draws.is_some())
    }
}

/// An aligned binding around a range of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) element_base: u32,
}

impl Window {
    /// The window that starts at or before `first_byte`, where a binding may start, and ends at a whole word.
    pub(crate) fn new(first_byte: u64, bytes: u64, width: u64, alignment: u64) -> Self {
        let offset = first_byte / alignment * alignment;
        let slack = first_byte - offset;
        #[expect(clippy::cast_possible_truncation, reason = "below the alignment")]
        let element_base = (slack / width) as u32;
        Self { offset, bytes: (slack + bytes).next_multiple_of(4), element_base }
    }
}

/// What a call will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) shape: Shape,
    pub(crate) demand: Demand,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) tiles: usize,
    pub(crate) upload_bytes: u64,
    /// Bytes from one stage's [`ChunkUniform`](crate::kernel::ChunkUniform) to the next.
    pub(crate) stage_step: u64,
    /// Where the requests and the rows begin in the upload.
    pub(crate) requests_offset: u64,
    pub(crate) rows_offset: u64,
    pub(crate) records_bytes: u64,
    pub(crate) scratch_bytes: u64,
}

/// Entries that one workgroup can list; longer lists are made by further dispatches.
pub(crate) const MOST_LISTED: u32 = 1024;
/// Bytes of the uniform of one chunk, of which each stage has its own.
pub(crate) const BATCH_BYTES: u64 = 80;
/// Bytes of a request.
pub(crate) const REQUEST_BYTES: u64 = 256;
/// Bytes of a row's head, of a change, of 128 tokens of an allowed set.
pub(crate) const ROW_BYTES: u64 = 16;
/// Scratch of a chunk, 2 % of its f32 logits: keeps it flat however long the batch.
const MAX_SCRATCH_BYTES: u64 = 36 << 20;

impl Plan {
    /// The plan of a `record` call.
    ///
    /// # Errors
    /// [`Error::Logits`] for a shape that cannot be, [`Error::Params`] if `top_k` is over [`Params::MAX_TOP_K`],
    /// [`Error::Limit`] where the device cannot hold a row or the batch's records.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Caps, Dtype, Plan, Shape};
    /// let shape = Shape { dtype: Dtype::F16, rows: 512, vocab: 128_256, row_stride: 128_256, byte_offset: 0 };
    /// let plan = Plan::new(&shape, 20, &Caps::default())?;
    /// println!("{plan}");
    /// assert_eq!(plan.dispatches(), 2);
    /// assert!(plan.bytes_back() * 100 < plan.bytes_read());
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    pub fn new(shape: &Shape, top_k: u32, caps: &Caps) -> Result<Self> {
        Params { top_k, ..Params::default() }.validate()?;
        Self::of(shape, Demand::observing(top_k), caps)
    }

    /// The plan of a `sample` call for these rows; `has_mask` where a grammar mask lies on the device.
    ///
    /// # Errors
    /// As for [`Plan::new`], and [`Error::Params`] for rows that cannot be sampled.
    pub fn sampling(shape: &Shape, rows: &[Row<'_>], has_mask: bool, caps: &Caps) -> Result<Self> {
        let inputs = Inputs::new(rows, shape.rows, shape.vocab, None)?;
        Self::of(shape, inputs.demand(if has_mask { shape.vocab.div_ceil(32) as u64 * 4 } else { 0 }), caps)
    }

    /// The plan of any call.
    pub(crate) fn of(shape: &Shape, demand: Demand, caps: &Caps) -> Result<Self> {
        let Shape { dtype, rows, vocab, row_stride, byte_offset } = *shape;
        validate_shape(rows, vocab, row_stride)?;
        let width = dtype.bytes() as u64;
        if !byte_offset.is_multiple_of(width) {
            return Err(Error::Logits(format!(
                "byte offset {byte_offset} is no multiple of the {width} bytes of {dtype}"
            )));
        }
        let end = bytes_needed(dtype, rows, vocab, row_stride)
            .and_then(|bytes| byte_offset.checked_add(bytes as u64));
        if end.is_none_or(|end| end > u64::MAX / 2) {
            return Err(Error::Logits(format!(
                "[{rows}][{vocab}] {dtype} at byte {byte_offset} with a row stride of {row_stride} is more than memory \
                 can hold"
            )));
        }
        // Kernels count elements and bytes of a binding in 32 bits, whatever the device allows.
        let max_binding_bytes = caps.max_binding_bytes.min(u64::from(u32::MAX));
        let alignment = caps.offset_alignment.max(4);
        let tiles = vocab.div_ceil(TILE_TOKENS);
        let tiles_row = (tiles * TILE_WORDS * 4) as u64 * u64::from(demand.views);
        let stages = demand.stages(dtype);
        // Digits are counted where the tiles were, which nobody reads any more.
        let scratch_row = match stages {
            0 => tiles_row,
            _ => tiles_row.max(digit_count::scratch_words(dtype, vocab, demand.top_k) as u64 * 4),
        };
        let record_row = (demand.record_words() + demand.token_words()) as u64 * 4;
        let row_bytes = vocab as u64 * width;
        let row_step = if rows > 1 { row_stride as u64 * width } else { 0 };

        // The most rows whose every binding fits; each binding may start up to one alignment early.
        let room = max_binding_bytes.saturating_sub(alignment + 4);
        let by_logits = match room.checked_sub(row_bytes) {
            Some(rest) => rest.checked_div(row_step).unwrap_or(u64::MAX).saturating_add(1),
            None => 0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most the workgroups of a dispatch, a u32")]
        let rows_per_chunk = by_logits
            .min(MAX_SCRATCH_BYTES.min(max_binding_bytes) / scratch_row)
            .min(room / record_row)
            .min(room.checked_div(demand.other_row_bytes).unwrap_or(u64::MAX))
            .min(u64::from(caps.max_workgroups)) as usize;
        if rows_per_chunk == 0 || tiles > caps.max_workgroups as usize {
            return Err(Error::Limit(format!(
                "one row of vocab {vocab} needs bindings of {} bytes, the device allows {}: \
                 request a higher `max_storage_buffer_binding_size`",
                row_bytes.max(scratch_row).max(record_row).max(demand.other_row_bytes) + alignment + 4,
                caps.max_binding_bytes
            )));
        }

        let too_many = |bytes: u64| {
            Error::Limit(format!(
                "the records of {rows} rows need {bytes} bytes, the device allows buffers of {}: lower `rows` or `top_k`",
                caps.max_buffer_bytes
            ))
        };
        let least = if demand.records_stay { 0 } else { (rows as u64).saturating_mul(record_row) };
        if least > caps.max_buffer_bytes {
            return Err(too_many(least));
        }
        let most = caps.max_buffer_bytes.min(max_binding_bytes);
        let too_much_to_send = |bytes: u64| {
            Error::Limit(format!(
                "the requests of {rows} rows, with their changes and masks, need {bytes} bytes, the device binds {most}: \
                 lower `rows`, or put the mask on the device"
            ))
        };
        let least = (rows as u64).saturating_mul(ROW_BYTES);
        if least > most {
            return Err(too_much_to_send(least));
        }
        let mut chunks = Vec::with_capacity(rows.div_ceil(rows_per_chunk));
        let aligned = |bytes: u64| bytes.next_multiple_of(alignment);
        let stage_step = aligned(BATCH_BYTES);
        let mut requests_offset = 0;
        let mut records_bytes = 0;
        for first_row in (0..rows).step_by(rows_per_chunk) {
            let rows = rows_per_chunk.min(rows - first_row);
            let bytes = (rows as u64 - 1) * row_step + row_bytes;
            let records_offset = if demand.records_stay { 0 } else { records_bytes };
            chunks.push(Chunk {
                first_row,
                rows,
                logits: Window::new(byte_offset + first_row as u64 * row_step, bytes, width, alignment),
                batch_offset: requests_offset,
                records_offset,
            });
            requests_offset += stages.max(1) as u64 * stage_step;
            records_bytes = records_bytes.max(aligned(records_offset + rows as u64 * record_row));
        }
        let rows_offset = aligned(requests_offset + demand.requests as u64 * REQUEST_BYTES);
        let upload_bytes = aligned(rows_offset + (rows + demand.lists) as u64 * ROW_BYTES);
        if records_bytes > caps.max_buffer_bytes {
            return Err(too_many(records_bytes));
        }
        if upload_bytes > most {
            return Err(too_much_to_send(upload_bytes));
        }
        Ok(Self {
            shape: *shape,
            demand,
            chunks,
            tiles,
            upload_bytes: if rows > 0 { upload_bytes } else { 0 },
            stage_step,
            requests_offset,
            rows_offset,
            records_bytes,
            scratch_bytes: rows_per_chunk.min(rows) as u64 * scratch_row,
        })
    }

    /// Compute dispatches: two per chunk, and 14 more (8 for 16-bit logits) for more than 1024 entries per row. A batch is one
    /// chunk unless its bindings, rows or scratch (36 MiB, which is 4096 rows of 128 256 tokens; with all of a row's tokens as
    /// entries, 35) pass a limit.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        let [counts, scatters] = self.digit_dispatches();
        (2 + counts + scatters) * self.chunks.len()
    }

    /// Dispatches of `digit_count` and of `digit_scatter`, per chunk.
    fn digit_dispatches(&self) -> [usize; 2] {
        match self.demand.stages(self.shape.dtype) {
            0 => [0, 0],
            stages => [stages, stages - digit_count::levels(self.shape.dtype)],
        }
    }

    /// Bytes of logits, each read once.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        (self.shape.rows * self.shape.vocab * self.shape.dtype.bytes()) as u64
    }

    /// Bytes of logits that are read again for the lists: the subtiles that can hold the top k, raw and processed. For more
    /// than 1024 entries all of them, once for each byte of a logit to find the last entry, and twice to take the entries.
    /// Draws and filters read further ones, as many as the row needs: [`Sample::reopened`](crate::Sample::reopened).
    #[must_use]
    pub fn bytes_reopened(&self) -> u64 {
        let tokens = |top: u32| {
            let subtiles = self.shape.vocab.div_ceil(SUBTILE_TOKENS).min(top as usize);
            (subtiles * SUBTILE_TOKENS).min(self.shape.vocab)
        };
        let dtype = self.shape.dtype;
        let tokens = match self.demand.stages(dtype) {
            0 => tokens(self.demand.top_k) + tokens(self.demand.top_raw),
            _ => (digit_count::levels(dtype) + 2) * self.shape.vocab,
        };
        (self.shape.rows * tokens * dtype.bytes()) as u64
    }

    /// Bytes that go to the device at most: what every chunk is told, the requests, the rows and their lists. What did not
    /// change since the buffer was last used is not sent again.
    #[must_use]
    pub fn bytes_uploaded(&self) -> u64 {
        self.upload_bytes
    }

    /// Bytes that go to the device in a step in which no request changed: what every chunk is told, and the rows' positions.
    #[must_use]
    pub fn bytes_uploaded_unchanged(&self) -> u64 {
        let batches = self.chunks.len() * self.demand.stages(self.shape.dtype).max(1);
        batches as u64 * BATCH_BYTES + self.shape.rows as u64 * ROW_BYTES
    }

    /// Bytes that come back: the records, in one copy.
    #[must_use]
    pub fn bytes_back(&self) -> u64 {
        self.records_bytes
    }

    /// Bytes of scratch on the device, shared by all calls.
    #[must_use]
    pub fn bytes_scratch(&self) -> u64 {
        self.scratch_bytes
    }

    /// Bytes of the buffer from its start to the end of the last row, whole words.
    #[cfg(feature = "wgpu")]
    pub(crate) fn bytes_needed(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.logits.offset + chunk.logits.bytes)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { dtype, rows, vocab, .. } = self.shape;
        let Demand { top_k, top_raw, draws, views, .. } = self.demand;
        write!(f, "[{rows}][{vocab}] {dtype}, ")?;
        match draws {
            None => writeln!(f, "top {top_k}")?,
            Some(draws) => writeln!(f, "{draws} draws, top {top_k} processed, top {top_raw} raw")?,
        }
        let second = if draws.is_some() { "row_sample" } else { "row_logprobs" };
        writeln!(f, "  chunks      {}", self.chunks.len())?;
        write!(f, "  dispatches  {} (tile_stats, {second}", self.dispatches())?;
        match self.digit_dispatches() {
            [0, _] => writeln!(f, ")")?,
            [counts, scatters] => writeln!(f, ", {counts} digit_count, {scatters} digit_scatter)")?,
        }
        writeln!(f, "  copies      {}", usize::from(!self.chunks.is_empty()))?;
        writeln!(
            f,
            "  read        {} bytes of logits once, for {views} distribution{}",
            self.bytes_read(),
            if views == 1 { "" } else { "s" }
        )?;
        writeln!(f, "  reopened    {} bytes for the lists", self.bytes_reopened())?;
        if draws.is_some() {
            let tile = TILE_TOKENS.min(vocab) * rows * dtype.bytes();
            writeln!(
                f,
                "              {tile} bytes, a tile per row, for each draw, and what filters and ranks open"
            )?;
        }
        writeln!(
            f,
            "  uploaded    {} bytes, {} where no request changed",
            self.bytes_uploaded(),
            self.bytes_uploaded_unchanged()
        )?;
        writeln!(f, "  scratch     {} bytes", self.bytes_scratch())?;
        write!(f, "  back        {} bytes", self.bytes_back())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: usize, vocab: usize) -> Shape {
        Shape { dtype: Dtype::F16, rows, vocab, row_stride: vocab, byte_offset: 0 }
    }

    #[test]
    fn chunks_cover_every_row_once_within_every_limit() {
        let mut caps = Caps::default();
        for binding in [40_000, 100_000, 1 << 20] {
            caps.max_binding_bytes = binding;
            for (rows, vocab, stride, offset) in [
                (1, 1, 1, 0),
                (7, 5000, 5000, 2),
                (300, 1001, 1003, 254),
                (9, 12_345, 20_000, 4098),
                (0, 3, 3, 0),
            ] {
                let shape = Shape { row_stride: stride, byte_offset: offset, ..shape(rows, vocab) };
                let plan = Plan::new(&shape, 20, &caps).expect("fits");
                let mut next = 0;
                for chunk in &plan.chunks {
                    assert_eq!(chunk.first_row, next);
                    next += chunk.rows;
                    assert!(chunk.logits.bytes <= binding && chunk.logits.offset % 256 == 0);
                    assert_eq!(
                        chunk.logits.offset + u64::from(chunk.logits.element_base) * 2,
                        offset + (chunk.first_row * stride * 2) as u64
                    );
                }
                assert_eq!(next, rows, "rows covered");
            }
        }
    }

    /// Every dispatch, byte and chunk of a list that one workgroup cannot hold.
    #[test]
    fn a_long_list_is_planned() {
        let caps = Caps::default();
        for (dtype, per_chunk, reads, words) in [
            (Dtype::F32, 16, 6, "16 (tile_stats, row_logprobs, 9 digit_count, 5 digit_scatter)"),
            (Dtype::Bf16, 10, 4, "10 (tile_stats, row_logprobs, 5 digit_count, 3 digit_scatter)"),
        ] {
            let shape = Shape { dtype, ..shape(16, 128_256) };
            let plan = Plan::new(&shape, 5000, &caps).expect("fits");
            assert!(plan.to_string().contains(words), "{plan}");
            assert_eq!(plan.dispatches(), per_chunk);
            assert_eq!(plan.bytes_reopened(), reads * plan.bytes_read());
            assert_eq!(plan.bytes_scratch(), 16 * 4 * (2 * 16 * 256 + 16 + 2 * 5000));
            assert_eq!(plan.bytes_back(), (16u64 * 4 * (10 + 2 * 5000)).next_multiple_of(256));

            let whole = Shape { rows: 100, ..shape };
            let plan = Plan::new(&whole, 128_256, &caps).expect("fits");
            assert_eq!(plan.dispatches(), 3 * per_chunk, "35 rows at a time: {plan}");
            assert!(plan.bytes_scratch() <= MAX_SCRATCH_BYTES);
            // An operation's records make room for those of the next chunk.
            let demand = Demand { records_stay: true, ..plan.demand };
            let operation = Plan::of(&whole, demand, &caps).expect("fits");
            assert_eq!(operation.records_bytes, (35u64 * 4 * (10 + 2 * 128_256)).next_multiple_of(256));
        }
        assert_eq!(Plan::new(&shape(16, 128_256), 1024, &caps).expect("fits").dispatches(), 2);
    }

    /// Element indices have 32 bits even where a device allows larger bindings.
    #[test]
    fn no_binding_passes_four_gigabytes() {
        let caps = Caps { max_binding_bytes: 64 << 30, max_buffer_bytes: 64 << 30, ..Caps::default() };
        let last_positions = Shape { rows: 32, row_stride: 2048 * 128_256, ..shape(32, 128_256) };
        let plan = Plan::new(&last_positions, 5, &caps).expect("fits");
        assert!(plan.chunks.len() > 1);
        for chunk in &plan.chunks {
            assert!(chunk.logits.bytes <= u64::from(u32::MAX), "{chunk:?}");
        }
    }

    #[test]
    fn a_row_or_a_batch_too_large_names_value_limit_and_remedy() {
        let tight = Caps { max_binding_bytes: 1000, ..Caps::default() };
        let message = Plan::new(&shape(1, 1000), 5, &tight).unwrap_err().to_string();
        assert!(message.contains("vocab 1000") && message.contains("allows 1000"), "{message}");
        let tight = Caps { max_buffer_bytes: 10_000, ..Caps::default() };
        let message = Plan::new(&shape(1000, 10), 5, &tight).unwrap_err().to_string();
        assert!(message.contains("1000 rows") && message.contains("lower `rows`"), "{message}");
        let odd = Shape { byte_offset: 1, ..shape(1, 10) };
        assert!(Plan::new(&odd, 5, &Caps::default()).unwrap_err().to_string().contains("byte offset 1"));
        let far = Shape { byte_offset: u64::MAX - 3, ..shape(1, 10) };
        assert!(matches!(Plan::new(&far, 5, &Caps::default()), Err(Error::Logits(_))));
        let many = Shape { dtype: Dtype::F32, rows: 1 << 50, ..shape(1, 1) };
        for demand in [Demand::observing(5), Demand { records_stay: true, ..Demand::observing(5) }] {
            assert!(matches!(Plan::of(&many, demand, &Caps::default()), Err(Error::Limit(_))));
        }
        let masked = Demand { requests: 1, lists: 1 << 24, ..Demand::observing(0) };
        let message = Plan::of(&shape(1, 10), masked, &Caps::default()).unwrap_err().to_string();
        assert!(message.contains("requests of 1 rows") && message.contains("put the mask on"), "{message}");
        let vast = Shape { rows: usize::MAX, ..shape(1, 10) };
        assert!(matches!(Plan::new(&vast, 5, &Caps::default()), Err(Error::Logits(_))));
    }
}
