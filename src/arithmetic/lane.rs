//! Weights within a lane, sixteen tokens relative to their own maximum, by binary32 operations that each round once:
//! `shaders/lib/lane.wgsl`. `docs/exact.md`, 6 and 8.
//!
//! The tokens of a lane are weighed by `kernels::tile_stats`, with vectors; here are its numbers, and, for tests, the
//! definition.

use super::exact::{MANTISSA_FRACTION, OCTAVE_FRACTION, Scale, TABLE_SIZE, pow2};
use super::exact::{TILE_FRACTION, TILE_SURPRISAL_FRACTION};
use super::integers::shift_right64;

/// Fraction bits of a distance in octaves within a lane.
pub(crate) const LANE_OCTAVE_FRACTION: u32 = 23;
/// Fraction bits of that distance behind those that choose an entry of the table.
pub(crate) const LANE_REST_BITS: u32 = LANE_OCTAVE_FRACTION - TABLE_SIZE.ilog2();
/// Bits of a binary32. Less the rest of a distance in its last bits, this times an entry of the table is the power of two: a
/// chord over an octave's 1024th part.
pub(crate) const CHORD: u32 = 0x3fb8_ba3d;
/// Whole octaves of a distance: where the exponent of a binary32 lies.
pub(crate) const WHOLE_OCTAVES: u32 = 0x7f80_0000;
/// Where distances are cut: 60 octaves, which add nothing to a sum that has a one in it.
pub(crate) const FARTHEST: f32 = 60.0 * 8_388_608.0;
/// Where distances begin for the surprisal, 2^-30 of their unit: no subnormal is left that a device could flush.
pub(crate) const NEAREST: f32 = f32::from_bits((127 - 30) << 23);
/// Fraction bits of a lane's sum of weights as an integer: it is at most 16.
const SUM_FRACTION: u32 = 23;
/// Bits by which a lane's sum of surprisals, in units of 2^-23 octaves, is refined as an integer: it is below 2^27.
const SURPRISAL_REFINED: u32 = 4;

/// What the temperature contributes within a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LaneScale {
    /// Units of 2^-23 octaves in a unit of the logits, rounded up.
    pub(crate) per_logit: f32,
}

impl LaneScale {
    /// Scale of a temperature, which the caller has checked to be finite and positive.
    pub(crate) fn new(temperature: f32) -> Self {
        let temperature = f64::from(temperature);
        let exact = std::f64::consts::LOG2_E / temperature * pow2(LANE_OCTAVE_FRACTION.cast_signed());
        #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let near = exact as f32;
        Self { per_logit: if f64::from(near) < exact { near.next_up() } else { near } }
    }
}

/// The scales of pass 1: within lanes, and from lanes to tiles and rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PassScale {
    pub(crate) lane: LaneScale,
    pub(crate) tile: Scale,
}

impl PassScale {
    /// Scales of a temperature, which the caller has checked to be finite and positive.
    pub(crate) fn new(temperature: f32) -> Self {
        Self { lane: LaneScale::new(temperature), tile: Scale::new(temperature) }
    }
}

/// By this, a lane's sum of weights becomes an integer: it is at most 16.
pub(crate) const WHOLE_WEIGHTS: f32 = (1 << SUM_FRACTION) as f32;
/// By this, a lane's sum of surprisals becomes an integer.
pub(crate) const WHOLE_SURPRISALS: f32 = (1 << SURPRISAL_REFINED) as f32;

/// A lane's whole sum of weights, so many octaves (Q24, with their mantissa) below its tile's maximum: Q50 as all weights
/// of a tile are.
#[inline(always)]
pub(crate) fn lane_mass(whole: u64, mantissa: u64, octaves: u64) -> u64 {
    shifted(whole * mantissa, SUM_FRACTION + MANTISSA_FRACTION - TILE_FRACTION, octaves)
}

/// What a lane with this whole sum of surprisals and this mass adds to its tile's, Q44.
#[inline(always)]
pub(crate) fn lane_surprisal(whole: u64, mass: u64, mantissa: u64, octaves: u64) -> u64 {
    let fraction = LANE_OCTAVE_FRACTION + SURPRISAL_REFINED + MANTISSA_FRACTION;
    let inside = shifted(whole * mantissa, fraction - TILE_SURPRISAL_FRACTION, octaves);
    // The lane's own distance counts for all its mass. The product has 84 bits: its halves are shifted apart.
    const DOWN: u32 = TILE_FRACTION + OCTAVE_FRACTION - TILE_SURPRISAL_FRACTION;
    inside + (((mass >> 32) * octaves) << (32 - DOWN)) + (((mass & 0xffff_ffff) * octaves) >> DOWN)
}

