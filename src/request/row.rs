//! A row of a batch, which draws a token for a request.

use super::Request;
use super::history::History;

/// One row of a batch: which request it belongs to, and which of its tokens is drawn. Construct it from [`Request::row`] with
/// `..`: new fields come in minor versions.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Whose parameters apply.
    pub request: &'a Request,
    /// Number of the token to draw, the first after the prompt is 0. With the seed and the stream it decides the draw;
    /// `min_tokens` counts in it. At most [`Row::LAST_POSITION`].
    pub position: u64,
    /// Draft tokens to verify: one of a chain or of a block; of a tree siblings, tried in this order until one is accepted.
    /// All different, in the vocabulary, at most [`Row::MAX_DRAFT_TOKENS`]; [`Error::Params`](crate::Error::Params)
    /// otherwise. See [`DraftTokens`](crate::DraftTokens) and [`DraftTree`](crate::DraftTree).
    pub draft: &'a [u32],
    /// With block verification, the row's place in its block, from 0 on, at most [`Row::MAX_DRAFT_TOKENS`]. The rows of a
    /// block follow each other in the batch, each with the draft token that the next one comes after, the last without;
    /// [`Error::Params`](crate::Error::Params) otherwise. That they are rows of one request, at one position after the other, is
    /// not looked at: [`DraftTokens`](crate::DraftTokens) makes them so. `None` for every other row. See
    /// [`Verification::Block`](crate::Verification::Block).
    pub block_place: Option<usize>,
    /// Draft tokens before the row, which penalties, DRY, bad words and no-repeat n-grams take for accepted. Where one of
    /// these acts, `position` is the one behind them. With Mirostat there may be none: its limit depends on what is drawn.
    pub ahead: &'a [u32],
    /// Sees the tokens that are accepted, even where others come before its position; see [`Row::detached`].
    pub detached: bool,
}

impl<'a> Row<'a> {
    /// Most draft tokens of a row, each of which costs one more walk over what is kept if it is rejected; and of a block.
    pub const MAX_DRAFT_TOKENS: usize = 64;
    /// The last position that a row may have: one behind it can still be counted.
    pub const LAST_POSITION: u64 = u64::MAX - 1;

    /// The row, whatever is missing before its position: of logits that do not follow from what the request draws, such as
    /// those of a file.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { detached: true, ..self }
    }

    /// Whether a draft has a say in what it draws.
    pub(crate) fn is_verified(&self) -> bool {
        !self.draft.is_empty() || self.block_place.is_some()
    }

    pub(super) fn history(&self) -> History<'a> {
        History { ahead: self.ahead, ..self.request.history() }
    }
}

impl Request {
    /// A row that draws this request's token number `position`: the length of the output, plus the steps in flight. Count it
    /// for each request: rows move in a batch. Where the logits are no distribution nothing is drawn, and the position is free:
    /// draw it again, or end the request.
    /// Penalties, DRY, bad words of several tokens, no-repeat n-grams and Mirostat look at the tokens before it: accept these
    /// first, or the row is refused. Other requests may run ahead. A position before the last one is drawn again with all
    /// that is accepted.
    #[must_use]
    pub fn row(&self, position: u64) -> Row<'_> {
        Row { request: self, position, draft: &[], block_place: None, ahead: &[], detached: false }
    }
}
