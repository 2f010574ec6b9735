//! Distances of logits below a maximum, in octaves, many at a time: what both weights of tokens within their tile (draws)
//! and weights of lanes within it (pass 1) begin with.

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, i32x16, u32x16};

use crate::arithmetic::exact::{self, Scale};

/// Logits that are worked on together: enough for the loops to run, few enough to stay in the nearest cache.
pub(super) const GROUP: usize = 256;

/// Octaves (Q24) and mantissas of a group, two numbers in a word: products and sums of 64 bits then need no vector to be
/// widened.
pub(super) struct Octaves {
    pub(super) octaves: [u64; GROUP / 2],
    pub(super) mantissas: [u64; GROUP / 2],
}

impl Octaves {
    /// Of a group of logits, none above the maximum; what is far is cut to where nothing weighs anything.
    #[inline(always)]
    pub(super) fn new<S: Simd>(simd: S, group: &[u32; GROUP], max_bits: u32, scale: Scale) -> Self {
        let mut all = Self { octaves: [0; GROUP / 2], mantissas: [0; GROUP / 2] };
        distances(simd, group, max_bits, scale, bytemuck::cast_mut(&mut all.octaves));
        let rate = u64::from(scale.rate);
        for pair in &mut all.octaves {
            let [low, high] = [low(*pair) * rate, high(*pair) * rate];
            *pair = (low >> 30) | ((high >> 30) << 32);
        }
        let each: &[u32; GROUP] = bytemuck::cast_ref(&all.octaves);
        let mantissas = bytemuck::cast_mut::<_, [u32; GROUP]>(&mut all.mantissas);
        for (mantissa, octaves) in mantissas.iter_mut().zip(each) {
            *mantissa = exact::mantissa(*octaves);
        }
        all
    }
}

/// The lower half of a word.
#[inline(always)]
pub(super) fn low(word: u64) -> u64 {
    word & 0xffff_ffff
}

/// The upper half of a word.
#[inline(always)]
pub(super) fn high(word: u64) -> u64 {
    word >> 32
}

/// Distances of a group below the maximum, in units; far ones cut to where nothing weighs anything.
#[inline(always)]
fn distances<S: Simd>(
    simd: S,
    group: &[u32; GROUP],
    max_bits: u32,
    scale: Scale,
    distances: &mut [u32; GROUP],
) {
    let limit = scale.units_of_octaves(exact::WEIGHTLESS);
    // Below this magnitude the processor's own conversion to integers is `fixed`, and differences do not overflow.
    let range = exact::pow2_f32(30 - scale.shift);
    if f32::from_bits(max_bits).abs() >= range {
        for (distance, &bits) in distances.iter_mut().zip(group) {
            *distance = scale.distance(max_bits, bits).min(limit);
        }
        return;
    }
    let unit = exact::pow2_f32(scale.shift);
    let lowest = (-2.0 * range).to_bits();
    let max = u32x16::splat(simd, exact::fixed(max_bits, scale.shift));
    let lanes = distances.as_chunks_mut::<16>().0.iter_mut();
    for (distances, bits) in lanes.zip(group.as_chunks::<16>().0) {
        // Negative numbers by their bits: a larger magnitude, -infinity and a NaN become the lowest in range.
        let logits: f32x16<S> = u32x16::simd_from(simd, *bits).min(lowest).bitcast();
        let fixed: i32x16<S> = (logits * unit).to_int();
        *distances = (max - fixed.bitcast::<u32x16<S>>()).min(limit).into();
    }
}
