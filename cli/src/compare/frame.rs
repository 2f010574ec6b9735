//! What a report is of, beside its numbers: the same for people and machines.

use sortilege::log::Texts;

use super::work::Outcome;
use crate::gate::{Condition, Verdict};

/// Tokens before a row's own that are shown with it.
const CONTEXT_TOKENS: usize = 12;

/// What a report is of, beside its numbers.
pub(super) struct Frame<'a> {
    pub(super) positions: usize,
    /// The position, in its request, that the first row predicts.
    pub(super) first: usize,
    pub(super) texts: Texts<'a>,
    pub(super) verdicts: Vec<(&'a Condition, Verdict)>,
}

/// The text of the targets before a row in its request, where their texts are known: bytes are joined before they are
/// decoded.
pub(super) fn context(row: usize, outcome: &Outcome, frame: &Frame<'_>) -> Option<String> {
    let first = (row - row % frame.positions).max(row.saturating_sub(CONTEXT_TOKENS));
    let tokens = outcome.targets[first..row].iter().flatten();
    let known: Vec<&[u8]> = tokens.filter_map(|&token| frame.texts.bytes(token)).collect();
    (!known.is_empty()).then(|| String::from_utf8_lossy(&known.concat()).into_owned())
}
