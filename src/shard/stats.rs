//! What shards say of rows, how it merges, and what follows of the whole.

use crate::answer::{DistributionBits, Logprobs, LogprobsBits};
use crate::arithmetic::exact::{Scale, bits_of_key};
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::merge::{RowStats, TileStats, merge_tiles};
use crate::error::{Error, Result};
use crate::logits::order;
use crate::params::LogprobsParams;

/// What the tokens of one shard, or of several that were merged, say of each row: integers alone.
///
/// Two are equal if all their bits are.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardStats {
    /// Tokens of the whole.
    pub(super) vocab: u32,
    pub(super) params: LogprobsParams,
    /// The tiles of the vocabulary that are here, ascending.
    pub(super) tiles: Vec<u32>,
    pub(super) rows: Vec<RowShard>,
}

/// What the tokens that are here say of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowShard {
    /// Of each tile that is here, in the order of [`ShardStats::tiles`]; their counts are of the target.
    pub(super) tiles: Vec<TileStats>,
    /// Keys and tokens of the first of them in the one total order: as many as were asked for, or there are.
    pub(super) top: Vec<(i32, u32)>,
    pub(super) target: Option<Target>,
    pub(super) given: Vec<Given>,
}

/// The target of a row, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) token: u32,
    pub(super) key: i32,
}

/// A given token, here or elsewhere, and how many of the tokens that are here have a larger and an equal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) token: u32,
    pub(super) key: i32,
    pub(super) n_greater: u32,
    pub(super) n_equal: u32,
}

impl ShardStats {
    /// Rows of the batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Tokens of the whole.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        self.vocab as usize
    }

    /// What was asked of every row.
    #[must_use]
    pub const fn params(&self) -> &LogprobsParams {
        &self.params
    }

    /// The target of each row, `[rows]`.
    pub fn targets(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        self.rows.iter().map(|row| row.target.map(|target| target.token))
    }

    /// The given tokens of each row, `[rows]`.
    pub fn token_ids(&self) -> impl Iterator<Item = Vec<u32>> + '_ {
        self.rows.iter().map(|row| row.given.iter().map(|given| given.token).collect())
    }

    /// What both say together. Associative and commutative: of the same shards, any tree and any order gives the same bits.
    ///
    /// # Errors
    /// [`Error::Shard`] if both have a tile, or if they were not asked the same of as many rows.
    pub fn merge(&self, other: &Self) -> Result<Self> {
        if (self.vocab, self.params, self.rows()) != (other.vocab, other.params, other.rows()) {
            return Err(Error::Shard(format!(
                "{} rows of vocab {} with {:?} do not merge with {} rows of vocab {} with {:?}: ask every shard the same",
                self.rows(),
                self.vocab,
                self.params,
                other.rows(),
                other.vocab,
                other.params
            )));
        }
        // Where each tile comes from, of the one's and then the other's.
        let mut places: Vec<(u32, usize)> = self.tiles.iter().chain(&other.tiles).copied().zip(0..).collect();
        places.sort_unstable();
        if let Some(twice) = places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let first = twice[0].0 as usize * TILE_TOKENS;
            return Err(Error::Shard(format!(
                "both have the tokens from {first} on: merge the statistics of each shard once"
            )));
        }
        let rows = self.rows.iter().zip(&other.rows).enumerate();
        let merged = rows.map(|(row, (a, b))| {
            a.merge(b, &places, self.params.top_logprobs as usize).ok_or_else(|| {
                Error::Shard(format!("the shards were asked about other tokens of row {row}, or with other keys: ask every shard the same"))
            })
        });
        let rows = merged.collect::<Result<_>>()?;
        Ok(Self { tiles: places.iter().map(|place| place.0).collect(), rows, ..*self })
    }

    /// Puts further rows of the same shard behind these: those of a batch that was worked on in parts.
    ///
    /// # Errors
    /// [`Error::Shard`] if they are of other tokens, or were asked something else; then nothing changes.
    pub fn append(&mut self, further: Self) -> Result<()> {
        if (self.vocab, self.params, &self.tiles) != (further.vocab, further.params, &further.tiles) {
            return Err(Error::Shard(
                "rows of other tokens, or that were asked something else, cannot follow: append rows of one shard and query, and \
                 merge shards"
                    .to_owned(),
            ));
        }
        self.rows.extend(further.rows);
        Ok(())
    }

    /// Whether every token of the vocabulary is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tiles.len() == self.n_tiles()
    }

    /// What each row of the whole vocabulary says, `[rows]`: the bits that [`Engine::logprobs_of`](crate::Engine::logprobs_of)
    /// gives for it.
    ///
    /// # Errors
    /// [`Error::Shard`] if tokens are missing, or if what the shards say together cannot be true.
    pub fn logprobs(&self) -> Result<Vec<Logprobs>> {
        if !self.is_whole() {
            let missing = (0..)
                .zip(&self.tiles)
                .find(|(tile, here)| tile != *here)
                .map_or(self.tiles.len(), |(tile, _)| tile as usize);
            return Err(Error::Shard(format!(
                "{} of {} tiles are here, and the tokens from {} on are missing: merge the statistics of every shard first",
                self.tiles.len(),
                self.n_tiles(),
                missing * TILE_TOKENS
            )));
        }
        let LogprobsParams { temperature, entropy, .. } = self.params;
        let scale = Scale::new(temperature);
        let decode = |(number, row): (usize, &RowShard)| {
            let target = row.target.map(|target| target.token);
            let asked: Vec<u32> = row.given.iter().map(|given| given.token).collect();
            let bits = row.bits(scale);
            bits.check(self.vocab, target, &asked).map_err(|what| {
                Error::Shard(format!(
                    "the shards say of row {number} what cannot be true ({what}): ask them anew"
                ))
            })?;
            Ok(bits.decode(temperature, entropy, target))
        };
        self.rows.iter().enumerate().map(decode).collect()
    }

    /// Tiles of the whole.
    pub(super) fn n_tiles(&self) -> usize {
        (self.vocab as usize).div_ceil(TILE_TOKENS)
    }
}

