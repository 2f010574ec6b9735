//! What one tile says, in one read (long: a twin for all vector instructions beside the definition in its tests): its
//! maximum, flags, mass, surprisal, the target's rank counts, and the maxima of its subtiles, the delegates.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, f32x16, i32x16, u32x16};

use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::merge::{TileStats, tile};
#[cfg(feature = "wgpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::RowBits;

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_stats",
    wgsl: wgsl!("tile_stats": "format", "words", "logits", "integers", "exact", "soft_float", "request", "changes"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// Words of one tile on the device: statistics, then delegates.
pub(crate) const TILE_WORDS: usize = tile::WORDS;

/// What pass 1 says of a row.
#[derive(Debug, PartialEq)]
pub(crate) struct Tiles {
    pub(crate) stats: Vec<TileStats>,
    /// Largest key of each subtile.
    pub(crate) delegates: Vec<i32>,
}

/// The twin on the CPU: a whole row, with the widest vector instructions of this processor. The counts of a row
/// without a target are those of -infinity: `n_greater` is the number of possible tokens.
pub(crate) fn run(row: RowBits<'_>, target_key: i32, scale: Scale) -> Tiles {
    run_at(Level::new(), row, target_key, scale)
}

/// What pass 1 says of a row, with these instructions: the functions below are compiled once for each set of them.
fn run_at(level: Level, row: RowBits<'_>, target_key: i32, scale: Scale) -> Tiles {
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || scan(simd, row, target_key, scale)))
}

#[inline(always)]
fn scan<S: Simd>(simd: S, row: RowBits<'_>, target_key: i32, scale: Scale) -> Tiles {
    let mut stats = Vec::with_capacity(row.len().div_ceil(TILE_TOKENS));
    let mut delegates = vec![exact::KEY_NEG_INFINITY; row.len().div_ceil(SUBTILE_TOKENS)];
    let mut widened = [0; TILE_TOKENS]; // stays in the nearest cache
    for (tile, delegates) in row.runs(TILE_TOKENS).zip(delegates.chunks_mut(TILE_TOKENS / SUBTILE_TOKENS)) {
        let bits = tile.widened(&mut widened);
        let mut tile = best(simd, bits, target_key, delegates);
        if tile.max_key > exact::KEY_NEG_INFINITY && tile.max_key < exact::KEY_INFINITY {
            (tile.mass, tile.surprisal) = sums(simd, bits, exact::bits_of_key(tile.max_key), scale);
        }
        stats.push(tile);
    }
    Tiles { stats, delegates }
}

/// Lanes of a vector, and the subtiles whose maxima are found together.
const LANES: usize = 16;

/// Maximum, flags and counts of a tile, and the delegates of its subtiles.
#[inline(always)]
fn best<S: Simd>(simd: S, bits: &[u32], target_key: i32, delegates: &mut [i32]) -> TileStats {
    let one = i32x16::splat(simd, 1);
    let zero = i32x16::splat(simd, 0);
    // Two thresholds count what is above the target and what is not below it.
    let not_below = if target_key == 0 { -1 } else { target_key };
    let mut max_bits = u32x16::splat(simd, 0);
    let mut n_above = zero;
    let mut n_not_below = zero;
    let (blocks, rest) = bits.as_chunks::<{ LANES * SUBTILE_TOKENS }>();
    let (block_delegates, rest_delegates) = delegates.split_at_mut(blocks.len() * LANES);
    for (block, delegates) in blocks.iter().zip(block_delegates.as_chunks_mut::<LANES>().0) {
        let mut best = [i32x16::splat(simd, exact::KEY_NEG_INFINITY); LANES];
        for (subtile, best) in block.as_chunks::<SUBTILE_TOKENS>().0.iter().zip(&mut best) {
            for bits in subtile.as_chunks::<LANES>().0 {
                let bits = u32x16::simd_from(simd, *bits);
                max_bits = max_bits.max(bits);
                let bits: i32x16<S> = bits.bitcast();
                // The key, but for -0, which comes just below 0 here: the delegate is mended at the end.
                let key = bits ^ ((bits >> 31) & 0x7fff_ffff);
                *best = best.max(key);
                n_above += key.simd_gt(target_key).select(one, zero);
                n_not_below += key.simd_ge(not_below).select(one, zero);
            }
        }
        // Neighbouring lanes of two vectors become one vector, until lane i has the maximum of subtile i.
        for width in [8, 4, 2, 1] {
            for pair in 0..width {
                let [a, b] = [best[2 * pair], best[2 * pair + 1]];
                best[pair] = simd.unzip_low_i32x16(a, b).max(simd.unzip_high_i32x16(a, b));
            }
        }
        *delegates = best[0].into();
        for delegate in delegates {
            *delegate = exact::key_of_bits(exact::bits_of_key(*delegate));
        }
    }
    let mut stats = TileStats {
        max_key: exact::KEY_NEG_INFINITY,
        max_bits: simd.reduce_max_u32x16(max_bits),
        mass: 0,
        surprisal: 0,
        n_greater: simd.reduce_sum_i32x16(n_above).cast_unsigned(),
        n_equal: (simd.reduce_sum_i32x16(n_not_below) - simd.reduce_sum_i32x16(n_above)).cast_unsigned(),
    };
    for (subtile, delegate) in rest.chunks(SUBTILE_TOKENS).zip(rest_delegates) {
        for &bits in subtile {
            let key = exact::key_of_bits(bits);
            *delegate = (*delegate).max(key);
            stats.max_bits = stats.max_bits.max(bits);
            stats.n_greater += u32::from(key > target_key);
            stats.n_equal += u32::from(key == target_key);
        }
    }
    stats.max_key = delegates.iter().fold(stats.max_key, |best, &key| best.max(key));
    stats
}

