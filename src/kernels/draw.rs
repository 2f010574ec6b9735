//! Draws: a random point of a mass, and the token that it falls in; a draft token's trial, and the draw after it fails.
//! `docs/sampling.md`, 6 and 7.

use super::block;
use super::token_at::token_at;
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::integers::mul_shift;
use crate::arithmetic::rng::point;
use crate::filter::{Run, View};

/// A token of the whole row: its tile by the tiles' masses, then the token by its weight within the tile.
pub(super) fn by_tile(view: &View<'_>, scale: Scale, [tile_number, token_number]: [u64; 2]) -> u32 {
    let masses: Vec<u64> = view
        .tiles
        .iter()
        .map(|tile| tile.tile_mass(view.stats.max_key, scale).map_or(0, |(_, mass)| mass))
        .collect();
    let tile = pick(&masses, tile_number).expect("a sound row has mass");
    let max_bits = exact::bits_of_key(view.tiles[tile].max_key);
    let first = tile * TILE_TOKENS;
    let bits = view.bits.range(first, view.bits.len().min(first + TILE_TOKENS));
    let place = token_at(bits, max_bits, scale, token_number);
    token_of(tile, place.expect("a drawn tile has mass"))
}

/// A token of the run, by weights relative to its maximum.
pub(super) fn by_row(run: &mut Run<'_>, numbers: [u64; 2]) -> u32 {
    weighed(weights(run), numbers).expect("a run has mass")
}

/// What draft tokens that fell leave of a run: `docs/sampling.md`, 7.
pub(super) struct Residual<'a> {
    /// The tokens of the run with their weights.
    pub(super) weights: Vec<(u32, u64)>,
    /// Bits of the draft's probabilities.
    probabilities: &'a [u32],
    /// The mass of which those are shares, for the draft token at hand.
    pub(super) share: u64,
    /// The same for all that fell.
    pub(super) taken: u64,
    /// What their probabilities leave of one, Q31.
    rest: u32,
    /// Of a row of a block, Q31: so much of the weights is left.
    pub(super) part: u32,
}

/// Where a draft's probabilities leave less of one, Q31, their own rounding says too much of what is left.
pub(super) const LEAST_REST: u32 = 1 << 19;

impl<'a> Residual<'a> {
    /// A run on which no draft token was tried.
    pub(super) fn new(run: &mut Run<'_>, probabilities: &'a [u32]) -> Self {
        let weights = weights(run);
        let share = weights.iter().map(|(_, weight)| weight).sum();
        Self { weights, probabilities, share, taken: 0, rest: 1 << 31, part: block::ONE }
    }

    /// Whether a draft token stands: with probability min(1, its mass in what is left over the draft's). What is left is
    /// less otherwise.
    pub(super) fn accepts(&mut self, number: u64, token: u32) -> bool {
        let [own, drafted] = self.ratio_of(token);
        if point(number, drafted) < self.left(token, own) {
            return true;
        }
        self.taken += self.share;
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31")]
        let drafted = self.drafted(token, 1 << 31) as u32;
        self.rest = self.rest.saturating_sub(drafted);
        false
    }

    /// Goes on to the next draft token, if one is tried: not where nothing is left, or too little to say what the draft
    /// would have drawn next.
    pub(super) fn has_next(&mut self) -> bool {
        let share = share_of(self.left_of_all(), self.rest, self.taken);
        self.share = share.unwrap_or(0);
        share.is_some()
    }

    /// A token of what is left; of the run where that is nothing.
    pub(super) fn draw(&self, numbers: [u64; 2]) -> u32 {
        let left = self.weights.iter().map(|&(token, weight)| (token, self.left(token, weight))).collect();
        let all = || weighed(self.weights.clone(), numbers);
        weighed(left, numbers).or_else(all).expect("a run has mass")
    }

    /// What is left of the run's mass.
    pub(super) fn left_of_all(&self) -> u64 {
        self.weights.iter().map(|&(token, weight)| self.left(token, weight)).sum()
    }

    /// What is left of a token's weight.
    fn left(&self, token: u32, weight: u64) -> u64 {
        let part = block::part_of(weight, self.part);
        if self.taken == 0 { part } else { part.saturating_sub(self.drafted(token, self.taken)) }
    }

    /// What the draft's probability of a token is of a mass.
    pub(super) fn drafted(&self, token: u32, mass: u64) -> u64 {
        draft_mass(self.probabilities[token as usize], mass)
    }
}

/// The mass of which a draft's probabilities are shares, where they leave this of one and this mass is left: their quotient,
/// of 31 bits or more. `None` if it is none, or with what fell too large.
fn share_of(left: u64, rest: u32, taken: u64) -> Option<u64> {
    let by = 32 - left.leading_zeros().min(32);
    let quotient = ((left >> by) << 31).checked_div(u64::from(rest)).filter(|_| rest >= LEAST_REST)?;
    let share = (quotient >> (63 - by) == 0).then_some(quotient << by)?;
    (share > 0 && taken + share < 1 << 63).then_some(share)
}

