//! A row of logits with what pass 1 says of it: a row has one view as it came, and one after the changes.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::SUBTILE_TOKENS;
use crate::arithmetic::merge::{RowStats, TileStats, merge_tiles};
use crate::logits::{Room, RowBits, order};

pub(crate) struct View<'a> {
    pub(crate) bits: RowBits<'a>,
    pub(crate) tiles: Vec<TileStats>,
    /// Largest key of each subtile.
    delegates: Vec<i32>,
    pub(crate) stats: RowStats,
}

impl<'a> View<'a> {
    /// A row, what pass 1 left of its tiles at this scale, and the largest key of each of its subtiles.
    pub(crate) fn new(bits: RowBits<'a>, tiles: Vec<TileStats>, delegates: Vec<i32>, scale: Scale) -> Self {
        let stats = merge_tiles(&tiles, scale);
        Self { bits, tiles, delegates, stats }
    }

    /// Keys and ids of the possible tokens, by id.
    pub(super) fn possible(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        let keys = self.bits.iter().map(exact::key_of_bits).zip(0..);
        keys.filter(|(key, _)| *key > exact::KEY_NEG_INFINITY)
    }

    /// The first `count` of them in order.
    pub(crate) fn top(&self, count: usize) -> Vec<(i32, u32)> {
        order::top_tokens(self.bits, &self.delegates, count)
    }

    /// Bits of a token, and how many tokens have a larger logit, and an equal one.
    pub(crate) fn describe(&self, token: u32) -> [u32; 3] {
        let own = exact::key_of_bits(self.bits.get(token as usize));
        let [greater, equal] = self.counts(Level::new(), own);
        [exact::bits_of_key(own), greater, equal]
    }

    /// Tokens with a larger key, and with this one.
    fn counts(&self, level: Level, own: i32) -> [u32; 2] {
        dispatch!(level, simd => simd.vectorize(#[inline(always)] || {
            let mut room = Room::<SUBTILE_TOKENS>::new();
            let (mut greater, mut equal) = (0, 0);
            for (subtile, delegate) in self.bits.runs(SUBTILE_TOKENS).zip(&self.delegates) {
                if *delegate < own {
                    continue; // as nearly all of a likely token are
                }
                for &bits in subtile.widened_with(simd, &mut room.0) {
                    let key = exact::key_of_bits(bits);
                    greater += u32::from(key > own);
                    equal += u32::from(key == own);
                }
            }
            [greater, equal]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::lane::PassScale;
    use crate::kernels::row_task::view_of;

    #[test]
    fn ranks_are_counted_by_the_definition() {
        let row: Vec<f32> = (0..9000).map(|i| ((i * 7919 % 9000) / 7) as f32).collect();
        let bits: Vec<u32> = row.iter().map(|x| x.to_bits()).collect();
        let view = view_of(RowBits::of_f32(&bits), PassScale::new(1.0), true);
        for token in [0u32, 63, 64, 4095, 4096, 8999] {
            let own = row[token as usize];
            let count = |holds: &dyn Fn(f32) -> bool| row.iter().filter(|x| holds(**x)).count();
            let [bits, greater, equal] = view.describe(token);
            assert_eq!(bits, own.to_bits(), "{token}");
            assert_eq!(greater as usize, count(&|x| x > own), "{token}");
            assert_eq!(equal as usize, count(&|x| x == own), "{token}");
        }
    }
}
