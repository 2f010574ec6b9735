//! Ratios and quotients of integers that the filters need, as `shaders/lib/numbers.wgsl` computes them.

use super::exact::mantissa;

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

    /// 2 to the minus so many octaves, Q24, out of the table: the same bits on every system.
    pub(crate) fn of_octaves(octaves: u32) -> Self {
        Self { factor: mantissa(octaves), by: 31 + (octaves >> 24) }
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

/// `⌊2^86 / mass⌋` to 31 bits, for a mass of at least 2^43: the weight of a run's first token, 2^43, times its probability in a run
/// of this mass.
pub(crate) fn first_squared(mass: u64) -> u64 {
    let lead = mass.leading_zeros();
    let leading = mass << lead >> 33; // 31 bits
    ((1 << 62) / leading) << lead >> 9
}

/// `⌈part · 2^43 / whole⌉` for a part of at most the whole, which is at most 2^63 and not 0.
pub(crate) fn share_q43(part: u64, whole: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 2^43")]
    let share = (u128::from(part) << 43).div_ceil(whole.into()) as u64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_squared_is_close() {
        assert_eq!(first_squared(1 << 43), 1 << 43, "a single token");
        for mass in [(1u64 << 43) + 1, 3 << 43, (1 << 50) + 12_345, 123_456_789_012_345_678, 1 << 63] {
            let error = first_squared(mass) as f64 * mass as f64 / 2f64.powi(86) - 1.0;
            assert!((-3e-7..=2e-9).contains(&error), "{mass}: {error:e}");
        }
    }

    #[test]
    fn shares_are_rounded_up() {
        assert_eq!([share_q43(0, 7), share_q43(7, 7), share_q43(1, 2)], [0, 1 << 43, 1 << 42]);
        assert_eq!([share_q43(1, 1 << 62), share_q43(1, 3)], [1, (1 << 43) / 3 + 1]);
        assert_eq!(share_q43(1 << 63, 1 << 63), 1 << 43);
    }

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
}