/// The tokens of the run with their weights.
fn weights(run: &mut Run<'_>) -> Vec<(u32, u64)> {
    run.tokens().into_iter().map(|(key, token)| (token, run.weight(key))).collect()
}

/// The token at a point of these weights: its tile, then the token. `None` if nothing has any.
fn weighed(mut tokens: Vec<(u32, u64)>, [tile_number, token_number]: [u64; 2]) -> Option<u32> {
    tokens.sort_unstable();
    let mut masses = vec![0; tokens.last().map_or(0, |(last, _)| *last as usize / TILE_TOKENS + 1)];
    for (token, weight) in &tokens {
        masses[*token as usize / TILE_TOKENS] += weight;
    }
    let tile = pick(&masses, tile_number)?;
    tokens.retain(|(token, _)| *token as usize / TILE_TOKENS == tile);
    let weights: Vec<u64> = tokens.iter().map(|(_, weight)| *weight).collect();
    Some(tokens[pick(&weights, token_number)?].0)
}

/// What a draft's probability, given by its bits, is of a mass: `⌊probability · mass⌋`; a NaN or a negative one is
/// none.
fn draft_mass(bits: u32, mass: u64) -> u64 {
    match bits >> 23 {
        _ if bits > 0x7f80_0000 => 0,
        127.. => mass,
        exponent => mul_shift(mass, (bits << 8) | 0x8000_0000, 158 - exponent),
    }
}

/// The place at a random point of these masses; `None` if there are none.
fn pick(masses: &[u64], number: u64) -> Option<usize> {
    let point = point(number, masses.iter().sum());
    let mut before = 0;
    masses.iter().position(|mass| {
        before += mass;
        point < before
    })
}

