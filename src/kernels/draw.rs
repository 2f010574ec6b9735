//! Draws: a random point of a mass, and the token that it falls in; a draft token's trial, and the draw after it fails.
//! `docs/sampling.md`, 6 and 7.

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
    weighed(run, numbers, |_, weight| weight).expect("a run has mass")
}

/// A token of what the run, of this mass, has more than the draft; of the run where that is nothing.
pub(super) fn residual(run: &mut Run<'_>, numbers: [u64; 2], probabilities: &[u32], mass: u64) -> u32 {
    let rest =
        |token: u32, weight: u64| weight.saturating_sub(draft_mass(probabilities[token as usize], mass));
    weighed(run, numbers, rest).unwrap_or_else(|| by_row(run, numbers))
}

/// Whether a draft token stands: with probability min(1, its own mass over the draft's), in a run of this mass.
pub(super) fn accepts(run: &mut Run<'_>, number: u64, token: u32, probabilities: &[u32], mass: u64) -> bool {
    let own = run.tokens().iter().find(|(_, kept)| *kept == token).map_or(0, |(key, _)| run.weight(*key));
    point(number, draft_mass(probabilities[token as usize], mass)) < own
}

/// The token at a point of the run: its tile, then the token, by weights that `part` may lessen. `None` if nothing has
/// any.
fn weighed(
    run: &mut Run<'_>,
    [tile_number, token_number]: [u64; 2],
    part: impl Fn(u32, u64) -> u64,
) -> Option<u32> {
    let mut tokens: Vec<(u32, u64)> =
        run.tokens().iter().map(|&(key, token)| (token, part(token, run.weight(key)))).collect();
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
        let mass = run.sums().mass;
        let mut accepts = |number, token, probability: f32| {
            accepts(&mut run, number, token, &[probability.to_bits(); 4], mass)
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
            [0, u64::MAX].map(|number| residual(&mut run, [number; 2], &draft, mass))
        };
        assert_eq!(ends([0.0; 4]), [0, 3], "all of the run");
        assert_eq!(ends([0.25, 0.0, 0.0, 0.75]), [1, 2], "what has as much in the draft is never drawn");
        assert_eq!(ends([0.9, 0.9, 0.24, 0.9]), [2, 2]);
        assert_eq!(ends([1.0; 4]), [0, 3], "nothing is left: the run itself");
    }
}
