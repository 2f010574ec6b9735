//! Tokens of two batches, a group of pairs at a time: how much further below the maximum each lies in the other batch, and
//! its weights. `docs/exact.md`, 14. The definition, one token at a time, is in `arithmetic::divergence`; what is said here
//! has its bits. Loops over whole groups of 64-bit words are what a compiler makes vector instructions of.

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, i32x16, u32x16};

use super::octaves::{GROUP, high, low};
use crate::arithmetic::divergence::{self, LN_2_Q50, NO_WEIGHT, OCTAVES_OF_NAT, Power};
use crate::arithmetic::exact::{TABLE, TABLE_SIZE};
use crate::arithmetic::wide::{LN_2_Q32, fixed_wide};

/// Fraction bits of a distance in nats.
const NAT_FRACTION: i32 = divergence::NAT_FRACTION;
/// Below this magnitude the processor's own conversion to integers is exact, and distances fit 32 bits.
const RANGE: f32 = 128.0;
/// Bits of a number without its sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// A group of pairs of tokens.
pub(super) struct Pairs {
    /// Distance in the second batch less that in the first, units of 2^-24 nats.
    differences: [i64; GROUP],
    powers: [Powers; 2],
}

/// The weights of a group, as [`Power`] has one.
struct Powers {
    mantissas: [u64; GROUP],
    octaves: [u64; GROUP],
}

/// What a group adds to the sums of its tile, each of the first batch, then of the second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) masses: [u64; 2],
    pub(super) crosses: [i64; 2],
}

/// Whether both maxima are near enough to 0 for groups to be worked on.
pub(super) fn are_in_range(max_bits: [u32; 2]) -> bool {
    max_bits.iter().all(|bits| bits & MAGNITUDE < RANGE.to_bits())
}

/// Whether a pair is left out of its group, to be worked on alone: one of its logits is far from 0, or -infinity.
pub(super) fn is_left_out([a, b]: [u32; 2]) -> bool {
    (a & MAGNITUDE).max(b & MAGNITUDE) >= RANGE.to_bits()
}

impl Pairs {
    pub(super) const fn new() -> Self {
        const NONE: Powers = Powers { mantissas: [0; GROUP], octaves: [0; GROUP] };
        Self { differences: [0; GROUP], powers: [NONE; 2] }
    }

    /// Measures a group below maxima that are in range. Whether some pairs are left out: they weigh nothing here.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&mut self, simd: S, group: [&[u32; GROUP]; 2], max_bits: [u32; 2]) -> bool {
        let mut distances = [[0u32; GROUP]; 2];
        let has_far = fill_distances(simd, group, max_bits, &mut distances);
        let [first, second] = &distances;
        for (difference, (first, second)) in self.differences.iter_mut().zip(first.iter().zip(second)) {
            *difference = i64::from(*second) - i64::from(*first);
        }
        self.powers[0].fill(first);
        self.powers[1].fill(second);
        has_far
    }

    /// The sums of the group for the Kullback-Leibler divergences.
    #[inline(always)]
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (i, powers) in self.powers.iter().enumerate() {
            let (mut mass, mut cross) = (0u64, 0i64);
            for place in 0..GROUP {
                let (mantissa, octaves) = (powers.mantissas[place], powers.octaves[place]);
                let difference = self.differences[place];
                mass += (mantissa << Power::MASS_SHIFT) >> octaves;
                // At most 2^54 once it was shifted, which then is 0 from 54 octaves on.
                let product = low(difference.unsigned_abs()) * low(mantissa);
                let magnitude = ((product >> Power::CROSS_SHIFT) >> octaves).cast_signed();
                cross += if difference < 0 { -magnitude } else { magnitude };
            }
            sums.masses[i] = mass;
            sums.crosses[i] = if i == 0 { cross } else { -cross };
        }
        sums
    }

    /// The sums of weights times information of the group, Q49, with this difference of the logarithms of the masses.
    #[inline(always)]
    pub(super) fn informations(&self, ln_masses: [u32; 2]) -> [u64; 2] {
        let apart = i64::from(ln_masses[1]) - i64::from(ln_masses[0]);
        let mut ratios = [0; GROUP];
        for (ratio, difference) in ratios.iter_mut().zip(&self.differences) {
            *ratio = (4 * difference + apart).unsigned_abs().min(u64::from(divergence::CERTAIN));
        }
        let informations = informations(&ratios);
        let mut sums = [0; 2];
        for (sum, powers) in sums.iter_mut().zip(&self.powers) {
            let powers = powers.mantissas.iter().zip(&powers.octaves);
            for (&information, (&mantissa, octaves)) in informations.iter().zip(powers) {
                let mantissa = low(mantissa);
                let product = high(information) * mantissa + high(low(information) * mantissa);
                *sum += product >> octaves;
            }
        }
        sums
    }
}

