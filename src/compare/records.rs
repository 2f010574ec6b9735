//! Records of two logs compared: what logs hold of a row, and no more. Which records belong together is the caller's
//! matter.

use super::row::{RowComparison, TargetComparison};
use super::side::{coarse, overlap};
use crate::answer::{Status, TopLogprob};
use crate::error::{Error, Result};
use crate::log::{Kind, Record, TokenLogprob};

/// The record of a row in one log compared with that in another, as [`rows`](super::rows) does it with logits, of what both
/// logs hold: target, entropy, and the lists, of which the overlap is no longer than the shorter. The divergences are
/// those of the tokens that both know, all others as one: lower bounds, finite where a token that one alone lists is
/// impossible in the other. Logits in the lists are NaN.
///
/// # Errors
/// [`Error::Params`] if the records are of two places or two targets, or of drawn tokens.
pub fn records(a: &Record<'_>, b: &Record<'_>, top: usize) -> Result<RowComparison> {
    let place = |record: &Record<'_>| (record.request(), record.position());
    let told = |record: &Record<'_>| format!("request {}, position {}", record.request(), record.position());
    if place(a) != place(b) {
        return Err(Error::Params(format!(
            "A has a record of {}, where B has one of {}: compare logs of the same rows",
            told(a),
            told(b)
        )));
    }
    if [a, b].iter().any(|record| record.kind() == Kind::Sample) {
        return Err(Error::Params(
            "these are logs of drawn tokens, which differ by the draws: compare logs of `sortilege log`"
                .to_owned(),
        ));
    }
    if let Some((side, record)) = [("A", a), ("B", b)].into_iter().find(|(_, record)| !has_ids(record)) {
        return Err(Error::Params(format!(
            "the record of {} in {side} has a token without an id: compare logs that tell ids, as those of sortilege do",
            told(record)
        )));
    }
    let given = [a, b].map(|record| record.chosen().and_then(|chosen| chosen.token));
    if given[0] != given[1] {
        let token = |token: Option<u32>| token.map_or_else(|| "none".to_owned(), |token| token.to_string());
        let [of_a, of_b] = given.map(token);
        let place = told(a);
        return Err(Error::Params(format!(
            "the target of {place} is {of_a} in A and {of_b} in B: compare logs of one text"
        )));
    }
    let status = [a.status(), b.status()];
    if status != [Status::Ok; 2] {
        return Ok(RowComparison::unsound(status));
    }
    let (lists, known) = ([a, b].map(list), [a, b].map(known));
    let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
    let rank = |of: usize, within: &Record<'_>| within.scored(lists[of].first()?.token)?.rank;
    Ok(RowComparison {
        status,
        target: target(a, b),
        divergence: coarse(both(&known)),
        entropy: [a, b].map(|record| record.entropy().unwrap_or(f64::NAN)),
        choice_rank: [rank(0, b), rank(1, a)],
        overlap: overlap([&lists[0], &lists[1]], top.min(shortest)),
        top_logprobs: lists.map(|mut list| {
            list.truncate(top.max(2));
            list
        }),
    })
}

/// Whether every token of a record has an id.
fn has_ids(record: &Record<'_>) -> bool {
    let has_target_one = record.chosen().is_none_or(|chosen| chosen.token.is_some());
    has_target_one && record.top().iter().all(|one| one.token.is_some())
}

fn list(record: &Record<'_>) -> Vec<TopLogprob> {
    let entry = |one: &TokenLogprob<'_>| {
        Some(TopLogprob { token: one.token?, logit: f32::NAN, logprob: one.logprob })
    };
    record.top().iter().filter_map(entry).collect()
}

/// What both say of the target.
fn target(a: &Record<'_>, b: &Record<'_>) -> Option<TargetComparison> {
    let token = a.chosen()?.token?;
    let (a, b) = (a.scored(token)?, b.scored(token)?);
    Some(TargetComparison {
        token,
        logprob: [a.logprob, b.logprob],
        rank: [a.rank, b.rank],
        is_choice: [a.is_greedy, b.is_greedy],
    })
}

/// The tokens of which a record says something, each once, by their ids.
fn known(record: &Record<'_>) -> Vec<(u32, f64)> {
    let chosen = record.chosen().and_then(|chosen| chosen.token.zip(chosen.logprob));
    let asked = record.token_logprobs().iter().map(|one| (one.token, one.logprob));
    let listed = record.top().iter().filter_map(|one| Some((one.token?, one.logprob)));
    let mut known: Vec<(u32, f64)> = listed.chain(asked).chain(chosen).collect();
    known.sort_by_key(|(token, _)| *token);
    known.dedup_by_key(|(token, _)| *token);
    known
}

