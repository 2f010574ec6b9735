//! The rows of two batches compared, on any engine.

use super::reference::ReferenceRow;
use super::row::{RowComparison, RowDivergence};
use super::side::{Side, coarse_divergence, compared};
use crate::answer::Status;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::logits::Logits;
use crate::parallel::each_of;
use crate::params::LogprobsParams;

/// Each row of `a` compared with the same of `b`, `[rows]`, at temperature 1: `targets` (empty, or one per row) are the
/// tokens that perplexity and probability change are of, `top` how many tokens overlap is of.
///
/// # Errors
/// [`Error::Params`] if the two differ in rows or vocabulary, a target is outside it, or `top` is 0 or over
/// [`LogprobsParams::MAX_TOP_LOGPROBS`]; what a device says.
pub fn rows(
    engine: &dyn Engine,
    a: &Logits<'_>,
    b: &Logits<'_>,
    targets: &[Option<u32>],
    top: u32,
) -> Result<Vec<RowComparison>> {
    let (shape_a, shape_b) = ([a.rows(), a.vocab()], [b.rows(), b.vocab()]);
    if shape_a != shape_b {
        return Err(Error::Params(format!("A has {shape_a:?} logits, B {shape_b:?}: compare equal shapes")));
    }
    let params = params(top)?;
    let answers_a = engine.logprobs(a, &params, targets)?;
    let answers_b = engine.logprobs(b, &params, targets)?;
    let divergences = engine.divergence(a, b)?;
    let pairs = answers_a.into_iter().zip(answers_b).zip(divergences);
    Ok(each_of(pairs, |row, ((answer_a, answer_b), divergence)| {
        let divergence = RowDivergence {
            kld: divergence.kl,
            reverse_kld: divergence.reverse_kl,
            jsd: divergence.jensen_shannon,
        };
        let a = Side::of_logits(answer_a, a.row_bits(row));
        let b = Side::of_logits(answer_b, b.row_bits(row));
        compared(a, b, |_, _| divergence, top)
    }))
}

/// Each row of a reference compared with the same of `b`, as [`rows`] does; the targets are the reference's.
///
/// # Errors
/// As for [`rows`]; [`Error::Params`] if the reference lists fewer than `top` tokens a row, and what
/// [`ReferenceRow::check`] says.
pub fn rows_with_reference(
    engine: &dyn Engine,
    reference: &[ReferenceRow],
    b: &Logits<'_>,
    top: u32,
) -> Result<Vec<RowComparison>> {
    check_reference(reference, b, top)?;
    let targets: Vec<Option<u32>> =
        reference.iter().map(|row| row.target.map(|target| target.token)).collect();
    let answers = engine.logprobs(b, &params(top)?, &targets)?;
    let pairs = reference.iter().zip(answers);
    Ok(each_of(pairs, |row, (reference, answer): (&ReferenceRow, _)| {
        let (a, b) = (Side::of_reference(reference), Side::of_logits(answer, b.row_bits(row)));
        compared(a, b, coarse_divergence, top)
    }))
}

fn check_reference(reference: &[ReferenceRow], b: &Logits<'_>, top: u32) -> Result<()> {
    let (rows, vocab) = (b.rows(), b.vocab());
    if reference.len() != rows {
        let others = reference.len();
        return Err(Error::Params(format!("the reference has {others} rows, B {rows}: compare equal rows")));
    }
    let sound = || reference.iter().filter(|row| row.status == Status::Ok);
    if let Some((token, _)) = sound().flat_map(|row| &row.top).find(|(token, _)| *token as usize >= vocab) {
        return Err(Error::Params(format!(
            "the reference lists token {token}, B has a vocabulary of {vocab}: compare logits of the same tokens"
        )));
    }
    if let Some((row, Err(error))) =
        reference.iter().map(|row| row.check(vocab)).enumerate().find(|(_, checked)| checked.is_err())
    {
        return Err(Error::Params(format!("row {row} of the reference: {error}")));
    }
    // A row may have fewer possible tokens than the others.
    match sound().map(|row| row.top.len()).max().filter(|&longest| longest < (top as usize).min(vocab)) {
        Some(longest) => Err(Error::Params(format!(
            "the reference lists {longest} tokens a row: lower top {top}, or save more"
        ))),
        None => Ok(()),
    }
}

