//! What a call asks of the device, beside the shape of its logits.

use crate::answer::words::divergence;
use crate::answer::{LogprobsBits, SampleBits, SampleParts};
use crate::arithmetic::divergence::divergence_tile;
use crate::arithmetic::format::MOST_LISTED;
use crate::arithmetic::lane::PassScale;
use crate::kernels::digit_count;
use crate::kernels::row_sample::stage;
use crate::kernels::tile_stats::TILE_WORDS;
use crate::logits::{Dtype, Shape};
use crate::request::{Compiled, Inputs};

/// What a call asks of the device, beside the shape of its logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Entries of the list that follows a record's header.
    pub(crate) listed: u32,
    /// Entries of the raw list, which follows that one in a sample's record.
    pub(crate) top_raw: u32,
    /// Most draws of a row; `None` where nothing is drawn.
    pub(crate) draws: Option<u32>,
    /// Distributions that pass 1 sums up: 2 where the raw one differs from the one that is drawn from.
    pub(crate) views: u32,
    /// Type of the batch that the divergence of this one is taken from, where that is what is asked.
    pub(crate) divergence_from: Option<Dtype>,
    /// Records stay on the device, where the next chunk's replace them.
    pub(crate) records_stay: bool,
    /// Each row has its own offset, which is uploaded.
    pub(crate) has_offsets: bool,
    /// Rows run ahead: what their tokens change comes about on the device.
    pub(crate) runs_ahead: bool,
    /// Draft tokens are verified as blocks, which takes further dispatches.
    pub(crate) has_blocks: bool,
    /// Requests that are uploaded.
    pub(crate) requests: usize,
    /// Given tokens of a row, the most of any, and the views of which something is said of them.
    pub(crate) token_ids: u32,
    pub(crate) token_views: u32,
    /// Quads of words of changes, of allowed sets and of given tokens.
    pub(crate) lists: usize,
    /// Rows of the widest of the engine's further buffers: outputs, grammar mask, draft, second batch.
    pub(crate) other: RowBytes,
}

/// Bytes of the rows of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowBytes {
    /// Of one row.
    pub(crate) bytes: u64,
    /// From the start of one row to the start of the next; 0 for a single row.
    pub(crate) stride: u64,
}

impl RowBytes {
    /// Rows one right after the other.
    fn packed(bytes: u64) -> Self {
        Self { bytes, stride: bytes }
    }

    /// Rows of logits.
    pub(crate) fn of(shape: &Shape) -> Self {
        let width = shape.dtype.bytes() as u64;
        Self {
            bytes: (shape.vocab as u64).saturating_mul(width),
            stride: if shape.rows > 1 { (shape.row_stride as u64).saturating_mul(width) } else { 0 },
        }
    }

    /// Most rows in so many bytes: the last one ends with its own bytes, wherever a next one would begin.
    pub(crate) fn most_in(self, room: u64) -> u64 {
        match room.checked_sub(self.bytes) {
            Some(rest) => rest.checked_div(self.stride).unwrap_or(u64::MAX).saturating_add(1),
            None => 0,
        }
    }
}

impl Demand {
    /// Demand of a `logprobs` call over so many rows and tokens, with at most so many given tokens each.
    pub(crate) fn logprobs(top_logprobs: u32, token_ids: usize, rows: usize, vocab: usize) -> Self {
        Self {
            listed: top_logprobs.min(number(vocab)),
            views: 1,
            requests: 1,
            token_ids: number(token_ids),
            token_views: u32::from(token_ids > 0),
            lists: rows.saturating_mul(token_ids.div_ceil(4)),
            ..Self::default()
        }
    }

    /// Demand of an operation, which turns the records into so many bytes of output per row.
    #[cfg(feature = "gpu")]
    pub(crate) fn operation(listed: u32, out_row_bytes: u64) -> Self {
        Self {
            listed,
            views: 1,
            requests: 1,
            records_stay: true,
            other: RowBytes::packed(out_row_bytes),
            ..Self::default()
        }
    }

