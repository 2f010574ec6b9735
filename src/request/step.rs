//! The changes of one step: those that stand in place of what a request keeps.

use super::change::Change;
use super::row::Row;
use super::table::ChangeTable;

/// Leaves in `step` the changes that stand in place of the kept ones for this row: what the tokens do that it takes for
/// accepted, DRY, bad words and repeated sequences that the next token would complete, and stop tokens that come too
/// early.
pub(super) fn of_step(row: &Row<'_>, step: &mut ChangeTable) {
    step.clear();
    let (request, history) = (row.request, row.history());
    let params = request.params();
    let mut edit = |token: u32, edit: &dyn Fn(&mut Change)| step.edit_over(&request.kept, token, edit);
    let mut punish = |token: u32, change: &dyn Fn(&mut Change)| {
        if !request.is_exempt(token) {
            edit(token, change);
        }
    };
    if let Some(penalties) = &request.penalties {
        for count in 1..=history.ahead.len() {
            penalties.see_last(&history.with_ahead(count), &mut punish);
        }
    }
    if let Some(repeats) = &request.repeats {
        repeats.each(&history, |token, dry| {
            punish(token, &|change| {
                let other = request.penalties.map_or(0.0, |penalties| penalties.amount(change.count));
                // A longer repeat costs more.
                change.penalty = change.penalty.max(other + dry);
            });
        });
    }
    if let Some(ngrams) = &request.ngrams {
        ngrams.each(&history, |token| punish(token, &Change::ban));
    }
    request.bad_words.each(&params.bad_words, &history, |token| edit(token, &Change::ban));
    if row.position < params.min_tokens {
        params.stop_token_ids.iter().for_each(|&token| edit(token, &Change::ban));
    }
}
