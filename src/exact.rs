//! The exact arithmetic, version 1: the integer weight of a token.
//!
//! `docs/exact.md` is the specification, with the error analysis; this file is its host half, `shaders/lib/exact.wgsl`
//! the device half, function by function under the same names. Every step is an integer operation or a float
//! operation whose rounding cannot reach the result, so both halves give the same bits on any device.

use crate::dtype::Dtype;

/// Version of the arithmetic. Two records with the same version, logits and parameters have the same bits.
pub const ARITHMETIC_VERSION: u32 = 1;

/// Tokens of one tile: a run of consecutive tokens of one row that shares a reference maximum.
pub const TILE_TOKENS: usize = 4096;
/// Tokens of one subtile. Its maximum, the delegate, stands for it during top-k selection.
pub const SUBTILE_TOKENS: usize = 64;
/// Largest vocabulary of a row: beyond it the 64-bit mass of a row could overflow.
pub const MAX_VOCAB: usize = 1 << 20;

/// Order-preserving key of -infinity; every finite logit has a larger one.
pub(crate) const KEY_NEG_INFINITY: i32 = key_raw(0xff80_0000);
/// Order-preserving key of +infinity; a larger key is a NaN.
pub(crate) const KEY_INFINITY: i32 = 0x7f80_0000;
/// In place of a distance in units: outside the window.
pub(crate) const FAR: u32 = u32::MAX;
/// A distance in octaves from which on a token's weight and surprisal are zero, so that it may stand for any farther one.
pub(crate) const WEIGHTLESS: u32 = 60;
/// Bits above this, as an unsigned number, are a NaN with the sign set.
pub(crate) const BITS_NEG_INFINITY: u32 = 0xff80_0000;
/// Fraction bits of a token's weight within its tile.
const TILE_FRACTION: u32 = 50;
/// Fraction bits of the mass of a row: a token equal to the maximum weighs 2^40.
pub(crate) const ROW_FRACTION: u32 = 40;
/// Fraction bits of a tile's surprisal sum.
const TILE_SURPRISAL_FRACTION: u32 = 44;
/// Fraction bits of a mantissa out of the table.
const MANTISSA_FRACTION: u32 = 31;
/// Fraction bits of a distance in octaves.
const OCTAVE_FRACTION: u32 = 24;
/// Entries of the table, and the fraction bits of an octave that select one.
pub(crate) const TABLE_SIZE: usize = 1 << TABLE_BITS;
const TABLE_BITS: u32 = 10;
/// Half the window in units of the temperature. Anything between 18.5 and 31 gives the same bits (docs/exact.md, 5).
const HALF_WINDOW: f32 = 24.0;
/// Drop of the mantissa over one table step, `round((1 − 2^(−1/1024)) · 2^28)`.
const STEP_DROP: u32 = 181_643;

/// Key of a logit's bits: signed comparison of keys is the order of the values, and -0 equals +0.
#[inline(always)]
pub(crate) const fn key(bits: u32) -> i32 {
    let raw = key_raw(bits);
    if raw == -1 { 0 } else { raw }
}

#[inline(always)]
const fn key_raw(bits: u32) -> i32 {
    let bits = bits.cast_signed();
    bits ^ ((bits >> 31) & 0x7fff_ffff)
}

/// Bits of the logit that has this key; the inverse of [`key`] up to the sign of zero.
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
    /// means a weight of zero. Both are finite and `bits` is not above `max_bits`, except that `bits` may be -infinity.
    #[inline]
    pub(crate) fn octaves(self, max_bits: u32, bits: u32) -> Option<u32> {
        let distance = self.distance(max_bits, bits);
        (distance != FAR).then(|| mul_high(distance << 2, self.rate))
    }

    /// So many octaves in units.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "60 octaves are 42 temperatures of 2^24 units at most"
    )]
    pub(crate) fn units_of_octaves(self, octaves: u32) -> u32 {
        ((u64::from(octaves) << 54) / u64::from(self.rate)) as u32
    }

    /// The same distance in units, and [`FAR`] for `None`: without a branch, so that loops over tokens become vector
    /// instructions.
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

/// The same as an f32, for what [`Scale::shift`] may be.
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

/// High word of the 64-bit product.
#[inline(always)]
pub(crate) fn mul_high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
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

