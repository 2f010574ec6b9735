//! When a request has finished, by the definition.

use crate::answer::FinishReason;
use crate::params::SamplingParams;

/// Why a request has finished before the token number `position`, of whose output these are the tokens from the number
/// `first` on; later ones are not looked at. `None` while it goes on.
#[must_use]
pub fn finish_reason(
    params: &SamplingParams,
    first: u64,
    output: &[u32],
    position: u64,
) -> Option<FinishReason> {
    let has_all = |at: u64| params.max_tokens.is_some_and(|most| most <= at);
    for (at, token) in (first..position).zip(output) {
        if has_all(at) {
            return Some(FinishReason::Length);
        }
        if at >= params.min_tokens && params.stop_token_ids.contains(token) {
            return Some(FinishReason::Stop);
        }
    }
    has_all(position).then_some(FinishReason::Length)
}
