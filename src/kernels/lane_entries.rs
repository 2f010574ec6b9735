//! Entries of the table of weights within a lane, many at a time.
//!
//! A gather of sixteen entries took half of the time of a record of the CPU engine. Where two registers can be looked up at
//! once (AVX-512), the 1024 entries are computed instead, from tables of 32: the powers of an octave's 32nd parts, and how
//! much less those of its 1024th parts are. The numbers are chosen so that every entry comes out to the bit; a test finds
//! them again.

use fearless_simd::prelude::*;
use fearless_simd::u32x16;

use super::octaves::{high, low};
use crate::arithmetic::exact;
use crate::arithmetic::lane;

/// The entries that distances, in units of 2^-23 octaves, point at.
#[inline(always)]
pub(super) fn entries<S: Simd>(simd: S, whole: u32x16<S>) -> u32x16<S> {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        return <[u32; 16]>::from(avx512::entries(avx512, <[u32; 16]>::from(whole).simd_into(avx512)))
            .simd_into(simd);
    }
    // Below the whole octaves. Two places in a word: half as many words leave the vector.
    let places = whole << (u32::BITS - lane::LANE_OCTAVE_FRACTION) >> (u32::BITS - exact::TABLE_SIZE.ilog2());
    let pairs: [u64; 8] = bytemuck::cast(<[u32; 16]>::from(places));
    let mut entries = [0; 16];
    for (entries, pair) in entries.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        let pair = if cfg!(target_endian = "big") { pair.rotate_left(32) } else { pair };
        // No closure: none is compiled for the instructions of the function around it.
        #[expect(clippy::cast_possible_truncation, reason = "places of the table")]
        let [first, second] = [low(pair) as usize, high(pair) as usize];
        (entries[0], entries[1]) = (lane::LANE_TABLE[first], lane::LANE_TABLE[second]);
    }
    entries.simd_into(simd)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::_mm512_permutex2var_ps;

    use fearless_simd::prelude::*;
    use fearless_simd::{Avx512, f32x16, u32x16};

    use crate::arithmetic::lane::{LANE_REST_BITS, LANE_TABLE};

    /// Entries of each of the small tables.
    pub(super) const PARTS: usize = 32;

    // Tables by the bits of their numbers.

    /// Every 32nd entry. The first is a unit lower and the sixth a unit higher, or no rest would make all of their 32 come out;
    /// entry 0 itself, which the first then misses, is taken from the table.
    pub(super) const FIRST: [u32; PARTS] = {
        let mut first = [0; PARTS];
        let mut part = 0;
        while part < PARTS {
            first[part] = LANE_TABLE[PARTS * part];
            part += 1;
        }
        first[0] -= 1;
        first[5] += 1;
        first
    };

    /// What is added to it.
    const REST: [u32; PARTS] = {
        let mut rest = [0; PARTS];
        let mut part = 0;
        while part < PARTS {
            rest[part] = (UNITS[part] as f32 / (1u64 << 36) as f32).to_bits();
            part += 1;
        }
        rest
    };

    /// The same in units of 2^-36: of the numbers with which all of the 32 come out the one nearest to zero.
    pub(super) const UNITS: [i16; PARTS] = [
        246, 1078, 845, 2011, 613, -4409, 1245, -1394, 337, 1559, 847, 1237, -991, 492, -1736, -7, 666, -642,
        -389, -242, -684, 306, -14, -684, 84, 311, 0, 929, -894, -72, 390, -546,
    ];

    /// `2^(−i/1024) − 1`, rounded to nearest.
    pub(super) const LESS: [u32; PARTS] = [
        0x0000_0000,
        0xba31_62b9,
        0xbab1_535c,
        0xbb04_f300,
        0xbb31_34a7,
        0xbb5d_6ea2,
        0xbb84_d07b,
        0xbb9a_e5d0,
        0xbbb0_f752,
        0xbbc7_0501,
        0xbbdd_0ede,
        0xbbf3_14ea,
        0xbc04_8b93,
        0xbc0f_8ac9,
        0xbc1a_8816,
        0xbc25_837d,
        0xbc30_7cfd,
        0xbc3b_7496,
        0xbc46_6a48,
        0xbc51_5e15,
        0xbc5c_4ffc,
        0xbc67_3ffd,
        0xbc72_2e1a,
        0xbc7d_1a51,
        0xbc84_0252,
        0xbc89_768a,
        0xbc8e_e9d0,
        0xbc94_5c24,
        0xbc99_cd86,
        0xbc9f_3df8,
        0xbca4_ad78,
        0xbcaa_1c07,
    ];

    fearless_simd::kernel!(
        /// `FIRST + (FIRST · LESS + REST)`, the bracket rounded once, of the part and of what is within it.
        #[inline]
        pub(super) fn entries(avx512: Avx512, whole: u32x16<Avx512>) -> u32x16<Avx512> {
            // Only the last five bits of an index count.
            let of = |table: &[u32; PARTS], index: u32x16<Avx512>| -> f32x16<Avx512> {
                let halves = table.as_chunks::<16>().0;
                let half = |i: usize| u32x16::simd_from(avx512, halves[i]).bitcast::<f32x16<Avx512>>();
                _mm512_permutex2var_ps(half(0).into(), index.into(), half(1).into()).simd_into(avx512)
            };
            let (low, high) = (whole >> LANE_REST_BITS, whole >> (LANE_REST_BITS + 5));
            let is_first = (whole & (1023 << LANE_REST_BITS)).simd_eq(0);
            let first =
                is_first.select(f32x16::splat(avx512, f32::from_bits(LANE_TABLE[0])), of(&FIRST, high));
            (first + first.mul_add(of(&LESS, low), of(&REST, high))).bitcast()
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::dispatch;

    /// Every entry, whatever bits are around those that choose it.
    #[test]
    fn all_instructions_give_the_table() {
        for (level, simd) in crate::proof::simd::levels() {
            for around in [0, 1, 0x1fff, 59 << 23, (59 << 23) + 0x0abc] {
                for first in (0..exact::TABLE_SIZE).step_by(16) {
                    #[expect(clippy::cast_possible_truncation, reason = "places of a table")]
                    let whole: [u32; 16] =
                        std::array::from_fn(|i| ((first + i) << lane::LANE_REST_BITS) as u32 + around);
                    let found: [u32; 16] =
                        dispatch!(simd, simd => entries(simd, whole.simd_into(simd)).into());
                    assert_eq!(
                        found,
                        lane::LANE_TABLE[first..first + 16],
                        "{level}, from {first}, {around:#x}"
                    );
                }
            }
        }
    }

    /// The numbers are those that their comments define, on processors without these instructions too.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn parts_make_the_table() {
        use avx512::{FIRST, LESS, PARTS, UNITS};

        let [first, less] = [FIRST, LESS].map(|bits| bits.map(f32::from_bits));
        for (within, less) in less.iter().enumerate() {
            let exact = libm::exp2(-(within as f64) / 1024.0) - 1.0;
            #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose")]
            let rounded = exact as f32;
            assert_eq!(*less, rounded, "{within}");
        }
        for part in 0..PARTS {
            let comes_out = |units: i16| {
                let rest = f32::from(units) / (1u64 << 36) as f32;
                (0..PARTS).all(|within| {
                    let entry = first[part] + first[part].mul_add(less[within], rest);
                    PARTS * part + within == 0 || entry.to_bits() == lane::LANE_TABLE[PARTS * part + within]
                })
            };
            let nearest = (0..i16::MAX).flat_map(|units| [units, -units]).find(|units| comes_out(*units));
            assert_eq!(nearest, Some(UNITS[part]), "part {part}");
        }
    }
}
