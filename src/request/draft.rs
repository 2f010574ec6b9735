//! Speculative decoding: draft tokens, verified in one call.

use super::verified::Verified;
use super::{Request, Row};
use crate::answer::Sample;
use crate::error::{Error, Result};

/// How draft tokens are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Draws every token as without a draft and accepts the draft as far as it says the same: the output is, token by
    /// token, the one that plain decoding with this seed gives. What drafted does not matter.
    SampleAndMatch,
    /// Accepts a draft token with probability `min(1, p / q)` and otherwise draws from `max(0, p − q)` (Leviathan,
    /// Kalman, Matias 2023; Chen et al. 2023): more is accepted, and the output has the distribution of plain
    /// decoding. Wants the draft's probabilities q, which the engine computes; no call of this library writes them. They
    /// are those of the very distribution that the draft token was drawn from, with all that the draft's own request
    /// does: temperature, filters, penalties, masks. Simplest is a draft request with a temperature, a seed and a stream
    /// alone, since q is then the softmax of its logits at that temperature; the request that is verified may have
    /// penalties and filters all the same. Siblings of a tree are tried in turn, each against what the ones before it
    /// left (Jeon et al. 2024): they must have been drawn from q without replacement, in this order. The draft may draw
    /// with the request's own seed and stream.
    Rejection,
    /// Accepts draft tokens as one block (Sun et al. 2024): a later token makes good what an earlier one lacks, so that
    /// never fewer are accepted than by rejection, on average, and the output has the distribution of plain decoding.
    /// Wants q as rejection does. How far a block is accepted depends on the dropped tokens too. So no position may be
    /// drawn again with the numbers of a dropped token, neither by the next draft nor by the request itself without a
    /// draft: that biases the output. Give the draft a new [`stream`](crate::SamplingParams::stream) for each block, never
    /// the request's own. At most [`Row::MAX_DRAFT_TOKENS`], no tree; two dispatches more.
    Block,
}

/// The draft tokens of one request: the target model has computed logits for each of their positions and for the one
/// after the last, and all rows of several requests may lie in one batch.
///
/// The tokens are given from the host, which waits twice: for what the draft drew, and for what of it is accepted.
/// `examples/speculative.rs` is such a loop, with a draft model that draws on the device.
///
/// Penalties, DRY, bad words and no-repeat n-grams see the draft tokens before a row as if they were accepted. A grammar
/// mask is the engine's: give each row the state after these tokens. `SampleBuffers::tokens` gets a
/// token for each row, whatever is accepted. Be done with the drafts, which borrow the requests, before
/// [`Request::accept`].
///
/// # Example
/// ```
/// use sortilege::{Cpu, DraftTokens, Engine, Logits, Request, SampleInputs, SamplingParams, Verification};
/// let request = Request::new(SamplingParams { temperature: 0.0, ..SamplingParams::default() })?;
/// // The draft says 2, 0; the target agrees with the first only.
/// let logits = [0.0f32, 1.0, 5.0, /**/ 0.0, 3.0, 1.0, /**/ 9.0, 0.0, 0.0];
/// let draft = DraftTokens::new(&request, 0, &[2, 0], Verification::SampleAndMatch)?;
/// let rows: Vec<_> = draft.rows().collect();
/// let samples = Cpu.sample(&Logits::f32(&logits, 3, 3)?, &rows, &SampleInputs::default())?;
/// let verified = draft.verify(&samples);
/// assert_eq!((verified.accepted.clone(), verified.tokens()), (vec![0], vec![2, 1]));
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DraftTokens<'a> {
    request: &'a Request,
    draft: &'a [u32],
    position: u64,
    verification: Verification,
}

impl<'a> DraftTokens<'a> {
    /// Draft tokens for `request`, the first of them at `position`.
    ///
    /// # Errors
    /// [`Error::Params`] if the request asks for several draws, or has Mirostat, whose limit depends on what is drawn; for a
    /// block of more than [`Row::MAX_DRAFT_TOKENS`] draft tokens; if positions end before the draft does.
    pub fn new(
        request: &'a Request,
        position: u64,
        draft: &'a [u32],
        verification: Verification,
    ) -> Result<Self> {
        check_request(request)?;
        check_position(position, draft.len())?;
        if verification == Verification::Block && draft.len() > Row::MAX_DRAFT_TOKENS {
            return Err(Error::Params(format!(
                "a block has {} draft tokens, over the limit of {}: draft fewer, or verify them by rejection",
                draft.len(),
                Row::MAX_DRAFT_TOKENS
            )));
        }
        Ok(Self { request, draft, position, verification })
    }