/// Weight of a token at this distance below the tile's maximum, with its mantissa: Q50. Takes 64 bits, so that a vector of
/// them is never widened.
#[inline(always)]
pub(crate) fn weight(mantissa: u64, octaves: u64) -> u64 {
    debug_assert!(octaves >> OCTAVE_FRACTION < 64, "farther ones are cut to WEIGHTLESS");
    (mantissa << (TILE_FRACTION - MANTISSA_FRACTION)) >> ((octaves >> OCTAVE_FRACTION) & 63)
}

/// Weight times distance in octaves, Q44: what a token adds to the entropy. As for [`weight`].
#[inline(always)]
pub(crate) fn surprisal(mantissa: u64, octaves: u64) -> u64 {
    debug_assert!(octaves >> OCTAVE_FRACTION < 64, "farther ones are cut to WEIGHTLESS");
    let product = (mantissa * octaves) >> 31; // Q24
    (product << (TILE_SURPRISAL_FRACTION - OCTAVE_FRACTION)) >> ((octaves >> OCTAVE_FRACTION) & 63)
}

#[inline]
fn shift_right(value: u64, by: u32) -> u64 {
    value >> by.min(63)
}

/// Weight of one token at any distance below the tile's maximum, Q50.
pub(crate) fn token_weight(octaves: u32) -> u64 {
    weight(mantissa(octaves).into(), octaves.min(WEIGHTLESS << OCTAVE_FRACTION).into())
}

/// Surprisal of one token at any distance, Q44.
#[cfg(test)]
pub(crate) fn token_surprisal(octaves: u32) -> u64 {
    surprisal(mantissa(octaves).into(), octaves.min(WEIGHTLESS << OCTAVE_FRACTION).into())
}

/// What one tile says of its tokens. All sums are integers: their order does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileStats {
    /// Largest key; above [`KEY_INFINITY`] there is a NaN.
    pub(crate) max_key: i32,
    /// Largest bits as an unsigned number; above [`BITS_NEG_INFINITY`] there is a NaN with the sign set.
    pub(crate) max_bits: u32,
    /// Sum of the weights, Q50 relative to the tile's maximum.
    pub(crate) mass: u64,
    /// Sum of the surprisals, Q44 relative to the tile's maximum.
    pub(crate) surprisal: u64,
    /// Tokens above the target's logit.
    pub(crate) n_greater: u32,
    /// Tokens equal to the target's logit.
    pub(crate) n_equal: u32,
}

impl TileStats {
    /// Distance of the tile's maximum below the row's, and its mass relative to that, Q40; `None` outside the window.
    pub(crate) fn mass_in_row(&self, max_key: i32, scale: Scale) -> Option<(u32, u64)> {
        let octaves = scale.octaves(bits_of_key(max_key), bits_of_key(self.max_key))?;
        let by = MANTISSA_FRACTION + TILE_FRACTION - ROW_FRACTION + (octaves >> OCTAVE_FRACTION);
        Some((octaves, mul_shift(self.mass, mantissa(octaves), by)))
    }
}

/// What a row says of all its tokens, merged from its tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowStats {
    pub(crate) max_key: i32,
    pub(crate) flags: u32,
    /// Sum of the weights, Q40 relative to the row's maximum; at least 2^40, at most 2^60.
    pub(crate) mass: u64,
    /// Sum of weight times octaves, Q40.
    pub(crate) surprisal: u64,
    pub(crate) n_greater: u32,
    pub(crate) n_equal: u32,
}

/// A NaN in the row. The words of [`RowStats::flags`]; zero is a sound row.
pub(crate) const FLAG_NAN: u32 = 1;
/// A +infinity in the row.
pub(crate) const FLAG_INFINITY: u32 = 2;
/// Nothing finite in the row.
pub(crate) const FLAG_EMPTY: u32 = 4;

/// Flags of a row from its largest key and its largest bits: NaN before +infinity before "nothing finite".
pub(crate) fn flags(max_key: i32, max_bits: u32) -> u32 {
    if max_key > KEY_INFINITY || max_bits > BITS_NEG_INFINITY {
        FLAG_NAN
    } else if max_key == KEY_INFINITY {
        FLAG_INFINITY
    } else if max_key <= KEY_NEG_INFINITY {
        FLAG_EMPTY
    } else {
        0
    }
}