    /// Demand of a `sample` call, with so many bytes of a grammar mask per row on the device.
    pub(crate) fn sample(inputs: &Inputs<'_>, mask_row_bytes: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_VOCAB")]
        let vocab = inputs.vocab as u32;
        let most = |of: fn(&Compiled) -> u32| inputs.compiled().map(of).max().unwrap_or(0);
        let has_other_raw = |(row, compiled): (usize, &Compiled)| {
            compiled.top_raw.is_some()
                && (mask_row_bytes > 0
                    || compiled.pass != PassScale::new(1.0)
                    || inputs.changes(row).is_some()
                    || inputs.changes_ahead(row))
        };
        let token_ids = inputs.most_token_ids();
        let asks_raw = inputs.compiled().any(|compiled| compiled.top_raw.is_some());
        let draft_row_bytes = if inputs.wants_draft() { inputs.vocab as u64 * 4 } else { 0 };
        Self {
            listed: most(|request| request.top_processed).min(vocab),
            top_raw: most(|request| request.top_raw.unwrap_or(0)).min(vocab),
            draws: Some(most(|request| request.n_draws)),
            views: if inputs.compiled().enumerate().any(has_other_raw) { 2 } else { 1 },
            token_ids: number(token_ids),
            token_views: if token_ids > 0 { 1 + u32::from(asks_raw) } else { 0 },
            runs_ahead: (0..inputs.len()).any(|row| inputs.runs_ahead(row)),
            has_blocks: inputs.has_blocks(),
            requests: inputs.len(),
            lists: inputs.quads().iter().sum(),
            other: RowBytes::packed(mask_row_bytes.max(draft_row_bytes)),
            ..Self::default()
        }
    }

    /// The same where nothing is wanted of a row but its first token: one draw of one view, nothing is listed, nor said of
    /// given tokens.
    #[cfg(feature = "gpu")]
    pub(crate) fn of_token_alone(self) -> Self {
        Self { listed: 0, top_raw: 0, token_ids: 0, token_views: 0, draws: Some(1), views: 1, ..self }
    }

    /// Demand of a `divergence` call, from a batch that lies so.
    pub(crate) fn divergence(from: &Shape) -> Self {
        Self { divergence_from: Some(from.dtype), other: RowBytes::of(from), ..Self::default() }
    }

    /// Quads of so many rows that are uploaded: a head each, and then their offsets, four a quad.
    pub(crate) fn heads(&self, rows: usize) -> usize {
        match (self.divergence_from, self.has_offsets) {
            (Some(_), _) => 0,
            (None, false) => rows,
            (None, true) => rows.saturating_add(rows.div_ceil(4)),
        }
    }

    /// Words that the first pass leaves of a tile.
    pub(crate) fn tile_words(&self) -> usize {
        match self.divergence_from {
            Some(_) => divergence_tile::WORDS,
            None => TILE_WORDS * self.views as usize,
        }
    }

    /// Lists that no workgroup holds, with their entries: of the row or what is drawn from, 0, and of the raw logits, 1.
    pub(crate) fn long_lists(&self) -> impl Iterator<Item = (u32, u32)> {
        [(0, self.listed), (1, self.top_raw)].into_iter().filter(|&(_, entries)| entries > MOST_LISTED)
    }

    /// The type whose digits are counted: what is drawn from may be changed, which is done in f32.
    pub(crate) fn digits_of(&self, dtype: Dtype) -> Dtype {
        if self.draws.is_some() { Dtype::F32 } else { dtype }
    }

    /// Stages in which digits are counted, in their order: which list, with how many entries, and the stage of it.
    pub(crate) fn list_stages(&self, dtype: Dtype) -> impl Iterator<Item = (u32, u32, u32)> {
        let stages = digit_count::stages(self.digits_of(dtype));
        self.long_lists()
            .flat_map(move |(list, entries)| (0..).take(stages).map(move |stage| (list, entries, stage)))
    }

    /// Stages of the second pass before the one that writes the records.
    pub(crate) fn block_stages(&self) -> &'static [u32] {
        if self.has_blocks { &[stage::WEIGH, stage::TRY] } else { &[] }
    }

    /// What each dispatch of a chunk is told that differs from the others, a list and a stage: first the second pass, with the
    /// first stage of a list, then those of further stages, and of blocks.
    pub(crate) fn told(&self, dtype: Dtype) -> impl Iterator<Item = (u32, u32)> {
        let of_lists = self.list_stages(dtype).map(|(list, _, stage)| (list, stage));
        let alone = self.long_lists().next().is_none().then_some((0, stage::ALL));
        alone.into_iter().chain(of_lists).chain(self.block_stages().iter().map(|&stage| (0, stage)))
    }

    /// What a row's record has room for.
    pub(crate) fn parts(&self) -> SampleParts {
        let Self { listed, top_raw, token_ids, token_views, .. } = *self;
        SampleParts { draws: self.draws.unwrap_or(0), listed, top_raw, token_ids, token_views }
    }

    /// Words of a row's record.
    pub(crate) fn record_words(&self) -> usize {
        match self.draws {
            _ if self.divergence_from.is_some() => divergence::WORDS,
            Some(_) => SampleBits::words(self.parts()),
            None => LogprobsBits::words(self.listed, self.token_ids),
        }
    }

    /// Words before the records of a chunk, per row: the first drawn token.
    pub(crate) fn token_words(&self) -> usize {
        usize::from(self.draws.is_some())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most MAX_LOGPROB_TOKEN_IDS, which is checked before")]
fn number(token_ids: usize) -> u32 {
    token_ids as u32
}
