//! What a call asks of the device, beside the shape of its logits.

use crate::answer::{LogprobsBits, SampleBits};
use crate::arithmetic::format::MOST_LISTED;
use crate::arithmetic::lane::PassScale;
use crate::kernels::digit_count;
use crate::logits::Dtype;
use crate::request::{Inputs, RowInputs};

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
    /// Demand of a `logprobs` call.
    pub(crate) fn logprobs(listed: u32) -> Self {
        Self { listed, views: 1, requests: 1, ..Self::default() }
    }

    /// Demand of an operation, which turns the records into so many bytes of output per row.
    #[cfg(feature = "wgpu")]
    pub(crate) fn operation(listed: u32, out_row_bytes: u64) -> Self {
        Self { records_stay: true, other_row_bytes: out_row_bytes, ..Self::logprobs(listed) }
    }

    /// Demand of a `sample` call, with so many bytes of a grammar mask per row on the device.
    pub(crate) fn sample(inputs: &Inputs, mask_row_bytes: u64) -> Self {
        let most = |of: fn(&RowInputs) -> u32| inputs.rows.iter().map(of).max().unwrap_or(0);
        let has_other_raw = |row: &RowInputs| {
            let is_changed =
                mask_row_bytes > 0 || row.changes.allowed.is_some() || !row.changes.list.is_empty();
            row.compiled.top_raw.is_some() && (is_changed || row.compiled.pass != PassScale::new(1.0))
        };
        let lists = |row: &RowInputs| {
            row.changes.list.len() + row.changes.allowed.as_ref().map_or(0, |words| words.len() / 4)
        };
        let draft_row_bytes = if inputs.wants_draft() { inputs.vocab as u64 * 4 } else { 0 };
        Self {
            listed: most(|row| row.compiled.top_processed),
            top_raw: most(|row| row.compiled.top_raw.unwrap_or(0)),
            draws: Some(most(|row| row.compiled.n_draws)),
            views: if inputs.rows.iter().any(has_other_raw) { 2 } else { 1 },
            records_stay: false,
            requests: inputs.rows.len(),
            lists: inputs.rows.iter().map(lists).sum(),
            other_row_bytes: mask_row_bytes.max(draft_row_bytes),
        }
    }

    /// Stages in which digits are counted, none where one workgroup per row holds the list.
    pub(crate) fn stages(&self, dtype: Dtype) -> usize {
        if self.listed > MOST_LISTED { digit_count::stages(dtype) } else { 0 }
    }

    /// Words of a row's record.
    pub(crate) fn record_words(&self) -> usize {
        match self.draws {
            Some(draws) => SampleBits::words(draws, self.listed, self.top_raw),
            None => LogprobsBits::words(self.listed),
        }
    }

    /// Words before the records of a chunk, per row: the first drawn token.
    pub(crate) fn token_words(&self) -> usize {
        usize::from(self.draws.is_some())
    }
}