fn params(top: u32) -> Result<LogprobsParams> {
    if top == 0 {
        return Err(Error::Params("top 0 leaves no token to compare: take at least 1".to_owned()));
    }
    // The gap of the two best is always told.
    let params = LogprobsParams { top_logprobs: top.max(2), entropy: true, ..LogprobsParams::default() };
    params.validate()?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;

    /// Rows of five tokens.
    fn compared_at(a: &[f32], b: &[f32], targets: &[Option<u32>], top: u32) -> Result<Vec<RowComparison>> {
        let logits = |values| Logits::f32(values, a.len() / 5, 5).expect("whole rows");
        rows(&Cpu, &logits(a), &logits(b), targets, top)
    }

    #[test]
    fn a_row_says_what_both_say() {
        // B has the choice of A last but one, and its own where A has a tie of second ranks.
        let (a, b) = ([4.0, 2.0, 2.0, 1.0, 0.0], [1.0, 5.0, 3.0, 2.0, 0.5]);
        let row = &compared_at(&a, &b, &[Some(2)], 2).expect("they fit")[0];
        assert!(row.is_sound());
        assert_eq!(row.choices(), Some([0, 1]));
        assert_eq!(row.choice_rank, [Some(4), Some(2)]);
        assert_eq!(row.overlap, 0.5); // of 0 1 and 1 2
        assert_eq!(row.gaps(), [2.0, 2.0]);
        let target = row.target.expect("a target");
        assert_eq!((target.token, target.rank, target.is_choice), (2, [Some(2); 2], [Some(false); 2]));
        assert_eq!(row.top_logprobs[0][0].logprob - row.top_logprobs[0][1].logprob, 2.0);
    }

    #[test]
    fn rows_that_are_none_have_a_status_alone() {
        let (a, mut b) = ([0.0f32; 10], [0.0f32; 10]);
        b[7] = f32::NAN;
        let rows = compared_at(&a, &b, &[Some(1), Some(1)], 3).expect("they fit");
        assert!(rows[0].is_sound() && rows[0].target.is_some() && rows[0].divergence.kld == 0.0);
        assert_eq!(rows[1].status, [Status::Ok, Status::Nan]);
        assert!(rows[1].target.is_none() && rows[1].choices().is_none() && rows[1].divergence.kld.is_nan());
    }

    #[test]
    fn one_possible_token_has_no_second() {
        let only = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        let row = &compared_at(&only, &[1.0; 5], &[], 4).expect("they fit")[0];
        assert_eq!(row.gaps(), [f64::INFINITY, 0.0]);
        assert_eq!(row.overlap, 0.25);
        assert_eq!(row.divergence.reverse_kld, f64::INFINITY);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let logits =
            |values, vocab: usize| Logits::f32(values, values.len() / vocab, vocab).expect("whole rows");
        let (a, b) = (logits(&[0.0; 10], 5), logits(&[0.0; 12], 6));
        let saved: Vec<ReferenceRow> = Cpu
            .logprobs(&a, &LogprobsParams { top_logprobs: 3, ..LogprobsParams::default() }, &[])
            .expect("they are sound")
            .iter()
            .map(ReferenceRow::new)
            .collect();
        let with = |change: fn(&mut Vec<ReferenceRow>), b: &Logits<'_>, top| {
            let mut saved = saved.clone();
            change(&mut saved);
            rows_with_reference(&Cpu, &saved, b, top).map(drop)
        };
        for (outcome, words) in [
            (rows(&Cpu, &a, &b, &[], 1).map(drop), "A has [2, 5] logits, B [2, 6]"),
            (rows(&Cpu, &a, &a, &[], 0).map(drop), "top 0 leaves no token"),
            (rows(&Cpu, &a, &a, &[], 1 << 21).map(drop), "top_logprobs"),
            (rows(&Cpu, &a, &a, &[Some(5), None], 1).map(drop), "5"),
            (with(|rows| rows.truncate(1), &a, 1), "the reference has 1 rows, B 2"),
            (
                with(|rows| rows[1].top[2].0 = 5, &a, 1),
                "the reference lists token 5, B has a vocabulary of 5",
            ),
            (with(|rows| rows[0].top.clear(), &a, 1), "row 0 of the reference: it lists no token"),
            (with(|_| (), &a, 4), "the reference lists 3 tokens a row: lower top 4"),
        ] {
            let message = outcome.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        with(|_| (), &a, 3).expect("as it is");
    }
}
