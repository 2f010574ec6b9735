//! What one tile says, in one read: its maximum, mass, surprisal, the target's rank counts, and the maxima of its
//! subtiles, the delegates.

use std::cmp::Ordering;

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, i32x16, mask32x16, u32x16};

use super::lanes::{Lanes, WIDTH};
use crate::arithmetic::exact;
use crate::arithmetic::format::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::PassScale;
use crate::arithmetic::merge::{TileStats, tile};
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, TileRoom};

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_stats",
    wgsl: wgsl!("tile_stats": "format", "words", "logits", "rows", "integers", "exact", "soft_float", "floats", "lane",
        "request", "changes"),
    slots: &[
        Slot::Chunk,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Write,
    ],
};

/// Words of one tile on the device: statistics, then delegates.
pub(crate) const TILE_WORDS: usize = tile::WORDS;

/// What pass 1 says of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tiles {
    pub(crate) stats: Vec<TileStats>,
    /// Largest key of each subtile.
    pub(crate) delegates: Vec<i32>,
}

impl Tiles {
    /// The words of each tile, as the device writes them.
    #[cfg(feature = "gpu")]
    pub(crate) fn words(&self) -> Vec<Vec<u32>> {
        let delegates = self.delegates.chunks(TILE_TOKENS / SUBTILE_TOKENS);
        let words = |(tile, delegates): (&TileStats, &[i32])| {
            tile.words().into_iter().chain(delegates.iter().map(|key| key.cast_unsigned())).collect()
        };
        self.stats.iter().zip(delegates).map(words).collect()
    }
}

/// The twin on the CPU: a whole row, with the widest vector instructions of this processor. The counts of a row
/// without a target are those of -infinity: `n_greater` is the number of possible tokens. The surprisal is 0 unless it is
/// wanted.
pub(crate) fn run(row: RowBits<'_>, target_key: i32, scale: PassScale, surprisal: bool) -> Tiles {
    run_at(Level::new(), row, target_key, scale, surprisal)
}

