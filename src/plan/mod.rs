//! What a call costs and where everything lies: chunks of rows, bindings, dispatches, bytes. Pure arithmetic, no
//! device; print a [`Plan`] to see what a call will do.

mod chunk;
mod cost;
mod demand;
mod limits;
mod span;
#[cfg(test)]
mod tests;

pub(crate) use chunk::{Chunk, Window};
pub use cost::Cost;
pub(crate) use demand::Demand;
use demand::RowBytes;
pub use limits::DeviceLimits;
pub(crate) use span::Span;
#[cfg(feature = "gpu")]
pub(crate) use span::spans;

use crate::arithmetic::format::TILE_TOKENS;
use crate::error::{Error, Result};
use crate::kernels::digit_count;
use crate::logits::{Shape, bytes_needed, validate_pair, validate_shape};
use crate::params::LogprobsParams;
use crate::request::{Inputs, Row, Steps, validate_token_count};

/// What a call will do: its [`Cost`], and where everything lies. Prints as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) shape: Shape,
    pub(crate) demand: Demand,
    /// Of rows that begin anywhere; none where they have one stride.
    pub(crate) spans: Vec<Span>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) tiles: usize,
    pub(crate) upload_bytes: u64,
    /// Of every binding.
    alignment: u64,
    /// Bytes from one stage's uniform to the next.
    pub(crate) stage_stride: u64,
    /// Bytes of what chunks are told, at the start of the upload.
    pub(crate) uniform_bytes: u64,
    pub(crate) records_bytes: u64,
    pub(crate) scratch_bytes: u64,
}

/// Bytes of the uniform of one chunk, of which each stage has its own.
pub(crate) const UNIFORM_BYTES: u64 = 92;
/// Bytes of a request.
pub(crate) const REQUEST_BYTES: u64 = 336;
/// Bytes of a row's head, and of every quad of the lists: a bucket of four changes has four, 128 allowed tokens have one.
pub(crate) const ROW_BYTES: u64 = 16;
/// Scratch of a chunk, 2 % of its f32 logits: keeps it flat however long the batch.
const MAX_SCRATCH_BYTES: u64 = 36 << 20;

/// Bytes of one row in each of the buffers that it needs.
struct Needs {
    logits: RowBytes,
    scratch: u64,
    record: u64,
    /// See [`Demand::other`].
    other: RowBytes,
}

