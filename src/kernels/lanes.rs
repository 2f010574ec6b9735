//! The lanes of a tile, sixteen tokens each, weighed with vector instructions: `docs/exact.md`, 6 and 8. The definition, one
//! token at a time, is in `arithmetic::lane`.

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, i32x16, mask32x16, u32x16};

use super::octaves::{GROUP, Octaves, high, low};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::{self, LaneScale};

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

    /// Weighs the tokens of a tile, and gives their largest bits. Lanes behind the last token are as if of -infinity.
    #[inline(always)]
    pub(super) fn fill<S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        bits: &[u32],
        scale: LaneScale,
    ) -> u32 {
        let mut max_bits = u32x16::splat(simd, 0);
        let (groups, rest) = bits.as_chunks::<GROUP>();
        let mut last = [exact::BITS_NEG_INFINITY; GROUP];
        last[..rest.len()].copy_from_slice(rest);
        let mut number = 0;
        for group in groups.iter().chain((!rest.is_empty()).then_some(&last)) {
            self.weigh::<S, SURPRISAL>(simd, number, group, scale, &mut max_bits);
            number += 1;
        }
        self.max[number * GROUP_LANES..].fill(exact::BITS_NEG_INFINITY);
        simd.reduce_max_u32x16(max_bits)
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
        let mut apart = Distances { whole: [0; GROUP], exact: [0.0; GROUP] };
        let maxima = apart.fill::<S, SURPRISAL>(simd, group, scale, max_bits);
        let mut entries = [0u32; GROUP];
        for (entry, whole) in entries.iter_mut().zip(&apart.whole) {
            *entry = lane::LANE_TABLE[(whole >> lane::LANE_REST_BITS) as usize % exact::TABLE_SIZE];
        }
        let [weights, surprisals] = apart.sums::<S, SURPRISAL>(simd, &entries);
        let place = number * GROUP_LANES;
        let max = fourths(simd, maxima.map(|max| max.bitcast()));
        max.bitcast::<u32x16<S>>().store_slice(&mut self.max[place..place + GROUP_LANES]);
        let whole = |sums: f32x16<S>, by: f32, to: &mut [u32; LANES]| {
            let whole: i32x16<S> = (sums * by).to_int();
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

/// How far the tokens of a group lie below the maxima of their lanes, in units of 2^-23 octaves.
struct Distances {
    whole: [u32; GROUP],
    /// Only where surprisals are wanted.
    exact: [f32; GROUP],
}

impl Distances {
    /// Measures a group, and gives the maxima: of each subtile a vector, with every lane's at the places of its tokens.
    #[inline(always)]
    fn fill<S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        group: &[u32; GROUP],
        LaneScale { per_logit }: LaneScale,
        max_bits: &mut u32x16<S>,
    ) -> [u32x16<S>; 4] {
        let mut maxima = [u32x16::splat(simd, 0); 4];
        let subtiles = group.as_chunks::<SUBTILE_TOKENS>().0.iter();
        let whole = self.whole.as_chunks_mut::<SUBTILE_TOKENS>().0.iter_mut();
        let exact = self.exact.as_chunks_mut::<SUBTILE_TOKENS>().0.iter_mut();
        for (((subtile, whole), exact), max) in subtiles.zip(whole).zip(exact).zip(&mut maxima) {
            let bits: [u32x16<S>; 4] = vectors(subtile).map(|bits| u32x16::simd_from(simd, *bits));
            *max_bits = max_bits.max(bits[0].max(bits[1]).max(bits[2].max(bits[3])));
            *max = lane_maxima(simd, bits);
            for (i, bits) in bits.into_iter().enumerate() {
                let apart = (max.bitcast::<f32x16<S>>() - bits.bitcast::<f32x16<S>>()) * per_logit;
                let distance: f32x16<S> =
                    apart.bitcast::<u32x16<S>>().min(lane::FARTHEST.to_bits()).bitcast();
                if SURPRISAL {
                    distance.store_slice(&mut exact[i * WIDTH..(i + 1) * WIDTH]);
                }
                let units: i32x16<S> = distance.to_int();
                units.bitcast::<u32x16<S>>().store_slice(&mut whole[i * WIDTH..(i + 1) * WIDTH]);
            }
        }
        maxima
    }

    /// Sums of the weights and of the surprisals of each lane, by the entries of the table.
    #[inline(always)]
    fn sums<S: Simd, const SURPRISAL: bool>(&self, simd: S, entries: &[u32; GROUP]) -> [f32x16<S>; 2] {
        let mut sums = [[f32x16::splat(simd, 0.0); 4]; 2];
        for subtile in 0..4 {
            let mut parts = [[f32x16::splat(simd, 0.0); 4]; 2];
            let [weights, surprisals] = &mut parts;
            for (i, (weight, surprisal)) in weights.iter_mut().zip(surprisals).enumerate() {
                let place = 4 * subtile + i;
                let of = |all: &[u32; GROUP]| u32x16::<S>::simd_from(simd, all.as_chunks::<WIDTH>().0[place]);
                let (whole, entries) = (of(&self.whole), of(entries));
                let chord: u32x16<S> =
                    u32x16::splat(simd, lane::CHORD) - (whole & ((1 << lane::LANE_REST_BITS) - 1));
                let mantissa = entries.bitcast::<f32x16<S>>() * chord.bitcast::<f32x16<S>>();
                let octaves = whole & 0x7f80_0000;
                let lowered = |x: f32x16<S>| (x.bitcast::<u32x16<S>>() - octaves).bitcast::<f32x16<S>>();
                *weight = lowered(mantissa);
                if SURPRISAL {
                    let exact = f32x16::<S>::simd_from(simd, self.exact.as_chunks::<WIDTH>().0[place]);
                    *surprisal = lowered(mantissa * exact.max(lane::NEAREST));
                }
            }
            for (sums, [a, b, c, d]) in sums.iter_mut().zip(parts).take(1 + usize::from(SURPRISAL)) {
                sums[subtile] = lane_sums(simd, (a + b) + (c + d));
            }
        }
        sums.map(|sums| fourths(simd, sums))
    }
}

/// The vectors of a subtile.
#[inline(always)]
fn vectors<T>(subtile: &[T; SUBTILE_TOKENS]) -> [&[T; WIDTH]; 4] {
    std::array::from_fn(|i| &subtile.as_chunks::<WIDTH>().0[i])
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
