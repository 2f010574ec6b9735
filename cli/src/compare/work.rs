//! The pass over the rows of A and B, block by block. What is gathered of them is in `pass`.

use std::ops::Range;

use sortilege::compare::{
    Comparison, ComparisonReport, Divergences, ReferenceRow, rows, rows_with_reference,
};
use sortilege::{Logits, LogprobsParams};

use super::pass::{Outcome, Pass};
use super::sides::{A, Sides};
use crate::engine::Chosen;
use crate::failure::Result;
use crate::files::{ReferenceWriter, each_block_of};

/// Rough bytes of a row's results, and of each token in its lists: they stay below a block too.
const RESULT_BYTES: [usize; 2] = [1024, 128];

/// Which divergences the rows of these sides have.
pub(super) fn divergences(a: &A) -> Divergences {
    match a {
        A::Logits(_) => Divergences::Exact,
        A::Reference(_) => Divergences::Coarse,
    }
}

/// Compares all rows. `each_request` is called with the report of each request in turn.
pub(super) fn compare(
    sides: &Sides,
    chosen: &Chosen,
    [top, worst]: [usize; 2],
    mut save: Option<(&mut ReferenceWriter, u32)>,
    each_request: impl FnMut(u64, &ComparisonReport) -> Result<()>,
) -> Result<Outcome> {
    let fresh = Comparison::new(sides.has_targets, divergences(&sides.a));
    let is_alone = sides.positions == sides.rows;
    let mut pass = Pass::new(fresh, is_alone, worst, each_request);
    let listed = u32::try_from(top).unwrap_or(u32::MAX);
    each_block(sides, top.max(save.as_ref().map_or(0, |(_, listed)| *listed as usize)), |range, a, b| {
        let targets = &sides.targets.tokens[range.clone()];
        if let (Some((writer, listed)), Some(a)) = (&mut save, a) {
            write_reference(writer, *listed, a, targets, chosen)?;
        }
        let Some(b) = b else { return Ok(()) };
        let compared = match (&sides.a, a) {
            (A::Reference(reference), _) => {
                let reference = reference.read(&range)?;
                sides.check_text(range.start, &reference)?;
                rows_with_reference(chosen.engine(), &reference, b, listed)?
            }
            (A::Logits(_), Some(a)) => rows(chosen.engine(), a, b, targets, listed)?,
            (A::Logits(_), None) => unreachable!("a block of A comes with one of B"),
        };
        range.zip(compared).try_for_each(|(row, comparison)| {
            let [request, number] = [row / sides.positions, row % sides.positions];
            // Those of a reference are told by its rows.
            let target = comparison.target.map(|target| target.token).or(sides.targets.tokens[row]);
            pass.add(request as u64, (sides.targets.first + number) as u64, target, comparison)
        })
    })?;
    pass.finish()
}

/// Calls `work` with each block of rows: A's logits, where they are logits, and B's, where there is a B.
fn each_block(
    sides: &Sides,
    listed: usize,
    mut work: impl FnMut(Range<usize>, Option<&Logits<'_>>, Option<&Logits<'_>>) -> Result<()>,
) -> Result<()> {
    let bytes = RESULT_BYTES[0] + RESULT_BYTES[1] * listed;
    match (&sides.a, &sides.b) {
        (A::Logits(a), Some(b)) => {
            each_block_of(&[a, b], 0, bytes, |rows, blocks| work(rows, Some(&blocks[0]), Some(&blocks[1])))
        }
        (A::Logits(a), None) => {
            each_block_of(&[a], 0, bytes, |rows, blocks| work(rows, Some(&blocks[0]), None))
        }
        (A::Reference(_), Some(b)) => {
            each_block_of(&[b], 0, bytes, |rows, blocks| work(rows, None, Some(&blocks[0])))
        }
        (A::Reference(_), None) => Ok(()),
    }
}

fn write_reference(
    writer: &mut ReferenceWriter,
    listed: u32,
    a: &Logits<'_>,
    targets: &[Option<u32>],
    chosen: &Chosen,
) -> Result<()> {
    let params = LogprobsParams { top_logprobs: listed, entropy: true, ..LogprobsParams::default() };
    let answers = chosen.engine().logprobs(a, &params, targets)?;
    answers.iter().try_for_each(|answer| writer.add(&ReferenceRow::new(answer)))
}
