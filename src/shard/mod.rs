//! A vocabulary that is cut over several devices, each of which has the logits of its own tokens: their statistics
//! merge to the [`Logprobs`](crate::Logprobs) of the whole row, in bits, without any device having seen it.
//!
//! The cuts lie at multiples of [`Shard::TILE_TOKENS`]; [`Shard::cut`] makes them. Two exchanges, then:
//!
//! 1. **Keys.** The rank of a token is counted on every shard, so all of them must know its logit. [`Shard::keys`] gives
//!    one `i32` for each token that is asked about, and the maximum over the shards, element by element (an all-reduce),
//!    is what all of them go on with. Without targets and given tokens there is nothing to exchange.
//! 2. **Statistics.** [`Shard::stats`] reads the shard's logits once, and [`ShardStats`] go where the answer is wanted,
//!    as bytes if need be ([`ShardStats::to_bytes`]): 28 bytes for every 4096 tokens and 8 for every listed token, 400 bytes a row
//!    from each of four shards of 128 256 tokens with 20 logprobs.
//!
//! [`ShardStats::merge`] is associative and commutative: any tree of shards, in any order, gives the same bits.
//!
//! Sums of exponentials that a shard has already brought to its own maximum would round twice, and so would floats; what
//! merges exactly are the integer sums of tiles, each relative to the maximum of its tile, which are brought to the
//! maximum of the row only when all are there (`docs/exact.md`, 8).
//!
//! # Example
//! ```
//! use sortilege::shard::{Shard, ShardQuery, ShardStats};
//! use sortilege::{Cpu, Engine, Logits, LogprobsParams};
//!
//! let vocab = 10_000;
//! let row: Vec<f32> = (0..vocab).map(|token| ((token * 7919) % 1000) as f32 / 100.0).collect();
//! let query = ShardQuery { targets: &[Some(9_999)], ..ShardQuery::default() };
//!
//! // three devices, each with its own tokens
//! let parts = Shard::cut(vocab, 3)?;
//! assert_eq!(parts, [0..4096, 4096..8192, 8192..10_000]);
//! let mut shards = Vec::new();
//! for part in parts {
//!     let logits = Logits::f32(&row[part.clone()], 1, part.len())?;
//!     shards.push(Shard::new(logits, part.start, vocab)?);
//! }
//! // 1. the maximum of the keys, as an all-reduce makes it
//! let mut keys = shards[0].keys(&query)?;
//! for shard in &shards[1..] {
//!     keys = keys.into_iter().zip(shard.keys(&query)?).map(|(a, b)| a.max(b)).collect();
//! }
//! // 2. the statistics, merged
//! let mut whole = shards[0].stats(&query, &keys)?;
//! for shard in &shards[1..] {
//!     let bytes = shard.stats(&query, &keys)?.to_bytes(); // over the wire
//!     whole = whole.merge(&ShardStats::from_bytes(&bytes)?)?;
//! }
//! let logits = Logits::f32(&row, 1, vocab)?;
//! assert_eq!(whole.logprobs()?, Cpu.logprobs(&logits, &LogprobsParams::default(), query.targets)?);
//! # Ok::<(), sortilege::Error>(())
//! ```

mod bytes;
mod part;
mod query;
mod stats;

pub use part::Shard;
pub use query::ShardQuery;
pub use stats::ShardStats;
