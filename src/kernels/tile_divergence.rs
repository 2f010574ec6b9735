//! What one tile of two batches says of their divergence, in one read of both: maxima, masses, the sums of weights times
//! differences of distances, and whether a token is possible in one of them alone.

use crate::arithmetic::divergence::{Power, distance, unmatched};
use crate::arithmetic::exact::{BITS_NEG_INFINITY, KEY_INFINITY, bits_of_key, key_or_nan};
use crate::arithmetic::format::TILE_TOKENS;
#[cfg(feature = "wgpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::RowBits;

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_divergence",
    wgsl: wgsl!("tile_divergence": "format", "words", "logits", "integers", "exact", "wide", "pair", "divergence", "sums"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// What one tile says; pairs are of the first batch, then of the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TileDivergence {
    /// Largest keys; above [`KEY_INFINITY`] there is a NaN. Where one of them is no less than that, its row is no
    /// distribution, and all else is 0.
    pub(crate) max_keys: [i32; 2],
    /// Sums of the weights, Q50, each relative to its own maximum.
    pub(crate) masses: [u64; 2],
    /// Sums of the weights times how much further below the maximum the token lies in the other batch, Q45: of no use where
    /// it is impossible there, which a flag says.
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
        let distances = [distance(max_bits[0], a), distance(max_bits[1], b)];
        let difference = distances[1].cast_signed() - distances[0].cast_signed();
        let powers = distances.map(Power::of);
        tile.masses[0] += powers[0].mass();
        tile.masses[1] += powers[1].mass();
        tile.crosses[0] += i128::from(powers[0].cross(difference));
        tile.crosses[1] += i128::from(powers[1].cross(-difference));
        tile.unmatched |= match [a, b].map(|bits| bits != BITS_NEG_INFINITY) {
            [true, false] => unmatched::FIRST,
            [false, true] => unmatched::SECOND,
            _ => 0,
        };
    }
    tile
}
