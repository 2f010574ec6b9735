//! The rows of a sampling step as both engines take them: checked, compiled, laid out.

use super::{Changes, Compiled, Row};
use crate::answer::DecodeInfo;
use crate::arithmetic::rng::Key;
use crate::error::{Error, Result};

/// What a `sample` call reads beside the logits, in host memory; `Default` is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleInputs<'a> {
    /// A grammar mask: one bit per token, set where it is allowed; `[rows][ceil(vocab / 32)]` words, the lowest bit
    /// first. Bits past the vocabulary are not looked at.
    pub mask: Option<&'a [u32]>,
    /// Probabilities of the draft, `[rows][vocab]`, for rows that verify a draft token by rejection.
    pub draft: Option<&'a [f32]>,
}

impl SampleInputs<'_> {
    /// The draft has a probability for every token, and is there if a row wants it.
    pub(crate) fn validate(&self, inputs: &Inputs) -> Result<()> {
        inputs.check_draft(self.draft.is_some())?;
        let needed = inputs.rows.len() * inputs.vocab;
        match self.draft {
            Some(draft) if draft.len() != needed => Err(Error::Params(format!(
                "the draft has {} probabilities, [{}][{}] are needed",
                draft.len(),
                inputs.rows.len(),
                inputs.vocab
            ))),
            _ => Ok(()),
        }
    }
}

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

impl RowInputs {
    fn new(row: &Row<'_>, vocab: usize, mask: Option<&[u32]>) -> Self {
        let mut changes = row.request.changes(row.position, vocab);
        if let Some(mask) = mask {
            let mut words = mask.to_vec();
            words.resize(vocab.div_ceil(128) * 4, 0);
            if let Some(allowed) = &changes.allowed {
                words.iter_mut().zip(allowed).for_each(|(word, allowed)| *word &= allowed);
            }
            changes.allowed = Some(words);
        }
        let compiled = Compiled::new(row.request);
        let key = Key { seed: compiled.seed, position: row.position, stream: compiled.stream };
        Self { compiled, changes, key, draft: row.draft }
    }
}

/// The tokens that a row names are in the vocabulary, and a draft is one that can be verified.
fn check_row(row: &Row<'_>, number: usize, vocab: usize) -> Result<()> {
    let params = row.request.params();
    params.validate_tokens(vocab).map_err(|error| Error::Params(format!("row {number}: {error}")))?;
    let Some(token) = row.draft else { return Ok(()) };
    if token as usize >= vocab {
        return Err(Error::Params(format!(
            "draft token {token} of row {number} is outside the vocabulary of {vocab}"
        )));
    }
    if params.mirostat.is_some() {
        return Err(Error::Params(format!(
            "row {number} verifies a draft token and has Mirostat, whose limit depends on every draw: decode it without \
             a draft"
        )));
    }
    if params.n > 1 {
        return Err(Error::Params(format!(
            "row {number} verifies a draft token and asks for {} draws: a draft has one",
            params.n
        )));
    }
    Ok(())
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
        let own_mask = |number: usize| mask.map(|mask| &mask[number * mask_words..][..mask_words]);
        let rows = rows
            .iter()
            .enumerate()
            .map(|(number, row)| {
                check_row(row, number, vocab)?;
                Ok(RowInputs::new(row, vocab, own_mask(number)))
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows, vocab })
    }

    /// The first rows as a step of their own; the others stay.
    #[cfg(feature = "device")]
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

    /// What the host needs to decode the rows' records.
    pub(crate) fn decode_info(&self) -> Vec<DecodeInfo> {
        let of = |row: &RowInputs| DecodeInfo {
            seed: row.compiled.seed,
            has_draft: row.draft.is_some(),
            wants_raw: row.compiled.top_raw.is_some(),
            n_draws: row.compiled.n_draws,
            entropy: row.compiled.entropy,
        };
        self.rows.iter().map(of).collect()
    }
}