/// What pass 1 says of a row, with these instructions: the functions below are compiled once for each set of them.
fn run_at(level: Level, row: RowBits<'_>, target_key: i32, scale: PassScale, surprisal: bool) -> Tiles {
    if surprisal {
        dispatch!(level, simd => simd.vectorize(#[inline(always)] || scan::<_, true>(simd, row, target_key, scale)))
    } else {
        dispatch!(level, simd => simd.vectorize(#[inline(always)] || scan::<_, false>(simd, row, target_key, scale)))
    }
}

#[inline(always)]
fn scan<S: Simd, const SURPRISAL: bool>(
    simd: S,
    row: RowBits<'_>,
    target_key: i32,
    scale: PassScale,
) -> Tiles {
    let mut stats = Vec::with_capacity(row.len().div_ceil(TILE_TOKENS));
    let mut delegates = vec![exact::KEY_NEG_INFINITY; row.len().div_ceil(SUBTILE_TOKENS)];
    let mut room = TileRoom::new(); // stays in the nearest cache
    let mut lanes = Lanes::new();
    for (tile, delegates) in delegates.chunks_mut(TILE_TOKENS / SUBTILE_TOKENS).enumerate() {
        let rest = row.range(tile * TILE_TOKENS, row.len());
        let (bits, max_bits) = lanes.fill::<S, SURPRISAL>(simd, rest, &mut room, scale.lane);
        let max_key = lanes.delegates(delegates);
        let has_nan = max_bits > exact::BITS_NEG_INFINITY || max_key > exact::KEY_INFINITY;
        let max_key = if has_nan { mark_nan(bits, delegates) } else { max_key };
        let (mut mass, mut surprisal) = (0, 0);
        if max_key > exact::KEY_NEG_INFINITY && max_key < exact::KEY_INFINITY {
            (mass, surprisal) = lanes.merge::<S, SURPRISAL>(simd, exact::bits_of_key(max_key), scale.tile);
        }
        // Nothing is above -infinity only where something is as low.
        let (n_greater, n_equal) = if max_key > exact::KEY_INFINITY || max_key < target_key {
            (0, 0)
        } else if target_key == exact::KEY_NEG_INFINITY && max_bits < exact::BITS_NEG_INFINITY {
            #[expect(clippy::cast_possible_truncation, reason = "tokens of a tile")]
            let all = bits.len() as u32;
            (all, 0)
        } else {
            count(simd, bits, delegates, target_key)
        };
        stats.push(TileStats { max_key, mass, surprisal, n_greater, n_equal });
    }
    Tiles { stats, delegates }
}

/// Gives the subtiles with a NaN a key above all, and the tile.
#[cold]
fn mark_nan(bits: &[u32], delegates: &mut [i32]) -> i32 {
    for (subtile, delegate) in bits.chunks(SUBTILE_TOKENS).zip(delegates) {
        if subtile.iter().any(|&bits| exact::key_or_nan(bits) == exact::KEY_NAN) {
            *delegate = exact::KEY_NAN;
        }
    }
    exact::KEY_NAN
}

/// Tokens whose keys are above the target's, and equal to it, of a tile with these largest keys of its subtiles.
#[inline(always)]
fn count<S: Simd>(simd: S, bits: &[u32], delegates: &[i32], target_key: i32) -> (u32, u32) {
    // Bits of positive numbers are in the order of the keys as signed integers, those of negative ones against it as
    // unsigned ones, and what has the other sign lies on the right side.
    let target = exact::bits_of_key(target_key);
    let signed = |bits: u32x16<S>| bits.bitcast::<i32x16<S>>();
    match target_key.cmp(&0) {
        Ordering::Greater => count_by(simd, bits, delegates, target_key, |bits| {
            [signed(bits).simd_gt(target_key), signed(bits).simd_ge(target_key)]
        }),
        // -0 equals 0.
        Ordering::Equal => count_by(simd, bits, delegates, target_key, |bits| {
            [signed(bits).simd_gt(0), bits.simd_le((-0.0f32).to_bits())]
        }),
        Ordering::Less => {
            count_by(simd, bits, delegates, target_key, |bits| [bits.simd_lt(target), bits.simd_le(target)])
        }
    }
}

/// The same, by comparisons of bits: which are above, and which not below.
#[inline(always)]
fn count_by<S: Simd>(
    simd: S,
    bits: &[u32],
    delegates: &[i32],
    target_key: i32,
    compared: impl Fn(u32x16<S>) -> [mask32x16<S>; 2],
) -> (u32, u32) {
    let mut counts = [u32x16::splat(simd, 0); 2];
    let (subtiles, rest) = bits.as_chunks::<SUBTILE_TOKENS>();
    for (subtile, &delegate) in subtiles.iter().zip(delegates) {
        if delegate < target_key {
            continue; // below a likely target lie most subtiles
        }
        for bits in subtile.as_chunks::<WIDTH>().0 {
            for (count, is_counted) in counts.iter_mut().zip(compared(u32x16::simd_from(simd, *bits))) {
                *count = is_counted.select(*count + 1, *count);
            }
        }
    }
    let [mut greater, mut not_less] = counts.map(|count| <[u32; WIDTH]>::from(count).iter().sum::<u32>());
    for &bits in rest {
        let key = exact::key_of_bits(bits);
        greater += u32::from(key > target_key);
        not_less += u32::from(key >= target_key);
    }
    (greater, not_less - greater)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::arithmetic::lane::{self, definition, definition::LANE_TOKENS};
    use crate::logits::{Dtype, Logits};

    /// The definition, token by token.
    #[expect(clippy::cast_possible_truncation, reason = "counts of a tile")]
    fn by_definition(row: RowBits<'_>, target_key: i32, scale: PassScale) -> Tiles {
        let mut tiles = Tiles { stats: Vec::new(), delegates: Vec::new() };
        for tile in row.runs(TILE_TOKENS) {
            let keys: Vec<i32> = tile.iter().map(exact::key_of_bits).collect();
            let max_key = tile.iter().map(exact::key_or_nan).max().expect("a tile has tokens");
            let mut stats = TileStats {
                max_key,
                mass: 0,
                surprisal: 0,
                n_greater: keys.iter().filter(|key| **key > target_key).count() as u32,
                n_equal: keys.iter().filter(|key| **key == target_key).count() as u32,
            };
            if max_key == exact::KEY_NAN {
                (stats.n_greater, stats.n_equal) = (0, 0);
            }
            if max_key > exact::KEY_NEG_INFINITY && max_key < exact::KEY_INFINITY {
                let mut padded: Vec<u32> = tile.iter().collect();
                padded.resize(padded.len().next_multiple_of(SUBTILE_TOKENS), exact::BITS_NEG_INFINITY);
                for lane in lanes(&padded) {
                    let max = lane.iter().map(|bits| exact::key_of_bits(*bits)).max().expect("sixteen");
                    let max_bits = exact::bits_of_key(max);
                    let tile_bits = exact::bits_of_key(max_key);
                    let Some(octaves) = scale.tile.octaves_below(tile_bits, max_bits) else { continue };
                    let (weights, surprisals) = definition::whole_sums(scale.lane, max_bits, &lane);
                    let (octaves, mantissa) = (octaves.into(), exact::mantissa(octaves).into());
                    let mass = lane::lane_mass(weights, mantissa, octaves);
                    stats.mass += mass;
                    stats.surprisal += lane::lane_surprisal(surprisals, mass, mantissa, octaves);
                }
            }
            let bits: Vec<u32> = tile.iter().collect();
            tiles.delegates.extend(
                bits.chunks(SUBTILE_TOKENS)
                    .map(|bits| bits.iter().copied().map(exact::key_or_nan).max().expect("not empty")),
            );
            tiles.stats.push(stats);
        }
        tiles
    }

    /// The lanes of whole subtiles, tokens in the order of the definition.
    fn lanes(bits: &[u32]) -> impl Iterator<Item = [u32; LANE_TOKENS]> + '_ {
        bits.chunks(SUBTILE_TOKENS).flat_map(|subtile| {
            (0..4).map(|k| std::array::from_fn(|n| subtile[16 * (n / 4) + 4 * k + n % 4]))
        })
    }

    pub(crate) fn rows() -> Vec<(&'static str, Vec<u32>)> {
        let mut state = 7u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut of = |len: usize, value: &dyn Fn(u32) -> f32| -> Vec<u32> {
            (0..len).map(|_| value(next()).to_bits()).collect()
        };
        let normal = |random: u32| random as f32 / 1e6 - 8.0;
        let mut rows: Vec<(&str, Vec<u32>)> =
            [1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 4095, 4096, 4097, 9000]
                .into_iter()
                .map(|len| ("normal", of(len, &normal)))
                .collect();
        rows.extend([
            ("far below", of(5000, &|random| -(random as f32))),
            ("far above", of(5000, &|random| 1e4 + random as f32 / 1e3)),
            ("at the edge of the processor's conversion", of(5000, &|random| 64.0 - random as f32 / 1e5)),
            ("beyond it", of(5000, &|random| -63.9 - random as f32 / 1e6)),
            ("huge", of(5000, &|random| random as f32 * 1e30)),
            ("subnormal", of(5000, &|random| random as f32 * 1e-44)),
            ("zeros of both signs", of(5000, &|random| if random & 1 == 0 { 0.0 } else { -0.0 })),
            ("masked", of(5000, &|random| if random & 7 == 0 { normal(random) } else { f32::NEG_INFINITY })),
            ("impossible", of(5000, &|_| f32::NEG_INFINITY)),
            ("infinite", of(5000, &|random| if random & 63 == 0 { f32::INFINITY } else { normal(random) })),
            ("not a number", of(5000, &|random| if random & 63 == 0 { f32::NAN } else { normal(random) })),
            (
                "not a number, negative",
                of(5000, &|random| if random & 63 == 0 { -f32::NAN } else { normal(random) }),
            ),
        ]);
        rows
    }

    /// The bytes of a row as it may lie in memory: words, words at an odd place, and the upper halves of its words.
    fn stored(row: &[u32]) -> Vec<(&'static str, Dtype, Vec<u8>)> {
        let words: &[u8] = bytemuck::cast_slice(row);
        let halves: Vec<u8> = row.iter().flat_map(|bits| ((bits >> 16) as u16).to_ne_bytes()).collect();
        vec![
            ("f32", Dtype::F32, words.to_vec()),
            ("f32 at an odd place", Dtype::F32, [&[0], words].concat()),
            ("f16", Dtype::F16, halves.clone()),
            ("bf16", Dtype::Bf16, halves),
        ]
    }

    /// Every set of instructions gives what the definition gives, to the bit.
    #[test]
    fn all_instructions_agree() {
        let mut wrong = Vec::new();
        for (name, row) in rows() {
            for (way, dtype, bytes) in stored(&row) {
                let logits = &bytes[bytes.len() - row.len() * dtype.bytes()..];
                let logits = Logits::new(logits, dtype, 1, row.len()).expect("a row");
                let bits = logits.row_bits(0);
                let [first, last] = [0, row.len() - 1]
                    .map(|token| exact::key_or_nan(bits.iter().nth(token).expect("a token")));
                for temperature in [1.0f32, 0.001, 0.7, 1000.0] {
                    let scale = PassScale::new(temperature);
                    for target_key in [exact::KEY_NEG_INFINITY, first, last, 0, first.saturating_add(1)] {
                        let both = by_definition(bits, target_key, scale);
                        let mut weights = both.clone();
                        weights.stats.iter_mut().for_each(|tile| tile.surprisal = 0);
                        for (level, simd) in crate::proof::simd::levels() {
                            for (surprisal, want) in [(true, &both), (false, &weights)] {
                                if run_at(simd, bits, target_key, scale, surprisal) != *want {
                                    wrong.push(format!(
                                        "{name} [{}], {way}, T {temperature}, key {target_key}, {level}",
                                        row.len()
                                    ));
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    }

    /// The comparison above must see one bit.
    #[test]
    fn one_bit_makes_a_difference() {
        let (_, mut row) = rows().swap_remove(13);
        let scale = PassScale::new(1.0);
        let before = by_definition(RowBits::of_f32(&row), 0, scale);
        let heaviest = (0..row.len()).max_by_key(|&token| exact::key_of_bits(row[token])).expect("not empty");
        row[heaviest] ^= 1;
        assert!(run_at(Level::new(), RowBits::of_f32(&row), 0, scale, true) != before);
    }
}
