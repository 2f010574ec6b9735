//! Statistics of shards as bytes, from wherever: an error, or what these bytes say, which merges and tells in range.

use sortilege::shard::ShardStats;
use sortilege::{Distribution, Status, TargetLogprob};

/// The statistics of a shard, and of two shards one after the other.
pub fn shards(data: &[u8]) {
    if let Some(whole) = read(data) {
        assert!(whole.merge(&whole).is_err(), "tokens are merged once");
        tell(&whole);
    }
    for place in (4..data.len()).step_by(4).filter(|&place| data[place..].starts_with(b"shrd")) {
        let (first, second) = data.split_at(place);
        if let (Some(first), Some(second)) = (read(first), read(second)) {
            let merged = first.merge(&second).ok();
            assert_eq!(merged, second.merge(&first).ok(), "in any order");
            merged.iter().for_each(tell);
        }
    }
}

/// What was read is what the bytes say.
fn read(data: &[u8]) -> Option<ShardStats> {
    match ShardStats::from_bytes(data) {
        Ok(stats) => {
            assert!(stats.to_bytes() == data, "other bytes");
            Some(stats)
        }
        Err(error) => {
            assert!(error.to_string().len() < 4096, "{error}");
            None
        }
    }
}

fn tell(stats: &ShardStats) {
    let Ok(rows) = stats.logprobs() else { return };
    assert!(stats.is_whole() && rows.len() == stats.rows());
    for row in &rows {
        check(&row.distribution, stats.vocab());
        row.target.iter().for_each(|target| check_target(target, stats.vocab()));
    }
}

fn check(distribution: &Distribution, vocab: usize) {
    if distribution.status != Status::Ok {
        return;
    }
    assert!(distribution.max.is_finite() && distribution.logsumexp.is_finite(), "{distribution:?}");
    for entry in &distribution.top_logprobs {
        assert!((entry.token as usize) < vocab && entry.logprob <= 0.0, "{entry:?}");
    }
    distribution.token_logprobs.iter().for_each(|target| check_target(target, vocab));
}

fn check_target(target: &TargetLogprob, vocab: usize) {
    assert!((target.token as usize) < vocab && target.logprob <= 0.0, "{target:?}");
    assert!((1..=vocab).contains(&(target.rank() as usize)), "{target:?}");
}
