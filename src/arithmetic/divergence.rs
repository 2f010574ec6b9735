//! What a token, a tile and a row add to the divergences of two distributions, by integers: `docs/exact.md`, section 14,
//! and `shaders/lib/divergence.wgsl`. The last logarithms and quotients are the host's.

use super::exact::{BITS_NEG_INFINITY, MANTISSA_FRACTION, ROW_FRACTION, TABLE, TABLE_SIZE, TILE_FRACTION};
use super::format::layout;
use super::integers::{mul_high, mul_shift, shift_right64};
use super::wide::{LN_2_Q32, binary_point, fixed_wide};

/// Fraction bits of a distance in nats.
pub(crate) const NAT_FRACTION: i32 = 24;
/// No distance counts for more: 2^16 nats, which two f16 logits hardly pass.
pub(crate) const MOST_DISTANT: u64 = 1 << 40;
/// From this distance on, 64 nats, a token weighs nothing.
pub(crate) const NO_WEIGHT: u64 = 1 << 30;
/// `round(log2(e) · 2^30)`: octaves of a nat.
pub(crate) const OCTAVES_OF_NAT: u32 = 1_549_082_005;
/// Fraction bits of the octaves of a distance.
const FINE_FRACTION: u32 = 56;
/// Fraction bits of a sum of weights times differences of distances.
pub(crate) const CROSS_FRACTION: u32 = 45;
/// Fraction bits of a row's sum of weights times information.
pub(crate) const INFORMATION_FRACTION: u32 = 43;
/// Fraction bits of the same sum of one tile.
const TILE_INFORMATION_FRACTION: u32 = 49;

layout! {
    /// Words that `tile_divergence` leaves of one tile; each pair is of the first batch, then of the second.
    divergence_tile: usize, "DIVERGENCE_TILE_" {
        MAX_KEYS = 0,
        /// Low word, then high word.
        MASSES = 2,
        /// Three words, the lowest first, two's complement.
        CROSSES = 6,
        UNMATCHED = 12,
        WORDS = 13,
    }
}

layout! {
    /// Flags of tokens that one distribution has and the other has not.
    unmatched: u32, "UNMATCHED_" {
        /// Possible in the first alone: the divergence of it from the second is infinite.
        FIRST = 1,
        /// Possible in the second alone.
        SECOND = 2,
    }
}

/// `min(trunc(max · 2^24) − trunc(x · 2^24), 2^40)` as if in integers of any length, 2^40 for -infinity, whatever the
/// maximum is; x is not above it, and neither is a NaN or +infinity.
///
/// Where the larger magnitude is 2^37 or more, the binary point is coarser, and nothing is lost by it: a logit that has
/// bits below that point is further away than counts.
pub(crate) fn distance(max_bits: u32, bits: u32) -> u64 {
    let point = binary_point(max_bits, bits).min(NAT_FRACTION);
    let difference = (fixed_wide(max_bits, point) - fixed_wide(bits, point)).cast_unsigned();
    let up = (NAT_FRACTION - point).min(40);
    let is_farthest = difference >= MOST_DISTANT >> up || bits == BITS_NEG_INFINITY;
    if is_farthest { MOST_DISTANT } else { difference << up }
}

/// The weight of a distance, `e^−d`, as `mantissa · 2^−(31 + octaves)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Power {
    mantissa: u32,
    /// Whole ones.
    octaves: u32,
}

impl Power {
    /// Of what is too far away, -infinity included.
    const ZERO: Self = Self { mantissa: 0, octaves: 0 };
    /// How far up a mantissa is a mass, and how far down its product with a difference is a cross, both before the octaves.
    pub(crate) const MASS_SHIFT: u32 = TILE_FRACTION - MANTISSA_FRACTION;
    pub(crate) const CROSS_SHIFT: u32 = NAT_FRACTION.cast_unsigned() + MANTISSA_FRACTION - CROSS_FRACTION;

