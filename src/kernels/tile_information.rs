//! What the tokens of one tile say about which of two distributions they come from: the second read of both, for the
//! Jensen-Shannon divergence.

use crate::answer::DivergenceBits;
use crate::arithmetic::divergence::{Power, distance, information, information_of_tile, log_ratio};
use crate::arithmetic::exact::bits_of_key;
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::wide::ln_mass_fixed;
#[cfg(feature = "wgpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::RowBits;

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_information",
    wgsl: wgsl!("tile_information": "format", "words", "logits", "integers", "exact", "wide", "pair", "divergence", "sums"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The twin on the CPU: adds what all tiles of the rows say to their record, which `row_divergence` made.
pub(crate) fn run(rows: [RowBits<'_>; 2], row: &mut DivergenceBits) {
    if row.statuses != [0; 2] {
        return;
    }
    let max_bits = row.max_keys.map(bits_of_key);
    let ln_masses = row.masses.map(ln_mass_fixed);
    let mut room = [[0; TILE_TOKENS]; 2];
    let [first, second] = rows.map(|row| row.runs(TILE_TOKENS));
    for (first, second) in first.zip(second) {
        let [own, other] = &mut room;
        let sums = of_tile([first.widened(own), second.widened(other)], max_bits, ln_masses);
        for (all, sum) in row.informations.iter_mut().zip(sums) {
            *all += information_of_tile(sum);
        }
    }
}

/// Sums of weights times information, Q49, each relative to the maximum of its row.
fn of_tile(tiles: [&[u32]; 2], max_bits: [u32; 2], ln_masses: [u32; 2]) -> [u64; 2] {
    let mut sums = [0; 2];
    for (&a, &b) in tiles[0].iter().zip(tiles[1]) {
        let distances = [distance(max_bits[0], a), distance(max_bits[1], b)];
        let difference = distances[1].cast_signed() - distances[0].cast_signed();
        let information = information(log_ratio(difference, ln_masses));
        for (sum, distance) in sums.iter_mut().zip(distances) {
            *sum += Power::of(distance).information(information);
        }
    }
    sums
}
