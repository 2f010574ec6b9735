//! Draws: a random point of a mass, and the token that it falls in: `docs/sampling.md`, 6.

use super::token_at::token_at;
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::TILE_TOKENS;
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

/// The tokens of the run with their weights.
pub(super) fn weights(run: &mut Run<'_>) -> Vec<(u32, u64)> {
    run.tokens().into_iter().map(|(key, token)| (token, run.weight(key))).collect()
}

/// The token at a point of these weights: its tile, then the token. `None` if nothing has any.
pub(super) fn weighed(mut tokens: Vec<(u32, u64)>, [tile_number, token_number]: [u64; 2]) -> Option<u32> {
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
}
