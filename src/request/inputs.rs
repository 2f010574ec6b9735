//! The rows of a sampling step as both engines take them: checked, with what each does to its logits.

#[cfg(feature = "gpu")]
use super::ahead::Run;
#[cfg(feature = "gpu")]
use super::change::BUCKET;
use super::change::Bucket;
use super::changes::Changes;
use super::draft::{check_block, check_drafts};
use super::step::of_step;
use super::table::ChangeTable;
use super::{Compiled, Row};
use crate::answer::{DecodeInfo, FinishReason};
use crate::arithmetic::rng::Key;
use crate::error::{Error, Result};

/// What a `sample` call reads beside the logits, in host memory; `Default` is nothing. Construct it with
/// `..Default::default()`: new fields come in minor versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleInputs<'a> {
    /// A grammar mask: one bit per token, set where it is allowed; `[rows][ceil(vocab / 32)]` words, the lowest bit
    /// first. Bits past the vocabulary are not looked at.
    pub mask: Option<&'a [u32]>,
    /// Probabilities of the draft, `[rows][vocab]`, for rows that verify draft tokens by rejection or as a block.
    pub draft: Option<&'a [f32]>,
}

impl SampleInputs<'_> {
    /// The draft has a probability for every token, and is there if a row wants it.
    pub(crate) fn validate(&self, inputs: &Inputs<'_>) -> Result<()> {
        inputs.check_draft(self.draft.is_some())?;
        let needed = inputs.len().saturating_mul(inputs.vocab);
        match self.draft {
            Some(draft) if draft.len() != needed => Err(Error::Params(format!(
                "the draft has {} probabilities, [{}][{}] are needed: one for every token of each row",
                draft.len(),
                inputs.len(),
                inputs.vocab
            ))),
            _ => Ok(()),
        }
    }
}

/// Room for the changes of a step; to be used again.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// The tables of all rows, one after the other.
    buckets: Vec<Bucket>,
    /// Where the table of each row ends.
    ends: Vec<usize>,
    table: ChangeTable,
    /// Where the device holds the tokens before each row that runs ahead; none at all, or one per row.
    #[cfg(feature = "gpu")]
    pub(crate) runs: Vec<Option<Run>>,
}

/// The rows of a step, or some of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) vocab: usize,
    pub(super) rows: &'a [Row<'a>],
    /// The grammar mask, `[rows][ceil(vocab / 32)]`.
    mask: Option<&'a [u32]>,
    steps: &'a Steps,
    /// Number of the first row in `steps`.
    first: usize,
}

impl Steps {
    /// Checks the rows against the batch. `mask` is a grammar mask in host memory, `[rows][ceil(vocab / 32)]`.
    pub(crate) fn check<'a>(
        &'a mut self,
        rows: &'a [Row<'a>],
        count: usize,
        vocab: usize,
        mask: Option<&'a [u32]>,
    ) -> Result<Inputs<'a>> {
        if rows.len() != count {
            return Err(Error::Params(format!(
                "{} rows of requests for {count} rows of logits: give one per row",
                rows.len()
            )));
        }
        let mask_words = vocab.div_ceil(32);
        if let Some(mask) = mask
            && mask.len() != count.saturating_mul(mask_words)
        {
            return Err(Error::Params(format!(
                "the grammar mask has {} words, [{count}][{mask_words}] are needed: one bit per token, rows of whole words",
                mask.len()
            )));
        }
        self.buckets.clear();
        self.ends.clear();
        for (number, row) in rows.iter().enumerate() {
            check_row(row, number, vocab).map_err(|error| error.of_row(number))?;
            check_block(rows, number).map_err(|error| error.of_row(number))?;
            if self.runs_ahead(number) || row.finish().is_some() {
                self.table.clear();
            } else {
                check_history(row, number).map_err(|error| error.of_row(number))?;
                of_step(row, &mut self.table);
            }
            self.buckets.extend_from_slice(self.table.buckets());
            self.ends.push(self.buckets.len());
        }
        Ok(Inputs { vocab, rows, mask, steps: self, first: 0 })
    }

    /// Whether the device knows the tokens before a row.
    #[cfg(feature = "gpu")]
    fn runs_ahead(&self, row: usize) -> bool {
        self.runs.get(row).is_some_and(Option::is_some)
    }

    #[cfg(not(feature = "gpu"))]
    #[expect(clippy::unused_self, reason = "nothing runs ahead of the CPU")]
    fn runs_ahead(&self, _row: usize) -> bool {
        false
    }
}

