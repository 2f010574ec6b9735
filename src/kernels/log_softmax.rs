//! Full log-softmax at temperature 1, `x − max − ln(mass)` rounded once to f32: a second read and one write.

use fearless_simd::{Level, Simd, dispatch};

use crate::answer::DistributionBits;
use crate::arithmetic::exact;
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::wide::{ln_mass_fixed, log_softmax_bits};
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, TileRoom};

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "log_softmax",
    wgsl: wgsl!("log_softmax": "format", "words", "logits", "rows", "integers", "exact", "wide", "near"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The twin on the CPU: one row into `out`, with the widest vector instructions of this processor.
pub(crate) fn run(row: RowBits<'_>, distribution: &DistributionBits, out: &mut [f32]) {
    run_at(Level::new(), row, distribution, out);
}

fn run_at(level: Level, row: RowBits<'_>, distribution: &DistributionBits, out: &mut [f32]) {
    if distribution.status != 0 {
        out.fill(f32::NAN);
        return;
    }
    let max_bits = exact::bits_of_key(distribution.max_key);
    let ln_mass = ln_mass_fixed(distribution.mass);
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || {
        let mut room = TileRoom::new();
        for (tile, out) in row.runs(TILE_TOKENS).zip(out.chunks_mut(TILE_TOKENS)) {
            let bits = tile.widened_with(simd, &mut room.0);
            if tame(max_bits) && bits.iter().all(|&bits| tame(bits)) {
                in_double(bits, max_bits, ln_mass, out);
            } else {
                for (out, &bits) in out.iter_mut().zip(bits) {
                    *out = f32::from_bits(log_softmax_bits(max_bits, ln_mass, bits));
                }
            }
        }
    }));
}

/// Whether a logit's Q30 and the sums with it are exact in f64: below 2^20 in magnitude, or -infinity.
#[inline(always)]
fn tame(bits: u32) -> bool {
    f32::from_bits(bits).abs() < 1_048_576.0 || bits == exact::BITS_NEG_INFINITY
}

/// Log-softmax by f64, whose steps are exact here but for the last, which rounds to nearest even as the integers
/// do.
#[inline(always)]
fn in_double(bits: &[u32], max_bits: u32, ln_mass: u32, out: &mut [f32]) {
    let fixed = |bits: u32| (f64::from(f32::from_bits(bits)) * exact::pow2(30)).trunc();
    let max = fixed(max_bits);
    let ln_mass = f64::from(ln_mass) * 16.0; // Q26
    for (out, &bits) in out.iter_mut().zip(bits) {
        #[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
        let logprob = ((fixed(bits) - max - ln_mass + 0.0) * exact::pow2(-30)) as f32; // -0 becomes +0
        *out = logprob;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Doubles give what integers do, at every magnitude that they are used for, with all instructions.
    #[test]
    fn doubles_agree_with_the_integers() {
        let mut bits = 0x1234_5678u32;
        for max in [0.0f32, -0.0, 1e-30, 0.75, 17.25, -3.5, 300.0, 1_000_000.0] {
            for mass in [1 << 40, (1 << 40) + 1, 123_456_789_012_345, 1 << 60] {
                let mut row = vec![max.to_bits(), f32::NEG_INFINITY.to_bits()];
                for _ in 0..2000 {
                    bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let value = f32::from_bits(bits);
                    let logit = if value.abs() < 1e6 { value.min(max) } else { max };
                    row.extend([logit.to_bits(), (max - (bits >> 8) as f32 / 1e5).to_bits()]);
                }
                let max_key = exact::key_of_bits(max.to_bits());
                let distribution = DistributionBits { max_key, mass, ..DistributionBits::default() };
                let max_bits = exact::bits_of_key(max_key);
                let ln_mass = ln_mass_fixed(mass);
                for (level, simd) in crate::proof::simd::levels() {
                    let mut out = vec![0.0; row.len()];
                    run_at(simd, RowBits::of_f32(&row), &distribution, &mut out);
                    for (&logit, out) in row.iter().zip(&out) {
                        let want = log_softmax_bits(max_bits, ln_mass, logit);
                        assert_eq!(out.to_bits(), want, "{level}: {logit:#x} below {max}, mass {mass}");
                    }
                }
            }
        }
    }
}

#[cfg(all(test, feature = "validate"))]
mod near_tests {
    use super::*;
    use crate::arithmetic::wide::{MAX_POINT, fixed_wide};
    use crate::proof::synthetic::{KINDS, Kind, LIKE_A_MODEL};

    /// `near_logprob` of `shaders/lib/near.wgsl`, of an f32; none where the general way is taken.
    fn near_logprob(max_bits: u32, ln_mass: u32, bits: u32) -> Option<u32> {
        let sum = fixed_wide(max_bits, MAX_POINT) + (i64::from(ln_mass) << 4);
        let n = 34u32.saturating_sub((sum ^ (sum >> 63)).leading_zeros()).max(6);
        let exponent = (bits >> 23) & 0xff;
        let mantissa = u64::from((bits & 0x7f_ffff) | 0x80_0000) << 7;
        let (mantissa, exponent) = if exponent < 97 { (0, 127) } else { (mantissa, exponent) };
        let right = (127 + n).checked_sub(exponent).filter(|&right| right < 32)?;
        let magnitude = ((mantissa << n) >> right).cast_signed();
        let below = u64::try_from(if bits >> 31 == 1 { sum + magnitude } else { sum - magnitude }).ok()?;
        let word = u32::try_from(below >> n).ok()? | u32::from(below & ((1 << n) - 1) != 0);
        let left = word.leading_zeros().checked_sub(1).filter(|&left| left < 6)?;
        let aligned = word << left;
        let rounded = (aligned + 0x3f + ((aligned >> 7) & 1)) >> 7;
        Some(((256 + 126 + n - left) << 23) + rounded)
    }

    /// The device's short way gives the same bits, and almost all tokens of rows like a model's take it.
    #[test]
    fn almost_all_logits_are_near() {
        let below_zero = Kind::find("below zero", KINDS).expect("a kind");
        for kind in LIKE_A_MODEL.iter().chain([below_zero]) {
            let row = kind.logits(50_000, 0x5eed << 40);
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mass: f64 = row.iter().map(|logit| f64::from(logit - max).exp()).sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 30, Q26")]
            let ln_mass = (mass.ln() * exact::pow2(26)) as u32;
            let near = row.iter().filter(|logit| {
                let want = log_softmax_bits(max.to_bits(), ln_mass, logit.to_bits());
                let near = near_logprob(max.to_bits(), ln_mass, logit.to_bits());
                assert!(near.is_none_or(|near| near == want), "{}: {logit}", kind.name);
                near.is_some()
            });
            assert!(near.count() > 49_900, "{}", kind.name);
        }
    }
}
