//! A row of logits with what pass 1 says of it: a row has one view as it came, and one after the changes.

use super::row_finish;
use super::tile_stats::{self, Tiles};
use crate::exact::{self, RowStats, SUBTILE_TOKENS, Scale, TileStats};
use crate::logits::RowBits;

pub(crate) struct View<'a> {
    pub(super) bits: RowBits<'a>,
    pub(super) tiles: Vec<TileStats>,
    /// Largest key of each subtile.
    delegates: Vec<i32>,
    pub(super) stats: RowStats,
}

impl<'a> View<'a> {
    pub(crate) fn new(bits: RowBits<'a>, scale: Scale) -> Self {
        let Tiles { stats: tiles, delegates } = tile_stats::run(bits, exact::KEY_NEG_INFINITY, scale);
        let stats = exact::merge(&tiles, scale);
        Self { bits, tiles, delegates, stats }
    }

    /// Keys and ids of the possible tokens, by id.
    pub(super) fn possible(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        let keys = self.bits.iter().map(exact::key).zip(0..);
        keys.filter(|(key, _)| *key > exact::KEY_NEG_INFINITY)
    }

    /// The first `count` of them in order.
    pub(super) fn top(&self, count: usize) -> Vec<(i32, u32)> {
        row_finish::top_tokens(self.bits, &self.delegates, count)
    }

    /// Bits of a token, and how many tokens have a larger logit, and an equal one.
    pub(super) fn describe(&self, token: u32) -> [u32; 3] {
        let own = exact::key(self.bits.get(token as usize));
        let (mut greater, mut equal) = (0, 0);
        for (subtile, delegate) in self.bits.runs(SUBTILE_TOKENS).zip(&self.delegates) {
            if *delegate < own {
                continue; // as nearly all of a likely token are
            }
            for bits in subtile.iter() {
                let key = exact::key(bits);
                greater += u32::from(key > own);
                equal += u32::from(key == own);
            }
        }
        [exact::bits_of_key(own), greater, equal]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_by_the_definition() {
        let row: Vec<f32> = (0..9000).map(|i| ((i * 7919 % 9000) / 7) as f32).collect();
        let bits: Vec<u32> = row.iter().map(|x| x.to_bits()).collect();
        let view = View::new(RowBits::of_f32(&bits), Scale::new(1.0));
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