/// Merges the tiles of a row. The same tiles in any order give the same bits. A row that is not sound keeps its flags
/// and zeros.
pub(crate) fn merge(tiles: &[TileStats], scale: Scale) -> RowStats {
    let max_key = tiles.iter().map(|tile| tile.max_key).max().unwrap_or(KEY_NEG_INFINITY);
    let max_bits = tiles.iter().map(|tile| tile.max_bits).max().unwrap_or(BITS_NEG_INFINITY);
    let flags = flags(max_key, max_bits);
    if flags != 0 {
        return RowStats { flags, ..RowStats::default() };
    }
    let mut row = RowStats { max_key, ..RowStats::default() };
    for tile in tiles {
        row.n_greater += tile.n_greater;
        row.n_equal += tile.n_equal;
        let Some((octaves, mass)) = tile.mass_in_row(max_key, scale) else { continue };
        let factor = mantissa(octaves);
        let down = octaves >> OCTAVE_FRACTION;
        let own = mul_shift(
            tile.surprisal,
            factor,
            MANTISSA_FRACTION + TILE_SURPRISAL_FRACTION - ROW_FRACTION + down,
        );
        row.mass += mass;
        row.surprisal += own + mul_shift(mass, octaves, OCTAVE_FRACTION);
    }
    row
}

/// `(value · factor) >> by`, with a 96-bit product.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "every caller's result is below 2^64, docs/exact.md 6")]
pub(crate) fn mul_shift(value: u64, factor: u32, by: u32) -> u64 {
    let product = u128::from(value) * u128::from(factor);
    (product >> by.min(127)) as u64
}

/// Natural logarithm of the mass relative to the maximum, in f64: 0 where one token has it all.
pub(crate) fn ln_mass(mass: u64) -> f64 {
    ln_mass_at(mass, ROW_FRACTION)
}

/// The same of a mass with another number of fraction bits.
pub(crate) fn ln_mass_at(mass: u64, fraction: u32) -> f64 {
    ln(mass as f64 * pow2(-(fraction.cast_signed())))
}

/// Fraction bits of a token's weight relative to the maximum of its row: 2^20 of them fit 64 bits.
pub(crate) const RUN_FRACTION: u32 = 43;

/// Weight of a token at this distance below the row's maximum, Q43.
#[inline]
pub(crate) fn row_weight(octaves: u32) -> u64 {
    shift_right(
        u64::from(mantissa(octaves)) << (RUN_FRACTION - MANTISSA_FRACTION),
        octaves >> OCTAVE_FRACTION,
    )
}

/// Weight times distance in octaves, Q43.
#[inline]
pub(crate) fn row_surprisal(octaves: u32) -> u64 {
    let product = mul_high(mantissa(octaves), octaves << 1); // Q24
    shift_right(u64::from(product) << (RUN_FRACTION - OCTAVE_FRACTION), octaves >> OCTAVE_FRACTION)
}

/// Natural logarithm of a positive normal double, below 1 ulp of error: the method of fdlibm's e_log.c (Sun
/// Microsystems, 1993). Written out here because every system's own differs in the last bit, and a library's may with
/// its next version. x = 2^k · (1 + f) with 1 + f in [√½, √2), s = f / (2 + f), ln(1 + f) = 2s + s · P(s²).
fn ln(x: f64) -> f64 {
    const SQRT_HALF_HIGH: u32 = 0x3fe6_a09e; // upper word of √½
    const ONE_HIGH: u32 = 0x3ff0_0000; // upper word of 1
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1; // 0x3fe62e42fee00000: exact in k · LN_2_HIGH
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10; // 0x3dea39ef35793c76
    const P: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    let bits = x.to_bits();
    let high = (bits >> 32) as u32 + (ONE_HIGH - SQRT_HALF_HIGH);
    let k = f64::from((high >> 20).cast_signed() - 0x3ff);
    let high = (high & 0xf_ffff) + SQRT_HALF_HIGH;
    let f = f64::from_bits((u64::from(high) << 32) | (bits & 0xffff_ffff)) - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (P[1] + w * (P[3] + w * P[5]));
    let odd = z * (P[0] + w * (P[2] + w * (P[4] + w * P[6])));
    s * (half_square + (odd + even)) + k * LN_2_LOW - half_square + f + k * LN_2_HIGH
}