impl RowShard {
    /// What both say of a row, the tiles as they were placed; nothing if they were not asked about the same tokens.
    fn merge(&self, other: &Self, places: &[(u32, usize)], listed: usize) -> Option<Self> {
        if self.target != other.target || self.given.len() != other.given.len() {
            return None;
        }
        let tiles = [&self.tiles[..], &other.tiles].concat();
        let given = self.given.iter().zip(&other.given).map(|(a, b)| a.merge(b));
        Some(Self {
            tiles: places.iter().map(|&(_, place)| tiles[place]).collect(),
            top: order::largest([&self.top[..], &other.top].concat(), listed),
            target: self.target,
            given: given.collect::<Option<_>>()?,
        })
    }

    /// What the row says, if all its tiles are here.
    fn bits(&self, scale: Scale) -> LogprobsBits {
        let RowStats { max_key, status, mass, surprisal, n_greater, n_equal } =
            merge_tiles(&self.tiles, scale);
        let given = |&Given { token, key, n_greater, n_equal }: &Given| {
            (token, [bits_of_key(key), n_greater, n_equal])
        };
        LogprobsBits {
            distribution: DistributionBits {
                status,
                max_key,
                mass,
                surprisal,
                top: self.top.iter().map(|&(key, token)| (token, bits_of_key(key))).collect(),
                // Nothing is said of a token of what is no distribution.
                given: self.given.iter().filter(|_| status == 0).map(given).collect(),
            },
            target: [self.target.map_or(0, |target| bits_of_key(target.key)), n_greater, n_equal],
        }
    }
}

impl Given {
    /// What both say of the same token.
    fn merge(&self, other: &Self) -> Option<Self> {
        let is_same = (self.token, self.key) == (other.token, other.key);
        is_same.then(|| Self {
            n_greater: self.n_greater + other.n_greater,
            n_equal: self.n_equal + other.n_equal,
            ..*self
        })
    }
}
