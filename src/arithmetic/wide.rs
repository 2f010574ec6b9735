//! Correctly rounded f32 results by integers alone, for the operations whose results stay on the device:
//! `docs/exact.md`, section 10, and `shaders/lib/wide.wgsl`.

use super::exact::{BITS_NEG_INFINITY, ROW_FRACTION, log2_q26};
use super::integers::mul_high;

/// `ln(x / 2^40)` for a mass of at least 2^40, Q26: the logarithm of the operations whose results stay on the device.
pub(crate) fn ln_mass_fixed(mass: u64) -> u32 {
    mul_high(log2_q26(mass) - (ROW_FRACTION << 26), LN_2_Q32)
}

/// `round(ln 2 · 2^32)`.
pub(crate) const LN_2_Q32: u32 = 2_977_044_472;

/// Bits of the f32 nearest to the logprob `x − max − ln(mass)` at temperature 1, by integers alone (docs/exact.md, 10).
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
pub(crate) const MAX_POINT: i32 = 30;

/// Binary point at which both values, and their difference, fit 63 bits.
pub(super) fn binary_point(a: u32, b: u32) -> i32 {
    let exponent = ((a >> 23) & 0xff).max((b >> 23) & 0xff) as i32;
    (60 - (exponent - 127)).min(MAX_POINT)
}

/// `ln_mass`, Q26, at another binary point; zero where it lies below the last bit.
fn ln_at(ln_mass: u32, point: i32) -> i64 {
    (i64::from(ln_mass) << 4) >> (MAX_POINT - point).min(63)
}

/// `trunc(x · 2^point)` of a finite f32 as a 64-bit integer.
pub(crate) fn fixed_wide(bits: u32, point: i32) -> i64 {
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

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers in tests")]
mod tests {
    use super::*;
    use crate::arithmetic::ln::ln_mass_at;

    #[test]
    fn constant_is_its_definition() {
        assert_eq!(LN_2_Q32, (std::f64::consts::LN_2 * 4_294_967_296.0).round() as u32);
    }

    #[test]
    fn fixed_point_logarithm_is_close() {
        for mass in [1u64 << 40, (1 << 40) + 1, 3 << 40, 123_456_789_012_345, 1 << 60] {
            let error = f64::from(ln_mass_fixed(mass)) / f64::from(1 << 26) - ln_mass_at(mass, ROW_FRACTION);
            assert!(error.abs() < 5e-8, "mass {mass}: {error:e}");
        }
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
