//! The statistics of shards as bytes, little-endian words of 32 bits:
//!
//! | words | |
//! |---|---|
//! | 9 | magic, version of these bytes, of the arithmetic, vocab, rows, temperature, `top_logprobs`, whether entropy, tiles |
//! | tiles | which of the vocabulary's, ascending |
//! | of each row: 4 | target (or none) and its key, number of given tokens, of listed ones |
//! | 4 each | given tokens: token, key, greater, equal |
//! | 2 each | listed tokens: token, key |
//! | 7 each | tiles: largest key, mass (low, high), surprisal (low, high), greater, equal |
//!
//! What is read is checked, so that nothing which merges or follows from it can overflow, and what was merged is checked once
//! more, as what a device says is; that it is true, nobody can see.

use super::query::is_key;
use super::stats::{Given, RowShard, ShardStats, Target};
use crate::arithmetic::exact::{KEY_INFINITY, KEY_NEG_INFINITY, TILE_FRACTION, TILE_SURPRISAL_FRACTION};
use crate::arithmetic::format::{ARITHMETIC_VERSION, MAX_VOCAB, MOST_LISTED, NO_TOKEN, TILE_TOKENS};
use crate::arithmetic::merge::TileStats;
use crate::error::{Error, Result};
use crate::params::LogprobsParams;

/// `shrd`
const MAGIC: u32 = u32::from_le_bytes(*b"shrd");
/// Another layout has another number.
const VERSION: u32 = 1;

impl ShardStats {
    /// The statistics as bytes that [`ShardStats::from_bytes`] reads on any machine.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let LogprobsParams { top_logprobs, temperature, entropy } = self.params;
        let [rows, tiles] = [self.rows.len(), self.tiles.len()].map(count);
        let head = [
            MAGIC,
            VERSION,
            ARITHMETIC_VERSION,
            self.vocab,
            rows,
            temperature.to_bits(),
            top_logprobs,
            entropy.into(),
            tiles,
        ];
        let mut words = [&head[..], &self.tiles].concat();
        self.rows.iter().for_each(|row| row.write(&mut words));
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// The statistics that these bytes say.
    ///
    /// # Errors
    /// [`Error::Shard`] if they are none, of another version, cut short or too long, or if a number is out of its range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (words, []) = bytes.as_chunks() else {
            return Err(none(&format!("{} bytes, which are no whole words", bytes.len())));
        };
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let mut words = Words(&words);
        let [magic, version, arithmetic, vocab, rows, temperature, top_logprobs, entropy, n_tiles] =
            words.take()?;
        check(magic == MAGIC, || "they do not begin as such".to_owned())?;
        if (version, arithmetic) != (VERSION, ARITHMETIC_VERSION) {
            return Err(Error::Shard(format!(
                "statistics of shards of version {version}, arithmetic {arithmetic}: this is version {VERSION}, arithmetic \
                 {ARITHMETIC_VERSION}; use the same release on every shard"
            )));
        }
        check((1..=MAX_VOCAB).contains(&(vocab as usize)), || format!("vocab {vocab}"))?;
        check(entropy <= 1, || format!("{entropy} for whether the entropy is there"))?;
        let params =
            LogprobsParams { top_logprobs, temperature: f32::from_bits(temperature), entropy: entropy == 1 };
        params.validate().map_err(|error| none(&error.to_string()))?;
        let all = vocab.div_ceil(count(TILE_TOKENS));
        check((1..=all).contains(&n_tiles), || format!("{n_tiles} tiles of {all}"))?;
        let tiles = words.list(n_tiles)?.to_vec();
        let is_ascending = tiles.is_sorted_by(|a, b| a < b);
        check(is_ascending && tiles.iter().all(|tile| *tile < all), || format!("tiles {tiles:?} of {all}"))?;
        // A row has at least its tiles: so many words are there, or it ends before memory does.
        let own = Own { vocab, listed: top_logprobs, tiles: &tiles };
        let tokens = tiles.iter().map(|tile| own.tokens(*tile)).sum();
        let rows = (0..rows).map(|_| own.read(&mut words, tokens)).collect::<Result<_>>()?;
        check(words.0.is_empty(), || format!("{} words too many", words.0.len()))?;
        Ok(Self { vocab, params, tiles, rows })
    }
}

impl RowShard {
    fn write(&self, words: &mut Vec<u32>) {
        let Self { tiles, top, target, given } = self;
        let (token, key) = target.map_or((NO_TOKEN, KEY_NEG_INFINITY), |target| (target.token, target.key));
        words.extend([token, key.cast_unsigned(), count(given.len()), count(top.len())]);
        words.extend(
            given
                .iter()
                .flat_map(|given| [given.token, given.key.cast_unsigned(), given.n_greater, given.n_equal]),
        );
        words.extend(top.iter().flat_map(|&(key, token)| [token, key.cast_unsigned()]));
        words.extend(tiles.iter().flat_map(TileStats::words));
    }
}

/// Of which tokens a row is to be read.
struct Own<'a> {
    vocab: u32,
    listed: u32,
    tiles: &'a [u32],
}

