//! Trees of draft tokens by rejection: what comes out has the distribution of the target, whatever was drafted, as long as
//! siblings were drawn without replacement and are tried in that order.

use sortilege::{Cpu, DraftTree, Engine, Logits, Request, Row, SampleInputs, SamplingParams, Verification};

use crate::common::test_each;
use crate::{misfit, probabilities, small_row, unit};

pub(crate) const TOKENS: usize = 8;
const TREES: usize = 20_000;
/// The places of the tokens before those of a tree, whose widths are three and two.
const PARENTS: [Option<usize>; 9] = [None, None, None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)];

/// The target's logits after a token, or after the text.
pub(crate) fn target(last: Option<u32>) -> Vec<f32> {
    let mut row = small_row();
    row.rotate_left(last.map_or(0, |token| token as usize + 1) % TOKENS);
    row
}

/// The draft's probabilities after a token, or after the text.
pub(crate) fn drafted(last: Option<u32>) -> [f32; TOKENS] {
    let mut row = [0.3f32, 0.05, 0.25, 0.1, 0.12, 0.08, 0.06, 0.04];
    row.rotate_right(last.map_or(0, |token| 3 * token as usize) % TOKENS);
    row
}

/// So many tokens from these probabilities, without replacement.
fn without_replacement(probabilities: &[f64], count: usize, state: &mut u64) -> Vec<u32> {
    let mut probabilities = probabilities.to_vec();
    let mut tokens = Vec::new();
    while tokens.len() < count {
        let mut left = unit(state) * probabilities.iter().sum::<f64>();
        let token = probabilities.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        if let Some(token) = token {
            probabilities[token] = 0.0;
            tokens.push(token as u32);
        }
    }
    tokens
}

/// What a draft does: how the siblings of a tree are ordered, and what it says of its own probabilities.
struct Draft {
    order: fn(&mut [u32]),
    said: fn(Option<u32>) -> [f32; TOKENS],
}

const SOUND: Draft = Draft { order: |_| (), said: drafted };

/// The new tokens of many trees, one after the other.
fn verified(params: &SamplingParams, draft: &Draft) -> Vec<Vec<u32>> {
    let request = Request::new(params.clone()).unwrap();
    let mut state = 99;
    let trees: Vec<Vec<u32>> = (0..TREES)
        .map(|_| {
            let drawn = |last, count, state: &mut u64| {
                without_replacement(&drafted(last).map(f64::from), count, state)
            };
            let mut tokens = drawn(None, 3, &mut state);
            (draft.order)(&mut tokens);
            for place in 0..3 {
                let mut after = drawn(Some(tokens[place]), 2, &mut state);
                (draft.order)(&mut after);
                tokens.extend(after);
            }
            tokens
        })
        .collect();
    let trees: Vec<DraftTree<'_>> = trees
        .iter()
        .zip((0..).step_by(3))
        .map(|(tokens, position)| {
            DraftTree::new(&request, position, tokens, &PARENTS, Verification::Rejection).unwrap()
        })
        .collect();
    let rows: Vec<Row<'_>> = trees.iter().flat_map(DraftTree::rows).collect();
    let after: Vec<Option<u32>> = rows.iter().map(|row| row.ahead.last().copied()).collect();
    let logits: Vec<f32> = after.iter().flat_map(|last| target(*last)).collect();
    let said: Vec<f32> = after.iter().flat_map(|last| (draft.said)(*last)).collect();
    let logits = Logits::f32(&logits, rows.len(), TOKENS).unwrap();
    let samples = Cpu.sample(&logits, &rows, &SampleInputs { mask: None, draft: Some(&said) }).unwrap();
    trees
        .iter()
        .zip(samples.chunks(PARENTS.len() + 1))
        .map(|(tree, samples)| tree.verify(samples).tokens())
        .collect()
}

/// Pearson's statistic of the first tokens, and of those behind each token, as a multiple of its limit; the largest.
fn tree_misfit(params: &SamplingParams, tokens: &[Vec<u32>]) -> f64 {
    let one = SamplingParams { seed: None, ..params.clone() };
    let before = std::iter::once(None).chain((0..TOKENS as u32).map(Some));
    let misfits = before.filter_map(|last| {
        let mut counts = vec![0; TOKENS];
        for tokens in tokens {
            let first = tokens.first().filter(|_| last.is_none());
            let behind = tokens.windows(2).filter(|pair| Some(pair[0]) == last).map(|pair| &pair[1]);
            first.into_iter().chain(behind).for_each(|token| counts[*token as usize] += 1);
        }
        let is_seen = counts.iter().sum::<u64>() > 300;
        is_seen.then(|| misfit(&counts, &probabilities(&target(last), &one, true)))
    });
    misfits.fold(0.0, f64::max)
}