/// The tokens that a row names are in the vocabulary, and its draft tokens can be verified.
fn check_row(row: &Row<'_>, number: usize, vocab: usize) -> Result<()> {
    let params = row.request.params();
    if row.request.largest_token.is_some_and(|token| token as usize >= vocab) {
        params.validate_tokens(vocab).map_err(|error| Error::Params(format!("row {number}: {error}")))?;
    }
    if row.position > Row::LAST_POSITION {
        return Err(Error::Params(format!(
            "row {number} draws token {}, the last position is {}: give a lower one",
            row.position,
            Row::LAST_POSITION
        )));
    }
    check_drafts(row, number, vocab)
}

/// The tokens before the row are known, if something looks at them.
fn check_history(row: &Row<'_>, number: usize) -> Result<()> {
    let Row { request, position, ahead, detached, .. } = *row;
    let next = request.next_position();
    let known = next.saturating_add(ahead.len() as u64);
    if (detached || position <= known) && ahead.is_empty() {
        return Ok(());
    }
    let Some(what) = request.looks_back() else { return Ok(()) };
    let needs = if position > known && !detached {
        format!(
            "with {what} needs all {position} before it, of which {known} are known: accept the others first, run ahead with \
             `Histories`, give them as `ahead`, begin with `Request::resume`, or say that the row is `detached` from them"
        )
    } else if position < known && !detached {
        format!(
            "with {what} needs the {position} before it, but {next} are known and {} are given as `ahead`: draw token \
             {known}, or give fewer",
            ahead.len()
        )
    } else if request.moves_limit() {
        format!(
            "with Mirostat needs what each token before it was drawn from, which {} tokens given as `ahead` do not say: accept \
             their samples first",
            ahead.len()
        )
    } else {
        return Ok(());
    };
    Err(Error::Params(format!("row {number} draws token {position}, and {needs}")))
}

impl<'a> Inputs<'a> {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Some of the rows as a step of their own.
    #[cfg(feature = "device")]
    pub(crate) fn slice(self, first: usize, count: usize) -> Self {
        let words = self.vocab.div_ceil(32);
        Self {
            rows: &self.rows[first..][..count],
            mask: self.mask.map(|mask| &mask[first * words..][..count * words]),
            first: self.first + first,
            ..self
        }
    }