    /// Of a distance in units: table, then `1 − y + y²/2` for the rest, whose relative error is below 1e-9.
    pub(crate) fn of(distance: u64) -> Self {
        if distance >= NO_WEIGHT {
            return Self::ZERO;
        }
        let octaves = (distance << 2) * u64::from(OCTAVES_OF_NAT); // Q56
        let index = (octaves >> (FINE_FRACTION - 10)) as usize % TABLE_SIZE;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "32 bits behind the index, then the whole octaves"
        )]
        let (rest, octaves) = ((octaves >> (FINE_FRACTION - 42)) as u32, (octaves >> FINE_FRACTION) as u32);
        let linear = mul_high(rest, LN_2_Q32); // Q42, below 2^32
        let drop = linear - (mul_high(linear, linear) >> 11);
        let mantissa = TABLE[index] - ((mul_high(TABLE[index], drop) + 0x200) >> 10);
        Self { mantissa, octaves }
    }

    /// Its weight, Q50: at most 2^50, so that those of a tile fit 63 bits.
    pub(crate) fn mass(self) -> u64 {
        shift_right64(u64::from(self.mantissa) << Self::MASS_SHIFT, self.octaves)
    }

    /// The weight times a difference of distances, Q45, towards zero: at most 2^61, and 2^73 in a tile.
    pub(crate) fn cross(self, difference: i64) -> i64 {
        // 2^62 at most, Q46; the product loses 32 of its bits, and has 31 more behind the point.
        let magnitude = difference.unsigned_abs() << 22;
        let cross = mul_shift(magnitude, self.mantissa, 32 + self.octaves).cast_signed();
        if difference < 0 { -cross } else { cross }
    }

    /// The weight times information, Q49: at most 2^49, so that those of a tile fit 62 bits.
    pub(crate) fn information(self, information: u64) -> u64 {
        mul_shift(information, self.mantissa, 32 + self.octaves)
    }

    /// A tile's mass at this distance, Q40.
    pub(crate) fn of_mass(self, mass: u64) -> u64 {
        mul_shift(mass, self.mantissa, MANTISSA_FRACTION + TILE_FRACTION - ROW_FRACTION + self.octaves)
    }

    /// A tile's sum of weights times differences at this distance, Q45: `cross` and the tile's mass times the difference
    /// of the tile's own distances. At most 2^74 in magnitude, and 2^82 in a row.
    pub(crate) fn of_cross(self, cross: i128, mass: u64, difference: i64) -> i128 {
        let by = TILE_FRACTION + NAT_FRACTION.cast_unsigned() - CROSS_FRACTION - 1;
        let shifted = ((u128::from(mass) * u128::from(difference.unsigned_abs())) >> by).cast_signed();
        let doubled = 2 * cross + if difference < 0 { -shifted } else { shifted }; // Q46, at most 2^75
        let brought = (doubled.unsigned_abs() * u128::from(self.mantissa)) >> (32 + self.octaves);
        if doubled < 0 { -brought.cast_signed() } else { brought.cast_signed() }
    }
}

/// `ln 2 − H(σ(t))` nats, Q50, H the entropy of a coin: what a token that is e^t times as probable in one of two
/// distributions as in the other says about which of them it comes from. t is in units of 2^−26, its table of 32nds, with
/// the parabola through three entries.
pub(crate) fn information(t: u32) -> u64 {
    if t >= CERTAIN {
        return LN_2_Q50;
    }
    let index = (t >> 21) as usize;
    let rest = t << 11; // Q32
    let [first, second, third] = [0, 1, 2].map(|i| INFORMATION_TABLE[index + i]);
    let [step, next_step] = [first - second, second - third]; // it falls
    let bend = step.cast_signed() - next_step.cast_signed();
    let chord = mul_high(rest, !rest); // Q32
    let below = mul_high(bend.unsigned_abs(), chord) >> 1;
    let straight = first - mul_high(step, rest);
    let parabola = if bend < 0 { straight + below } else { straight - below };
    mul_shift(u64::from(t) * u64::from(t), parabola, 36) // Q52 times Q34
}

/// The difference of two log-probabilities that [`information`] takes: of distances below the maxima, and of logarithms
/// of the masses, Q26.
pub(crate) fn log_ratio(difference: i64, ln_masses: [u32; 2]) -> u32 {
    let ratio = 4 * difference + i64::from(ln_masses[1]) - i64::from(ln_masses[0]);
    u32::try_from(ratio.unsigned_abs()).unwrap_or(u32::MAX)
}

/// A tile's sum of weights times information as the row's takes it, Q43: 2^20 tokens fit 63 bits.
pub(crate) fn information_of_tile(sum: u64) -> u64 {
    sum >> (TILE_INFORMATION_FRACTION - INFORMATION_FRACTION)
}

/// 24 nats, Q26: from there on a token says all there is to say, but for 1e-9.
pub(crate) const CERTAIN: u32 = 24 << 26;
/// `round(ln 2 · 2^50)`.
pub(crate) const LN_2_Q50: u64 = 780_414_346_020_670;

