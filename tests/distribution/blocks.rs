//! Draft tokens that are verified as a block: what comes out has the distribution of the target, and as many tokens are accepted
//! as the paper says, by its own formulas in f64.

use sortilege::{Cpu, DraftTokens, Engine, Logits, Request, Row, SampleInputs, SamplingParams, Verification};

use crate::common::test_each;
use crate::trees::{TOKENS, drafted, params, target};
use crate::{misfit, probabilities, unit};

const BLOCKS: usize = 40_000;
/// Draft tokens of a block.
const DRAFT: usize = 3;

/// A token from these probabilities.
fn one_of(probabilities: &[f64], state: &mut u64) -> u32 {
    let mut left = unit(state);
    let token = probabilities.iter().position(|p| {
        left -= p;
        left < 0.0
    });
    // A sum that rounding left below one.
    token.unwrap_or_else(|| probabilities.iter().rposition(|p| *p > 0.0).unwrap()) as u32
}

/// The target's probabilities after each token, the last ones after the text.
fn targets(params: &SamplingParams) -> Vec<Vec<f64>> {
    let one = SamplingParams { seed: None, ..params.clone() };
    let lasts = (0..TOKENS as u32).map(Some).chain([None]);
    let after = |last: Option<u32>| match last {
        // Nothing but itself stands for all that does not come.
        Some(last) if params.stop_token_ids.contains(&last) => {
            (0..TOKENS as u32).map(|token| f64::from(u8::from(token == last))).collect()
        }
        _ => probabilities(&target(last), &one, true),
    };
    lasts.map(after).collect()
}

/// Those of the draft.
fn drafts() -> Vec<Vec<f64>> {
    (0..TOKENS as u32).map(Some).chain([None]).map(|last| drafted(last).map(f64::from).to_vec()).collect()
}

fn after(rows: &[Vec<f64>], last: Option<u32>) -> &[f64] {
    &rows[last.map_or(TOKENS, |token| token as usize)]
}

/// What is to be verified: how, and what is said of the draft's probabilities.
#[derive(Clone, Copy)]
struct Draft {
    verification: Verification,
    said: fn(Option<u32>) -> [f32; TOKENS],
    /// Hands a row of another place on, in the place of this one.
    place: fn(usize) -> usize,
    /// The place of rows that are no distribution.
    broken: Option<usize>,
}

const SOUND: Draft =
    Draft { verification: Verification::Block, said: drafted, place: |place| place, broken: None };

/// The new tokens of many blocks, each drafted anew after the same text, and how many of them were accepted.
fn verified(params: &SamplingParams, draft: Draft) -> Vec<(Vec<u32>, usize)> {
    let request = Request::new(params.clone()).unwrap();
    let (drafts, mut state) = (drafts(), 7);
    let tokens: Vec<Vec<u32>> = (0..BLOCKS)
        .map(|_| {
            let mut tokens = Vec::new();
            while tokens.len() < DRAFT {
                tokens.push(one_of(after(&drafts, tokens.last().copied()), &mut state));
            }
            tokens
        })
        .collect();
    let chains: Vec<DraftTokens<'_>> = tokens
        .iter()
        .zip((0..).step_by(DRAFT + 1))
        .map(|(tokens, position)| DraftTokens::new(&request, position, tokens, draft.verification).unwrap())
        .collect();
    let rows: Vec<Row<'_>> = chains.iter().flat_map(DraftTokens::rows).collect();
    let lasts: Vec<Option<u32>> = rows.iter().map(|row| row.ahead.last().copied()).collect();
    let mut logits: Vec<f32> = lasts.iter().flat_map(|last| target(*last)).collect();
    for (row, own) in rows.iter().zip(logits.chunks_mut(TOKENS)) {
        if row.block_place.is_some() && row.block_place == draft.broken {
            own[0] = f32::NAN;
        }
    }
    let said: Vec<f32> = lasts.iter().flat_map(|last| (draft.said)(*last)).collect();
    let logits = Logits::f32(&logits, rows.len(), TOKENS).unwrap();
    let samples = Cpu.sample(&logits, &rows, &SampleInputs { mask: None, draft: Some(&said) }).unwrap();
    chains
        .iter()
        .zip(samples.chunks(DRAFT + 1))
        .map(|(chain, samples)| {
            let moved: Vec<_> = (0..=DRAFT).map(|place| samples[(draft.place)(place)].clone()).collect();
            let verified = chain.verify(&moved);
            (verified.tokens(), verified.accepted.len())
        })
        .collect()
}

