//! The token at a random point of a tile, by the tokens' integer weights relative to the tile's maximum:
//! `docs/sampling.md`, "Drawing".

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use super::octaves::{GROUP, Octaves, high, low};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::rng::point;
use crate::logits::{RowBits, TileRoom};

/// The token at which the sum of the weights passes the point that a number chooses; `None` where nothing has weight.
/// The bits are those of the tile's maximum.
pub(super) fn token_at(tile: RowBits<'_>, max_bits: u32, scale: Scale, number: u64) -> Option<usize> {
    token_with(Level::new(), tile, max_bits, scale, number)
}

fn token_with(level: Level, tile: RowBits<'_>, max_bits: u32, scale: Scale, number: u64) -> Option<usize> {
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || {
        let mut room = TileRoom::new();
        let bits = tile.widened_with(simd, &mut room.0);
        let mut masses = [0; TILE_TOKENS / GROUP];
        for (mass, group) in masses.iter_mut().zip(bits.chunks(GROUP)) {
            *mass = mass_of(simd, group, max_bits, scale);
        }
        let point = point(number, masses.iter().sum());
        let mut before = 0;
        for ((group, first), mass) in bits.chunks(GROUP).zip((0..).step_by(GROUP)).zip(masses) {
            if point < before + mass {
                let passes = |&bits: &u32| {
                    before += scale.octaves_below(max_bits, bits).map_or(0, exact::token_weight);
                    point < before
                };
                return group.iter().position(passes).map(|place| first + place);
            }
            before += mass;
        }
        None
    }))
}

/// Sum of the weights of at most a group of tokens.
#[inline(always)]
fn mass_of<S: Simd>(simd: S, bits: &[u32], max_bits: u32, scale: Scale) -> u64 {
    let mut group = [exact::BITS_NEG_INFINITY; GROUP]; // weighs nothing
    group[..bits.len()].copy_from_slice(bits);
    let all = Octaves::new(simd, &group, max_bits, scale);
    let mut mass = 0;
    for (&octaves, &mantissas) in all.octaves.iter().zip(&all.mantissas) {
        mass += exact::weight(low(mantissas), low(octaves)) + exact::weight(high(mantissas), high(octaves));
    }
    mass
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tile_stats::tests::rows;

    #[test]
    fn all_instructions_find_the_token_at_a_point() {
        let scale = Scale::new(0.7);
        for (name, row) in rows() {
            let tile = RowBits::of_f32(&row[..row.len().min(TILE_TOKENS)]);
            let keys = tile.iter().map(exact::key_of_bits);
            let max_key = keys.max().expect("a tile has tokens");
            let max_bits = exact::bits_of_key(max_key);
            if max_key <= exact::KEY_NEG_INFINITY || max_key >= exact::KEY_INFINITY {
                continue; // nothing to draw
            }
            let weight = |bits| scale.octaves_below(max_bits, bits).map_or(0, exact::token_weight);
            let mass: u64 = tile.iter().map(weight).sum();
            for number in [0, 1 << 20, u64::MAX / 3, u64::MAX / 2, u64::MAX] {
                let mut before = 0;
                let want = tile.iter().position(|bits| {
                    before += weight(bits);
                    point(number, mass) < before
                });
                assert!(want.is_some(), "{name}");
                for (level, simd) in crate::proof::simd::levels() {
                    assert_eq!(token_with(simd, tile, max_bits, scale, number), want, "{name}, {level}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        let row = [exact::BITS_NEG_INFINITY; 100];
        assert_eq!(token_at(RowBits::of_f32(&row), 0, Scale::new(1.0), 0), None);
    }
}
