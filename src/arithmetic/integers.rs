//! Products and shifts of wide integers: `shaders/lib/integers.wgsl`.

/// High word of the 64-bit product.
#[inline(always)]
pub(crate) fn mul_high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `(value · factor) >> by`, with a 96-bit product.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "every caller's result is below 2^64, docs/exact.md 8")]
pub(crate) fn mul_shift(value: u64, factor: u32, by: u32) -> u64 {
    let product = u128::from(value) * u128::from(factor);
    (product >> by.min(127)) as u64
}

/// `value >> by`; 0 from 64 on is what a shift by 63 leaves of every weight.
#[inline]
pub(crate) fn shift_right64(value: u64, by: u32) -> u64 {
    value >> by.min(63)
}
