//! Draft tokens that are verified as one block: `docs/sampling.md`, 7. Each row hears what the draft tokens before it leave,
//! and whether a row behind it accepts; `shaders/lib/blocks.wgsl`.

use super::draw::Residual;
use crate::arithmetic::integers::mul_shift;
use crate::arithmetic::rng::point;

/// One, Q31.
pub(crate) const ONE: u32 = 1 << 31;

/// What a row of a block has to know of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRow {
    /// min(1, the product of the ratios of the draft tokens before it), Q31.
    pub(crate) part: u32,
    /// Whether these stand.
    pub(crate) is_accepted: bool,
    /// Whether those before a row behind it do: then it draws its own draft token.
    pub(crate) is_outdone: bool,
}

/// The rows of a block, in order. `verify` hears what the draft tokens before a row leave, and says whether these stand and
/// the ratio of the row's own.
pub(super) fn rows(count: usize, mut verify: impl FnMut(usize, u32) -> (bool, [u64; 2])) -> Vec<BlockRow> {
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

/// Whether the draft tokens stand of which this is left, where nothing is drawn after them.
pub(super) fn is_whole_accepted(number: u64, part: u32) -> bool {
    point(number, ONE.into()) < part.into()
}

/// A part, Q31, of a mass.
pub(super) fn part_of(mass: u64, part: u32) -> u64 {
    mul_shift(mass, part, 31)
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

impl Residual<'_> {
    /// The same of a row of a block, of whose weights this part is left; with a draft token, the draft has its share of all.
    pub(super) fn in_block(mut self, part: u32, has_draft: bool) -> Self {
        self.part = part;
        self.taken = if has_draft { self.share } else { 0 };
        self
    }

    /// The weight of a draft token, and what the draft gives it.
    pub(super) fn ratio_of(&self, token: u32) -> [u64; 2] {
        let own = self.weights.iter().find(|(kept, _)| *kept == token).map_or(0, |(_, weight)| *weight);
        [own, self.drafted(token, self.share)]
    }

    /// Whether the draft tokens before the row stand: of what is left, and what they lack of one.
    pub(super) fn is_block_accepted(&self, number: u64) -> bool {
        let left: u64 = self.left_of_all();
        let lacks = self.share - part_of(self.share, self.part);
        point(number, left + lacks) < left
    }
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

    #[test]
    fn a_part_of_a_mass() {
        let mass = (1 << 63) - 1;
        assert_eq!(part_of(mass, ONE), mass);
        assert_eq!(part_of(mass, ONE / 2), mass / 2);
        assert_eq!(part_of(3, ONE - 1), 2);
        assert_eq!(part_of(mass, 0), 0);
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
