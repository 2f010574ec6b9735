//! The lanes of a tile, sixteen tokens each, weighed with vector instructions: `docs/exact.md`, 6 and 8. The definition, one
//! token at a time, is in `arithmetic::lane`.

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, i32x16, mask32x16, u32x16};

use super::lane_entries::entries;
use super::octaves::{GROUP, Octaves, high, low};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::{self, LaneScale};
use crate::logits::RowBits;

/// Tokens of a vector.
pub(super) const WIDTH: usize = 16;
/// Lanes of a tile, of sixteen tokens each.
const LANES: usize = TILE_TOKENS / 16;
/// Lanes of a group of tokens: a vector of them.
const GROUP_LANES: usize = GROUP / 16;

/// The lanes of a tile: lane `k` of a subtile has its tokens `16 i + 4 k + j`, with `i` and `j` below four.
pub(super) struct Lanes {
    /// Bits of the maxima.
    max: [u32; LANES],
    /// Whole sums.
    weights: [u32; LANES],
    surprisals: [u32; LANES],
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { max: [exact::BITS_NEG_INFINITY; LANES], weights: [0; LANES], surprisals: [0; LANES] }
    }

    /// Weighs the tokens of a tile, and gives their bits, in place or in the room, and the largest of these. Lanes behind the last
    /// token are as if of -infinity.
    #[inline(always)]
    pub(super) fn fill<'b, S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        tile: RowBits<'b>,
        room: &'b mut [u32; TILE_TOKENS],
        scale: LaneScale,
    ) -> (&'b [u32], u32) {
        let mut max_bits = u32x16::splat(simd, 0);
        let mut number = 0;
        // Group by group: what is widened is on its way while the one before is weighed.
        for (group, room) in tile.runs(GROUP).zip(room.as_chunks_mut::<GROUP>().0) {
            let mut last = [exact::BITS_NEG_INFINITY; GROUP];
            let bits = group.widened(room);
            let group = bits.try_into().unwrap_or_else(|_| {
                last[..bits.len()].copy_from_slice(bits);
                &last
            });
            self.weigh::<S, SURPRISAL>(simd, number, group, scale, &mut max_bits);
            number += 1;
        }
        self.max[number * GROUP_LANES..].fill(exact::BITS_NEG_INFINITY);
        (tile.in_place().unwrap_or(&room[..tile.len()]), simd.reduce_max_u32x16(max_bits))
    }

    /// The lanes of a group of tokens, the one of this number in the tile.
    #[inline(always)]
    fn weigh<S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        number: usize,
        group: &[u32; GROUP],
        scale: LaneScale,
        max_bits: &mut u32x16<S>,
    ) {
        let zero = f32x16::splat(simd, 0.0);
        let (mut weights, mut surprisals, mut maxima) = ([zero; 4], [zero; 4], [zero; 4]);
        let subtiles = group.as_chunks::<SUBTILE_TOKENS>().0.iter().enumerate();
        for (i, subtile) in subtiles {
            let mut bits = [u32x16::splat(simd, 0); 4];
            for (bits, stored) in bits.iter_mut().zip(subtile.as_chunks().0) {
                *bits = u32x16::simd_from(simd, *stored);
            }
            let [a, b, c, d] = bits;
            *max_bits = max_bits.max(a.max(b).max(c.max(d)));
            maxima[i] = lane_maxima(simd, bits).bitcast();
            let mut parts = [[zero; 4]; 2];
            for (k, bits) in bits.into_iter().enumerate() {
                [parts[0][k], parts[1][k]] = token::<S, SURPRISAL>(simd, maxima[i], bits, scale);
            }
            let sum = |[a, b, c, d]: [f32x16<S>; 4]| lane_sums(simd, (a + b) + (c + d));
            weights[i] = sum(parts[0]);
            if SURPRISAL {
                surprisals[i] = sum(parts[1]);
            }
        }
        let place = number * GROUP_LANES;
        let max = fourths(simd, maxima);
        max.bitcast::<u32x16<S>>().store_slice(&mut self.max[place..place + GROUP_LANES]);
        let whole = |sums: [f32x16<S>; 4], by: f32, to: &mut [u32; LANES]| {
            let whole: i32x16<S> = (fourths(simd, sums) * by).to_int();
            whole.bitcast::<u32x16<S>>().store_slice(&mut to[place..place + GROUP_LANES]);
        };
        whole(weights, lane::WHOLE_WEIGHTS, &mut self.weights);
        if SURPRISAL {
            whole(surprisals, lane::WHOLE_SURPRISALS, &mut self.surprisals);
        }
    }

    /// The largest keys of the subtiles, and of the tile.
    #[inline(always)]
    pub(super) fn delegates(&self, delegates: &mut [i32]) -> i32 {
        let mut best = exact::KEY_NEG_INFINITY;
        for (delegate, lanes) in delegates.iter_mut().zip(self.max.as_chunks::<4>().0) {
            let keys = lanes.map(exact::key_of_bits);
            *delegate = keys[0].max(keys[1]).max(keys[2].max(keys[3]));
            best = best.max(*delegate);
        }
        best
    }

    /// Mass and surprisal of the tile, whose maximum has these bits.
    #[inline(always)]
    pub(super) fn merge<S: Simd, const SURPRISAL: bool>(
        &self,
        simd: S,
        max_bits: u32,
        scale: Scale,
    ) -> (u64, u64) {
        const { assert!(LANES == GROUP) }
        let all = Octaves::new(simd, &self.max, max_bits, scale);
        let (mut mass, mut surprisal) = (0, 0);
        let [weights, surprisals]: [&[u64; LANES / 2]; 2] =
            [bytemuck::cast_ref(&self.weights), bytemuck::cast_ref(&self.surprisals)];
        for (sums, all) in weights.iter().zip(surprisals).zip(all.octaves.iter().zip(&all.mantissas)) {
            for half in [low, high] {
                let ((weights, surprisals), (octaves, mantissas)) = (sums, all);
                let (octaves, mantissa) = (half(*octaves), half(*mantissas));
                let own = lane::lane_mass(half(*weights), mantissa, octaves);
                mass += own;
                if SURPRISAL {
                    surprisal += lane::lane_surprisal(half(*surprisals), own, mantissa, octaves);
                }
            }
        }
        (mass, surprisal)
    }
}

