//! Draft tokens that are verified as one block, in three rounds: `docs/sampling.md`, 7, and `shaders/lib/blocks.wgsl`. Each row
//! weighs its draft token; is tried, by what the tokens before it leave; draws, by how far the block stands.

use std::ops::Range;

use super::residual::{ONE, Residual, is_whole_accepted, part_of};
use super::row_task::{BlockRow, RowTask, truncated};
use crate::arithmetic::rng::{Key, Purpose};
use crate::parallel::each;

/// What the rows of blocks have to know of each other, in their order.
pub(crate) fn block_rows<'a>(
    blocks: &[Range<usize>],
    task: impl Fn(usize) -> RowTask<'a> + Send + Sync,
) -> Vec<BlockRow> {
    let each_place = |block: &Range<usize>| block.clone().zip(0..);
    let (rows, places): (Vec<usize>, Vec<u32>) = blocks.iter().flat_map(each_place).unzip();
    let ratios = each(rows.len(), |i| weigh(&task(rows[i])));
    let parts = parts(&places, &ratios);
    let accepted = each(rows.len(), |i| {
        let (own, first) = (task(rows[i]), task(rows[i - places[i] as usize]));
        let key = Key { position: first.key.position, ..own.key };
        let [number, _] = key.numbers(Purpose::Accept(places[i]));
        is_accepted(&own, places[i], parts[i], number)
    });
    heard(&places, &parts, &accepted)
}

/// The weight of a row's draft token and what the draft gives it; nothing where nothing is drawn.
fn weigh(task: &RowTask<'_>) -> [u64; 2] {
    let Some(&drafted) = task.draft.first().filter(|_| task.finish.is_none()) else { return [0; 2] };
    let changed = task.changed();
    let view = task.view(&changed);
    if view.stats.status != 0 {
        return [0; 2];
    }
    let (mut run, _) = truncated(&view, task);
    if task.request.is_greedy {
        return [u64::from(run.at(0).1 == drafted), 1];
    }
    Residual::new(&mut run, task.probabilities).ratio_of(drafted)
}

/// What the draft tokens before each row leave, Q31: min(1, the product of their ratios).
fn parts(places: &[u32], ratios: &[[u64; 2]]) -> Vec<u32> {
    let mut next = ONE;
    let part = |(&place, &[own, drafted]): (&u32, &[u64; 2])| {
        let part = if place == 0 { ONE } else { next };
        next = ratio(part_of(own, part), drafted);
        part
    };
    places.iter().zip(ratios).map(part).collect()
}

/// Whether the draft tokens before a row stand.
fn is_accepted(task: &RowTask<'_>, place: u32, part: u32, number: u64) -> bool {
    if task.finish.is_some() {
        return place > 0 && is_whole_accepted(number, part);
    }
    let changed = task.changed();
    let view = task.view(&changed);
    match (view.stats.status, place) {
        (0, 0) => true,
        (0, _) if task.request.is_greedy => part > 0,
        (0, _) => {
            let (mut run, _) = truncated(&view, task);
            let residual = Residual::new(&mut run, task.probabilities);
            residual.in_block(part, !task.draft.is_empty()).is_block_accepted(number)
        }
        _ => place > 0 && is_whole_accepted(number, part),
    }
}

/// The last row of each block that accepts says how far the block stands, whatever the rows before it say.
fn heard(places: &[u32], parts: &[u32], accepted: &[bool]) -> Vec<BlockRow> {
    let mut is_outdone = false;
    let mut rows: Vec<BlockRow> = (0..places.len())
        .rev()
        .map(|i| {
            let row = BlockRow { part: parts[i], is_accepted: accepted[i], is_outdone };
            is_outdone = (is_outdone || accepted[i]) && places[i] > 0;
            row
        })
        .collect();
    rows.reverse();
    rows
}

/// min(1, own / drafted), Q31; 0 where there is no own.
fn ratio(own: u64, drafted: u64) -> u32 {
    if own == 0 {
        return 0;
    }
    if own >= drafted {
        return ONE;
    }
    let by = 33_u32.saturating_sub(drafted.leading_zeros()); // to 31 bits
    #[expect(clippy::cast_possible_truncation, reason = "at most one")]
    let ratio = (((own >> by) << 31) / (drafted >> by)) as u32;
    ratio
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_at_most_one() {
        for (own, drafted, expected) in [
            (0, 0, 0),
            (0, 5, 0),
            (1, 0, ONE),
            (5, 5, ONE),
            (6, 5, ONE),
            (1, 2, ONE / 2),
            (3, 4, 3 * (ONE / 4)),
            (1, 3, ONE / 3),
            ((1 << 63) - 1, 1 << 63, ONE - 2),
            (1 << 61, 1 << 63, ONE / 4),
            (1, 1 << 63, 0),
            ((1 << 31) - 2, (1 << 31) - 1, ONE - 2),
        ] {
            assert_eq!(ratio(own, drafted), expected, "{own} of {drafted}");
        }
    }

    /// The last row that accepts says how far a block stands, and nothing of the block before it.
    #[test]
    fn the_last_row_that_accepts_decides() {
        let outdone = |accepted: [bool; 5]| {
            let rows = heard(&[0, 1, 2, 0, 1], &[ONE; 5], &accepted);
            rows.iter().map(|row| row.is_outdone).collect::<Vec<_>>()
        };
        assert_eq!(outdone([true, false, true, true, false]), [true, true, false, false, false]);
        assert_eq!(outdone([true, false, false, true, true]), [false, false, false, true, false]);
        assert_eq!(outdone([true, true, true, true, false]), [true, true, false, false, false]);
        assert_eq!(outdone([false; 5]), [false; 5], "no row is a distribution");
    }

    /// What is lost is made good by a later token, but never more than that.
    #[test]
    fn parts_are_products_of_ratios() {
        let places = [0, 1, 2, 3, 4, 0, 1];
        let ratios = [[1, 2], [1, 2], [3, 1], [9, 1], [1, 4], [0, 1], [7, 1]];
        // What is left of weights so small is rounded: of one half of 1 nothing.
        assert_eq!(parts(&places, &ratios), [ONE, ONE / 2, 0, 0, 0, ONE, 0]);
        let large = ratios.map(|[own, drafted]| [own << 40, drafted << 40]);
        assert_eq!(parts(&places, &large), [ONE, ONE / 2, ONE / 4, 3 * (ONE / 4), ONE, ONE, 0]);
    }
}
