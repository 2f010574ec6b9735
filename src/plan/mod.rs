//! What a call costs and where everything lies: chunks of rows, bindings, dispatches, bytes. Pure arithmetic, no
//! device; print a [`Plan`] to see what a call will do.

mod chunk;
mod cost;
mod demand;
mod layout;
mod limits;
mod span;
#[cfg(test)]
mod tests;

pub(crate) use chunk::Chunk;
#[cfg(feature = "gpu")]
pub(crate) use chunk::Window;
pub use cost::Cost;
pub(crate) use demand::Demand;
pub(crate) use layout::UNIFORM_BYTES;
use layout::{Layout, Needs};
pub use limits::DeviceLimits;
pub(crate) use span::Span;
#[cfg(feature = "gpu")]
pub(crate) use span::spans;

use crate::arithmetic::format::TILE_TOKENS;
use crate::error::{Error, Result};
use crate::kernels::digit_count;
use crate::logits::{Shape, bytes_needed, validate_pair, validate_shape};
use crate::params::LogprobsParams;
use crate::request::{Row, Steps, validate_token_count};

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

/// Bytes of a request.
pub(crate) const REQUEST_BYTES: u64 = 336;
/// Bytes of a row's head, and of every quad of the lists: a bucket of four changes has four, 128 allowed tokens have one.
pub(crate) const ROW_BYTES: u64 = 16;

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
        Self::of(shape, Demand::logprobs(top_logprobs, token_ids, shape.rows, shape.vocab), limits)
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
        let demand = Demand::sample(&inputs, mask_row_bytes);
        Self::of_spans(shape, Vec::new(), demand, |row| !inputs.is_within_block(row), limits)
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
        Self::of_spans(shape, Vec::new(), demand, |_| true, limits)
    }

    /// The plan of any call, whose chunks begin where one may: not within a block of draft tokens. Where the demand says
    /// that rows begin anywhere, they lie in these spans.
    pub(crate) fn of_spans(
        shape: &Shape,
        spans: Vec<Span>,
        demand: Demand,
        may_begin: impl Fn(usize) -> bool,
        limits: &DeviceLimits,
    ) -> Result<Self> {
        check_shape(shape)?;
        let needs = Needs::new(shape, &demand);
        let rows_per_chunk = needs.rows_per_chunk(shape, limits)?;
        // What there is at least, before so many chunks are laid out.
        let least = if demand.records_stay { 0 } else { (shape.rows as u64).saturating_mul(needs.record) };
        check_records(shape, &demand, least, limits)?;
        check_upload(shape, (demand.heads(shape.rows) as u64).saturating_mul(ROW_BYTES), limits)?;
        let alignment = limits.alignment();
        let Layout { chunks, stage_stride, uniform_bytes, records_bytes } =
            Layout::new(shape, &spans, &demand, (&needs, rows_per_chunk), &may_begin, alignment);
        if let Some(row) = chunks.iter().map(|chunk| chunk.first_row).find(|&row| !may_begin(row)) {
            return Err(Error::Limit(format!(
                "a chunk of the call, whose buffers hold no more rows, ends before row {row}, within a block of draft tokens: list \
                 fewer tokens, draft fewer, put its rows nearer to each other, or request a higher `max_storage_buffer_binding_size`"
            )));
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
        let plan = Self { upload_bytes: plan.upload_bytes_with(demand.lists), ..plan };
        check_records(shape, &plan.demand, plan.records_bytes, limits)?;
        check_upload(shape, plan.upload_bytes, limits)?;
        Ok(plan)
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

fn check_shape(shape: &Shape) -> Result<()> {
    let Shape { dtype, rows, vocab, row_stride, byte_offset } = *shape;
    validate_shape(rows, vocab, row_stride)?;
    let width = dtype.bytes() as u64;
    if !byte_offset.is_multiple_of(width) {
        return Err(Error::Logits(format!(
            "byte offset {byte_offset} is no multiple of the {width} bytes of {dtype}: begin the logits at one that is"
        )));
    }
    let end =
        bytes_needed(dtype, rows, vocab, row_stride).and_then(|bytes| byte_offset.checked_add(bytes as u64));
    if end.is_none_or(|end| end > u64::MAX / 2) {
        return Err(Error::Logits(format!(
            "[{rows}][{vocab}] {dtype} at byte {byte_offset} with a row stride of {row_stride} is more than memory \
             can hold: lower `rows` or the row stride"
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