impl Plan {
    /// The plan of a `logprobs` call.
    ///
    /// # Errors
    /// [`Error::Logits`] for a shape that cannot be, [`Error::Params`] if `top_logprobs` is over
    /// [`LogprobsParams::MAX_TOP_LOGPROBS`], [`Error::Limit`] where the device cannot hold a row or the batch's
    /// records.
    ///
    /// # Example
    /// ```
    /// use sortilege::{DeviceLimits, Dtype, Plan, Shape};
    /// let shape = Shape { dtype: Dtype::F16, rows: 512, vocab: 128_256, row_stride: 128_256, byte_offset: 0 };
    /// let plan = Plan::logprobs(&shape, 20, &DeviceLimits::default())?;
    /// println!("{plan}");
    /// let cost = plan.cost();
    /// assert_eq!(cost.dispatches, 2);
    /// assert!(cost.bytes_back * 100 < cost.bytes_read);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    pub fn logprobs(shape: &Shape, top_logprobs: u32, limits: &DeviceLimits) -> Result<Self> {
        Self::logprobs_of(shape, top_logprobs, 0, limits)
    }

    /// The plan of a `logprobs_of` call with at most `token_ids` given tokens per row.
    ///
    /// # Errors
    /// As for [`Plan::logprobs`], and [`Error::Params`] for more than
    /// [`SamplingParams::MAX_LOGPROB_TOKEN_IDS`](crate::SamplingParams::MAX_LOGPROB_TOKEN_IDS) of them.
    pub fn logprobs_of(
        shape: &Shape,
        top_logprobs: u32,
        token_ids: usize,
        limits: &DeviceLimits,
    ) -> Result<Self> {
        LogprobsParams { top_logprobs, ..LogprobsParams::default() }.validate()?;
        validate_token_count("token ids", token_ids)?;
        Self::of(shape, Demand::logprobs(top_logprobs, token_ids, shape.rows), limits)
    }

    /// The plan of a `sample` call for these rows; `has_mask` where a grammar mask lies on the device.
    ///
    /// # Errors
    /// As for [`Plan::logprobs`], [`Error::Params`] for rows that cannot be sampled, and [`Error::Limit`] where a block of draft
    /// tokens does not lie in one chunk.
    pub fn sample(shape: &Shape, rows: &[Row<'_>], has_mask: bool, limits: &DeviceLimits) -> Result<Self> {
        let mut steps = Steps::default();
        let inputs = steps.check(rows, shape.rows, shape.vocab, None)?;
        let mask_row_bytes = if has_mask { shape.vocab.div_ceil(32) as u64 * 4 } else { 0 };
        let plan = Self::of(shape, Demand::sample(&inputs, mask_row_bytes), limits)?;
        plan.check_blocks(&inputs).map(|()| plan)
    }

    /// Nothing, if each block of draft tokens lies in one chunk.
    pub(crate) fn check_blocks(&self, inputs: &Inputs<'_>) -> Result<()> {
        let mut rows = self.chunks.iter().map(|chunk| chunk.first_row);
        rows.find(|&row| inputs.is_within_block(row)).map_or(Ok(()), |row| {
            Err(Error::Limit(format!(
                "row {row} begins a chunk of the call within a block of draft tokens, whose rows lie in one: begin another call with \
                 that block, list fewer tokens, draft fewer, or request a higher `max_storage_buffer_binding_size`"
            )))
        })
    }

    /// The plan of a `divergence` call of a first batch from a second.
    ///
    /// # Errors
    /// As for [`Plan::logprobs`], and [`Error::Params`] if the batches differ in rows or vocabulary.
    pub fn divergence(first: &Shape, second: &Shape, limits: &DeviceLimits) -> Result<Self> {
        Self::of(first, Self::divergence_demand(first, second)?, limits)
    }

    /// What a divergence of two batches asks, if there can be one.
    pub(crate) fn divergence_demand(first: &Shape, second: &Shape) -> Result<Demand> {
        check_shape(second)?;
        validate_pair((first.rows, first.vocab), (second.rows, second.vocab))?;
        Ok(Demand::divergence(second))
    }

    /// The plan of any call, whose rows have one stride.
    pub(crate) fn of(shape: &Shape, demand: Demand, limits: &DeviceLimits) -> Result<Self> {
        Self::of_spans(shape, Vec::new(), demand, limits)
    }

    /// The plan of any call. Where the demand says that rows begin anywhere, they lie in these spans.
    pub(crate) fn of_spans(
        shape: &Shape,
        spans: Vec<Span>,
        demand: Demand,
        limits: &DeviceLimits,
    ) -> Result<Self> {
        check_shape(shape)?;
        let needs = Needs::new(shape, &demand);
        let rows_per_chunk = needs.rows_per_chunk(shape, limits)?;
        // What there is at least, before so many chunks are laid out.
        let least = if demand.records_stay { 0 } else { (shape.rows as u64).saturating_mul(needs.record) };
        check_records(shape, &demand, least, limits)?;
        check_upload(shape, (demand.heads(shape.rows) as u64).saturating_mul(ROW_BYTES), limits)?;
        let plan = Self::lay_out(shape, spans, demand, &needs, rows_per_chunk, limits.alignment());
        check_records(shape, &plan.demand, plan.records_bytes, limits)?;
        check_upload(shape, plan.upload_bytes, limits)?;
        Ok(plan)
    }

    /// Chunks of so many rows, one after the other in every buffer.
    fn lay_out(
        shape: &Shape,
        spans: Vec<Span>,
        demand: Demand,
        needs: &Needs,
        rows_per_chunk: usize,
        alignment: u64,
    ) -> Self {
        let aligned = |bytes: u64| bytes.next_multiple_of(alignment);
        let stages = demand.told(shape.dtype).count() as u64;
        let stage_stride = aligned(UNIFORM_BYTES);
        let mut chunks = Vec::with_capacity(shape.rows.div_ceil(rows_per_chunk).max(spans.len()));
        let mut uniform_bytes = 0;
        let mut records_bytes = 0;
        let mut first_row = 0;
        let runs = match &spans[..] {
            [] => vec![(shape.rows, None)],
            spans => spans.iter().map(|span| (span.rows, Some(span))).collect(),
        };
        for (run_rows, span) in runs {
            let end = first_row + run_rows;
            while first_row < end {
                let rows = rows_per_chunk.min(end - first_row);
                let records_offset = if demand.records_stay { 0 } else { records_bytes };
                let logits = match span {
                    Some(span) => span.window(shape.dtype, alignment),
                    None => Window::of_rows(shape, first_row, rows, alignment),
                };
                chunks.push(Chunk { first_row, rows, logits, uniform_offset: uniform_bytes, records_offset });
                uniform_bytes += stages * stage_stride;
                records_bytes = records_bytes.max(aligned(records_offset + rows as u64 * needs.record));
                first_row += rows;
            }
        }
        let plan = Self {
            shape: *shape,
            demand,
            spans,
            chunks,
            tiles: shape.vocab.div_ceil(TILE_TOKENS),
            upload_bytes: 0,
            alignment,
            stage_stride,
            uniform_bytes,
            records_bytes,
            scratch_bytes: rows_per_chunk.min(shape.rows) as u64 * needs.scratch,
        };
        Self { upload_bytes: plan.upload_bytes_with(demand.lists), ..plan }
    }

    /// Bytes of the upload with so many quads of lists.
    fn upload_bytes_with(&self, lists: usize) -> u64 {
        if self.shape.rows == 0 {
            return 0;
        }
        let aligned = |bytes: u64| bytes.checked_next_multiple_of(self.alignment).unwrap_or(u64::MAX);
        let rows_offset = aligned(self.uniform_bytes + self.demand.requests as u64 * REQUEST_BYTES);
        let quads = self.demand.heads(self.shape.rows).saturating_add(lists) as u64;
        aligned(rows_offset.saturating_add(quads.saturating_mul(ROW_BYTES)))
    }

    /// The plan with so many quads of lists.
    #[cfg(feature = "gpu")]
    pub(crate) fn with_lists(&self, lists: usize) -> Self {
        let demand = Demand { lists, ..self.demand };
        Self { demand, upload_bytes: self.upload_bytes_with(lists), ..self.clone() }
    }

    /// Nothing, if the device can hold so many quads of lists.
    #[cfg(feature = "gpu")]
    pub(crate) fn check_lists(&self, lists: usize, limits: &DeviceLimits) -> Result<()> {
        check_upload(&self.shape, self.upload_bytes_with(lists), limits)
    }

    /// Dispatches of `digit_count` and of `digit_scatter`, per chunk.
    fn digit_dispatches(&self) -> [usize; 2] {
        let dtype = self.demand.digits_of(self.shape.dtype);
        let stages = digit_count::stages(dtype);
        [stages, stages - digit_count::levels(dtype)].map(|stages| self.demand.long_lists().count() * stages)
    }

    /// Dispatches of `token_ranks`, per chunk.
    fn rank_dispatches(&self) -> usize {
        usize::from(self.demand.token_ids > 0)
    }

    /// Bytes of the buffer of logits from its start to the end of the last row, whole words.
    #[cfg(feature = "gpu")]
    pub(crate) fn bytes_needed(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.logits.offset + chunk.logits.bytes).max().unwrap_or(0)
    }
}

