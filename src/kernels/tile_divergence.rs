//! What one tile of two batches says of their divergence, in one read of both: maxima, masses, the sums of weights times
//! differences of distances, and whether a token is possible in one of them alone.

use crate::arithmetic::divergence::{Power, distance, unmatched};
use crate::arithmetic::exact::{BITS_NEG_INFINITY, KEY_INFINITY, bits_of_key, key_or_nan};
use crate::arithmetic::format::TILE_TOKENS;
use crate::logits::RowBits;

/// What one tile says; pairs are of the first batch, then of the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TileDivergence {
    /// Largest keys; above [`KEY_INFINITY`] there is a NaN. Where one of them is no finite logit's and above all, the row is no
    /// distribution, and all else is 0.
    pub(crate) max_keys: [i32; 2],
    /// Sums of the weights, Q50, each relative to its own maximum.
    pub(crate) masses: [u64; 2],
    /// Sums of the weights times how much further below the maximum the token lies in the other batch, Q45.
    pub(crate) crosses: [i128; 2],
    /// Flags of [`unmatched`].
    pub(crate) unmatched: u32,
}

/// The twin on the CPU: a whole row of each.
pub(crate) fn run(rows: [RowBits<'_>; 2]) -> Vec<TileDivergence> {
    let mut room = [[0; TILE_TOKENS]; 2];
    let [first, second] = rows.map(|row| row.runs(TILE_TOKENS));
    let tile = |(first, second): (RowBits<'_>, RowBits<'_>)| {
        let [room, other] = &mut room;
        of_tile(first.widened(room), second.widened(other))
    };
    first.zip(second).map(tile).collect()
}

fn of_tile(first: &[u32], second: &[u32]) -> TileDivergence {
    let max_keys =
        [first, second].map(|bits| bits.iter().map(|&bits| key_or_nan(bits)).fold(i32::MIN, i32::max));
    let mut tile = TileDivergence { max_keys, ..TileDivergence::default() };
    if max_keys.iter().any(|key| *key >= KEY_INFINITY) {
        return tile;
    }
    let max_bits = max_keys.map(bits_of_key);
    for (&a, &b) in first.iter().zip(second) {
        let is_possible = [a != BITS_NEG_INFINITY, b != BITS_NEG_INFINITY];
        let distances = [(max_bits[0], a), (max_bits[1], b)].map(|(max, bits)| distance(max, bits));
        let powers = [0, 1].map(|i| if is_possible[i] { Power::of(distances[i]) } else { Power::ZERO });
        tile.masses[0] += powers[0].mass();
        tile.masses[1] += powers[1].mass();
        match is_possible {
            [true, true] => {
                let difference = distances[1].cast_signed() - distances[0].cast_signed();
                tile.crosses[0] += i128::from(powers[0].cross(difference));
                tile.crosses[1] += i128::from(powers[1].cross(-difference));
            }
            [true, false] => tile.unmatched |= unmatched::FIRST,
            [false, true] => tile.unmatched |= unmatched::SECOND,
            [false, false] => {}
        }
    }
    tile
}
