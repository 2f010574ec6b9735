//! Trees of draft tokens by rejection: what comes out has the distribution of the target, whatever was drafted, as long as
//! siblings were drawn without replacement and are tried in that order.

use sortilege::{Cpu, DraftTree, Engine, Logits, Request, Row, SampleInputs, SamplingParams, Verification};

use crate::common::test_each;
use crate::{misfit, probabilities, small_row, unit};

const TOKENS: usize = 8;
const TREES: usize = 20_000;
/// The places of the tokens before those of a tree, whose widths are three and two.
const PARENTS: [Option<usize>; 9] = [None, None, None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)];

/// The target's logits after a token, or after the text.
fn target(last: Option<u32>) -> Vec<f32> {
    let mut row = small_row();
    row.rotate_left(last.map_or(0, |token| token as usize + 1) % TOKENS);
    row
}

/// The draft's probabilities after a token, or after the text.
fn drafted(last: Option<u32>) -> [f32; TOKENS] {
    let mut row = [0.3f32, 0.05, 0.25, 0.1, 0.12, 0.08, 0.06, 0.04];
    row.rotate_right(last.map_or(0, |token| 3 * token as usize) % TOKENS);
    row
}

/// So many tokens from these probabilities, without replacement.
fn without_replacement(mut probabilities: [f32; TOKENS], count: usize, state: &mut u64) -> Vec<u32> {
    let mut tokens = Vec::new();
    while tokens.len() < count {
        let sum: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
        let mut left = unit(state) * sum;
        let token = probabilities.iter().position(|p| {
            left -= f64::from(*p);
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
            let mut tokens = without_replacement(drafted(None), 3, &mut state);
            (draft.order)(&mut tokens);
            for place in 0..3 {
                let mut after = without_replacement(drafted(Some(tokens[place])), 2, &mut state);
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

fn params() -> [(&'static str, SamplingParams); 4] {
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