/// Pearson's statistic of the first tokens together, so many of them, as a multiple of its limit. A block says how many tokens it
/// gives by what they are: those that are missing are drawn from the target.
fn block_misfit(targets: &[Vec<f64>], blocks: &[(Vec<u32>, usize)], count: usize) -> f64 {
    let mut state = 12;
    let mut counts = vec![0; TOKENS.pow(count as u32)];
    for (tokens, _) in blocks {
        let mut tokens = tokens.clone();
        while tokens.len() < count {
            tokens.push(one_of(after(targets, tokens.last().copied()), &mut state));
        }
        let cell = tokens[..count].iter().fold(0, |cell, token| TOKENS * cell + *token as usize);
        counts[cell] += 1;
    }
    let cells = (0..counts.len()).map(|cell| {
        let mut last = None;
        (0..count).rev().fold(1.0, |p, place| {
            let token = (cell / TOKENS.pow(place as u32) % TOKENS) as u32;
            p * after(targets, last.replace(token))[token as usize]
        })
    });
    misfit(&counts, &cells.collect::<Vec<f64>>())
}

/// How many tokens of a block are accepted on average, and by rejection: over all drafts that there can be.
fn expected(targets: &[Vec<f64>], drafts: &[Vec<f64>]) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for draft in 0..TOKENS.pow(DRAFT as u32) {
        let (mut drawn, mut part, mut each) = (1.0, 1.0f64, 1.0);
        // Whether so many tokens stand, as a block, and each of them.
        let (mut stand, mut stand_each) = (Vec::new(), Vec::new());
        let mut last = None;
        for place in 0..DRAFT {
            let token = draft / TOKENS.pow(place as u32) % TOKENS;
            let (p, q) = (after(targets, last)[token], after(drafts, last)[token]);
            last = Some(token as u32);
            drawn *= q;
            each *= (p / q).min(1.0);
            part = (part * p / q).min(1.0);
            let left = |(p, q): (&f64, &f64)| (part * p - q).max(0.0);
            let left: f64 = after(targets, last).iter().zip(after(drafts, last)).map(left).sum();
            stand.push(if place + 1 == DRAFT { part } else { left / (left + 1.0 - part) });
            stand_each.push(each);
        }
        for place in 0..DRAFT {
            let none: f64 = stand[place..].iter().map(|stand| 1.0 - stand).product();
            sums[0] += drawn * (1.0 - none);
            sums[1] += drawn * stand_each[place];
        }
    }
    sums
}

#[test]
fn blocks_keep_the_distribution_and_accept_more() {
    test_each(params(), |params| {
        let (targets, blocks) = (targets(&params), verified(&params, SOUND));
        for count in 1..=DRAFT {
            let misfit = block_misfit(&targets, &blocks, count);
            assert!(misfit <= 1.0, "of {count} tokens: {misfit} times the limit");
        }
        let [of_blocks, of_rejection] = expected(&targets, &drafts());
        let mean = |blocks: &[(Vec<u32>, usize)]| {
            blocks.iter().map(|(_, accepted)| *accepted as f64).sum::<f64>() / BLOCKS as f64
        };
        // At most DRAFT are accepted: five standard deviations, which are below half of that.
        let width = 5.0 * 0.5 * DRAFT as f64 / (BLOCKS as f64).sqrt();
        let accepted = mean(&blocks);
        println!(
            "{accepted:.4} tokens of a block accepted, {of_blocks:.4} expected, {of_rejection:.4} by rejection"
        );
        assert!((accepted - of_blocks).abs() < width, "{accepted} accepted, {of_blocks} expected");
        let rejection = Draft { verification: Verification::Rejection, ..SOUND };
        let accepted = mean(&verified(&params, rejection));
        assert!((accepted - of_rejection).abs() < width, "{accepted} accepted, {of_rejection} expected");
        assert!(of_blocks > of_rejection, "{of_blocks} {of_rejection}");
    });
}

/// Behind a stop token nothing is verified, and nothing drawn: it ends a block as the last draft token does.
#[test]
fn blocks_end_with_a_stop_token() {
    let [(_, plain), ..] = params();
    test_each([("of the target", 1), ("of the draft", 2)], |stop| {
        let params = SamplingParams { stop_token_ids: vec![stop], ..plain.clone() };
        let (targets, blocks) = (targets(&params), verified(&params, SOUND));
        for count in 1..=DRAFT {
            let misfit = block_misfit(&targets, &blocks, count);
            assert!(misfit <= 1.0, "of {count} tokens: {misfit} times the limit");
        }
        let ends = |(tokens, accepted): &(Vec<u32>, usize)| tokens.len() == *accepted;
        let stopped = blocks.iter().filter(|block| ends(block)).count();
        assert!(stopped > BLOCKS / 50, "{stopped} end with an accepted stop token");
        assert!(blocks.iter().filter(|block| ends(block)).all(|(tokens, _)| tokens.last() == Some(&stop)));
    });
}