    /// The rows of the batch: one per draft token, and one for the bonus token, the one after a whole accepted draft. Each
    /// takes the draft tokens before it for accepted.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> {
        let Self { request, draft, position, verification } = *self;
        (0..=draft.len()).map(move |i| Row {
            draft: match verification {
                Verification::SampleAndMatch => &[],
                Verification::Rejection | Verification::Block => draft.get(i..=i).unwrap_or(&[]),
            },
            block_place: (verification == Verification::Block).then_some(i),
            ahead: &draft[..i],
            ..request.row(position + i as u64)
        })
    }

    /// What the samples of these rows mean for the draft.
    ///
    /// # Panics
    /// If there is not one sample per row.
    #[must_use]
    pub fn verify<'s>(&self, samples: &'s [Sample]) -> Verified<'s> {
        assert_eq!(samples.len(), self.draft.len() + 1, "one sample per row of the draft");
        if self.verification == Verification::Block {
            return Verified::of_block(samples);
        }
        Verified::new(samples, |last, sample| {
            let place = last.map_or(0, |place| place + 1);
            let token = *self.draft.get(place)?;
            let stands = match self.verification {
                Verification::SampleAndMatch => {
                    sample.draws.first().is_some_and(|drawn| drawn.token == token)
                }
                Verification::Rejection | Verification::Block => sample.accepted == Some(true),
            };
            stands.then_some(place)
        })
    }
}

/// Nothing, if there is a position for each of so many tokens that begin at this one, and for the one behind them.
pub(super) fn check_position(position: u64, tokens: usize) -> Result<()> {
    match position.checked_add(tokens as u64) {
        Some(bonus) if bonus <= Row::LAST_POSITION => Ok(()),
        _ => Err(Error::Params(format!(
            "{tokens} draft tokens from position {position} on, and the one behind them, go past the last one, {}: give a lower \
             position",
            Row::LAST_POSITION
        ))),
    }
}

/// Nothing, if the draft tokens of the row with this number can be verified.
pub(super) fn check_drafts(row: &Row<'_>, number: usize, vocab: usize) -> Result<()> {
    let params = row.request.params();
    if !row.is_verified() {
        return Ok(());
    }
    if row.draft.len() > Row::MAX_DRAFT_TOKENS {
        return Err(Error::Params(format!(
            "row {number} verifies {} draft tokens, over the limit of {}: leave out the last {}",
            row.draft.len(),
            Row::MAX_DRAFT_TOKENS,
            row.draft.len() - Row::MAX_DRAFT_TOKENS
        )));
    }
    for (i, token) in row.draft.iter().enumerate() {
        if *token as usize >= vocab {
            return Err(Error::Params(format!(
                "draft token {token} of row {number} is outside the vocabulary of {vocab}: leave it out"
            )));
        }
        if row.draft[..i].contains(token) {
            return Err(Error::Params(format!(
                "draft token {token} of row {number} is there twice, and siblings are drawn without replacement: leave one out"
            )));
        }
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

/// Nothing, if the row with this number is in no block, or in its place of one.
pub(super) fn check_block(rows: &[Row<'_>], number: usize) -> Result<()> {
    let row = &rows[number];
    let Some(place) = row.block_place else { return Ok(()) };
    if place > Row::MAX_DRAFT_TOKENS {
        return Err(Error::Params(format!(
            "row {number} has place {place} in a block of draft tokens, over the limit of {}: draft fewer",
            Row::MAX_DRAFT_TOKENS
        )));
    }
    if row.draft.len() > 1 {
        return Err(Error::Params(format!(
            "row {number} has {} draft tokens and is in a block, each of whose rows has one: leave out the others",
            row.draft.len()
        )));
    }
    let before = number.checked_sub(1).map(|before| &rows[before]);
    if place > 0 && before.is_none_or(|before| before.block_place != Some(place - 1)) {
        return Err(Error::Params(format!(
            "row {number} has place {place} in a block of draft tokens, but the row before it does not have place {}: give the \
             rows of a block one after the other",
            place - 1
        )));
    }
    let goes_on = rows.get(number + 1).is_some_and(|next| next.block_place == Some(place + 1));
    match (row.draft.first(), goes_on) {
        (None, true) => Err(Error::Params(format!(
            "row {number} has no draft token, but its block goes on: give the token that the next row comes after"
        ))),
        (Some(token), false) => Err(Error::Params(format!(
            "row {number} is the last of its block and has draft token {token}, which no row comes after: give that row, or leave \
             the token out"
        ))),
        _ => Ok(()),
    }
}

/// Nothing, if drafts of a request can be verified.
pub(super) fn check_request(request: &Request) -> Result<()> {
    let params = request.params();
    if params.n > 1 {
        return Err(Error::Params(format!(
            "a draft has one draw per position, n is {}: set it to 1",
            params.n
        )));
    }
    if params.mirostat.is_some() {
        return Err(Error::Params(
            "Mirostat's limit depends on every drawn token: decode such a request without a draft".to_owned(),
        ));
    }
    Ok(())
}
