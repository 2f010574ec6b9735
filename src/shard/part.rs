//! A shard: some tokens of a vocabulary with their logits, and what it says of them. The CPU computes.

use std::ops::Range;

use super::query::{ELSEWHERE, ShardQuery};
use super::stats::{Given, RowShard, ShardStats, Target};
use crate::arithmetic::exact::{KEY_INFINITY, KEY_NEG_INFINITY, bits_of_key, key_or_nan};
use crate::arithmetic::format::{MAX_VOCAB, TILE_TOKENS};
use crate::arithmetic::lane::PassScale;
use crate::error::{Error, Result, shown};
use crate::kernels::tile_stats;
use crate::kernels::token_ranks::{Bounds, Counts};
use crate::logits::{Logits, order};
use crate::parallel::each_of;

fn check_vocab(vocab: usize) -> Result<()> {
    if vocab > MAX_VOCAB {
        return Err(Error::Shard(format!("vocab {vocab} is over the limit of {MAX_VOCAB}: correct it")));
    }
    Ok(())
}

/// Some consecutive tokens of a vocabulary with their logits, `[rows][tokens of the shard]`.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    logits: Logits<'a>,
    first_token: usize,
    vocab: usize,
}

impl<'a> Shard<'a> {
    /// Every cut lies at a multiple of so many tokens: sums are made of tiles of this size, whoever has them.
    pub const TILE_TOKENS: usize = TILE_TOKENS;

    /// The tokens of each of so many shards: as equal as tiles allow, the longer ones first.
    ///
    /// # Errors
    /// [`Error::Shard`] if there are fewer tiles than shards, or if the vocabulary is over [`MAX_VOCAB`].
    pub fn cut(vocab: usize, shards: usize) -> Result<Vec<Range<usize>>> {
        check_vocab(vocab)?;
        let tiles = vocab.div_ceil(TILE_TOKENS);
        if shards == 0 || shards > tiles {
            return Err(Error::Shard(format!(
                "vocab {vocab} has {tiles} tiles of {TILE_TOKENS} tokens and cannot be cut into {shards} shards: take 1 to {tiles}"
            )));
        }
        let cut_at = |shard: usize| {
            let tile = shard * (tiles / shards) + shard.min(tiles % shards);
            vocab.min(tile * TILE_TOKENS)
        };
        Ok((0..shards).map(|shard| cut_at(shard)..cut_at(shard + 1)).collect())
    }

    /// The shard of these logits: the tokens `first_token..first_token + logits.vocab()` of `vocab`.
    ///
    /// # Errors
    /// [`Error::Shard`] if it begins or, before the end of the vocabulary, ends anywhere but at a multiple of
    /// [`Shard::TILE_TOKENS`], or goes on behind the vocabulary; if the vocabulary is over [`MAX_VOCAB`].
    pub fn new(logits: Logits<'a>, first_token: usize, vocab: usize) -> Result<Self> {
        check_vocab(vocab)?;
        let tokens = logits.vocab();
        let end = first_token.checked_add(tokens).filter(|end| *end <= vocab).ok_or_else(|| {
            Error::Shard(format!("{tokens} tokens from token {first_token} go on behind the vocabulary of {vocab}: correct either"))
        })?;
        let off_tile =
            [first_token, end].into_iter().find(|cut| !cut.is_multiple_of(TILE_TOKENS) && *cut != vocab);
        if let Some(cut) = off_tile {
            return Err(Error::Shard(format!(
                "a cut at token {cut} is no multiple of {TILE_TOKENS}, and sums would round elsewhere than those of the whole: cut \
                 at multiples of it"
            )));
        }
        Ok(Self { logits, first_token, vocab })
    }

    /// The tokens of this shard.
    #[must_use]
    pub fn tokens(&self) -> Range<usize> {
        self.first_token..self.first_token + self.logits.vocab()
    }

    /// A sortable integer of the logit of each token that is asked about, row by row, the target before the given tokens;
    /// `i32::MIN` for a token of another shard. The maximum over all shards, element by element, is what [`Shard::stats`]
    /// takes. Reads no other logits.
    ///
    /// # Errors
    /// As for [`Engine::logprobs_of`](crate::Engine::logprobs_of).
    pub fn keys(&self, query: &ShardQuery<'_>) -> Result<Vec<i32>> {
        query.validate(self.logits.rows(), self.vocab)?;
        let of_row = |row| query.asked(row).map(move |token| self.key(row, token).unwrap_or(ELSEWHERE));
        Ok((0..self.logits.rows()).flat_map(of_row).collect())
    }

