//! Keys of logits, distances below a maximum, and the integer weight of a token: `shaders/lib/exact.wgsl`.
//!
//! `docs/exact.md` is the specification, with the error analysis. Every step is an integer operation or a float
//! operation whose rounding cannot reach the result, so both halves give the same bits on any device.

use super::integers::{mul_high, shift_right64};

/// Order-preserving key of -infinity; every finite logit has a larger one.
pub(crate) const KEY_NEG_INFINITY: i32 = key_raw(0xff80_0000);
/// Order-preserving key of +infinity; a larger key is a NaN.
pub(crate) const KEY_INFINITY: i32 = 0x7f80_0000;
/// In place of the key of a NaN, which has none.
pub(crate) const KEY_NAN: i32 = i32::MAX;
/// In place of a distance in units: outside the window.
pub(crate) const FAR: u32 = u32::MAX;
/// A distance in octaves from which on a token's weight and surprisal are zero, so that it may stand for any farther
/// one.
pub(crate) const WEIGHTLESS: u32 = 60;
/// Bits above this, as an unsigned number, are a NaN with the sign set.
pub(crate) const BITS_NEG_INFINITY: u32 = 0xff80_0000;
/// Fraction bits of a token's weight within its tile.
pub(crate) const TILE_FRACTION: u32 = 50;
/// Fraction bits of the mass of a row: a token equal to the maximum weighs 2^40.
pub(crate) const ROW_FRACTION: u32 = 40;
/// Fraction bits of a tile's surprisal sum.
pub(crate) const TILE_SURPRISAL_FRACTION: u32 = 44;
/// Fraction bits of a mantissa out of the table.
pub(super) const MANTISSA_FRACTION: u32 = 31;
/// Fraction bits of a distance in octaves.
pub(super) const OCTAVE_FRACTION: u32 = 24;
/// Entries of the table, and the fraction bits of an octave that select one.
pub(crate) const TABLE_SIZE: usize = 1 << TABLE_BITS;
const TABLE_BITS: u32 = 10;
/// Half the window in units of the temperature. Anything between 18.75 and 31 gives the same bits (docs/exact.md, 5).
const HALF_WINDOW: f32 = 24.0;
/// Drop of the mantissa over one table step, `round((1 − 2^(−1/1024)) · 2^28)`.
const STEP_DROP: u32 = 181_643;

/// Key of a logit's bits: signed comparison of keys is the order of the values, and -0 equals +0.
#[inline(always)]
pub(crate) const fn key_of_bits(bits: u32) -> i32 {
    let raw = key_raw(bits);
    if raw == -1 { 0 } else { raw }
}

/// Key of a logit's bits, above all others for a NaN.
pub(crate) const fn key_or_nan(bits: u32) -> i32 {
    if bits & 0x7fff_ffff > 0x7f80_0000 { KEY_NAN } else { key_of_bits(bits) }
}

#[inline(always)]
const fn key_raw(bits: u32) -> i32 {
    let bits = bits.cast_signed();
    bits ^ ((bits >> 31) & 0x7fff_ffff)
}

/// Bits of the logit that has this key; the inverse of [`key_of_bits`] up to the sign of zero.
#[inline]
pub(crate) const fn bits_of_key(key: i32) -> u32 {
    (key ^ ((key >> 31) & 0x7fff_ffff)).cast_unsigned()
}

/// What the temperature contributes: the fixed-point unit and the octaves per unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// A logit is taken in units of 2^-shift; chosen so that T · 2^shift lies in (2^23, 2^24].
    pub(crate) shift: i32,
    /// Octaves per unit: `round(2^54 · log2(e) / (T · 2^shift))`, in [1.44 · 2^30, 1.45 · 2^31).
    pub(crate) rate: u32,
    /// Tokens further than twice this below the maximum weigh nothing.
    pub(crate) half_window: f32,
}

impl Scale {
    /// Scale of a temperature, which the caller has checked to be finite and positive.
    pub(crate) fn new(temperature: f32) -> Self {
        let temperature = f64::from(temperature);
        // The exponent of a power of two, and one more of anything above it: ceil(log2 T), from the bits alone.
        let bits = temperature.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
        let ceil_log2 = exponent + i32::from(bits & ((1 << 52) - 1) != 0);
        let shift = 24 - ceil_log2;
        let unit_per_temperature = temperature * pow2(shift); // exact, in (2^23, 2^24]
        #[expect(clippy::cast_possible_truncation, reason = "in [2^30, 2^32), see `rate`")]
        let rate = (std::f64::consts::LOG2_E / unit_per_temperature * pow2(54)).round() as u32;
        #[expect(clippy::cast_possible_truncation, reason = "the window tolerates any rounding")]
        let half_window = (f64::from(HALF_WINDOW) * temperature) as f32;
        Self { shift, rate, half_window }
    }

    /// Distance in octaves, Q24, from the maximum down to a logit; `None` where it lies outside the window, which
    /// means a weight of zero. The maximum is finite; the logit is not above it, and finite or -infinity.
    #[inline]
    pub(crate) fn octaves_below(self, max_bits: u32, bits: u32) -> Option<u32> {
        let distance = self.distance(max_bits, bits);
        (distance != FAR).then(|| mul_high(distance << 2, self.rate))
    }

