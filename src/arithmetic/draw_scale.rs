//! The scale that is drawn at, and the dynamic temperature from which it may come.

use super::exact::RUN_FRACTION;
use super::exact::{Scale, log2_q26, mantissa, pow2, pow2_f32};
use super::numbers::quotient_q24;

/// What is drawn at: a scale, and the temperature as `unit · 2^-shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DrawScale {
    pub(crate) scale: Scale,
    pub(crate) unit: u32,
}

/// `round(log2 e · 2^54)`.
pub(crate) const LOG2_E_Q54: u64 = 25_989_283_394_227_192;

impl DrawScale {
    /// Shifts of temperatures from 1000 to 0.001.
    #[cfg(feature = "gpu")]
    pub(crate) const SHIFTS: std::ops::RangeInclusive<i32> = 14..=33;

    /// Scale of a fixed temperature.
    pub(crate) fn new(temperature: f32) -> Self {
        let scale = Scale::new(temperature);
        #[expect(clippy::cast_possible_truncation, reason = "exact, in (2^23, 2^24], see `Scale`")]
        let unit = (f64::from(temperature) * pow2(scale.shift)) as u32;
        Self { scale, unit }
    }

    /// The temperature.
    pub(crate) fn temperature(shift: i32, unit: u32) -> f64 {
        f64::from(unit) * pow2(-shift)
    }

    /// Of the temperature `unit · 2^-shift`.
    fn of_unit(shift: i32, unit: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "below 1.45 · 2^31")]
        let rate = ((LOG2_E_Q54 + u64::from(unit >> 1)) / u64::from(unit)) as u32;
        let half_window = 24.0 * (unit as f32 * pow2_f32(-shift)); // any rounding will do
        Self { scale: Scale { shift, rate, half_window }, unit }
    }

    /// The surprise of a token in bits, Q24, within a run of this largest logit and mass (Q43), at the temperature
    /// `unit · 2^-shift`: at most 2^-22 from its true value, but for what the mass is off. What weighs nothing counts as 44 octaves
    /// below the largest.
    pub(crate) fn surprise(shift: i32, unit: u32, [max_bits, bits]: [u32; 2], mass: u64) -> u32 {
        let octaves = Self::of_unit(shift, unit).scale.octaves_below(max_bits, bits);
        octaves.map_or(WEIGHTLESS, |octaves| octaves.min(WEIGHTLESS))
            + (log2_q26(mass).saturating_sub(RUN_FRACTION << 26) >> 2)
    }

    /// Of a temperature in Q22, at least a thousandth: docs/sampling.md, "Dynamic temperature".
    fn of_q22(temperature: u32) -> Self {
        let lead = temperature.leading_zeros();
        let (mut unit, mut shift) = ((temperature << lead) >> 8, 14 + lead.cast_signed());
        if unit == 1 << 23 {
            (unit, shift) = (1 << 24, shift + 1);
        }
        Self::of_unit(shift, unit)
    }
}

/// More octaves, Q24, than a token of any weight is below the largest.
pub(crate) const WEIGHTLESS: u32 = 44 << 24;

/// Entropy, bits in Q26, of tokens with this mass and this surprisal, Q43.
pub(crate) fn entropy_q26(mass: u64, surprisal: u64) -> u32 {
    let spread = quotient_q24(surprisal, mass) << 2;
    // One heavy token among weightless ones may come out a hair below zero.
    let entropy = log2_q26(mass).wrapping_sub(RUN_FRACTION << 26).wrapping_add(spread).cast_signed().max(0);
    entropy.cast_unsigned()
}

/// The dynamic temperature: Q22 bounds and a Q24 exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dynamic {
    pub(crate) low: u32,
    pub(crate) span: u32,
    pub(crate) power: u32,
}

impl Dynamic {
    /// What is drawn at, from mass, surprisal (Q43) and number of the tokens that are left, at temperature 1.
    pub(crate) fn scale(self, mass: u64, surprisal: u64, count: u32) -> DrawScale {
        let most = log2_q26(u64::from(count.max(1)));
        let mut raised = 0; // Q31
        if most > 0 {
            let entropy = entropy_q26(mass, surprisal);
            raised = 1 << 31;
            if entropy < most {
                let ratio = (u64::from(entropy) << 31) / u64::from(most); // Q31
                let octaves = (u64::from((31 << 26) - log2_q26(ratio.max(1))) * u64::from(self.power)) >> 26;
                raised = match u32::try_from(octaves) {
                    Ok(octaves) if octaves < 31 << 24 => mantissa(octaves) >> (octaves >> 24),
                    _ => 0,
                };
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most the span")]
        let above = ((u64::from(self.span) * u64::from(raised)) >> 31) as u32;
        DrawScale::of_q22(self.low + above)
    }
}
