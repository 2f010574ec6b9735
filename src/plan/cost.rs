//! What a call costs in dispatches and bytes, and how a plan prints.

use std::fmt;

use super::{Demand, Plan, ROW_BYTES, UNIFORM_BYTES};
use crate::arithmetic::format::{MOST_LISTED, SUBTILE_TOKENS, TILE_TOKENS};
use crate::kernels::digit_count;
use crate::logits::{Dtype, Shape};

/// What a call costs in dispatches and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Rounds of dispatches. A batch is one chunk unless its bindings, rows or scratch (36 MiB, which is 4153 rows of
    /// 128 256 tokens; with all of a row's tokens as entries, 35) pass a limit.
    pub chunks: usize,
    /// Compute dispatches: two per chunk, 14 more for each list of more than 1024 entries per row (8 for 16-bit logits
    /// where nothing is drawn), one more for given tokens, and two more for draft tokens that are verified as a block; three for a divergence. One more in all where rows run ahead with [`Histories`](crate::Histories).
    pub dispatches: usize,
    /// Bytes of logits, each read once; those of both batches for a divergence.
    pub bytes_read: u64,
    /// Bytes of logits that are read again for the lists: the subtiles that can hold their entries, raw and processed.
    /// For more than 1024 entries all of them, once for each byte of a logit (of a sample's, four) to find the last entry, and
    /// twice to take the entries. For given tokens the rows once more, in each distribution that says something of them; for a
    /// divergence both batches. Draws and filters read further ones, as many as the row needs:
    /// [`Sample::reopened`](crate::Sample::reopened).
    pub bytes_reopened: u64,
    /// Bytes that go to the device at most: what every chunk is told, the requests, the rows and their lists. What did
    /// not change since the buffer was last used is not sent again.
    pub bytes_uploaded: u64,
    /// Bytes that go to the device in a call in which no request changed: what every chunk is told, and the rows'
    /// positions.
    pub bytes_uploaded_unchanged: u64,
    /// Bytes of scratch on the device, shared by all calls.
    pub bytes_scratch: u64,
    /// Bytes that come back: the records, in one copy.
    pub bytes_back: u64,
}

impl Plan {
    /// What the call costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let Shape { dtype, rows, vocab, .. } = self.shape;
        let [counts, scatters] = self.digit_dispatches();
        let from = self.demand.divergence_from.map_or(0, Dtype::bytes);
        let uniforms = self.chunks.len() * self.demand.told(dtype).count();
        let heads = self.demand.heads(rows);
        Cost {
            chunks: self.chunks.len(),
            dispatches: (self.passes().len() + counts + scatters + self.rank_dispatches())
                * self.chunks.len()
                + usize::from(self.demand.runs_ahead),
            bytes_read: rows as u64 * vocab as u64 * (dtype.bytes() + from) as u64,
            bytes_reopened: rows as u64 * self.reopened() * (dtype.bytes() + from) as u64,
            bytes_uploaded: self.upload_bytes,
            bytes_uploaded_unchanged: uniforms as u64 * UNIFORM_BYTES + heads as u64 * ROW_BYTES,
            bytes_scratch: self.scratch_bytes,
            bytes_back: self.records_bytes,
        }
    }

    /// Logits of a row that are read again.
    fn reopened(&self) -> u64 {
        let Shape { dtype, vocab, .. } = self.shape;
        let opened = |top: u32| {
            let subtiles = vocab.div_ceil(SUBTILE_TOKENS).min(top as usize);
            (subtiles * SUBTILE_TOKENS).min(vocab)
        };
        let of_long = (digit_count::levels(self.demand.digits_of(dtype)) + 2) * vocab;
        let of_list = |top: u32| if top > MOST_LISTED { of_long } else { opened(top) };
        let for_lists = match self.demand.divergence_from {
            Some(_) => vocab,
            None => of_list(self.demand.listed) + of_list(self.demand.top_raw),
        };
        (for_lists + self.demand.token_views as usize * vocab) as u64
    }

    /// The kernels of a chunk, but for those of digits.
    fn passes(&self) -> &'static [&'static str] {
        match self.demand {
            Demand { divergence_from: Some(_), .. } => {
                &["tile_divergence", "row_divergence", "tile_information"]
            }
            Demand { has_blocks: true, .. } => &["tile_stats", "row_sample", "row_sample", "row_sample"],
            Demand { draws: Some(_), .. } => &["tile_stats", "row_sample"],
            _ => &["tile_stats", "row_logprobs"],
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { dtype, rows, vocab, .. } = self.shape;
        let Demand { listed, top_raw, draws, views, token_ids, divergence_from, .. } = self.demand;
        let cost = self.cost();
        write!(f, "[{rows}][{vocab}] {dtype}, ")?;
        match (draws, divergence_from) {
            (_, Some(from)) => write!(f, "divergence from {from}")?,
            (None, _) => write!(f, "top {listed}")?,
            (Some(draws), _) => write!(f, "{draws} draws, top {listed} processed, top {top_raw} raw")?,
        }
        match token_ids {
            0 => writeln!(f)?,
            count => writeln!(f, ", {count} token ids")?,
        }
        writeln!(f, "  chunks      {}", cost.chunks)?;
        write!(f, "  dispatches  {} ({}", cost.dispatches, self.passes().join(", "))?;
        match self.digit_dispatches() {
            [0, _] => {}
            [counts, scatters] => {
                let of = if draws.is_some() { "view_" } else { "" };
                write!(f, ", {counts} {of}digit_count, {scatters} {of}digit_scatter")?;
            }
        }
        write!(f, "{}", if self.rank_dispatches() > 0 { ", token_ranks" } else { "" })?;
        writeln!(f, "{}", if self.demand.runs_ahead { ", row_history)" } else { ")" })?;
        writeln!(f, "  copies      {}", usize::from(cost.chunks > 0))?;
        let views = if divergence_from.is_some() { 2 } else { views };
        let plural = if views == 1 { "" } else { "s" };
        writeln!(
            f,
            "  read        {} bytes of logits once, for {views} distribution{plural}",
            cost.bytes_read
        )?;
        let what = match (divergence_from, token_ids) {
            (Some(_), _) => "Jensen-Shannon",
            (None, 0) => "the lists",
            (None, _) => "the lists and the token ids",
        };
        writeln!(f, "  reopened    {} bytes for {what}", cost.bytes_reopened)?;
        if draws.is_some() {
            let tile = TILE_TOKENS.min(vocab) as u64 * rows as u64 * dtype.bytes() as u64;
            writeln!(
                f,
                "              {tile} bytes, a tile per row, for each draw, and what filters and ranks open"
            )?;
        }
        writeln!(
            f,
            "  uploaded    {} bytes, {} where no request changed",
            cost.bytes_uploaded, cost.bytes_uploaded_unchanged
        )?;
        writeln!(f, "  scratch     {} bytes", cost.bytes_scratch)?;
        write!(f, "  back        {} bytes", cost.bytes_back)
    }
}
