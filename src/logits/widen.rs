//! Runs of 16-bit logits as bits of f32 values.

use fearless_simd::Simd;

use super::dtype::Dtype;
use crate::arithmetic::format::TILE_TOKENS;

/// Room for widened tokens, at the start of a line of the caches: a vector of 64 bytes that lies in two lines takes twice as
/// long to store and to load.
#[repr(align(64))]
pub(crate) struct Room<const TOKENS: usize>(pub(crate) [u32; TOKENS]);

/// Room for a tile.
pub(crate) type TileRoom = Room<TILE_TOKENS>;

impl<const TOKENS: usize> Room<TOKENS> {
    pub(crate) const fn new() -> Self {
        Self([0; TOKENS])
    }
}

/// Exact, NaN payloads too.
#[inline(always)]
pub(super) fn halves(bytes: &[u8], dtype: Dtype, room: &mut [u32]) {
    for (wide, stored) in room.iter_mut().zip(bytes.as_chunks().0) {
        *wide = dtype.widen(u16::from_ne_bytes(*stored).into());
    }
}

/// f16 by the processor's own conversion, if this level has one: exact but for NaNs, which come out quiet.
#[inline(always)]
pub(super) fn f16_with<S: Simd>(simd: S, bytes: &[u8], room: &mut [u32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        x86::by_avx512(avx512, bytes, room);
        return true;
    } else if let Some(avx2) = simd.level().as_avx2() {
        x86::by_avx2(avx2, bytes, room);
        return true;
    }
    let _ = (simd, bytes, room);
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm256_cvtph_ps, _mm512_cvtph_ps};

    use fearless_simd::prelude::*;
    use fearless_simd::{Avx2, Avx512, f32x8, f32x16, u8x16, u8x32, u32x8, u32x16};

    use super::{Dtype, halves};

    fearless_simd::kernel!(
        #[inline]
        pub(super) fn by_avx512(avx512: Avx512, bytes: &[u8], room: &mut [u32]) {
            let (vectors, rest) = bytes.as_chunks::<32>();
            let (wide, wide_rest) = room.split_at_mut(16 * vectors.len());
            for (wide, stored) in wide.as_chunks_mut::<16>().0.iter_mut().zip(vectors) {
                let stored = u8x32::simd_from(avx512, *stored);
                let values: f32x16<Avx512> = _mm512_cvtph_ps(stored.into()).simd_into(avx512);
                values.bitcast::<u32x16<Avx512>>().store_slice(wide);
            }
            halves(rest, Dtype::F16, wide_rest);
        }
    );

    fearless_simd::kernel!(
        #[inline]
        pub(super) fn by_avx2(avx2: Avx2, bytes: &[u8], room: &mut [u32]) {
            let (vectors, rest) = bytes.as_chunks::<16>();
            let (wide, wide_rest) = room.split_at_mut(8 * vectors.len());
            for (wide, stored) in wide.as_chunks_mut::<8>().0.iter_mut().zip(vectors) {
                let stored = u8x16::simd_from(avx2, *stored);
                let values: f32x8<Avx2> = _mm256_cvtph_ps(stored.into()).simd_into(avx2);
                values.bitcast::<u32x8<Avx2>>().store_slice(wide);
            }
            halves(rest, Dtype::F16, wide_rest);
        }
    );
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use crate::logits::{Dtype, Logits};

    /// Every number of 16 bits, wherever it lies in memory, by every set of instructions; with them a NaN is one of its sign.
    #[test]
    fn halves_are_widened() {
        // An odd number, so that no vector's width divides them.
        let stored: Vec<u16> = (0..=u16::MAX).chain([0x3c00]).collect();
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let want: Vec<u32> = stored.iter().map(|&half| dtype.widen(half.into())).collect();
            for offset in [0, 1] {
                let mut bytes = vec![0; offset];
                bytes.extend_from_slice(bytemuck::cast_slice(&stored));
                let logits = Logits::new(&bytes[offset..], dtype, 1, stored.len()).expect("a row");
                let row = logits.row_bits(0);
                let mut room = vec![0; stored.len()];
                assert_eq!(row.widened(&mut room), want, "{dtype} at {offset}");
                for (level, simd) in crate::proof::simd::levels() {
                    room.fill(1);
                    let got = dispatch!(simd, simd => row.widened_with(simd, &mut room));
                    for (&got, &want) in got.iter().zip(&want) {
                        let both_nan = [got, want].iter().all(|&bits| f32::from_bits(bits).is_nan());
                        let same = got == want || both_nan && got >> 31 == want >> 31;
                        assert!(same, "{dtype} at {offset} by {level}: {got:#x} for {want:#x}");
                    }
                    assert_eq!(got.len(), want.len());
                }
            }
        }
    }
}
