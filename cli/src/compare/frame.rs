//! What a report is of, beside its numbers: the same for people and machines.

use sortilege::log::Texts;

use super::pass::Outcome;
use super::worst::Place;
use crate::gate::{Condition, Verdict};

/// Tokens before a row's own that are shown with it.
const CONTEXT_TOKENS: usize = 12;

/// What a report is of, beside its numbers.
pub(super) struct Frame<'a> {
    pub(super) texts: Texts<'a>,
    pub(super) verdicts: Vec<(&'a Condition, Verdict)>,
}

/// The text of the targets before a row in its request, where their texts are known: bytes are joined before they are
/// decoded.
pub(super) fn context(place: Place, outcome: &Outcome, frame: &Frame<'_>) -> Option<String> {
    let first = place.first.max(place.row.saturating_sub(CONTEXT_TOKENS));
    let tokens = outcome.targets[first..place.row].iter().flatten();
    let known: Vec<&[u8]> = tokens.filter_map(|&token| frame.texts.bytes(token)).collect();
    (!known.is_empty()).then(|| String::from_utf8_lossy(&known.concat()).into_owned())
}