/// `value >> (down + whole octaves)`
#[inline(always)]
fn shifted(value: u64, down: u32, octaves: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "whole octaves")]
    let octaves = (octaves >> OCTAVE_FRACTION) as u32;
    shift_right64(value, down + octaves)
}

/// Bits of `2^(−i/1024)` over the chord, rounded down; the first up, so that a distance of zero weighs exactly one.
/// Frozen, and checked against its definition by a test and by `tests/vectors/reference.py`.
pub(crate) static LANE_TABLE: [u32; TABLE_SIZE] = include!("lane_table.in");

/// The definition, one token at a time.
#[cfg(test)]
pub(crate) mod definition {
    use super::{CHORD, FARTHEST, LANE_REST_BITS, LANE_TABLE, LaneScale, TABLE_SIZE};
    use super::{NEAREST, WHOLE_OCTAVES, WHOLE_SURPRISALS, WHOLE_WEIGHTS};

    /// Tokens of a lane.
    pub(crate) const LANE_TOKENS: usize = 16;

    /// Distance of a logit below the lane's maximum, in units of 2^-23 octaves.
    pub(crate) fn distance(scale: LaneScale, max: f32, logit: f32) -> f32 {
        // By the bits: that of -infinity, and what is no number, lie beyond the farthest.
        f32::from_bits(((max - logit) * scale.per_logit).to_bits().min(FARTHEST.to_bits()))
    }

    /// The whole units of a distance, and `2^-fraction` of its octaves.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 60 · 2^23")]
    pub(crate) fn mantissa(distance: f32) -> (u32, f32) {
        let whole = distance as u32;
        let entry = LANE_TABLE[(whole >> LANE_REST_BITS) as usize % TABLE_SIZE];
        let chord = f32::from_bits(CHORD - (whole & ((1 << LANE_REST_BITS) - 1)));
        (whole, f32::from_bits(entry) * chord)
    }

    /// A number times two to the minus the whole octaves of a distance; zero stays zero, whose distance has none.
    pub(crate) fn lowered(number: f32, whole: u32) -> f32 {
        f32::from_bits(number.to_bits() - (whole & WHOLE_OCTAVES))
    }

    /// Units, weight and surprisal of a token below a maximum.
    pub(crate) fn token(scale: LaneScale, max_bits: u32, bits: u32) -> (u32, f32, f32) {
        let [max, logit] = [max_bits, bits].map(f32::from_bits);
        let distance = distance(scale, max, logit);
        let (whole, mantissa) = mantissa(distance);
        (whole, lowered(mantissa, whole), lowered(mantissa * distance.max(NEAREST), whole))
    }

    /// Sum of the sixteen numbers of a lane, in the order of its tokens: first of those that stand four apart.
    fn sum(numbers: [f32; LANE_TOKENS]) -> f32 {
        let four = |j: usize| (numbers[j] + numbers[4 + j]) + (numbers[8 + j] + numbers[12 + j]);
        (four(0) + four(1)) + (four(2) + four(3))
    }

    /// Sums of the weights and of the surprisals of a lane, given in the order of its tokens.
    pub(super) fn sums(scale: LaneScale, max_bits: u32, logits: &[u32; LANE_TOKENS]) -> (f32, f32) {
        let tokens = logits.map(|bits| token(scale, max_bits, bits));
        (sum(tokens.map(|(_, weight, _)| weight)), sum(tokens.map(|(.., surprisal)| surprisal)))
    }