    /// What this shard says of each row, in one read of its logits, and one more of rows with given tokens. `keys` are the maximum
    /// over all shards of what [`Shard::keys`] gives for the same query.
    ///
    /// # Errors
    /// As for [`Engine::logprobs_of`](crate::Engine::logprobs_of), and [`Error::Shard`] if the keys are not one for each
    /// token that is asked about, if one is unknown, or is another than this shard's own.
    pub fn stats(&self, query: &ShardQuery<'_>, keys: &[i32]) -> Result<ShardStats> {
        self.stats_of_rows(0..self.logits.rows(), query, keys)
    }

    /// The same of some rows of the batch, for long work in parts, which [`ShardStats::append`] joins. Query and keys are those
    /// of the whole batch.
    ///
    /// # Errors
    /// As for [`Shard::stats`], and [`Error::Shard`] for rows that the batch does not have.
    pub fn stats_of_rows(
        &self,
        rows: Range<usize>,
        query: &ShardQuery<'_>,
        keys: &[i32],
    ) -> Result<ShardStats> {
        let batch = self.logits.rows();
        query.validate(batch, self.vocab)?;
        let keys = query.keys_of_rows(batch, keys)?;
        let Some(own) = keys.get(rows.clone()) else {
            return Err(Error::Shard(format!(
                "rows {rows:?} are not all in the batch of {batch}: ask for rows of it"
            )));
        };
        for (row, keys) in rows.clone().zip(own) {
            self.check_own(row, query.asked(row).zip(keys.iter().copied()))?;
        }
        let scale = PassScale::new(query.params.temperature);
        let rows = each_of(own.iter(), |row, keys| self.row(rows.start + row, query, keys, scale));
        #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
        let [vocab, first, end] =
            [self.vocab, self.first_token / TILE_TOKENS, self.tokens().end.div_ceil(TILE_TOKENS)]
                .map(|n| n as u32);
        Ok(ShardStats { vocab, params: query.params, tiles: (first..end).collect(), rows })
    }

    fn row(&self, row: usize, query: &ShardQuery<'_>, keys: &[i32], scale: PassScale) -> RowShard {
        let bits = self.logits.row_bits(row);
        let target = query.target(row).zip(keys.first()).map(|(token, key)| Target { token, key: *key });
        let given = &keys[usize::from(target.is_some())..];
        let target_key = target.map_or(KEY_NEG_INFINITY, |target| target.key);
        let tiles = tile_stats::run(bits, target_key, scale, query.params.entropy);
        // What is no distribution lists nothing.
        let is_sound = tiles.stats.iter().all(|tile| tile.max_key < KEY_INFINITY);
        let listed = if is_sound { query.params.top_logprobs as usize } else { 0 };
        let top = order::top_tokens(bits, &tiles.delegates, listed);
        let counts = Counts::new(bits, Bounds::ALL, given.to_vec());
        let given = query.given(row).iter().zip(given).map(|(&token, &key)| {
            let [n_greater, n_equal] = counts.of(key).expect("it was counted");
            Given { token, key, n_greater, n_equal }
        });
        #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
        let first = self.first_token as u32;
        RowShard {
            given: given.collect(),
            target,
            top: top.into_iter().map(|(key, token)| (key, first + token)).collect(),
            tiles: tiles.stats,
        }
    }

    /// Key of a token of the vocabulary, if it is one of this shard.
    fn key(&self, row: usize, token: u32) -> Option<i32> {
        let token = token as usize;
        self.tokens()
            .contains(&token)
            .then(|| key_or_nan(self.logits.row_bits(row).get(token - self.first_token)))
    }

    /// Nothing, if keys are those that the shard itself has.
    fn check_own(&self, row: usize, asked: impl Iterator<Item = (u32, i32)>) -> Result<()> {
        for (token, key) in asked {
            if let Some(own) = self.key(row, token).filter(|own| *own != key) {
                let [own, key] = [own, key].map(|key| shown(f32::from_bits(bits_of_key(key))));
                return Err(Error::Shard(format!(
                    "the key of token {token} of row {row} says a logit of {key}, and this shard has {own}: take the maximum of keys \
                     of the same query and logits"
                )));
            }
        }
        Ok(())
    }
}