/// Tokens whose weights are worked out together: enough for the loops to run, few enough to stay in the nearest cache.
const GROUP: usize = 256;

/// Mass and surprisal of some tokens of a tile relative to its maximum.
#[inline(always)]
fn sums<S: Simd>(simd: S, bits: &[u32], max_bits: u32, scale: Scale) -> (u64, u64) {
    // Two tokens in a word: products and sums of 64 bits then need no vector to be widened.
    let mut octaves = [0u64; GROUP / 2];
    let mut mantissas = [0u64; GROUP / 2];
    let (mut mass, mut surprisal) = (0, 0);
    let rate = u64::from(scale.rate);
    let (groups, rest) = bits.as_chunks::<GROUP>();
    let mut last = [exact::BITS_NEG_INFINITY; GROUP]; // weighs nothing
    last[..rest.len()].copy_from_slice(rest);
    for group in groups.iter().chain((!rest.is_empty()).then_some(&last)) {
        distances(simd, group, max_bits, scale, bytemuck::cast_mut(&mut octaves));
        for pair in &mut octaves {
            let [low, high] = [(*pair & LOW) * rate, (*pair >> 32) * rate];
            *pair = (low >> 30) | ((high >> 30) << 32);
        }
        let each: &[u32; GROUP] = bytemuck::cast_ref(&octaves);
        for (mantissa, octaves) in bytemuck::cast_mut::<_, [u32; GROUP]>(&mut mantissas).iter_mut().zip(each)
        {
            *mantissa = exact::mantissa(*octaves);
        }
        for (&octaves, &mantissas) in octaves.iter().zip(&mantissas) {
            for half in [0, 32] {
                let (mantissa, octaves) = ((mantissas >> half) & LOW, (octaves >> half) & LOW);
                mass += exact::weight(mantissa, octaves);
                surprisal += exact::surprisal(mantissa, octaves);
            }
        }
    }
    (mass, surprisal)
}

/// The lower half of a word.
const LOW: u64 = 0xffff_ffff;

/// Distances of a group below the maximum, in units; far ones cut to where nothing weighs anything.
#[inline(always)]
fn distances<S: Simd>(
    simd: S,
    group: &[u32; GROUP],
    max_bits: u32,
    scale: Scale,
    distances: &mut [u32; GROUP],
) {
    let limit = scale.units_of_octaves(exact::WEIGHTLESS);
    // Below this magnitude the processor's own conversion to integers is `fixed`, and differences do not overflow.
    let range = exact::pow2_f32(30 - scale.shift);
    if f32::from_bits(max_bits).abs() >= range {
        for (distance, &bits) in distances.iter_mut().zip(group) {
            *distance = scale.distance(max_bits, bits).min(limit);
        }
        return;
    }
    let unit = exact::pow2_f32(scale.shift);
    let lowest = (-2.0 * range).to_bits();
    let max = u32x16::splat(simd, exact::fixed(max_bits, scale.shift));
    let lanes = distances.as_chunks_mut::<16>().0.iter_mut();
    for (distances, bits) in lanes.zip(group.as_chunks::<16>().0) {
        // Negative numbers by their bits: a larger magnitude, -infinity and a NaN become the lowest in range.
        let logits: f32x16<S> = u32x16::simd_from(simd, *bits).min(lowest).bitcast();
        let fixed: i32x16<S> = (logits * unit).to_int();
        *distances = (max - fixed.bitcast::<u32x16<S>>()).min(limit).into();
    }
}

/// The first token of a tile at which the sum of the weights, relative to the tile's maximum, passes a point.
pub(crate) fn token_at(tile: RowBits<'_>, max_bits: u32, scale: Scale, point: u64) -> Option<usize> {
    token_with(Level::new(), tile, max_bits, scale, point)
}

