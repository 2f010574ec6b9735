//! Shards that do not fit together are refused, and the message says what to do.

use sortilege::shard::{Shard, ShardQuery};
use sortilege::{Error, Logits, LogprobsParams, Result};

const TILE: usize = Shard::TILE_TOKENS;
const VOCAB: usize = 2 * TILE + 100;

static ROW: [f32; VOCAB] = [0.5; VOCAB];

fn shard(first: usize, end: usize) -> Result<Shard<'static>> {
    Shard::new(Logits::f32(&ROW[first..end], 1, end - first)?, first, VOCAB)
}

fn said<T: std::fmt::Debug>(outcome: Result<T>, words: &str) {
    let error = outcome.expect_err(words);
    assert!(matches!(error, Error::Shard(_)) && error.to_string().contains(words), "{words}: {error}");
}

#[test]
fn cuts_off_a_tile_are_refused() {
    said(shard(100, TILE), "a cut at token 100 is no multiple of 4096");
    said(shard(0, TILE + 64), "a cut at token 4160");
    said(shard(TILE, VOCAB - 1), "a cut at token 8291");
    said(
        Shard::new(Logits::f32(&ROW, 1, VOCAB).expect("a row"), TILE, VOCAB),
        "go on behind the vocabulary of 8292",
    );
    said(Shard::new(Logits::f32(&ROW, 1, VOCAB).expect("a row"), usize::MAX, VOCAB), "go on behind");
    said(
        Shard::new(Logits::f32(&ROW, 1, VOCAB).expect("a row"), 0, (1 << 20) + 1),
        "over the limit of 1048576",
    );
    said(Shard::cut(VOCAB, 4), "has 3 tiles of 4096 tokens and cannot be cut into 4 shards");
    said(Shard::cut(VOCAB, 0), "into 0 shards");
    said(Shard::cut((1 << 20) + 1, 1), "over the limit of 1048576");
    said(Shard::cut(usize::MAX, 1), "over the limit of 1048576");
    assert_eq!(shard(TILE, VOCAB).expect("the end of the vocabulary is a cut").tokens(), TILE..VOCAB);
}

#[test]
fn keys_that_are_not_those_of_the_query_are_refused() {
    let [first, last] = [shard(0, TILE), shard(TILE, VOCAB)].map(|shard| shard.expect("a shard"));
    let query = ShardQuery { targets: &[Some(5)], token_ids: &[&[5000]], ..ShardQuery::default() };
    let keys = first.keys(&query).expect("keys");
    said(first.stats(&query, &keys), "no shard knows the key of token 5000 of row 0");
    said(last.stats(&query, &last.keys(&query).expect("keys")), "no shard knows the key of token 5 of row 0");
    let both =
        super::largest([first.keys(&query), last.keys(&query)].into_iter().map(|keys| keys.expect("keys")));
    said(first.stats(&query, &both[..1]), "1 keys for 2 tokens");
    said(first.stats(&query, &[both[0]; 3]), "3 keys for 2 tokens");
    said(first.stats(&query, &[both[0] + 1, both[1]]), "says a logit of 0.50000006, and this shard has 0.5");
    said(
        first.stats(&query, &[both[0], i32::MIN + 3]),
        "-2147483645 of token 5000 of row 0 is no logit's key",
    );
    said(first.stats(&query, &[both[0], 0x7f80_0001]), "of token 5000 of row 0 is no logit's key");
    said(first.stats(&query, &[both[0], -1]), "-1 of token 5000 of row 0 is no logit's key");
    first.stats(&query, &both).expect("the right ones");
    let outside = ShardQuery { targets: &[Some(VOCAB as u32)], ..ShardQuery::default() };
    let error = first.keys(&outside).expect_err("no such token").to_string();
    assert!(error.contains("target 8292 of row 0 is outside the vocabulary of 8292"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let query = ShardQuery { token_ids: &[&[5]], ..ShardQuery::default() };
    let keys = [0.5f32.to_bits().cast_signed()];
    let of = |first, end, query: &ShardQuery<'_>| {
        shard(first, end).expect("a shard").stats(query, &keys).expect("statistics")
    };
    let first = of(0, TILE, &query);
    let last = of(TILE, VOCAB, &query);
    said(first.merge(&first), "both have the tokens from 0 on");
    said(
        first.merge(&last).expect("they fit").merge(&of(TILE, 2 * TILE, &query)),
        "both have the tokens from 4096 on",
    );
    said(last.logprobs(), "2 of 3 tiles are here, and the tokens from 0 on are missing");
    said(
        of(0, 2 * TILE, &query).logprobs(),
        "2 of 3 tiles are here, and the tokens from 8192 on are missing",
    );
    let params = LogprobsParams { temperature: 0.5, ..LogprobsParams::default() };
    said(first.merge(&of(TILE, VOCAB, &ShardQuery { params, ..query })), "ask every shard the same");
    said(first.merge(&of(TILE, VOCAB, &ShardQuery { token_ids: &[&[6]], ..query })), "other tokens of row 0");
    let target = ShardQuery { targets: &[Some(5)], ..ShardQuery::default() };
    said(first.merge(&of(TILE, VOCAB, &target)), "other tokens of row 0");
    let other_key = shard(TILE, VOCAB).expect("a shard").stats(&query, &[0]).expect("statistics");
    said(first.merge(&other_key), "with other keys");
    assert!(!first.is_whole() && first.merge(&last).expect("they fit").is_whole());
}
