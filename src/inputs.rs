//! The rows of a sampling step as both engines take them: checked, compiled, laid out.

use crate::error::{Error, Result};
use crate::exact::Scale;
use crate::plan::Demand;
use crate::request::{Changes, Compiled, Row};
use crate::rng::Key;
use crate::sample::Asked;

/// The rows of a step.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) rows: Vec<RowInputs>,
    pub(crate) vocab: usize,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct RowInputs {
    pub(crate) compiled: Compiled,
    pub(crate) changes: Changes,
    pub(crate) key: Key,
    pub(crate) draft: Option<u32>,
}

impl Inputs {
    /// Checks the rows against the batch. `mask` is a grammar mask in host memory, `[rows][ceil(vocab / 32)]`.
    pub(crate) fn new(rows: &[Row<'_>], count: usize, vocab: usize, mask: Option<&[u32]>) -> Result<Self> {
        if rows.len() != count {
            return Err(Error::Params(format!(
                "{} rows of requests for {count} rows of logits: give one per row",
                rows.len()
            )));
        }
        let mask_words = vocab.div_ceil(32);
        if let Some(mask) = mask
            && mask.len() != count * mask_words
        {
            return Err(Error::Params(format!(
                "the grammar mask has {} words, [{count}][{mask_words}] are needed: one bit per token, rows of whole words",
                mask.len()
            )));
        }
        let rows = rows
            .iter()
            .enumerate()
            .map(|(number, row)| {
                let params = row.request.params();
                params
                    .validate_tokens(vocab)
                    .map_err(|error| Error::Params(format!("row {number}: {error}")))?;
                if let Some(token) = row.draft {
                    if token as usize >= vocab {
                        return Err(Error::Params(format!(
                            "draft token {token} of row {number} is outside the vocabulary of {vocab}"
                        )));
                    }
                    if params.mirostat.is_some() {
                        return Err(Error::Params(format!(
                            "row {number} verifies a draft token and has Mirostat, whose limit depends on every draw: \
                             decode it without a draft"
                        )));
                    }
                    if params.n > 1 {
                        return Err(Error::Params(format!(
                            "row {number} verifies a draft token and asks for {} draws: a draft has one",
                            params.n
                        )));
                    }
                }
                let mut changes = row.request.changes(row.position, vocab);
                if let Some(mask) = mask {
                    let own = &mask[number * mask_words..(number + 1) * mask_words];
                    let mut words = own.to_vec();
                    words.resize(vocab.div_ceil(128) * 4, 0);
                    if let Some(allowed) = &changes.allowed {
                        words.iter_mut().zip(allowed).for_each(|(word, allowed)| *word &= allowed);
                    }
                    changes.allowed = Some(words);
                }
                let compiled = Compiled::new(row.request);
                let key = Key { seed: compiled.seed, position: row.position, stream: compiled.stream };
                Ok(RowInputs { compiled, changes, key, draft: row.draft })
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows, vocab })
    }

    /// The first rows as a step of their own; the others stay.
    #[cfg(feature = "wgpu")]
    pub(crate) fn split_first(&mut self, rows: usize) -> Self {
        Self { rows: self.rows.drain(..rows).collect(), vocab: self.vocab }
    }

    /// Nothing, if there are probabilities of the draft or no row wants them.
    pub(crate) fn check_draft(&self, is_there: bool) -> Result<()> {
        if self.wants_draft() && !is_there {
            return Err(Error::Params(
                "a row verifies a draft token, but there are no probabilities of the draft: give `draft`"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether a row needs probabilities of its draft: a greedy one compares tokens.
    pub(crate) fn wants_draft(&self) -> bool {
        self.rows.iter().any(|row| row.draft.is_some() && !row.compiled.is_greedy)
    }

    /// What the device must provide.
    pub(crate) fn demand(&self, mask_row_bytes: u64) -> Demand {
        let most = |of: fn(&RowInputs) -> u32| self.rows.iter().map(of).max().unwrap_or(0);
        let has_other_raw = |row: &RowInputs| {
            let is_changed =
                mask_row_bytes > 0 || row.changes.allowed.is_some() || !row.changes.list.is_empty();
            row.compiled.top_raw.is_some() && (is_changed || row.compiled.pass != Scale::new(1.0))
        };
        let draft_row_bytes = if self.wants_draft() { self.vocab as u64 * 4 } else { 0 };
        Demand {
            top_k: most(|row| row.compiled.top_processed),
            top_raw: most(|row| row.compiled.top_raw.unwrap_or(0)),
            draws: Some(most(|row| row.compiled.n_draws)),
            views: if self.rows.iter().any(has_other_raw) { 2 } else { 1 },
            records_stay: false,
            requests: self.rows.len(),
            lists: self
                .rows
                .iter()
                .map(|row| {
                    row.changes.list.len() + row.changes.allowed.as_ref().map_or(0, |words| words.len() / 4)
                })
                .sum(),
            other_row_bytes: mask_row_bytes.max(draft_row_bytes),
        }
    }

    /// What the host needs to decode the rows' records.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let of = |row: &RowInputs| Asked {
            seed: row.compiled.seed,
            has_draft: row.draft.is_some(),
            wants_raw: row.compiled.top_raw.is_some(),
            n_draws: row.compiled.n_draws,
        };
        self.rows.iter().map(of).collect()
    }
}
