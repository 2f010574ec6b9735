//! The last logarithm, which the host takes in f64: `docs/exact.md`, section 9.

use super::exact::pow2;

/// Natural logarithm of a mass with this many fraction bits, relative to one: 0 where one token has it all.
pub(crate) fn ln_mass_at(mass: u64, fraction: u32) -> f64 {
    ln(mass as f64 * pow2(-(fraction.cast_signed())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_fdlibms() {
        for i in 0..200_000u64 {
            let mass = (1u64 << 40) + i * i * i * 97;
            let x = mass as f64 / 1_099_511_627_776.0;
            assert_eq!(ln(x).to_bits(), libm::log(x).to_bits(), "{x}");
        }
        assert_eq!(ln(1.0).to_bits(), 0);
    }
}