impl Needs {
    fn new(shape: &Shape, demand: &Demand) -> Self {
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
    fn rows_per_chunk(&self, shape: &Shape, limits: &DeviceLimits) -> Result<usize> {
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

fn check_shape(shape: &Shape) -> Result<()> {
    let Shape { dtype, rows, vocab, row_stride, byte_offset } = *shape;
    validate_shape(rows, vocab, row_stride)?;
    let width = dtype.bytes() as u64;
    if !byte_offset.is_multiple_of(width) {
        return Err(Error::Logits(format!(
            "byte offset {byte_offset} is no multiple of the {width} bytes of {dtype}"
        )));
    }
    let end =
        bytes_needed(dtype, rows, vocab, row_stride).and_then(|bytes| byte_offset.checked_add(bytes as u64));
    if end.is_none_or(|end| end > u64::MAX / 2) {
        return Err(Error::Logits(format!(
            "[{rows}][{vocab}] {dtype} at byte {byte_offset} with a row stride of {row_stride} is more than memory \
             can hold"
        )));
    }
    Ok(())
}

fn check_records(shape: &Shape, demand: &Demand, bytes: u64, limits: &DeviceLimits) -> Result<()> {
    if bytes > limits.max_buffer_bytes {
        return Err(Error::Limit(format!(
            "the records of {} rows need {bytes} bytes, the device allows buffers of {}: lower `rows` or \
             `{}`",
            shape.rows,
            limits.max_buffer_bytes,
            if demand.draws.is_some() { "raw_logprobs` and `processed_logprobs" } else { "top_logprobs" }
        )));
    }
    Ok(())
}

fn check_upload(shape: &Shape, bytes: u64, limits: &DeviceLimits) -> Result<()> {
    let most = limits.max_buffer_bytes.min(limits.binding_bytes());
    if bytes > most {
        return Err(Error::Limit(format!(
            "the requests of {} rows, with their changes, masks and given tokens, need {bytes} bytes, the device binds \
             {most}: lower `rows`, or put the mask on the device",
            shape.rows
        )));
    }
    Ok(())
}