    /// The same as integers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^31")]
    pub(crate) fn whole_sums(scale: LaneScale, max_bits: u32, logits: &[u32; LANE_TOKENS]) -> (u64, u64) {
        let (weights, surprisals) = sums(scale, max_bits, logits);
        ((weights * WHOLE_WEIGHTS) as u64, (surprisals * WHOLE_SURPRISALS) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::definition::{LANE_TOKENS, distance, lowered, mantissa, sums};
    use super::*;

    fn weight(whole: u32) -> f32 {
        let (back, mantissa) = mantissa(whole as f32);
        assert_eq!(back, whole);
        lowered(mantissa, whole)
    }

    /// Every distance below an octave, of which a binary32 holds all: close to the true power, exact at 0, never
    /// rising, up to the next octave's start.
    #[test]
    fn weights_never_rise_and_are_close() {
        let (mut last, mut lowest, mut highest) = (1.0f32, 0.0f64, 0.0f64);
        for whole in 0..1u32 << LANE_OCTAVE_FRACTION {
            let weight = weight(whole);
            assert!(weight <= last, "rises at {whole}");
            last = weight;
            if whole % 37 == 0 {
                let truth = libm::exp2(-f64::from(whole) * pow2(-23));
                let error = f64::from(weight) / truth - 1.0;
                (lowest, highest) = (lowest.min(error), highest.max(error));
            }
        }
        assert_eq!(weight(0), 1.0);
        assert!(last >= 0.5, "an octave further must not weigh more");
        assert!(lowest > -1.54e-7 && highest < 1.2e-7, "relative error {lowest:e} to {highest:e}");
        assert_eq!(weight(5 << LANE_OCTAVE_FRACTION), 1.0 / 32.0);
    }

    #[test]
    fn the_table_is_its_definition() {
        let chord = f64::from(f32::from_bits(CHORD));
        for (i, &entry) in LANE_TABLE.iter().enumerate() {
            let truth = libm::exp2(-(i as f64) / 1024.0) / chord;
            let [below, above] = [entry, entry + 1].map(|bits| f64::from(f32::from_bits(bits)));
            if i == 0 {
                assert!(f64::from(f32::from_bits(entry - 1)) < truth && truth <= below);
            } else {
                assert!(below <= truth && truth < above, "entry {i}");
            }
        }
        let slope = 1.0 / (1024.0 * (1.0 - libm::exp2(-1.0 / 1024.0)));
        // Of the numbers near the slope the one with which no weight rises.
        assert!((chord - slope).abs() < 1.8e-7, "{chord} {slope}");
    }

    /// The distance never falls as a logit does, and what lies beyond the farthest weighs nothing beside the maximum.
    #[test]
    fn distances_are_in_order_and_cut() {
        for temperature in [1e-3f32, 0.05, 0.7, 1.0, 3.3, 1e3] {
            let scale = LaneScale::new(temperature);
            let mut last = 0.0;
            for step in 0..200_000 {
                let distance = distance(scale, 2.5, 2.5 - step as f32 * 3e-4 * temperature);
                assert!(distance >= last && distance <= FARTHEST, "T {temperature}, step {step}");
                last = distance;
            }
            for far in [f32::NEG_INFINITY, f32::MIN] {
                assert_eq!(distance(scale, 2.5, far), FARTHEST);
            }
            let (whole, mantissa) = mantissa(FARTHEST);
            assert_eq!(1.0 + 15.0 * lowered(mantissa, whole), 1.0);
        }
    }

    #[test]
    fn zeros_of_both_signs_are_one_value() {
        let scale = LaneScale::new(1.0);
        for (max, logit) in [(0.0f32, -0.0f32), (0.0, 0.0), (-0.0, -0.0)] {
            assert_eq!(distance(scale, max, logit), 0.0);
        }
    }

    /// A distance that is raised for its surprisal has no whole unit, and equal tokens have no surprisal.
    #[test]
    fn the_nearest_distance_is_none() {
        const { assert!(NEAREST >= f32::MIN_POSITIVE && 16.0 * NEAREST * WHOLE_SURPRISALS < 1.0) }
    }

    /// Sums of a lane against f64, entropy too.
    #[test]
    fn sums_are_close() {
        let mut state = 1u32;
        for case in 0..2000 {
            let scale = LaneScale::new(0.7);
            let logits: [f32; LANE_TOKENS] = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 4e6 - (case % 50) as f32
            });
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mass, surprisal) = sums(scale, max.to_bits(), &logits.map(f32::to_bits));
            let distances = logits.map(|x| (f64::from(max) - f64::from(x)) / f64::from(0.7f32));
            let truth: f64 = distances.iter().map(|d| libm::exp(-d)).sum();
            assert!((f64::from(mass) / truth - 1.0).abs() < 4e-7, "{mass} {truth}");
            let truth: f64 = distances.iter().map(|d| libm::exp(-d) * d).sum();
            let surprisal = f64::from(surprisal) * pow2(-23) * std::f64::consts::LN_2;
            assert!((surprisal - truth).abs() < 2e-6 * truth.max(1.0), "{surprisal} {truth}");
        }
    }

    /// A lane at its tile's maximum keeps its sum to the bit; one far below has none.
    #[test]
    fn a_lane_at_the_maximum_is_exact() {
        for count in 1..=16u64 {
            assert_eq!(lane_mass(count << 23, 1 << 31, 0), count << 50);
        }
        assert_eq!(lane_mass(16 << 23, 1 << 31, 60 << 24), 0);
        assert_eq!(lane_surprisal(3 << 27, 0, 1 << 31, 0), 3 << 44);
        // Four octaves lower a mass of one is a sixteenth, and each of it has four octaves.
        let mass = lane_mass(1 << 23, 1 << 31, 4 << 24);
        assert_eq!((mass, lane_surprisal(0, mass, 1 << 31, 4 << 24)), (1 << 46, 4 << 40));
        let (mass, octaves) = ((1u64 << 54) - 1, (60u64 << 24) - 1);
        let exact = (u128::from(mass) * u128::from(octaves)) >> 30;
        assert_eq!(u128::from(lane_surprisal(0, mass, 0, octaves)), exact);
    }
}
