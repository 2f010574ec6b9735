//! What the tokens of one tile say about which of two distributions they come from: the second read of both, for the
//! Jensen-Shannon divergence.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use super::octaves::GROUP;
use super::pairs::{Pairs, are_in_range, is_left_out};
use crate::answer::DivergenceBits;
use crate::arithmetic::divergence::{Power, distance, information, information_of_tile, log_ratio};
use crate::arithmetic::exact::bits_of_key;
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::wide::ln_mass_fixed;
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, TileRoom};

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_information",
    wgsl: wgsl!("tile_information": "format", "words", "logits", "integers", "exact", "wide", "pair", "divergence", "sums"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The twin on the CPU: adds what all tiles of the rows say to their record, which `row_divergence` made.
pub(crate) fn run(rows: [RowBits<'_>; 2], row: &mut DivergenceBits) {
    run_at(Level::new(), rows, row);
}

/// The same with these instructions.
fn run_at(level: Level, rows: [RowBits<'_>; 2], row: &mut DivergenceBits) {
    if row.statuses == [0; 2] {
        dispatch!(level, simd => simd.vectorize(#[inline(always)] || of_rows(simd, rows, row)));
    }
}

#[inline(always)]
fn of_rows<S: Simd>(simd: S, rows: [RowBits<'_>; 2], row: &mut DivergenceBits) {
    let (max_bits, ln_masses) = (row.max_keys.map(bits_of_key), row.masses.map(ln_mass_fixed));
    let (mut room, mut pairs) = ([TileRoom::new(), TileRoom::new()], Pairs::new());
    let [first, second] = rows.map(|row| row.runs(TILE_TOKENS));
    for (first, second) in first.zip(second) {
        let [own, other] = &mut room;
        let tiles = [first.widened_with(simd, &mut own.0), second.widened_with(simd, &mut other.0)];
        let sums = of_tile(simd, &mut pairs, tiles, max_bits, ln_masses);
        for (all, sum) in row.informations.iter_mut().zip(sums) {
            *all += information_of_tile(sum);
        }
    }
}

/// Sums of weights times information, Q49, each relative to the maximum of its row.
#[inline(always)]
fn of_tile<S: Simd>(
    simd: S,
    pairs: &mut Pairs,
    tiles: [&[u32]; 2],
    max_bits: [u32; 2],
    ln_masses: [u32; 2],
) -> [u64; 2] {
    let mut sums = [0; 2];
    let (groups, mut alone) = (tiles.map(|bits| bits.as_chunks::<GROUP>().0), tiles);
    let mut add = |more: [u64; 2]| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    if are_in_range(max_bits) {
        alone = tiles.map(|bits| bits.as_chunks::<GROUP>().1);
        for (a, b) in groups[0].iter().zip(groups[1]) {
            let has_left_out = pairs.fill(simd, [a, b], max_bits);
            add(pairs.informations(ln_masses));
            if has_left_out {
                let left_out = a.iter().zip(b).filter(|(a, b)| is_left_out([**a, **b]));
                left_out.for_each(|(&a, &b)| add(of_pair([a, b], max_bits, ln_masses)));
            }
        }
    }
    alone[0].iter().zip(alone[1]).for_each(|(&a, &b)| add(of_pair([a, b], max_bits, ln_masses)));
    sums
}

/// What a token adds: the definition.
fn of_pair(pair: [u32; 2], max_bits: [u32; 2], ln_masses: [u32; 2]) -> [u64; 2] {
    let distances = [0, 1].map(|i| distance(max_bits[i], pair[i]));
    let difference = distances[1].cast_signed() - distances[0].cast_signed();
    let information = information(log_ratio(difference, ln_masses));
    distances.map(|distance| Power::of(distance).information(information))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{row_divergence, tile_divergence};

    /// Every set of instructions gives what the definition gives, to the bit.
    #[test]
    fn all_instructions_agree() {
        let (mut wrong, mut n_said) = (Vec::new(), 0);
        for (name, [first, second]) in tile_divergence::tests::rows() {
            let rows = || [&first, &second].map(|row| RowBits::of_f32(row));
            let record = row_divergence::run(&tile_divergence::run(rows()));
            let mut want = record.clone();
            if record.statuses == [0; 2] {
                let (max_bits, ln_masses) =
                    (record.max_keys.map(bits_of_key), record.masses.map(ln_mass_fixed));
                for (first, second) in first.chunks(TILE_TOKENS).zip(second.chunks(TILE_TOKENS)) {
                    let mut tile = [0; 2];
                    for (&a, &b) in first.iter().zip(second) {
                        let said = of_pair([a, b], max_bits, ln_masses);
                        tile.iter_mut().zip(said).for_each(|(sum, said)| *sum += said);
                    }
                    want.informations
                        .iter_mut()
                        .zip(tile)
                        .for_each(|(all, sum)| *all += information_of_tile(sum));
                }
                n_said += usize::from(want.informations[0] > 0);
            }
            for (level, simd) in crate::proof::simd::levels() {
                let mut got = record.clone();
                run_at(simd, rows(), &mut got);
                if got != want {
                    wrong.push(format!("{name}, {level}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
        assert!(n_said > 20, "{n_said} rows say anything");
    }
}