/// Entries of the table: up to [`CERTAIN`], and two for the last parabola.
pub(crate) const INFORMATION_SIZE: usize = 24 * 32 + 2;
/// `round((ln 2 − H(σ(t))) / t² · 2^34)` for t of so many 32nds; 2^31 at 0.
pub(crate) static INFORMATION_TABLE: [u32; INFORMATION_SIZE] = include!("information_table.in");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::exact::Scale;

    const UNIT: f64 = 1.0 / 16_777_216.0;

    #[test]
    fn constants_are_their_definitions() {
        assert_eq!(OCTAVES_OF_NAT, Scale::new(1.0).rate);
        assert_eq!(LN_2_Q50 as f64, (std::f64::consts::LN_2 * 2f64.powi(50)).round());
    }

    /// The definition, in f64; the series where the difference cancels.
    fn information_by_definition(t: f64) -> f64 {
        if t < 0.02 {
            return t * t / 8.0 - t.powi(4) / 64.0 + t.powi(6) / 576.0;
        }
        let odds = libm::exp(-t);
        std::f64::consts::LN_2 - libm::log1p(odds) - t * odds / (1.0 + odds)
    }

    #[test]
    fn information_table_is_its_definition() {
        assert_eq!(INFORMATION_TABLE[0], 1 << 31);
        for (i, &entry) in INFORMATION_TABLE.iter().enumerate().skip(1) {
            let t = i as f64 / 32.0;
            let truth = information_by_definition(t) / (t * t) * 2f64.powi(34);
            assert!((f64::from(entry) - truth).abs() < 0.51, "entry {i}: {entry} against {truth}");
        }
    }

    #[test]
    fn information_is_close_everywhere() {
        assert_eq!(information(0), 0);
        assert_eq!([CERTAIN, u32::MAX].map(information), [LN_2_Q50; 2]);
        let (mut absolute, mut relative) = (0.0f64, 0.0f64);
        for i in 0..2_000_000u64 {
            // Evenly, then evenly in the number of bits.
            let t = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let t = u32::try_from(if i % 2 == 0 { t } else { t >> (i % 23) }).expect("32 bits");
            let truth = information_by_definition(f64::from(t) / 2f64.powi(26));
            let error = information(t) as f64 / 2f64.powi(50) - truth;
            absolute = absolute.max(error.abs());
            if t > 1 << 17 {
                relative = relative.max((error / truth).abs());
            }
        }
        assert!(absolute < 1.1e-7 && relative < 4.5e-7, "{absolute:e}, {relative:e}");
        assert!(absolute > 2e-8, "or nothing was measured");
    }

    #[test]
    fn powers_are_close() {
        assert_eq!(Power::of(0), Power { mantissa: 1 << 31, octaves: 0 });
        assert_eq!(Power::of(NO_WEIGHT), Power::ZERO);
        let mut worst = 0.0f64;
        for i in 0..4_000_000u64 {
            let distance = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34; // 30 bits
            let Power { mantissa, octaves } = Power::of(distance);
            let nats = distance as f64 * UNIT;
            let truth = libm::exp(-nats);
            let error = f64::from(mantissa) * 2f64.powi(-31 - octaves.cast_signed()) / truth - 1.0;
            worst = worst.max(error.abs() - 2.1e-10 * nats);
        }
        assert!(worst < 1.1e-9, "{worst:e}");
        assert!(worst > 5e-10, "or nothing was measured");
    }

    #[test]
    fn distances_are_those_of_long_integers() {
        let values = [
            0.0f32,
            -0.0,
            1e-9,
            -1e-9,
            0.3,
            -0.3,
            17.25,
            -65_504.0,
            65_504.0,
            1e6,
            131_072.0,
            -2e9,
            8_589_934_592.0,
            1.374_389_4e11,
            1.374_389_5e11,
            1.374_389_6e11,
            2.7e11,
            -2.7e11,
            1e13,
            1.000_001e13,
            f32::MAX,
            f32::MIN,
            3.4e38,
        ];
        // Exact: a product with a power of two, cut to integers where it has a fraction.
        let long = |x: f32| (f64::from(x) * 16_777_216.0).trunc();
        for max in values {
            for x in values.into_iter().filter(|x| *x <= max) {
                // Of numbers of 24 bits; where the difference is not exact, it is far above the most.
                let expected = (long(max) - long(x)).min(MOST_DISTANT as f64);
                assert_eq!(distance(max.to_bits(), x.to_bits()) as f64, expected, "{x} below {max}");
            }
        }
    }

    /// The widths that the comments promise, at their ends.
    #[test]
    fn the_widest_sums_fit() {
        let one = Power::of(0);
        let most = MOST_DISTANT.cast_signed();
        assert_eq!([one.cross(most), one.cross(-most)], [1 << 61, -(1 << 61)]);
        assert_eq!((one.mass(), one.information(LN_2_Q50)), (1 << 50, LN_2_Q50 >> 1));
        let tile = 4096i128 << 61;
        let brought = one.of_cross(tile, 1 << 62, most);
        assert_eq!(brought, tile * 2);
        assert_eq!(one.of_cross(-tile, 1 << 62, -most), -brought);
        assert!(256 * brought <= 1 << 82);
        assert_eq!(log_ratio(most, [0, 0]), u32::MAX);
    }
}
