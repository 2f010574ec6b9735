//! The merge is associative and commutative, whatever the shards say.

use proptest::prelude::*;
use sortilege::Dtype;
use sortilege::shard::ShardStats;
use sortilege::synthetic::{KINDS, SplitMix64};

use super::{Asked, Batch, cut};

/// Statistics of all parts of a batch of rows of different kinds.
fn parts(seed: u64) -> Vec<ShardStats> {
    let mut numbers = SplitMix64::new(seed);
    let vocab = 8192 + numbers.below(5 * 4096);
    let row =
        |numbers: &mut SplitMix64| KINDS[numbers.below(KINDS.len())].logits(vocab, numbers.next() << 20);
    let rows = (0..1 + numbers.below(3)).map(|_| row(&mut numbers)).collect();
    let batch = Batch { dtype: Dtype::F32, vocab, rows };
    let asked = Asked::random(batch.rows.len(), vocab, &mut numbers);
    let given = asked.given();
    let mut parts = cut(vocab, &mut numbers);
    while parts.len() < 3 {
        parts = cut(vocab, &mut numbers);
    }
    batch.stats(&parts, &asked.query(&given))
}

fn merge(a: &ShardStats, b: &ShardStats) -> ShardStats {
    a.merge(b).expect("they fit")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_tree_give_the_same_bytes(seed: u64, first: prop::sample::Index, second: prop::sample::Index) {
        let mut stats = parts(seed);
        let a = stats.swap_remove(first.index(stats.len()));
        let b = stats.swap_remove(second.index(stats.len()));
        let c = &stats[0];
        prop_assert_eq!(merge(&a, &b).to_bytes(), merge(&b, &a).to_bytes());
        let whole = merge(&merge(&a, &b), c);
        prop_assert_eq!(whole.to_bytes(), merge(&a, &merge(&b, c)).to_bytes());
        prop_assert_eq!(whole.to_bytes(), merge(&merge(c, &a), &b).to_bytes());
        prop_assert_eq!(ShardStats::from_bytes(&whole.to_bytes()), Ok(whole.clone()));
        // What is compared can differ.
        prop_assert!(whole.to_bytes() != merge(&a, &b).to_bytes());
    }
}
