//! The lanes of a tile, sixteen tokens each, weighed with vector instructions: `docs/exact.md`, 6 and 8. The definition, one
//! token at a time, is in `arithmetic::lane`.

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, i32x16, u32x16};

use super::lane_entries::entries;
use super::octaves::{GROUP, Octaves, high, low};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::{SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::{self, LaneScale};
use crate::logits::{RowBits, TileRoom};

/// Tokens of a vector.
pub(super) const WIDTH: usize = 16;
/// Lanes of a tile, of sixteen tokens each.
const LANES: usize = TILE_TOKENS / 16;
/// Groups of a tile, and lanes of a group: a vector of them.
const GROUPS: usize = TILE_TOKENS / GROUP;
const GROUP_LANES: usize = GROUP / 16;

/// The lanes of a tile, group by group: lane `k` of a subtile has its tokens `16 i + 4 k + j`, with `i` and `j` below four.
/// Aligned as [`TileRoom`] is, and so for two sums in a word of 64 bits, as [`Lanes::merge`] takes them.
#[repr(C, align(64))]
pub(super) struct Lanes {
    /// Bits of the maxima.
    max: [[u32; GROUP_LANES]; GROUPS],
    /// Whole sums.
    weights: [[u32; GROUP_LANES]; GROUPS],
    surprisals: [[u32; GROUP_LANES]; GROUPS],
    /// What they are sums of.
    weight_parts: [Parts; GROUPS],
    surprisal_parts: [Parts; GROUPS],
}

/// Of each subtile of a group the sums of four tokens, which stand a vector apart: four neighbours make a lane.
type Parts = [[f32; WIDTH]; GROUP / SUBTILE_TOKENS];

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            max: [[exact::BITS_NEG_INFINITY; GROUP_LANES]; GROUPS],
            weights: [[0; GROUP_LANES]; GROUPS],
            surprisals: [[0; GROUP_LANES]; GROUPS],
            weight_parts: [[[0.0; WIDTH]; GROUP / SUBTILE_TOKENS]; GROUPS],
            surprisal_parts: [[[0.0; WIDTH]; GROUP / SUBTILE_TOKENS]; GROUPS],
        }
    }

    /// Weighs the tokens of the tile with which the rest of a row begins, and gives their bits, in place or in the room, and the
    /// largest of these. Lanes behind the last token are as if of -infinity.
    #[inline(always)]
    pub(super) fn fill<'b, S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        rest: RowBits<'b>,
        room: &'b mut TileRoom,
        scale: LaneScale,
    ) -> (&'b [u32], u32) {
        let tile = rest.range(0, rest.len().min(TILE_TOKENS));
        let mut max_bits = u32x16::splat(simd, 0);
        let mut before: Option<(usize, &[u32; GROUP])> = None;
        let groups = tile.runs(GROUP).zip(room.0.as_chunks_mut().0).enumerate();
        let n_groups = tile.len().div_ceil(GROUP);
        // The maxima of a group are on their way while the tokens of the one before are weighed.
        for group in groups.map(Some).chain([None]) {
            let mut next = None;
            if let Some((number, (group, room))) = group {
                rest.prefetch(number * GROUP, GROUP);
                let bits = padded(simd, group, room);
                self.max[number] = maxima(simd, bits, &mut max_bits);
                next = Some((number, bits));
            }
            if let Some((number, bits)) = std::mem::replace(&mut before, next) {
                self.weigh::<S, SURPRISAL>(simd, number, bits, scale);
            }
        }
        self.max[n_groups..].fill([exact::BITS_NEG_INFINITY; GROUP_LANES]);
        // The sums of lanes come last: each is a chain of shuffles and additions, for which no weight has to wait.
        for number in 0..n_groups {
            self.weights[number] = whole_sums(simd, &self.weight_parts[number], lane::WHOLE_WEIGHTS);
            if SURPRISAL {
                self.surprisals[number] =
                    whole_sums(simd, &self.surprisal_parts[number], lane::WHOLE_SURPRISALS);
            }
        }
        (tile.in_place().unwrap_or(&room.0[..tile.len()]), simd.reduce_max_u32x16(max_bits))
    }

    /// Sums over the tokens of the group of this number, four to a place.
    #[inline(always)]
    fn weigh<S: Simd, const SURPRISAL: bool>(
        &mut self,
        simd: S,
        number: usize,
        group: &[u32; GROUP],
        scale: LaneScale,
    ) {
        let max = spread(simd, u32x16::simd_from(simd, self.max[number]).bitcast());
        for (i, subtile) in group.as_chunks().0.iter().enumerate() {
            let [weights, surprisals] = subtile_sums::<S, SURPRISAL>(simd, subtile, max[i], scale);
            weights.store_slice(&mut self.weight_parts[number][i]);
            if SURPRISAL {
                surprisals.store_slice(&mut self.surprisal_parts[number][i]);
            }
        }
    }

    /// The largest keys of the subtiles, and of the tile.
    #[inline(always)]
    pub(super) fn delegates(&self, delegates: &mut [i32]) -> i32 {
        let mut best = exact::KEY_NEG_INFINITY;
        for (delegate, lanes) in delegates.iter_mut().zip(self.max.as_flattened().as_chunks::<4>().0) {
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
        const { assert!(LANES == GROUP && align_of::<Self>() >= align_of::<u64>()) }
        let all = Octaves::new(simd, bytemuck::cast_ref(&self.max), max_bits, scale);
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

/// Sums of the four vectors of a subtile: weights, and surprisals.
#[inline(always)]
fn subtile_sums<S: Simd, const SURPRISAL: bool>(
    simd: S,
    subtile: &[u32; SUBTILE_TOKENS],
    max: f32x16<S>,
    scale: LaneScale,
) -> [f32x16<S>; 2] {
    // Written out: for AVX2 a loop stays one, and its tokens lie in memory. A module of WebAssembly is to be short instead.
    let mut tokens = [[f32x16::splat(simd, 0.0); 4]; 2];
    if cfg!(target_family = "wasm") {
        for (k, stored) in subtile.as_chunks().0.iter().enumerate() {
            let bits = u32x16::simd_from(simd, *stored);
            [tokens[0][k], tokens[1][k]] = token::<S, SURPRISAL>(simd, max, bits, scale);
        }
    } else {
        let [a, b, c, d]: [[u32; WIDTH]; 4] = bytemuck::cast(*subtile);
        [tokens[0][0], tokens[1][0]] = token::<S, SURPRISAL>(simd, max, u32x16::simd_from(simd, a), scale);
        [tokens[0][1], tokens[1][1]] = token::<S, SURPRISAL>(simd, max, u32x16::simd_from(simd, b), scale);
        [tokens[0][2], tokens[1][2]] = token::<S, SURPRISAL>(simd, max, u32x16::simd_from(simd, c), scale);
        [tokens[0][3], tokens[1][3]] = token::<S, SURPRISAL>(simd, max, u32x16::simd_from(simd, d), scale);
    }
    let [[a, b, c, d], [e, f, g, h]] = tokens;
    [(a + b) + (c + d), (e + f) + (g + h)]
}

/// Whole sums of a group's lanes.
#[inline(always)]
fn whole_sums<S: Simd>(simd: S, parts: &Parts, by: f32) -> [u32; GROUP_LANES] {
    let [a, b, c, d] = *parts;
    let load = |part: [f32; WIDTH]| f32x16::simd_from(simd, part);
    let sums = fours([load(a), load(b), load(c), load(d)], |a, b| a + b);
    let sums: i32x16<S> = (sums * by).to_int();
    sums.bitcast::<u32x16<S>>().into()
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
    // The definition lowers products, so that no compiler of shaders can fuse them with sums. Nothing is fused here, and nothing
    // becomes subnormal: lowering the chord gives the same number in a step less.
    let lowered = whole & (lane::WHOLE_OCTAVES | ((1 << lane::LANE_REST_BITS) - 1));
    let chord = u32x16::splat(simd, lane::CHORD) - lowered;
    let weight = entries(simd, whole).bitcast::<f32x16<S>>() * chord.bitcast::<f32x16<S>>();
    let surprisal = if SURPRISAL { weight * distance.max(lane::NEAREST) } else { f32x16::splat(simd, 0.0) };
    [weight, surprisal]
}

/// Bits of a group of tokens, in place or in the room; behind the last one of a row is -infinity.
#[inline(always)]
fn padded<'b, S: Simd>(simd: S, group: RowBits<'b>, room: &'b mut [u32; GROUP]) -> &'b [u32; GROUP] {
    let (tokens, rest) = room.split_at_mut(group.len());
    if let Some(bits) = group.in_place() {
        if let Ok(whole) = bits.try_into() {
            return whole;
        }
        tokens.copy_from_slice(bits);
    } else {
        group.widened_with(simd, tokens);
    }
    rest.fill(exact::BITS_NEG_INFINITY);
    room
}

/// Bits of the maxima of a group's lanes.
#[inline(always)]
fn maxima<S: Simd>(simd: S, group: &[u32; GROUP], max_bits: &mut u32x16<S>) -> [u32; GROUP_LANES] {
    let (mut largest, mut least) = ([i32x16::splat(simd, 0); 4], [u32x16::splat(simd, 0); 4]);
    let subtiles = group.as_chunks::<SUBTILE_TOKENS>().0;
    for ((largest, least), subtile) in largest.iter_mut().zip(&mut least).zip(subtiles) {
        let [a, b, c, d]: [[u32; WIDTH]; 4] = bytemuck::cast(*subtile);
        let load = |stored: [u32; WIDTH]| u32x16::simd_from(simd, stored);
        let [a, b, c, d] = [load(a), load(b), load(c), load(d)];
        *max_bits = max_bits.max(a.max(b).max(c.max(d)));
        *least = a.min(b).min(c.min(d));
        let signed = |x: u32x16<S>| x.bitcast::<i32x16<S>>();
        *largest = signed(a).max(signed(b)).max(signed(c).max(signed(d)));
    }
    // As signed numbers the largest is the largest float, unless all are negative: then it is the least unsigned one.
    let largest = fours(largest, |a, b| a.max(b));
    let least = fours(least, |a, b| a.min(b));
    largest.simd_ge(0).select(largest.bitcast(), least).into()
}

/// Every four neighbours of four vectors as one, neighbours first: sixteen lanes in their order.
#[inline(always)]
fn fours<S: Simd, V: SimdBase<S>>([a, b, c, d]: [V; 4], both: impl Fn(V, V) -> V) -> V {
    let pairs = |a: V, b: V| both(a.unzip_low(b), a.unzip_high(b));
    pairs(pairs(a, b), pairs(c, d))
}

/// Each of sixteen numbers at four neighbouring places.
#[inline(always)]
fn spread<S: Simd>(simd: S, numbers: f32x16<S>) -> [f32x16<S>; 4] {
    let twice = |x: f32x16<S>| [simd.zip_low_f32x16(x, x), simd.zip_high_f32x16(x, x)];
    let [[a, b], [c, d]] = twice(numbers).map(twice);
    [a, b, c, d]
}