/// Entropy in nats of the row's distribution.
pub(crate) fn entropy(mass: u64, surprisal: u64) -> f64 {
    // H = ln S + E[distance]; the distance was summed in octaves.
    ln_mass(mass) + surprisal as f64 / mass as f64 * std::f64::consts::LN_2
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

/// `ln(x / 2^40)` for a mass of at least 2^40, Q26: the logarithm of the operations whose results stay on the device.
pub(crate) fn ln_mass_fixed(mass: u64) -> u32 {
    mul_high(log2_q26(mass) - (ROW_FRACTION << 26), LN_2_Q32)
}

/// `round(ln 2 · 2^32)`.
const LN_2_Q32: u32 = 2_977_044_472;

/// Bits of the f32 nearest to the logprob `x − max − ln(mass)` at temperature 1, by integers alone (docs/exact.md, 9).
pub(crate) fn log_softmax_bits(max_bits: u32, ln_mass: u32, bits: u32) -> u32 {
    if bits == BITS_NEG_INFINITY {
        return bits;
    }
    let point = binary_point(max_bits, bits);
    let distance = fixed_wide(max_bits, point) - fixed_wide(bits, point);
    if distance == 0 {
        return float_bits(1, i64::from(ln_mass) << 4, MAX_POINT);
    }
    float_bits(1, distance + ln_at(ln_mass, point), point)
}

/// Bits of the f32 nearest to `max + ln(mass)` at temperature 1.
pub(crate) fn log_sum_exp_bits(max_bits: u32, ln_mass: u32) -> u32 {
    let point = binary_point(max_bits, max_bits);
    let sum = fixed_wide(max_bits, point) + ln_at(ln_mass, point);
    float_bits(u32::from(sum < 0), sum.abs(), point)
}

/// Finest binary point of a wide fixed-point number.
const MAX_POINT: i32 = 30;

/// Binary point at which both values, and their difference, fit 63 bits.
fn binary_point(a: u32, b: u32) -> i32 {
    let exponent = ((a >> 23) & 0xff).max((b >> 23) & 0xff) as i32;
    (60 - (exponent - 127)).min(MAX_POINT)
}

/// `ln_mass`, Q26, at another binary point; zero where it lies below the last bit.
fn ln_at(ln_mass: u32, point: i32) -> i64 {
    (i64::from(ln_mass) << 4) >> (MAX_POINT - point).min(63)
}

/// `trunc(x · 2^point)` of a finite f32 as a 64-bit integer.
fn fixed_wide(bits: u32, point: i32) -> i64 {
    let mantissa = i64::from((bits & 0x7f_ffff) | 0x80_0000);
    let left = ((bits >> 23) & 0xff) as i32 - 150 + point;
    let magnitude = if left >= 0 { mantissa << left } else { mantissa >> (-left).min(31) };
    if bits >> 31 == 1 { -magnitude } else { magnitude }
}

/// Bits of the f32 nearest to `± magnitude · 2^-point`, ties to even; infinity past the largest.
fn float_bits(sign: u32, magnitude: i64, point: i32) -> u32 {
    let magnitude = magnitude.cast_unsigned();
    if magnitude == 0 {
        return 0;
    }
    let lead = magnitude.leading_zeros();
    let aligned = magnitude << lead; // bit 63 set
    let kept = (aligned >> 40) as u32; // 24 bits
    let rest = aligned & ((1 << 40) - 1);
    let half = 1 << 39;
    let round = u32::from(rest > half || (rest == half && kept & 1 == 1));
    let exponent = 63 - lead.cast_signed() - point + 127;
    // A carry out of the mantissa moves into the exponent, as it should.
    let bits = ((exponent - 1).cast_unsigned() << 23) + kept + round;
    (sign << 31) | bits.min(0x7f80_0000)
}

/// `round(2^(31 − i/1024))`: frozen, and checked against its definition by a test.
pub(crate) static TABLE: [u32; TABLE_SIZE] = include!("exact_table.in");

/// Widens a stored logit to the bits of the f32 of the same value.
#[inline(always)]
pub(crate) fn widen(dtype: Dtype, stored: u32) -> u32 {
    match dtype {
        Dtype::F32 => stored,
        Dtype::F16 => widen_f16(stored),
        Dtype::Bf16 => stored << 16,
    }
}

/// f16 to f32: exact, subnormals and NaN payloads included, and without a branch.
#[inline(always)]
fn widen_f16(half: u32) -> u32 {
    let sign = (half & 0x8000) << 16;
    let magnitude = half & 0x7fff;
    // The exponent's bias is 15 there and 127 here; all ones of it stay all ones.
    let normal = (magnitude << 13) + if magnitude >= 0x7c00 { 224 << 23 } else { 112 << 23 };
    let subnormal = (magnitude.cast_signed() as f32 * pow2_f32(-24)).to_bits(); // exact, and no subnormal here
    sign | if magnitude < 0x400 { subnormal } else { normal }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers in tests")]
mod tests {
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
        assert_eq!(LN_2_Q32, (std::f64::consts::LN_2 * 4_294_967_296.0).round() as u32);
    }

    #[test]
    fn f16_widens_to_the_value_that_half_gives() {
        for stored in 0..=u16::MAX {
            let ours = widen_f16(u32::from(stored));
            let theirs = half::f16::from_bits(stored).to_f32();
            assert!(
                ours == theirs.to_bits() || (theirs.is_nan() && f32::from_bits(ours).is_nan()),
                "{stored:#06x}: {ours:#010x} against {theirs}"
            );
        }
    }

    #[test]
    fn keys_order_as_the_values_do() {
        let values =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, -1e-45, 0.0, 1e-45, 1.0, f32::MAX];
        for pair in values.windows(2) {
            assert!(key(pair[0].to_bits()) < key(pair[1].to_bits()), "{pair:?}");
        }
        assert_eq!(key((-0.0f32).to_bits()), key(0.0f32.to_bits()));
        assert!(key(f32::NAN.to_bits()) > KEY_INFINITY);
        for value in values {
            assert_eq!(f32::from_bits(bits_of_key(key(value.to_bits()))), value);
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

    /// The window may be decided by any rounding: at 37 temperatures even a tile of equal tokens adds nothing.
    #[test]
    fn weights_outside_the_grey_zone_do_not_depend_on_the_window() {
        for temperature in [0.05f32, 0.7, 1.0, 10.0] {
            let narrow = Scale { half_window: 18.5 * temperature, ..Scale::new(temperature) };
            let wide = Scale { half_window: 31.0 * temperature, ..Scale::new(temperature) };
            for step in 0..20_000u32 {
                let x = -(step as f32) * 0.005 * temperature;
                let of = |scale: Scale| scale.octaves(0, x.to_bits()).map_or(0, token_weight);
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

    #[test]
    fn fixed_point_logarithm_is_close() {
        for mass in [1u64 << 40, (1 << 40) + 1, 3 << 40, 123_456_789_012_345, 1 << 60] {
            let error = f64::from(ln_mass_fixed(mass)) / f64::from(1 << 26) - ln_mass(mass);
            assert!(error.abs() < 5e-8, "mass {mass}: {error:e}");
        }
    }

    #[test]
    fn logarithm_is_fdlibms() {
        for i in 0..200_000u64 {
            let mass = (1u64 << 40) + i * i * i * 97;
            let x = mass as f64 / 1_099_511_627_776.0;
            assert_eq!(ln(x).to_bits(), libm::log(x).to_bits(), "{x}");
        }
        assert_eq!(ln(1.0).to_bits(), 0);
    }

    #[test]
    fn integers_round_to_the_float_that_the_host_gives() {
        for (magnitude, point) in
            [(1i64, 0), (3, 30), (0x00ff_ffff, 3), (0x01ff_ffff, 3), (0x0100_0001, 0), (i64::MAX, 30)]
        {
            let want = (magnitude as f32) * (2f32).powi(-point); // `as` rounds to nearest even
            assert_eq!(f32::from_bits(float_bits(0, magnitude, point)), want, "{magnitude} at {point}");
            assert_eq!(f32::from_bits(float_bits(1, magnitude, point)), -want, "{magnitude} at {point}");
        }
        assert_eq!(float_bits(0, i64::MAX, -70), 0x7f80_0000);
    }
}