impl Own<'_> {
    /// A row, of which so many tokens are here.
    fn read(&self, words: &mut Words<'_>, tokens: u32) -> Result<RowShard> {
        let [token, key, n_given, n_listed] = words.take()?;
        let key = key.cast_signed();
        let target = (token != NO_TOKEN).then_some(Target { token, key });
        match target {
            Some(Target { token, key }) => self.check_asked(token, key)?,
            None => check(key == KEY_NEG_INFINITY, || format!("the key {key} of no target"))?,
        }
        check(n_given <= MOST_LISTED, || format!("{n_given} given tokens, of {MOST_LISTED}"))?;
        let given = (0..n_given).map(|_| {
            let [token, key, n_greater, n_equal] = words.take()?;
            let key = key.cast_signed();
            self.check_asked(token, key)?;
            check_counts(n_greater, n_equal, tokens)?;
            Ok(Given { token, key, n_greater, n_equal })
        });
        let given = given.collect::<Result<_>>()?;
        check(n_listed <= self.listed, || format!("a list of {n_listed} tokens, of {}", self.listed))?;
        let top = (0..n_listed).map(|_| words.take().map(|[token, key]| (key.cast_signed(), token)));
        let top = top.collect::<Result<Vec<_>>>()?;
        let tiles =
            self.tiles.iter().map(|tile| words.take().and_then(|words| read_tile(words, self.tokens(*tile))));
        let row = RowShard { tiles: tiles.collect::<Result<_>>()?, top, target, given };
        self.check_list(&row)?;
        Ok(row)
    }

    /// Tokens of a tile of the vocabulary.
    fn tokens(&self, tile: u32) -> u32 {
        let size = count(TILE_TOKENS);
        size.min(self.vocab - tile * size)
    }

    fn check_asked(&self, token: u32, key: i32) -> Result<()> {
        check(token < self.vocab && is_key(key), || {
            format!("token {token} of {} with the key {key}", self.vocab)
        })
    }

    /// A list is in order, of finite logits, and of tokens that are here, none above the maximum of its tile.
    fn check_list(&self, row: &RowShard) -> Result<()> {
        let is_ordered = row.top.is_sorted_by(|a, b| a.0 > b.0 || (a.0 == b.0 && a.1 < b.1));
        check(is_ordered, || "a list out of order".to_owned())?;
        row.top.iter().try_for_each(|&(key, token)| {
            let place = self.tiles.binary_search(&(token / count(TILE_TOKENS))).ok();
            let is_here = place.is_some_and(|place| key <= row.tiles[place].max_key) && token < self.vocab;
            let is_finite = is_key(key) && KEY_NEG_INFINITY < key && key < KEY_INFINITY;
            check(is_here && is_finite, || format!("token {token} with the key {key} in a list"))
        })
    }
}

/// A tile of so many tokens.
fn read_tile(words: [u32; TileStats::WORDS], tokens: u32) -> Result<TileStats> {
    let tile = TileStats::from_words(words);
    let TileStats { max_key, mass, surprisal, n_greater, n_equal } = tile;
    check(is_key(max_key), || format!("a maximum with the key {max_key}"))?;
    check_counts(n_greater, n_equal, tokens)?;
    // The largest token weighs one, no token more, and a weight times its octaves is less. Without a finite maximum there are none.
    let is_sound = KEY_NEG_INFINITY < max_key && max_key < KEY_INFINITY;
    let [least, most] = if is_sound { [1, tokens.into()] } else { [0; 2] };
    let is_mass = (least << TILE_FRACTION..=most << TILE_FRACTION).contains(&mass);
    check(is_mass && surprisal <= most << TILE_SURPRISAL_FRACTION, || {
        format!("a mass of {mass} and a surprisal of {surprisal} in {tokens} tokens")
    })?;
    Ok(tile)
}

fn check_counts(n_greater: u32, n_equal: u32, tokens: u32) -> Result<()> {
    let sum = u64::from(n_greater) + u64::from(n_equal);
    check(sum <= tokens.into(), || format!("{n_greater} tokens greater and {n_equal} equal of {tokens}"))
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(none(&what())) }
}

fn none(what: &str) -> Error {
    Error::Shard(format!(
        "these bytes are no statistics of shards ({what}): send what `to_bytes` gives, whole"
    ))
}

/// Words that have not been read yet.
struct Words<'a>(&'a [u32]);

impl<'a> Words<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u32; N]> {
        let words = self.list(count(N))?;
        Ok(std::array::from_fn(|place| words[place]))
    }

    fn list(&mut self, length: u32) -> Result<&'a [u32]> {
        let (list, rest) = self
            .0
            .split_at_checked(length as usize)
            .ok_or_else(|| none(&format!("{} words where {length} should be", self.0.len())))?;
        self.0 = rest;
        Ok(list)
    }
}

/// A length as a word.
fn count(length: usize) -> u32 {
    u32::try_from(length).expect("lists of rows and tokens are below 2^32")
}