fn token_of(tile: usize, place: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "tokens are below 2^20")]
    let token = (tile * TILE_TOKENS + place) as u32;
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests_of_run::{KEY, bits_of, view_of};

    const HALF: u64 = 1 << 63;

    #[test]
    fn a_point_falls_where_the_running_sum_passes_it() {
        assert_eq!(pick(&[0, 3, 0, 1, 0], 0), Some(1), "the first that has mass");
        assert_eq!(pick(&[0, 3, 0, 1, 0], u64::MAX), Some(3), "the last that has mass");
        assert_eq!(pick(&[1, 1], HALF - 1), Some(0));
        assert_eq!(pick(&[1, 1], HALF), Some(1), "a sum that only reaches the point does not pass it");
        assert_eq!(pick(&[0, 0], 7), None);
        assert_eq!(pick(&[], 7), None);
    }

    /// Two tiles and a little of a third, the possible tokens at both ends of each.
    fn ends() -> Vec<f32> {
        let mut row = vec![f32::NEG_INFINITY; 2 * TILE_TOKENS + 9];
        for token in [3, TILE_TOKENS - 1, TILE_TOKENS, 2 * TILE_TOKENS - 1, 2 * TILE_TOKENS + 5] {
            row[token] = 1.0;
        }
        row
    }

    #[test]
    fn draws_at_the_ends_of_the_mass() {
        let bits = bits_of(&ends());
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let tile = token_of(1, 0);
        let fifth = u64::MAX / 5; // of the tiles' mass, which is two, two and one
        for (numbers, token) in [
            ([0, 0], 3),
            ([0, u64::MAX], tile - 1),
            ([2 * fifth + 9, 0], tile),
            ([4 * fifth - 9, u64::MAX], 2 * tile - 1),
            ([u64::MAX, 0], 2 * tile + 5),
            ([u64::MAX, u64::MAX], 2 * tile + 5),
        ] {
            assert_eq!(by_tile(&view, Scale::new(1.0), numbers), token, "by tile, {numbers:?}");
            assert_eq!(by_row(&mut run, numbers), token, "by row, {numbers:?}");
        }
        // Of a narrower run: its own ends.
        run.drop_first(1);
        run.keep_first(3);
        assert_eq!(by_row(&mut run, [0, 0]), tile - 1);
        assert_eq!(by_row(&mut run, [u64::MAX, u64::MAX]), 2 * tile - 1);
    }

    #[test]
    fn a_draft_s_mass_is_a_part() {
        let mass = (1 << 43) + 1;
        for (probability, part) in [
            (0.0, 0),
            (0.5, 1 << 42),
            (1.0, mass),
            (7.0, mass),
            (f32::INFINITY, mass),
            (-0.5, 0),
            (f32::NAN, 0),
            (1e-40, 0),
            (exact::pow2_f32(-43), 1),
        ] {
            assert_eq!(draft_mass(probability.to_bits(), mass), part, "{probability}");
        }
    }

    #[test]
    fn a_draft_stands_as_often_as_its_share() {
        let bits = bits_of(&[0.0, 0.0, f32::NEG_INFINITY, 0.0]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mut accepts = |number, token, probability: f32| {
            Residual::new(&mut run, &[probability.to_bits(); 4]).accepts(number, token)
        };
        assert!(accepts(u64::MAX, 1, 0.333), "less than its own third");
        let two_thirds = 2.0 / 3.0 + 1e-6; // a little over twice its own
        assert!(accepts(HALF - (HALF >> 16), 1, two_thirds) && !accepts(HALF, 1, two_thirds));
        assert!(!accepts(0, 2, 0.5), "an impossible token");
        assert!(!accepts(0, 2, 0.0), "no draft has mass enough for it");
    }

    #[test]
    fn the_residual_is_what_the_draft_lacks() {
        let bits = bits_of(&[0.0, 0.0, 0.0, 0.0]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mass = run.sums().mass;
        let mut ends = |draft: [f32; 4]| {
            let draft = draft.map(f32::to_bits);
            let residual = Residual { taken: mass, ..Residual::new(&mut run, &draft) };
            [0, u64::MAX].map(|number| residual.draw([number; 2]))
        };
        assert_eq!(ends([0.0; 4]), [0, 3], "all of the run");
        assert_eq!(ends([0.25, 0.0, 0.0, 0.75]), [1, 2], "what has as much in the draft is never drawn");
        assert_eq!(ends([0.9, 0.9, 0.24, 0.9]), [2, 2]);
        assert_eq!(ends([1.0; 4]), [0, 3], "nothing is left: the run itself");
    }

    /// Of four equal tokens, of which the draft gives the first two a half and three eighths: what each sibling is tried
    /// on, and what is left, in quarters of the mass.
    #[test]
    fn a_sibling_is_tried_on_what_is_left() {
        let bits = bits_of(&[0.0; 4]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mass = run.sums().mass;
        let quarter = mass / 4;
        let draft = [0.5, 0.375, 0.125, 0.0f32].map(f32::to_bits);
        let mut residual = Residual::new(&mut run, &draft);
        assert!(!residual.accepts(HALF, 0), "one quarter over two");
        assert_eq!((residual.taken, residual.rest), (mass, 1 << 30));
        // Half a quarter of the third and the fourth are left; the draft would give the second three quarters of that.
        let left = |residual: &Residual<'_>| [0, 1, 2, 3].map(|token| residual.left(token, quarter));
        assert_eq!(left(&residual), [0, 0, quarter / 2, quarter]);
        assert!(residual.has_next() && !residual.accepts(0, 1), "nothing of it is left");
        assert_eq!((residual.share, residual.taken, residual.rest), (3 * quarter, 7 * quarter, 1 << 28));
        assert_eq!(left(&residual), [0, 0, quarter / 8, quarter]);
        // The third is all that the draft would draw next.
        assert!(residual.has_next());
        assert_eq!(residual.share, 9 * quarter);
        assert!(!residual.accepts(u64::MAX / 9 + 9, 2), "one ninth");
        assert_eq!([0, u64::MAX].map(|number| residual.draw([number; 2])), [3, 3]);
        assert!(!residual.has_next(), "the draft has nothing more to draw");
    }

    /// A draft that is as good as sure: what is drawn next is not known well enough to be tried.
    #[test]
    fn what_is_left_of_a_sure_draft_is_drawn_from() {
        let bits = bits_of(&[0.0; 4]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        for (first, is_tried) in
            [(1.0f32, false), (1.0 - f32::EPSILON, false), (0.9997, true), (0.9998, false)]
        {
            let draft = [first, 1.0 - first, 0.0, 0.0].map(f32::to_bits);
            let mut residual = Residual::new(&mut run, &draft);
            assert!(!residual.accepts(HALF, 0));
            assert_eq!(residual.has_next(), is_tried, "{first}");
            assert_eq!([0, u64::MAX].map(|number| residual.draw([number; 2])), [1, 3]);
        }
    }

    #[test]
    fn a_share_is_below_what_masses_can_be() {
        let [one, half] = [1 << 31, 1 << 30];
        assert_eq!(share_of(5 << 43, one, 0), Some(5 << 43));
        assert_eq!(share_of((5 << 43) + 1, one, 0), Some(5 << 43), "of 32 bits");
        assert_eq!(share_of(0xffff_fffe, half, 7), Some(0x1_ffff_fffc));
        assert_eq!(share_of(3, LEAST_REST, 0), Some(3 << 12));
        assert_eq!(share_of(3, LEAST_REST - 1, 0), None);
        assert_eq!(share_of(0, one, 1 << 63), None, "nothing is left");
        assert_eq!(share_of((1 << 62) - (1 << 31), half, 0), Some((1 << 63) - (1 << 32)));
        assert_eq!(share_of((1 << 62) - (1 << 31), half, 1 << 32), None, "as much as there can be");
        assert_eq!(share_of((1 << 62) - (1 << 31), half, (1 << 32) - 1), Some((1 << 63) - (1 << 32)));
        for (left, rest, taken) in
            [(1 << 62, half, 0), (1 << 63, one, 0), (u64::MAX, LEAST_REST, 0), (1 << 43, one, 1 << 63)]
        {
            assert_eq!(share_of(left, rest, taken), None, "{left} over {rest}, {taken} taken");
        }
    }
}
