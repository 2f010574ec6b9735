//! Merges the tiles of two rows into what their divergence takes, relative to the maxima of the rows.

use super::tile_divergence::TileDivergence;
use crate::answer::DivergenceBits;
use crate::arithmetic::divergence::{Power, distance};
use crate::arithmetic::exact::{KEY_NEG_INFINITY, bits_of_key};
use crate::arithmetic::merge::status;
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_divergence",
    wgsl: wgsl!("row_divergence": "format", "words", "integers", "exact", "status", "wide", "divergence", "sums"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Write],
};

/// The twin on the CPU. The same tiles in any order give the same bits. Of rows that are no distributions only this is
/// said.
pub(crate) fn run(tiles: &[TileDivergence]) -> DivergenceBits {
    let max_keys = [0, 1].map(|i| tiles.iter().map(|tile| tile.max_keys[i]).fold(KEY_NEG_INFINITY, i32::max));
    let statuses = max_keys.map(status);
    if statuses != [0; 2] {
        return DivergenceBits { statuses, ..DivergenceBits::default() };
    }
    let mut row = DivergenceBits { max_keys, ..DivergenceBits::default() };
    for tile in tiles {
        let distances = [0, 1].map(|i| distance(bits_of_key(max_keys[i]), bits_of_key(tile.max_keys[i])));
        let difference = distances[1].cast_signed() - distances[0].cast_signed();
        for (i, difference) in [(0, difference), (1, -difference)] {
            let power = Power::of(distances[i]);
            row.masses[i] += power.of_mass(tile.masses[i]);
            row.crosses[i] += power.of_cross(tile.crosses[i], tile.masses[i], difference);
        }
        row.unmatched |= tile.unmatched;
    }
    row
}