/// Weights of tokens below the maxima of their lanes, and their surprisals, where they are wanted.
#[inline(always)]
fn token<S: Simd, const SURPRISAL: bool>(
    simd: S,
    max: f32x16<S>,
    bits: u32x16<S>,
    LaneScale { per_logit }: LaneScale,
) -> [f32x16<S>; 2] {
    let apart = (max - bits.bitcast::<f32x16<S>>()) * per_logit;
    let distance: f32x16<S> = apart.bitcast::<u32x16<S>>().min(lane::FARTHEST.to_bits()).bitcast();
    let units: i32x16<S> = distance.to_int();
    let whole: u32x16<S> = units.bitcast();
    let chord = u32x16::splat(simd, lane::CHORD) - (whole & ((1 << lane::LANE_REST_BITS) - 1));
    let mantissa = entries(simd, whole).bitcast::<f32x16<S>>() * chord.bitcast::<f32x16<S>>();
    let octaves = whole & 0x7f80_0000;
    let lowered = |x: f32x16<S>| (x.bitcast::<u32x16<S>>() - octaves).bitcast::<f32x16<S>>();
    let surprisal =
        if SURPRISAL { lowered(mantissa * distance.max(lane::NEAREST)) } else { f32x16::splat(simd, 0.0) };
    [lowered(mantissa), surprisal]
}

/// The maximum of each lane, at the places of all its four tokens, of the vectors of a subtile.
#[inline(always)]
fn lane_maxima<S: Simd>(simd: S, [a, b, c, d]: [u32x16<S>; 4]) -> u32x16<S> {
    // As signed numbers the largest is the largest float, unless all are negative: then it is the least unsigned one.
    let signed = |x: u32x16<S>| x.bitcast::<i32x16<S>>();
    let mut largest = signed(a).max(signed(b)).max(signed(c).max(signed(d)));
    let mut least = a.min(b).min(c.min(d));
    largest = largest.max(simd.slide_within_blocks_i32x16::<2>(largest, largest));
    largest = largest.max(simd.slide_within_blocks_i32x16::<1>(largest, largest));
    least = least.min(simd.slide_within_blocks_u32x16::<2>(least, least));
    least = least.min(simd.slide_within_blocks_u32x16::<1>(least, least));
    let has_positive: mask32x16<S> = largest.simd_ge(0);
    has_positive.select(largest.bitcast::<u32x16<S>>(), least)
}

/// At the first of four places the sum of all four, first of neighbours.
#[inline(always)]
fn lane_sums<S: Simd>(simd: S, parts: f32x16<S>) -> f32x16<S> {
    let pairs = parts + simd.slide_within_blocks_f32x16::<1>(parts, parts);
    pairs + simd.slide_within_blocks_f32x16::<2>(pairs, pairs)
}

/// The first of every four places of four vectors.
#[inline(always)]
fn fourths<S: Simd>(simd: S, [a, b, c, d]: [f32x16<S>; 4]) -> f32x16<S> {
    simd.unzip_low_f32x16(simd.unzip_low_f32x16(a, b), simd.unzip_low_f32x16(c, d))
}
