//! Changes of logits by the definition: mask, bans, bias, penalties, DRY.

use std::collections::BTreeMap;

use crate::params::{Dry, SamplingParams};

/// The logits of a row after all changes, before any filter. `allows` says what a grammar allows, `position` is the
/// number of the token to draw.
///
/// In turn: not allowed, or banned: −∞. Otherwise `x + bias`; for a token seen before `x / r` where that is positive,
/// `x · r` where not; minus presence and frequency penalty, minus DRY's.
#[must_use]
pub fn changed_logits(
    row: &[f32],
    params: &SamplingParams,
    prompt: &[u32],
    output: &[u32],
    position: u64,
    allows: &dyn Fn(u32) -> bool,
) -> Vec<f64> {
    let history = [prompt, output].concat();
    let window = |last: u32| &history[history.len().saturating_sub(last as usize)..];
    let repeated = params.penalty_last_n.map_or(&history[..], window);
    let counted = params.penalty_last_n.map_or(output, window);
    let dry = params.dry.as_ref().map_or_else(BTreeMap::new, |dry| dry_penalties(dry, &history));
    let is_banned = |token: u32| {
        let ends_bad_word = |word: &Vec<u32>| {
            word.split_last().is_some_and(|(last, before)| *last == token && output.ends_with(before))
        };
        let is_early_stop = position < params.min_tokens && params.stop_token_ids.contains(&token);
        let is_outside = params.allowed_token_ids.as_ref().is_some_and(|allowed| !allowed.contains(&token));
        is_early_stop
            || is_outside
            || !allows(token)
            || params.bad_words.iter().any(ends_bad_word)
            || repeats_ngram(params, &history, token)
    };
    (0..)
        .zip(row)
        .map(|(token, &logit)| {
            if is_banned(token) {
                return f64::NEG_INFINITY;
            }
            if !logit.is_finite() {
                return f64::from(logit);
            }
            let mut logit = f64::from(logit);
            logit += params
                .logit_bias
                .iter()
                .filter(|(of, _)| *of == token)
                .map(|(_, bias)| f64::from(*bias))
                .sum::<f64>();
            if params.penalty_exempt_token_ids.contains(&token) {
                return logit;
            }
            if repeated.contains(&token) {
                let penalty = f64::from(params.repetition_penalty);
                logit = if logit > 0.0 { logit / penalty } else { logit * penalty };
            }
            let count = counted.iter().filter(|seen| **seen == token).count();
            if count > 0 {
                logit -=
                    f64::from(params.presence_penalty) + count as f64 * f64::from(params.frequency_penalty);
            }
            logit - dry.get(&token).copied().unwrap_or(0.0)
        })
        .collect()
}

/// Whether the last tokens of a history, with this one, are a sequence that stands in it.
fn repeats_ngram(params: &SamplingParams, history: &[u32], token: u32) -> bool {
    let size = params.no_repeat_ngram_size as usize;
    let window = params.no_repeat_ngram_window.map_or(history.len(), |last| history.len().min(last as usize));
    let is_repeated = |ngram: &[u32]| ngram[size - 1] == token && history.ends_with(&ngram[..size - 1]);
    let is_exempt = params.penalty_exempt_token_ids.contains(&token);
    size > 0 && !is_exempt && history[history.len() - window..].windows(size).any(is_repeated)
}

/// For every place of the history, how many tokens before it equal the last ones, back to the last breaker: the token
/// at that place would repeat so many.
fn dry_penalties(dry: &Dry, history: &[u32]) -> BTreeMap<u32, f64> {
    let history = &history[dry.last_n.map_or(0, |last| history.len().saturating_sub(last as usize))..];
    let reach = history.iter().rev().take_while(|token| !dry.sequence_breakers.contains(token)).count();
    let mut penalties = BTreeMap::new();
    for (place, &token) in history.iter().enumerate() {
        let repeated = history[..place]
            .iter()
            .rev()
            .zip(history.iter().rev())
            .take(reach)
            .take_while(|(earlier, last)| earlier == last)
            .count();
        if repeated >= dry.allowed_length as usize && !dry.sequence_breakers.contains(&token) {
            let further = repeated - dry.allowed_length as usize;
            let penalty = f64::from(dry.multiplier) * f64::from(dry.base).powf(further as f64);
            let longest: &mut f64 = penalties.entry(token).or_insert(0.0);
            *longest = longest.max(penalty.min(f64::from(f32::MAX)));
        }
    }
    penalties
}
