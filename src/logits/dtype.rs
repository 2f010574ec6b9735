//! The types of stored logits, and all that a type is: size, name, code on the device, conversions.

use std::fmt;
use std::str::FromStr;

use crate::arithmetic::exact::pow2_f32;
use crate::error::{Error, Result};

/// Element type of stored logits. f16 and bf16 widen to f32 exactly, so a row has the same bits as its widened copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    Bf16,
}

impl Dtype {
    /// Every element type.
    pub const ALL: &'static [Self] = &[Self::F32, Self::F16, Self::Bf16];

    /// Bytes of one element: 4, 2, 2.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Stores the nearest value of this type, ties to even, in an element of [`bytes`](Self::bytes) bytes, in native
    /// byte order.
    ///
    /// # Panics
    /// If the element has another size.
    #[cfg(any(test, feature = "gpu", feature = "validate"))]
    pub fn store(self, value: f32, element: &mut [u8]) {
        match self {
            Self::F32 => element.copy_from_slice(&value.to_ne_bytes()),
            Self::F16 => element.copy_from_slice(&half::f16::from_f32(value).to_ne_bytes()),
            Self::Bf16 => element.copy_from_slice(&half::bf16::from_f32(value).to_ne_bytes()),
        }
    }

    /// The name in lower case: `f32`, `f16`, `bf16`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Value of the override `DTYPE` in the kernels: `shaders/lib/logits.wgsl`.
    #[cfg(feature = "gpu")]
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Bf16 => 2,
        }
    }

    /// Bits of the f32 that has the value of a stored logit.
    #[inline(always)]
    pub(crate) fn widen(self, stored: u32) -> u32 {
        match self {
            Self::F32 => stored,
            Self::F16 => widen_f16(stored),
            Self::Bf16 => stored << 16,
        }
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

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = Error;

    /// The type of this [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|dtype| dtype.name()).collect();
            Error::Logits(format!("{name:?} is no type of logits: take one of {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse::<Dtype>().expect("a name"), *dtype);
        }
        let message = "f64".parse::<Dtype>().expect_err("none").to_string();
        assert!(message.contains("\"f64\"") && message.contains("f32, f16, bf16"), "{message}");
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
}
