//! Draft tokens that are verified as one block: `docs/sampling.md`, 7. Each row hears what the draft tokens before it leave,
//! and whether a row behind it accepts; `shaders/lib/blocks.wgsl`.

use super::residual::{ONE, Residual, is_whole_accepted, part_of};
use super::row_task::{BlockRow, RowTask, truncated};
use crate::arithmetic::rng::Purpose;

/// What the rows of a block have to know of each other: tasks in order, the first one the block's first.
pub(crate) fn block_rows(tasks: &[RowTask<'_>]) -> Vec<BlockRow> {
    rows(tasks.len(), |place, part| {
        let task = &tasks[place];
        let [number, _] = task.key.numbers(Purpose::Accept(0));
        if task.finish.is_some() {
            return (place > 0 && is_whole_accepted(number, part), [0; 2]);
        }
        let changed = task.changed();
        let view = task.view(&changed);
        if view.stats.status != 0 {
            return (false, [0; 2]);
        }
        let (mut run, _) = truncated(&view, task);
        let drafted = task.draft.first();
        if task.request.is_greedy {
            let token = run.at(0).1;
            return (part > 0, [u64::from(drafted == Some(&token)), 1]);
        }
        let residual = Residual::new(&mut run, task.probabilities).in_block(part, drafted.is_some());
        let is_accepted = place == 0 || residual.is_block_accepted(number);
        (is_accepted, drafted.map_or([0; 2], |&token| residual.ratio_of(token)))
    })
}

/// The rows of a block, in order. `verify` hears what the draft tokens before a row leave, and says whether these stand and
/// the ratio of the row's own.
fn rows(count: usize, mut verify: impl FnMut(usize, u32) -> (bool, [u64; 2])) -> Vec<BlockRow> {
    let mut next = ONE;
    let each = |place| {
        let part = next;
        let (is_accepted, [weight, drafted]) = verify(place, part);
        next = ratio(part_of(weight, part), drafted);
        BlockRow { part, is_accepted, is_outdone: false }
    };
    let mut rows: Vec<BlockRow> = (0..count).map(each).collect();
    let last = rows.iter().rposition(|row| row.is_accepted).unwrap_or(0);
    rows[..last].iter_mut().for_each(|row| row.is_outdone = true);
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

    /// The last row that accepts says how far a block stands, whatever the rows before it say.
    #[test]
    fn the_last_row_that_accepts_decides() {
        let outdone = |accepted: [bool; 4]| {
            rows(4, |place, _| (accepted[place], [1, 1])).iter().map(|row| row.is_outdone).collect::<Vec<_>>()
        };
        assert_eq!(outdone([true, false, true, false]), [true, true, false, false]);
        assert_eq!(outdone([true, false, false, false]), [false; 4]);
        assert_eq!(outdone([true, true, true, true]), [true, true, true, false]);
        assert_eq!(outdone([false; 4]), [false; 4], "no row is a distribution");
    }

    /// What is lost is made good by a later token, but never more than that.
    #[test]
    fn parts_are_products_of_ratios() {
        let ratios = [[1, 2], [1, 2], [3, 1], [9, 1], [1, 4], [0, 1], [7, 1]];
        let parts: Vec<u32> = rows(7, |place, _| (true, ratios[place])).iter().map(|row| row.part).collect();
        // What is left of weights so small is rounded: of one half of 1 nothing.
        assert_eq!(parts, [ONE, ONE / 2, 0, 0, 0, 0, 0]);
        let large = |[own, drafted]: [u64; 2]| [own << 40, drafted << 40];
        let parts: Vec<u32> =
            rows(7, |place, _| (true, large(ratios[place]))).iter().map(|row| row.part).collect();
        assert_eq!(parts, [ONE, ONE / 2, ONE / 4, 3 * (ONE / 4), ONE, ONE / 4, 0]);
    }
}