pub(crate) fn params() -> [(&'static str, SamplingParams); 4] {
    let plain = SamplingParams { seed: Some(77), ..SamplingParams::default() };
    [
        ("plain", plain.clone()),
        ("temperature", SamplingParams { temperature: 1.7, ..plain.clone() }),
        ("top_p", SamplingParams { top_p: 0.83, temperature: 1.4, ..plain.clone() }),
        ("top_k", SamplingParams { top_k: 3, ..plain }),
    ]
}

#[test]
fn trees_by_rejection_keep_the_distribution() {
    test_each(params(), |params| {
        let tokens = verified(&params, &SOUND);
        let misfit = tree_misfit(&params, &tokens);
        assert!(misfit <= 1.0, "{misfit} times the limit");
        // Siblings are of use: the first of three alone would stand as often as the two have mass in common.
        let stand = tokens.iter().filter(|tokens| tokens.len() > 1).count() as f64 / TREES as f64;
        let target = probabilities(&target(None), &SamplingParams { seed: None, ..params }, true);
        let common: f64 = target.iter().zip(drafted(None)).map(|(p, q)| p.min(f64::from(q))).sum();
        println!("{stand:.3} of the trees go on, {common:.3} of the chains");
        assert!(stand > common + 0.05, "{stand} {common}");
    });
}

/// What the test above must find: siblings that are tried in another order than they were drawn in, and a draft that says
/// other probabilities than it drew from.
#[test]
fn trees_of_another_draft_are_rejected() {
    let drafts = [
        ("the last sibling first", Draft { order: |tokens| tokens.reverse(), ..SOUND }),
        ("in the order of the vocabulary", Draft { order: |tokens| tokens.sort_unstable(), ..SOUND }),
        ("of uniform probabilities", Draft { said: |_| [1.0 / TOKENS as f32; TOKENS], ..SOUND }),
        ("of the probabilities after the text", Draft { said: |_| drafted(None), ..SOUND }),
    ];
    test_each(drafts, |draft| {
        let [(_, params), ..] = params();
        let misfit = tree_misfit(&params, &verified(&params, &draft));
        assert!(misfit > 1.0, "{misfit}");
    });
}

/// Siblings after one text, drawn from a draft that is all but sure of one token: the first of the new tokens. `said` is what it
/// says of its probabilities.
fn of_sure_draft(row: &[f32], draft: &[f64], said: &[f32], siblings: usize, count: usize) -> Vec<u64> {
    let request = Request::new(SamplingParams { seed: Some(31), ..SamplingParams::default() }).unwrap();
    let mut state = 5;
    let drawn: Vec<Vec<u32>> = (0..count).map(|_| without_replacement(draft, siblings, &mut state)).collect();
    let rows: Vec<Row<'_>> =
        drawn.iter().zip(0..).map(|(draft, position)| Row { draft, ..request.row(position) }).collect();
    let (logits, said) = (row.repeat(count), said.repeat(count));
    let logits = Logits::f32(&logits, count, row.len()).unwrap();
    let samples = Cpu.sample(&logits, &rows, &SampleInputs { mask: None, draft: Some(&said) }).unwrap();
    let mut counts = vec![0; row.len()];
    samples.iter().for_each(|sample| counts[sample.draws[0].token as usize] += 1);
    counts
}

/// Probabilities of so many tokens, the first with this one, the others falling from token to token.
fn sure_of_first(first: f64, vocab: usize) -> Vec<f64> {
    let others: Vec<f64> = (1..vocab).map(|token| 0.93f64.powi(token as i32)).collect();
    let sum: f64 = others.iter().sum();
    std::iter::once(first).chain(others.iter().map(|p| (1.0 - first) * p / sum)).collect()
}

/// Binary32 says of a draft that is sure of a token little or nothing about what it would have drawn next.
#[test]
fn siblings_of_a_sure_draft_keep_the_distribution() {
    let flat: Vec<f32> = (0..150).map(|token| (token % 7) as f32 * 0.1).collect();
    let cases = [(small_row(), 5, 100_000), (flat, 64, 20_000)];
    let firsts = [0.9, 0.999, 0.9999, 1.0 - 2f64.powi(-20), 1.0 - 2f64.powi(-26)];
    let cases = cases.into_iter().flat_map(|(row, siblings, count)| {
        let name = move |first: f64, row: &[f32]| format!("{first} of {}", row.len());
        firsts.map(|first| (name(first, &row), (row.clone(), first, siblings, count)))
    });
    test_each(cases, |(row, first, siblings, count)| {
        let draft = sure_of_first(first, row.len());
        let said: Vec<f32> = draft.iter().map(|p| *p as f32).collect();
        let target = probabilities(&row, &SamplingParams::default(), true);
        let misfit = misfit(&of_sure_draft(&row, &draft, &said, siblings, count), &target);
        assert!(misfit <= 1.0, "{misfit} times the limit");
    });
}

/// What the test above must find: a draft that says to be less sure of what comes next than it was.
#[test]
fn siblings_of_a_draft_that_is_surer_are_rejected() {
    let row = small_row();
    let target = probabilities(&row, &SamplingParams::default(), true);
    let draft = sure_of_first(0.999, row.len());
    let said: Vec<f32> = sure_of_first(0.9, row.len()).iter().map(|p| *p as f32).collect();
    let misfit = misfit(&of_sure_draft(&row, &draft, &said, 5, 100_000), &target);
    assert!(misfit > 1.0, "{misfit}");
}