/// Distances of a group below the maxima, in units: of pairs that are left out as far as can be. Whether there are some.
#[inline(always)]
fn fill_distances<S: Simd>(
    simd: S,
    group: [&[u32; GROUP]; 2],
    max_bits: [u32; 2],
    distances: &mut [[u32; GROUP]; 2],
) -> bool {
    let unit = (1u32 << NAT_FRACTION) as f32;
    #[expect(clippy::cast_possible_truncation, reason = "the maxima are in range")]
    let max =
        max_bits.map(|bits| u32x16::splat(simd, (fixed_wide(bits, NAT_FRACTION) as i32).cast_unsigned()));
    let mut largest = u32x16::splat(simd, 0);
    let [first, second] = distances.each_mut().map(|distances| distances.as_chunks_mut::<16>().0.iter_mut());
    let [a, b] = group.map(|bits| bits.as_chunks::<16>().0.iter());
    for ((first, second), (a, b)) in first.zip(second).zip(a.zip(b)) {
        let bits: [u32x16<S>; 2] = [a, b].map(|bits| u32x16::simd_from(simd, *bits));
        let magnitude = (bits[0] & MAGNITUDE).max(bits[1] & MAGNITUDE);
        largest = largest.max(magnitude);
        let is_far = magnitude.simd_ge(RANGE.to_bits());
        let of_side = |i: usize| {
            let fixed: i32x16<S> = (bits[i].bitcast::<f32x16<S>>() * unit).to_int();
            is_far.select(u32x16::splat(simd, u32::MAX), max[i] - fixed.bitcast::<u32x16<S>>())
        };
        (*first, *second) = (of_side(0).into(), of_side(1).into());
    }
    simd.reduce_max_u32x16(largest) >= RANGE.to_bits()
}

impl Powers {
    /// The weights of these distances: [`Power::of`] of each.
    #[inline(always)]
    fn fill(&mut self, distances: &[u32; GROUP]) {
        const MASK: u64 = TABLE_SIZE as u64 - 1;
        let mut entries = [0u32; GROUP];
        // Whole octaves and 54 bits of the rest.
        for (octaves, distance) in self.octaves.iter_mut().zip(distances) {
            *octaves = u64::from(*distance) * u64::from(OCTAVES_OF_NAT);
        }
        for (entry, octaves) in entries.iter_mut().zip(&self.octaves) {
            *entry = TABLE[((octaves >> 44) & MASK) as usize];
        }
        let each = self.mantissas.iter_mut().zip(&mut self.octaves).zip(entries.iter().zip(distances));
        for ((mantissa, octaves), (entry, distance)) in each {
            let (rest, entry) = (low(*octaves >> 12), u64::from(*entry));
            let linear = high(rest * u64::from(LN_2_Q32));
            let drop = linear - (high(linear * linear) >> 11);
            let weight = entry - ((high(entry * low(drop)) + 0x200) >> 10);
            *mantissa = if u64::from(*distance) < NO_WEIGHT { weight } else { 0 };
            *octaves = (*octaves >> 54).min(63);
        }
    }
}

/// `divergence::information` of each ratio, none above [`divergence::CERTAIN`].
#[inline(always)]
fn informations(ratios: &[u64; GROUP]) -> [u64; GROUP] {
    const CERTAIN: u64 = divergence::CERTAIN as u64;
    let mut entries = [[0u32; GROUP]; 3];
    for (place, ratio) in ratios.iter().enumerate() {
        let index = ((*ratio).min(CERTAIN - 1) >> 21) as usize;
        for (i, entries) in entries.iter_mut().enumerate() {
            entries[place] = divergence::INFORMATION_TABLE[index + i];
        }
    }
    let mut informations = [0; GROUP];
    for (place, information) in informations.iter_mut().enumerate() {
        let (ratio, [first, second, third]) =
            (ratios[place], entries.each_ref().map(|e| u64::from(e[place])));
        let rest = low(ratio << 11);
        let [step, next_step] = [first - second, second - third];
        let chord = high(rest * low(!rest));
        let below = high(low(step.abs_diff(next_step)) * chord) >> 1;
        let straight = first - high(low(step) * rest);
        let parabola = low(if step < next_step { straight + below } else { straight - below });
        let square = low(ratio) * low(ratio);
        let said = (high(square) * parabola + high(low(square) * parabola)) >> 4;
        *information = if ratio < CERTAIN { said } else { LN_2_Q50 };
    }
    informations
}