/// A row from which nothing is drawn ends a block as well, and takes nothing from the rows before it.
#[test]
fn blocks_end_with_a_row_that_is_no_distribution() {
    let [(_, params), ..] = params();
    test_each([("after a token", 1), ("after two", 2), ("the last", DRAFT)], |place| {
        let blocks = verified(&params, Draft { broken: Some(place), ..SOUND });
        assert!(blocks.iter().all(|(tokens, accepted)| *accepted <= place && tokens.len() <= place.max(1)));
        for count in 1..=DRAFT {
            let misfit = block_misfit(&targets(&params), &blocks, count);
            assert!(misfit <= 1.0, "of {count} tokens: {misfit} times the limit");
        }
    });
}

/// Positions of a text that is decoded block after block.
const LENGTH: usize = 5;

/// Texts that are decoded block after block, of tokens that do not hang on those before them; `number` says how each token of a
/// draft is drawn, by the text, its length before the block, and the token's place.
fn decoded(params: &SamplingParams, number: impl Fn(u64, u64, u64) -> u64) -> Vec<Vec<u32>> {
    let draft = drafted(None).map(f64::from);
    let seeded = |seed| Request::new(SamplingParams { seed: Some(seed), ..params.clone() }).unwrap();
    let requests: Vec<Request> = (0..BLOCKS as u64).map(seeded).collect();
    let count = BLOCKS * (DRAFT + 1);
    let (logits, said) = (target(None).repeat(count), drafted(None).repeat(count));
    let logits = Logits::f32(&logits, count, TOKENS).unwrap();
    let inputs = SampleInputs { mask: None, draft: Some(&said) };
    let mut texts = vec![Vec::new(); BLOCKS];
    while texts.iter().any(|text| text.len() < LENGTH) {
        let drawn = |(text, own): (&Vec<u32>, u64)| -> Vec<u32> {
            let token = |place| {
                let number = number(own, text.len() as u64, place);
                let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                (0..8).for_each(|_| _ = unit(&mut state)); // the first ones of like states are alike
                one_of(&draft, &mut state)
            };
            (0..DRAFT as u64).map(token).collect()
        };
        let drawn: Vec<Vec<u32>> = texts.iter().zip(0..).map(drawn).collect();
        let chains: Vec<DraftTokens<'_>> = (0..BLOCKS)
            .map(|text| {
                let position = texts[text].len() as u64;
                DraftTokens::new(&requests[text], position, &drawn[text], Verification::Block).unwrap()
            })
            .collect();
        let rows: Vec<Row<'_>> = chains.iter().flat_map(DraftTokens::rows).collect();
        let samples = Cpu.sample(&logits, &rows, &inputs).unwrap();
        let verified = chains.iter().zip(samples.chunks(DRAFT + 1));
        let new: Vec<Vec<u32>> = verified.map(|(chain, samples)| chain.verify(samples).tokens()).collect();
        texts.iter_mut().zip(new).for_each(|(text, new)| text.extend(new));
    }
    texts
}

/// Pearson's statistic of the token at each position, as a multiple of its limit; the largest.
fn text_misfit(target: &[f64], texts: &[Vec<u32>]) -> f64 {
    let at = |position: usize| {
        let mut counts = vec![0; TOKENS];
        texts.iter().for_each(|text| counts[text[position] as usize] += 1);
        misfit(&counts, target)
    };
    (0..LENGTH).map(at).fold(0.0, f64::max)
}

/// A block says of the rows behind its last one that they do not stand: the block after it must not have their numbers again,
/// neither in its trials nor in its draft.
#[test]
fn one_block_after_the_other_keeps_the_distribution() {
    let [(_, params), ..] = params();
    let targets = targets(&params);
    let target = after(&targets, None);
    let fresh = |text: u64, length: u64, place: u64| text << 8 | length << 4 | place;
    let misfit = text_misfit(target, &decoded(&params, fresh));
    assert!(misfit <= 1.0, "{misfit} times the limit");
    let of_position = |text: u64, length: u64, place: u64| text << 8 | (length + place);
    let misfit = text_misfit(target, &decoded(&params, of_position));
    assert!(misfit > 1.0, "a draft that draws a position twice with the same numbers: {misfit}");
}

/// What the test above must find: a draft that says other probabilities than it drew from, and rows whose say is taken for that
/// of others.
#[test]
fn blocks_of_another_draft_are_rejected() {
    let drafts = [
        ("uniform probabilities", Draft { said: |_| [1.0 / TOKENS as f32; TOKENS], ..SOUND }),
        ("the probabilities after the text", Draft { said: |_| drafted(None), ..SOUND }),
        ("rows in another order", Draft { place: |place| [0, 2, 1, 3][place], ..SOUND }),
        ("one row for all", Draft { place: |_| 0, ..SOUND }),
    ];
    test_each(drafts, |draft| {
        let [(_, params), ..] = params();
        let misfit = block_misfit(&targets(&params), &verified(&params, draft), 2);
        assert!(misfit > 1.0, "{misfit}");
    });
}