/// Probabilities of the tokens that both know.
fn both([a, b]: &[Vec<(u32, f64)>; 2]) -> Vec<[f64; 2]> {
    let in_b = |token: u32| b.binary_search_by_key(&token, |(token, _)| *token).ok().map(|place| b[place].1);
    a.iter().filter_map(|&(token, logprob)| Some([logprob.exp(), in_b(token)?.exp()])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Comparison, Divergences};
    use super::*;
    use crate::log::Texts;
    use crate::{Cpu, Engine, Logits, LogprobsParams};

    const A: [f32; 5] = [4.0, 2.0, 2.5, 1.0, 0.0];
    const B: [f32; 5] = [3.0, 3.5, 2.0, 1.0, 0.5];

    fn record(logits: &[f32], listed: u32, target: Option<u32>, position: u64) -> Record<'static> {
        let params = LogprobsParams { top_logprobs: listed, entropy: true, ..LogprobsParams::default() };
        let logits = Logits::f32(logits, 1, logits.len()).expect("a row");
        let row = Cpu.logprobs(&logits, &params, &[target]).expect("it is sound");
        Record::logprobs(0, position, target, &row[0], Texts::NONE)
    }

    /// With whole lists a record says all that its logits do.
    #[test]
    fn whole_lists_say_what_the_logits_say() {
        let logits = |values| Logits::f32(values, 1, 5).expect("a row");
        let of_logits =
            &super::super::rows(&Cpu, &logits(&A), &logits(&B), &[Some(2)], 2).expect("they fit")[0];
        let of_logs = records(&record(&A, 5, Some(2), 0), &record(&B, 5, Some(2), 0), 2).expect("they fit");
        assert_eq!(of_logs.target, of_logits.target);
        assert_eq!(of_logs.entropy, of_logits.entropy);
        assert_eq!(of_logs.choice_rank, of_logits.choice_rank);
        assert_eq!(of_logs.overlap, of_logits.overlap);
        assert_eq!((of_logs.choices(), of_logs.gaps()), (of_logits.choices(), of_logits.gaps()));
        for (found, expected) in [
            (of_logs.divergence.kld, of_logits.divergence.kld),
            (of_logs.divergence.reverse_kld, of_logits.divergence.reverse_kld),
            (of_logs.divergence.jsd, of_logits.divergence.jsd),
        ] {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
        // Fewer listed tokens leave a lower bound, and none of them what the target says.
        let mut last = of_logs.divergence.kld;
        for listed in [2, 1, 0] {
            let few = |logits| record(logits, listed, Some(2), 0);
            let bound = records(&few(&A), &few(&B), 2).expect("they fit").divergence.kld;
            assert!(bound > 0.0 && bound <= last + 1e-9, "{listed}: {bound}, of more {last}");
            last = bound;
        }
    }

    /// Nobody can tell from lists that a token which is not in one of them is impossible there.
    #[test]
    fn an_impossible_token_is_no_infinity_unless_it_is_told() {
        let mut without = B;
        without[2] = f32::NEG_INFINITY;
        for (target, is_told) in [(0, false), (2, true)] {
            let of = |logits| record(logits, 5, Some(target), 0);
            let apart = records(&of(&A), &of(&without), 2).expect("they fit").divergence;
            assert_eq!(apart.kld == f64::INFINITY, is_told, "{apart:?}");
            assert!(apart.kld > 1.0 && apart.reverse_kld.is_finite(), "{apart:?}");
        }
    }

    /// What the lists of two logs leave open is none, and no count: the first of equal logits, a second token, ranks that
    /// other programs do not tell.
    #[test]
    fn what_lists_leave_open_is_not_counted() {
        let ties = [3.0f32, 3.0, 2.0, 1.0, 0.0];
        // Listed tokens, target, whether ranks are told; changed, near ties, right in A, in B, right to wrong.
        type Row = (u32, u32, bool, [Option<usize>; 5]);
        let (no, yes) = (Some(0), Some(1));
        let cases: [Row; 7] = [
            (0, 1, true, [None, None, None, None, None]),
            // In A rank 3, in B rank 3: in neither the choice.
            (0, 2, true, [None, None, no, no, no]),
            (0, 2, false, [None, None, None, None, None]),
            // A may have it as its choice, B has not.
            (0, 0, true, [None, None, None, no, None]),
            (1, 0, true, [yes, None, yes, no, yes]),
            (1, 0, false, [yes, None, yes, no, yes]),
            (2, 0, false, [yes, yes, yes, no, yes]),
        ];
        for (listed, target, has_ranks, expected) in cases {
            let b = if target == 1 { [2.0, 3.5, 2.0, 1.0, 0.5] } else { B };
            let [a, b] = [&ties, &b].map(|logits| {
                let Record::Logprobs(mut record) = record(logits, listed, Some(target), 0) else {
                    unreachable!("it is of a row")
                };
                record.rank = record.rank.filter(|_| has_ranks);
                Record::Logprobs(record)
            });
            let mut comparison = Comparison::new(true, Divergences::Coarse);
            comparison.add(&records(&a, &b, 2).expect("they fit"));
            let report = comparison.report();
            let (choice, probability) = (report.choice, report.probability.expect("targets"));
            let [right_a, right_b] = probability.right;
            let found = [choice.changed, choice.near_ties, right_a, right_b, probability.right_to_wrong];
            assert_eq!(found, expected, "{listed} listed, target {target}, ranks {has_ranks}");
            assert_eq!(report.perplexity.expect("targets").targets, 1, "logprobs are there");
            assert_eq!(report.get("right_b").is_some_and(f64::is_nan), right_b.is_none());
        }
    }

    #[test]
    fn records_that_do_not_belong_together_are_refused() {
        for (b, words) in [
            (record(&B, 2, Some(2), 1), "request 0, position 0, where B has one of request 0, position 1"),
            (record(&B, 2, Some(3), 0), "position 0 is 2 in A and 3 in B"),
            (record(&B, 2, None, 0), "is 2 in A and none in B"),
        ] {
            let message = records(&record(&A, 2, Some(2), 0), &b, 2).expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        let Record::Logprobs(mut nameless) = record(&B, 2, Some(2), 0) else {
            unreachable!("it is of a row")
        };
        nameless.top[1].token = None;
        let message = records(&record(&A, 2, Some(2), 0), &Record::Logprobs(nameless), 2)
            .expect_err("no id")
            .to_string();
        assert!(message.contains("position 0 in B has a token without an id"), "{message}");
        let nan = record(&[f32::NAN; 5], 2, Some(2), 0);
        assert!(!records(&record(&A, 2, Some(2), 0), &nan, 2).expect("they fit").is_sound());
    }
}
