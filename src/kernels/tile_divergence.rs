//! What one tile of two batches says of their divergence, in one read of both: maxima, masses, the sums of weights times
//! differences of distances, and whether a token is possible in one of them alone.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use super::octaves::GROUP;
use super::pairs::{Pairs, are_in_range, is_left_out};
use crate::arithmetic::divergence::{Power, distance, unmatched};
use crate::arithmetic::exact::{BITS_NEG_INFINITY, KEY_INFINITY, bits_of_key, key_or_nan};
use crate::arithmetic::format::TILE_TOKENS;
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, TileRoom};

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "gpu")]
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

/// The twin on the CPU: a whole row of each, with the widest vector instructions of this processor.
pub(crate) fn run(rows: [RowBits<'_>; 2]) -> Vec<TileDivergence> {
    run_at(Level::new(), rows)
}

/// The same with these instructions.
fn run_at(level: Level, rows: [RowBits<'_>; 2]) -> Vec<TileDivergence> {
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || of_rows(simd, rows)))
}

#[inline(always)]
fn of_rows<S: Simd>(simd: S, rows: [RowBits<'_>; 2]) -> Vec<TileDivergence> {
    let (mut room, mut pairs) = ([TileRoom::new(), TileRoom::new()], Pairs::new());
    let [first, second] = rows.map(|row| row.runs(TILE_TOKENS));
    let tile = |(first, second): (RowBits<'_>, RowBits<'_>)| {
        let [room, other] = &mut room;
        of_tile(
            simd,
            &mut pairs,
            [first.widened_with(simd, &mut room.0), second.widened_with(simd, &mut other.0)],
        )
    };
    first.zip(second).map(tile).collect()
}

#[inline(always)]
fn of_tile<S: Simd>(simd: S, pairs: &mut Pairs, tiles: [&[u32]; 2]) -> TileDivergence {
    let max_keys = tiles.map(|bits| bits.iter().map(|&bits| key_or_nan(bits)).fold(i32::MIN, i32::max));
    let mut tile = TileDivergence { max_keys, ..TileDivergence::default() };
    if max_keys.iter().any(|key| *key >= KEY_INFINITY) {
        return tile;
    }
    let max_bits = max_keys.map(bits_of_key);
    let (groups, mut alone) = (tiles.map(|bits| bits.as_chunks::<GROUP>().0), tiles);
    if are_in_range(max_bits) {
        alone = tiles.map(|bits| bits.as_chunks::<GROUP>().1);
        for (a, b) in groups[0].iter().zip(groups[1]) {
            let has_left_out = pairs.fill(simd, [a, b], max_bits);
            let sums = pairs.sums();
            for i in [0, 1] {
                tile.masses[i] += sums.masses[i];
                tile.crosses[i] += i128::from(sums.crosses[i]);
            }
            if has_left_out {
                let left_out = a.iter().zip(b).filter(|(a, b)| is_left_out([**a, **b]));
                left_out.for_each(|(&a, &b)| tile.add(max_bits, [a, b]));
            }
        }
    }
    alone[0].iter().zip(alone[1]).for_each(|(&a, &b)| tile.add(max_bits, [a, b]));
    tile
}

impl TileDivergence {
    /// Adds a token: the definition.
    fn add(&mut self, max_bits: [u32; 2], pair: [u32; 2]) {
        let distances = [0, 1].map(|i| distance(max_bits[i], pair[i]));
        let difference = distances[1].cast_signed() - distances[0].cast_signed();
        let powers = distances.map(Power::of);
        self.masses[0] += powers[0].mass();
        self.masses[1] += powers[1].mass();
        self.crosses[0] += i128::from(powers[0].cross(difference));
        self.crosses[1] += i128::from(powers[1].cross(-difference));
        self.unmatched |= match pair.map(|bits| bits != BITS_NEG_INFINITY) {
            [true, false] => unmatched::FIRST,
            [false, true] => unmatched::SECOND,
            _ => 0,
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::tile_stats::tests::rows as single_rows;

    /// Rows beside others: each beside itself turned, and beside every kind of row of its length.
    pub(crate) fn rows() -> Vec<(String, [Vec<u32>; 2])> {
        let rows = single_rows();
        let mut pairs = Vec::new();
        for (name, row) in &rows {
            let mut turned = row.clone();
            turned.rotate_left(1);
            pairs.push((format!("{name} [{}] and itself, turned", row.len()), [row.clone(), turned]));
            let others = rows.iter().filter(|(other, second)| second.len() == row.len() && other != name);
            pairs.extend(
                others.map(|(other, second)| (format!("{name} and {other}"), [row.clone(), second.clone()])),
            );
        }
        // Every distance up to 150 nats, and both sides of where pairs are left out.
        let falling =
            |from: f32, by: f32| (0..5000).map(|i| (from - by * i as f32).to_bits()).collect::<Vec<_>>();
        pairs.push(("falling".to_owned(), [falling(20.0, 0.03), falling(127.999, 0.051_3)]));
        pairs
    }

    fn by_definition([first, second]: [&[u32]; 2]) -> Vec<TileDivergence> {
        let tile = |(first, second): (&[u32], &[u32])| {
            let max_keys =
                [first, second].map(|bits| bits.iter().copied().map(key_or_nan).max().expect("tokens"));
            let mut tile = TileDivergence { max_keys, ..TileDivergence::default() };
            if max_keys.iter().all(|key| *key < KEY_INFINITY) {
                let pairs = first.iter().zip(second);
                pairs.for_each(|(&a, &b)| tile.add(max_keys.map(bits_of_key), [a, b]));
            }
            tile
        };
        first.chunks(TILE_TOKENS).zip(second.chunks(TILE_TOKENS)).map(tile).collect()
    }

    /// Every set of instructions gives what the definition gives, to the bit.
    #[test]
    fn all_instructions_agree() {
        let mut wrong = Vec::new();
        for (name, [first, second]) in rows() {
            let want = by_definition([&first, &second]);
            for (level, simd) in crate::proof::simd::levels() {
                if run_at(simd, [&first, &second].map(|row| RowBits::of_f32(row))) != want {
                    wrong.push(format!("{name}, {level}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    }

    /// The comparison above must see one bit.
    #[test]
    fn one_bit_makes_a_difference() {
        let (_, [first, mut second]) = rows().pop().expect("rows");
        let want = by_definition([&first, &second]);
        second[4] ^= 1;
        assert_ne!(run([&first, &second].map(|row| RowBits::of_f32(row))), want);
    }
}
