//! Quotients, roots and logarithms of integers that the filters need, as `shaders/lib/numbers.wgsl` computes them.

use crate::exact::mul_high;

/// A ratio in (0, 1] as `factor · 2^-by`, factor in [2^31, 2^32) (lower for what comes from a table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) factor: u32,
    pub(crate) by: u32,
}

impl Ratio {
    /// The ratio with exactly this value, positive and at most 1.
    pub(crate) fn new(value: f32) -> Self {
        // Subnormals are below every weight's share; as the smallest normal number they keep the same tokens.
        let bits = value.max(f32::MIN_POSITIVE).to_bits();
        Self { factor: (bits << 8) | 0x8000_0000, by: 158 - (bits >> 23) }
    }

    /// `⌈mass · ratio⌉`
    pub(crate) fn part_of(self, mass: u64) -> u64 {
        let product = u128::from(mass) * u128::from(self.factor);
        let by = self.by.min(127);
        #[expect(clippy::cast_possible_truncation, reason = "at most the mass")]
        let part = product.div_ceil(1 << by) as u64;
        part
    }
}

/// `⌊a · 2^24 / b⌋` of masses, after both have lost their lowest 8 bits.
pub(crate) fn quotient_q24(a: u64, b: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a mean distance in octaves is below 128")]
    let quotient = ((u128::from(a >> 8) << 24) / u128::from(b >> 8)) as u32;
    quotient
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_exact() {
        for (value, mass, part) in [
            (1.0, 7, 7),
            (0.5, 7, 4),
            (0.5, 8, 4),
            (0.25, 1, 1),
            (0.75, 4, 3),
            (f32::MIN_POSITIVE, 1 << 63, 1),
            (0.1, 10, 2), // 0.1 in binary32 is a little more than a tenth
        ] {
            assert_eq!(Ratio::new(value).part_of(mass), part, "{value} of {mass}");
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