fn token_with(level: Level, tile: RowBits<'_>, max_bits: u32, scale: Scale, point: u64) -> Option<usize> {
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || {
        let mut widened = [0; TILE_TOKENS];
        let bits = tile.widened(&mut widened);
        let mut before = 0;
        for (group, first) in bits.chunks(GROUP).zip((0..).step_by(GROUP)) {
            let (mass, _) = sums(simd, group, max_bits, scale);
            if point < before + mass {
                let passes = |&bits: &u32| {
                    before += scale.octaves_below(max_bits, bits).map_or(0, exact::token_weight);
                    point < before
                };
                return group.iter().position(passes).map(|place| first + place);
            }
            before += mass;
        }
        None
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logits::Dtype;
    use crate::logits::Logits;

    /// The definition, token by token.
    #[expect(clippy::cast_possible_truncation, reason = "counts of a tile")]
    fn by_definition(row: RowBits<'_>, target_key: i32, scale: Scale) -> Tiles {
        let mut tiles = Tiles { stats: Vec::new(), delegates: Vec::new() };
        for tile in row.runs(TILE_TOKENS) {
            let keys: Vec<i32> = tile.iter().map(exact::key_of_bits).collect();
            let max_key = *keys.iter().max().expect("a tile has tokens");
            let mut stats = TileStats {
                max_key: max_key.max(exact::KEY_NEG_INFINITY),
                max_bits: tile.iter().max().expect("a tile has tokens"),
                mass: 0,
                surprisal: 0,
                n_greater: keys.iter().filter(|key| **key > target_key).count() as u32,
                n_equal: keys.iter().filter(|key| **key == target_key).count() as u32,
            };
            if max_key > exact::KEY_NEG_INFINITY && max_key < exact::KEY_INFINITY {
                let max_bits = exact::bits_of_key(max_key);
                for octaves in tile.iter().filter_map(|bits| scale.octaves_below(max_bits, bits)) {
                    stats.mass += exact::token_weight(octaves);
                    stats.surprisal += exact::token_surprisal(octaves);
                }
            }
            tiles.delegates.extend(
                keys.chunks(SUBTILE_TOKENS)
                    .map(|keys| keys.iter().fold(exact::KEY_NEG_INFINITY, |best, key| best.max(*key))),
            );
            tiles.stats.push(stats);
        }
        tiles
    }

    fn rows() -> Vec<(&'static str, Vec<u32>)> {
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

    /// Every set of instructions gives what the definition gives, to the bit.
    #[test]
    fn all_instructions_agree() {
        let mut wrong = Vec::new();
        for (name, row) in rows() {
            for temperature in [1.0f32, 0.001, 0.7, 1000.0] {
                let scale = Scale::new(temperature);
                for target in [None, Some(0), Some(row.len() - 1)] {
                    let target_key =
                        target.map_or(exact::KEY_NEG_INFINITY, |token| exact::key_of_bits(row[token]));
                    let want = by_definition(RowBits::of_f32(&row), target_key, scale);
                    for (level, simd) in crate::proof::simd::levels() {
                        let got = run_at(simd, RowBits::of_f32(&row), target_key, scale);
                        if got != want {
                            wrong.push(format!(
                                "{name} [{}], T {temperature}, target {target:?}, {level}",
                                row.len()
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    }

    #[test]
    fn all_instructions_find_the_token_at_a_point() {
        let scale = Scale::new(0.7);
        for (name, row) in rows() {
            let tile = RowBits::of_f32(&row[..row.len().min(TILE_TOKENS)]);
            let TileStats { max_key, mass, .. } = by_definition(tile, 0, scale).stats[0];
            if mass == 0 {
                continue; // nothing to draw
            }
            let max_bits = exact::bits_of_key(max_key);
            for point in [0, 1, mass / 3, mass / 2, mass - 1] {
                let mut before = 0;
                let want = tile.iter().position(|bits| {
                    before += scale.octaves_below(max_bits, bits).map_or(0, exact::token_weight);
                    point < before
                });
                assert!(want.is_some(), "{name}");
                for (level, simd) in crate::proof::simd::levels() {
                    assert_eq!(token_with(simd, tile, max_bits, scale, point), want, "{name}, {level}");
                }
            }
            assert_eq!(token_at(tile, max_bits, scale, mass), None, "{name}: past the last");
        }
    }

    /// The comparison above must see one bit.
    #[test]
    fn one_bit_makes_a_difference() {
        let (_, mut row) = rows().swap_remove(13);
        let scale = Scale::new(1.0);
        let before = by_definition(RowBits::of_f32(&row), 0, scale);
        let heaviest = (0..row.len()).max_by_key(|&token| exact::key_of_bits(row[token])).expect("not empty");
        row[heaviest] ^= 1;
        assert!(run_at(Level::new(), RowBits::of_f32(&row), 0, scale) != before);
    }

    #[test]
    fn halves_are_widened_wherever_they_lie() {
        let stored: Vec<u16> = (0..=u16::MAX).collect();
        for dtype in [Dtype::F16, Dtype::Bf16] {
            for offset in [0, 1] {
                let mut bytes = vec![0; offset];
                bytes.extend_from_slice(bytemuck::cast_slice(&stored));
                let logits = Logits::new(&bytes[offset..], dtype, 1, stored.len()).expect("a row");
                let mut room = vec![0; stored.len()];
                let want: Vec<u32> = stored.iter().map(|&half| dtype.widen(half.into())).collect();
                assert_eq!(logits.row_bits(0).widened(&mut room), want, "{dtype} at {offset}");
            }
        }
    }
}