    /// A distance in octaves, whole ones, as a distance in units.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "60 octaves are 42 temperatures of 2^24 units at most"
    )]
    pub(crate) fn units_of_octaves(self, octaves: u32) -> u32 {
        ((u64::from(octaves) << 54) / u64::from(self.rate)) as u32
    }

    /// Distance in units from the maximum down to a logit, [`FAR`] outside the window: without a branch, so that loops
    /// over tokens become vector instructions.
    #[inline(always)]
    pub(crate) fn distance(self, max_bits: u32, bits: u32) -> u32 {
        // Decides only "far" or "near"; every weight between 37 and 62 temperatures is zero either way.
        let half_distance = f32::from_bits(max_bits) * 0.5 - f32::from_bits(bits) * 0.5;
        // Not near: -infinity; also a NaN with the sign set, whose row is not sound anyway.
        let is_near = (bits < BITS_NEG_INFINITY) & (half_distance < self.half_window);
        let distance = fixed(max_bits, self.shift).wrapping_sub(fixed(bits, self.shift));
        if is_near { distance } else { FAR }
    }
}

/// 2^exponent, exact for every exponent that [`Scale`] meets.
pub(crate) const fn pow2(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// 2^exponent as an f32, exact for what [`Scale::shift`] may be.
#[inline(always)]
pub(crate) const fn pow2_f32(exponent: i32) -> f32 {
    f32::from_bits((127 + exponent).cast_unsigned() << 23)
}

/// `trunc(x · 2^shift) mod 2^32` of a finite f32 given by its bits.
#[inline(always)]
pub(crate) fn fixed(bits: u32, shift: i32) -> u32 {
    let mantissa = (bits & 0x7f_ffff) | 0x80_0000; // the hidden bit of a subnormal is shifted out below
    let left = ((bits >> 23) & 0xff) as i32 - 150 + shift;
    // One of the two counts is negative, as an unsigned number past every shift.
    let by = |count: i32| count.cast_unsigned();
    let up = if by(left) < 32 { mantissa << (by(left) & 31) } else { 0 };
    let down = if by(-left) < 32 { mantissa >> (by(-left) & 31) } else { 0 };
    let magnitude = if left < 0 { down } else { up };
    let sign = (bits.cast_signed() >> 31).cast_unsigned();
    (magnitude ^ sign).wrapping_sub(sign)
}

/// `2^(31 − f)` for the fraction `f` of a Q24 distance, as the integer that the kernels use: table, then a chord.
#[inline(always)]
pub(crate) fn mantissa(octaves: u32) -> u32 {
    let fraction = octaves & ((1 << OCTAVE_FRACTION) - 1);
    let rest_bits = OCTAVE_FRACTION - TABLE_BITS;
    let entry = TABLE[(fraction >> rest_bits) as usize];
    let rest = fraction & ((1 << rest_bits) - 1);
    let drop = (rest * STEP_DROP + 0x8000) >> 16; // Q26
    entry - (((entry >> 15) * drop) >> 11)
}

/// Weight of a token at this distance below the tile's maximum, with its mantissa: Q50. Takes 64 bits, so that a
/// vector of them is never widened.
#[inline(always)]
pub(crate) fn weight(mantissa: u64, octaves: u64) -> u64 {
    debug_assert!(octaves >> OCTAVE_FRACTION < 64, "farther ones are cut to WEIGHTLESS");
    (mantissa << (TILE_FRACTION - MANTISSA_FRACTION)) >> ((octaves >> OCTAVE_FRACTION) & 63)
}

/// Weight of one token at any distance below the tile's maximum, Q50.
pub(crate) fn token_weight(octaves: u32) -> u64 {
    weight(mantissa(octaves).into(), octaves.min(WEIGHTLESS << OCTAVE_FRACTION).into())
}

/// Fraction bits of a token's weight relative to the maximum of its row: 2^20 of them fit 64 bits.
pub(crate) const RUN_FRACTION: u32 = 43;

/// Weight of a token at this distance below the row's maximum, Q43.
#[inline]
pub(crate) fn row_weight(octaves: u32) -> u64 {
    shift_right64(
        u64::from(mantissa(octaves)) << (RUN_FRACTION - MANTISSA_FRACTION),
        octaves >> OCTAVE_FRACTION,
    )
}

/// Weight times distance in octaves, Q43.
#[inline]
pub(crate) fn row_surprisal(octaves: u32) -> u64 {
    let product = mul_high(mantissa(octaves), octaves << 1); // Q24
    shift_right64(u64::from(product) << (RUN_FRACTION - OCTAVE_FRACTION), octaves >> OCTAVE_FRACTION)
}

/// `log2` of an integer of at least 1, Q26, rounded down by repeated squaring.
pub(crate) fn log2_q26(value: u64) -> u32 {
    let lead = value.leading_zeros();
    let mut y = (value << lead >> 32) as u32; // Q31 in [1, 2)
    let mut log2 = 63 - lead;
    for _ in 0..26 {
        let square = mul_high(y, y); // Q30 in [1, 4)
        let carry = square >> 31;
        log2 = (log2 << 1) | carry;
        y = if carry == 1 { square } else { square << 1 };
    }
    log2
}

/// `round(2^(31 − i/1024))`: frozen, and checked against its definition by a test.
pub(crate) static TABLE: [u32; TABLE_SIZE] = include!("table.in");

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers in tests")]
mod tests {
    use super::super::merge::TileStats;
    use super::*;

    /// Every fraction of an octave: close to the true power, exact at 0, never rising.
    #[test]
    fn mantissa_is_monotone_and_close_over_all_fractions() {
        assert_eq!(mantissa(0), 1 << 31);
        let mut last = u32::MAX;
        let (mut lowest, mut highest) = (0.0f64, 0.0f64);
        for fraction in 0..1u32 << 24 {
            let m = mantissa(fraction);
            assert!(m <= last, "rises at {fraction}");
            last = m;
            if fraction % 37 == 0 {
                let truth = libm::exp2(31.0 - f64::from(fraction) / f64::from(1u32 << 24));
                let error = f64::from(m) / truth - 1.0;
                (lowest, highest) = (lowest.min(error), highest.max(error));
            }
        }
        assert!(last >= 1 << 30, "an octave further must not weigh more");
        assert!(lowest > -1e-8 && highest < 8e-8, "relative error {lowest:e} to {highest:e}");
    }

    #[test]
    fn table_is_its_definition() {
        for (i, &entry) in TABLE.iter().enumerate() {
            let truth = libm::exp2(31.0 - i as f64 / 1024.0);
            assert!((f64::from(entry) - truth).abs() <= 0.5, "entry {i}: {entry} against {truth}");
            assert!(
                (truth.fract() - 0.5).abs() > 1e-4,
                "entry {i} is too near a tie to be frozen by its definition"
            );
        }
        let step = (1.0 - libm::exp2(-1.0 / 1024.0)) * f64::from(1u32 << 28);
        assert_eq!(STEP_DROP, step.round() as u32);
    }

    #[test]
    fn keys_order_as_the_values_do() {
        let values =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, -1e-45, 0.0, 1e-45, 1.0, f32::MAX];
        for pair in values.windows(2) {
            assert!(key_of_bits(pair[0].to_bits()) < key_of_bits(pair[1].to_bits()), "{pair:?}");
        }
        assert_eq!(key_of_bits((-0.0f32).to_bits()), key_of_bits(0.0f32.to_bits()));
        assert!(key_of_bits(f32::NAN.to_bits()) > KEY_INFINITY);
        for value in values {
            assert_eq!(f32::from_bits(bits_of_key(key_of_bits(value.to_bits()))), value);
        }
    }

    #[test]
    fn scale_keeps_its_promised_ranges() {
        for temperature in [1e-3f32, 0.05, 0.3, 0.5, 0.7, 1.0, 1.3, 2.0, 10.0, 1e3] {
            let scale = Scale::new(temperature);
            let units = f64::from(temperature) * pow2(scale.shift);
            assert!(units > pow2(23) && units <= pow2(24), "T {temperature}: {units}");
            assert!(scale.rate >= 1 << 30, "T {temperature}");
        }
        assert_eq!(Scale::new(1.0), Scale { shift: 24, rate: 1_549_082_005, half_window: 24.0 });
    }

    /// The window may be decided by any rounding: at 37.5 temperatures even a lane, or a tile, of equal tokens adds
    /// nothing.
    #[test]
    fn weights_outside_the_grey_zone_do_not_depend_on_the_window() {
        // Of a token, a lane and a tile of equal ones.
        let masses = |octaves: u32| {
            let lane = super::super::lane::lane_mass(
                16 << 23,
                mantissa(octaves).into(),
                octaves.min(63 << 24).into(),
            );
            let tile = TileStats { max_key: 0, mass: 1 << 62, surprisal: 0, n_greater: 0, n_equal: 0 };
            [token_weight(octaves), lane, tile.mass_at(octaves)]
        };
        for temperature in [0.05f32, 0.7, 1.0, 10.0] {
            let narrow = Scale { half_window: 18.75 * temperature, ..Scale::new(temperature) };
            let wide = Scale { half_window: 31.0 * temperature, ..Scale::new(temperature) };
            for step in 0..20_000u32 {
                let x = -(step as f32) * 0.005 * temperature;
                let of = |scale: Scale| scale.octaves_below(0, x.to_bits()).map_or([0; 3], masses);
                assert_eq!(of(narrow), of(wide), "T {temperature}, x {x}");
            }
        }
    }

    #[test]
    fn logarithms_are_close() {
        for value in [1u64, 2, 3, 1000, 1 << 20, (1 << 43) + 12_345, 1 << 63] {
            let error = f64::from(log2_q26(value)) / f64::from(1 << 26) - (value as f64).log2();
            assert!((-1e-7..=1e-12).contains(&error), "{value}: {error:e}");
        }
    }
}