    /// The rows, in order.
    #[cfg(feature = "gpu")]
    pub(crate) fn rows(&self) -> &'a [Row<'a>] {
        self.rows
    }

    /// The requests of the rows, compiled.
    pub(crate) fn compiled(&self) -> impl Iterator<Item = &'a Compiled> {
        self.rows.iter().map(|row| &row.request.compiled)
    }

    /// What a row does to its logits.
    pub(crate) fn changes(&self, row: usize) -> Changes<'a> {
        let Row { request, .. } = self.rows[row];
        let words = self.vocab.div_ceil(32);
        let end_of = |number: usize| self.steps.ends[number];
        let number = self.first + row;
        Changes {
            kept: &request.kept,
            step: &self.steps.buckets[number.checked_sub(1).map_or(0, end_of)..end_of(number)],
            repetition: request.params().repetition_penalty,
            xtc_exempt: request.xtc_exempt(),
            allowed: [request.allowed.as_deref(), self.mask.map(|mask| &mask[row * words..][..words])],
        }
    }

    /// Quads of words that the changes, allowed and given tokens of all rows take on a device: those that requests keep,
    /// once where rows of one request follow each other, and those of the step.
    pub(crate) fn quads(&self) -> [usize; 2] {
        let mut quads = [0; 2];
        for row in 0..self.rows.len() {
            let changes = self.changes(row);
            if self.begins_request(row) {
                quads[0] += changes.kept_quads(self.vocab);
            }
            quads[1] += changes.step_quads(self.vocab) + self.draft_quads(row);
            #[cfg(feature = "gpu")]
            {
                quads[1] += self.run(row).map_or(0, |run| run.quads(&self.rows[row]));
            }
        }
        quads[1] += self.len() * self.most_token_ids().div_ceil(4);
        quads
    }

    /// Where the device holds the tokens before a row that runs ahead.
    #[cfg(feature = "gpu")]
    pub(crate) fn run(&self, row: usize) -> Option<&'a Run> {
        self.steps.runs.get(self.first + row)?.as_ref()
    }

    /// Which time a row's request entered the histories that it goes on in; 0 without them.
    #[cfg(feature = "gpu")]
    fn entry(&self, row: usize) -> u64 {
        self.run(row).map_or(0, |run| run.entry)
    }

    #[cfg(not(feature = "gpu"))]
    fn entry(&self, _row: usize) -> u64 {
        0
    }

    /// Quads of the tables that the device makes for rows that run ahead.
    #[cfg(feature = "gpu")]
    pub(crate) fn table_quads(&self) -> usize {
        let of_row = |row: usize| self.run(row).map_or(0, |run| run.buckets(&self.rows[row]) * BUCKET);
        (0..self.len()).map(of_row).sum()
    }

    /// Whether what a row does to its logits is known on the device alone.
    pub(crate) fn runs_ahead(&self, row: usize) -> bool {
        self.steps.runs_ahead(self.first + row)
    }

    /// Whether the device changes the logits of a row by what it alone knows; where only stop tokens are looked at, it does not.
    pub(crate) fn changes_ahead(&self, row: usize) -> bool {
        let Row { request, position, .. } = self.rows[row];
        let has_early_stops =
            position < request.params().min_tokens && !request.params().stop_token_ids.is_empty();
        self.runs_ahead(row) && (request.looks_back().is_some() || has_early_stops)
    }

    /// Why a row's request has finished before it; that of one that runs ahead is for the device to say.
    pub(crate) fn finish(&self, row: usize) -> Option<FinishReason> {
        self.rows[row].finish().filter(|_| !self.runs_ahead(row))
    }

    /// Quads of words of a row's draft tokens, where it has several.
    pub(crate) fn draft_quads(&self, row: usize) -> usize {
        match self.rows[row].draft.len() {
            0 | 1 => 0,
            several => several.div_ceil(4),
        }
    }

    /// The given tokens of a row.
    pub(crate) fn token_ids(&self, row: usize) -> &'a [u32] {
        &self.rows[row].request.params().logprob_token_ids
    }

    /// The most that any row has.
    pub(crate) fn most_token_ids(&self) -> usize {
        (0..self.len()).map(|row| self.token_ids(row).len()).max().unwrap_or(0)
    }

    /// Whether the row before is another request's.
    pub(crate) fn begins_request(&self, row: usize) -> bool {
        row == 0 || !std::ptr::eq(self.rows[row].request, self.rows[row - 1].request)
    }

    /// Where the numbers of a row's draws come from.
    pub(crate) fn key(&self, row: usize) -> Key {
        let Row { request, position, .. } = self.rows[row];
        Key { seed: request.compiled.seed, position, stream: request.compiled.stream }
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
        self.rows.iter().any(|row| !row.draft.is_empty() && !row.request.compiled.is_greedy)
    }

    /// The stop tokens of all rows, as `decode_info` names them.
    pub(crate) fn stops(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().flat_map(|row| row.stops()).copied()
    }

    /// What the host needs to decode the rows' records.
    pub(crate) fn decode_info(&self) -> impl Iterator<Item = DecodeInfo> {
        let mut next_stop = 0;
        self.rows.iter().enumerate().map(move |(number, row)| {
            let compiled = &row.request.compiled;
            let first_stop = next_stop;
            next_stop += row.stops().len();
            DecodeInfo {
                seed: compiled.seed,
                stream: compiled.stream,
                position: row.position,
                entry: self.entry(number),
                is_last: row.is_last(),
                stops: (first_stop, row.stops().len()),
                is_verified: row.is_verified(),
                wants_raw: compiled.top_raw.is_some(),
                n_draws: compiled.n_draws,
                entropy: compiled.entropy,
            }
        })
    }
}
