//! A vocabulary that is cut into shards says what the whole row says, to the bit: every kind of row and type, cut and merged
//! at random.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

mod bytes;
mod draws;
mod laws;
mod refusals;

use std::ops::Range;

use sortilege::shard::{Shard, ShardQuery, ShardStats};
use sortilege::synthetic::{KINDS, Kind, SplitMix64};
use sortilege::{Cpu, Dtype, Engine, Logits, Logprobs, LogprobsParams};

/// Rows of a type, one after the other, which can be cut.
struct Batch {
    dtype: Dtype,
    vocab: usize,
    rows: Vec<Vec<f32>>,
}

impl Batch {
    fn of(kind: &Kind, dtype: Dtype, rows: usize, vocab: usize, seed: u64) -> Self {
        let row = |row: usize| kind.logits(vocab, (seed << 32) + ((row as u64) << 21));
        Self { dtype, vocab, rows: (0..rows).map(row).collect() }
    }

    /// These tokens of every row, as the device of a shard has them.
    fn stored(&self, tokens: &Range<usize>) -> Vec<u8> {
        let values = self.rows.iter().flat_map(|row| &row[tokens.clone()]);
        let mut bytes = vec![0; self.rows.len() * tokens.len() * self.dtype.bytes()];
        bytes
            .chunks_exact_mut(self.dtype.bytes())
            .zip(values)
            .for_each(|(place, value)| self.dtype.store(*value, place));
        bytes
    }

    fn logits<'a>(&self, stored: &'a [u8], tokens: &Range<usize>) -> Logits<'a> {
        Logits::new(stored, self.dtype, self.rows.len(), tokens.len()).expect("a batch")
    }

    /// What the whole rows say.
    fn whole(&self, query: &ShardQuery<'_>) -> Vec<Logprobs> {
        let all = 0..self.vocab;
        let stored = self.stored(&all);
        Cpu.logprobs_of(&self.logits(&stored, &all), &query.params, query.targets, query.token_ids)
            .expect("answers")
    }

    /// What each of these parts says after the exchange of keys.
    fn stats(&self, parts: &[Range<usize>], query: &ShardQuery<'_>) -> Vec<ShardStats> {
        let stored: Vec<Vec<u8>> = parts.iter().map(|part| self.stored(part)).collect();
        let shards: Vec<Shard<'_>> = parts
            .iter()
            .zip(&stored)
            .map(|(part, bytes)| {
                Shard::new(self.logits(bytes, part), part.start, self.vocab).expect("a shard")
            })
            .collect();
        let keys = largest(shards.iter().map(|shard| shard.keys(query).expect("keys")));
        shards.iter().map(|shard| shard.stats(query, &keys).expect("statistics")).collect()
    }
}

/// The exchange of keys: their maximum, element by element.
fn largest(keys: impl Iterator<Item = Vec<i32>>) -> Vec<i32> {
    keys.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect()).expect("a shard")
}

/// A vocabulary in parts of random length, cut at tiles.
fn cut(vocab: usize, numbers: &mut SplitMix64) -> Vec<Range<usize>> {
    let tiles = vocab.div_ceil(Shard::TILE_TOKENS);
    let mut cuts: Vec<usize> =
        (1..tiles).filter(|_| numbers.below(3) == 0).map(|tile| tile * Shard::TILE_TOKENS).collect();
    cuts.insert(0, 0);
    cuts.push(vocab);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Merges them as a random tree, in random order.
fn merged(mut stats: Vec<ShardStats>, numbers: &mut SplitMix64) -> ShardStats {
    while stats.len() > 1 {
        let [a, b] = [(); 2].map(|()| stats.swap_remove(numbers.below(stats.len())));
        stats.push(a.merge(&b).expect("they fit"));
    }
    stats.remove(0)
}

/// What may be asked of a batch: a target or none, and given tokens, some of them twice, first and last ones too.
struct Asked {
    params: LogprobsParams,
    targets: Vec<Option<u32>>,
    given: Vec<Vec<u32>>,
}

impl Asked {
    fn random(rows: usize, vocab: usize, numbers: &mut SplitMix64) -> Self {
        let token = |numbers: &mut SplitMix64| match numbers.below(8) {
            0 => 0,
            1 => vocab as u32 - 1,
            _ => numbers.below(vocab) as u32,
        };
        let params = LogprobsParams {
            // More than a tile has, too.
            top_logprobs: [0, 1, 20, 64, 5000][numbers.below(5)],
            temperature: [1.0, 0.7, 0.05, 10.0][numbers.below(4)],
            entropy: numbers.below(2) == 0,
        };
        let target = |numbers: &mut SplitMix64| (numbers.below(4) > 0).then(|| token(numbers));
        let targets = (0..rows).map(|_| target(numbers)).collect();
        let list = |numbers: &mut SplitMix64| {
            let mut list: Vec<u32> = (0..numbers.below(5)).map(|_| token(numbers)).collect();
            list.extend(list.first().copied());
            list
        };
        Self { params, targets, given: (0..rows).map(|_| list(numbers)).collect() }
    }

    fn given(&self) -> Vec<&[u32]> {
        self.given.iter().map(Vec::as_slice).collect()
    }

    fn query<'a>(&'a self, given: &'a [&'a [u32]]) -> ShardQuery<'a> {
        ShardQuery { params: self.params, targets: &self.targets, token_ids: given }
    }
}

#[test]
fn shards_say_what_the_whole_says() {
    const TILE: usize = Shard::TILE_TOKENS;
    let mut numbers = SplitMix64::new(21);
    let mut wrong = Vec::new();
    for vocab in [1, 77, TILE, TILE + 1, 3 * TILE, 5 * TILE + 77, 32_003] {
        for kind in KINDS {
            for &dtype in Dtype::ALL {
                let seed = numbers.next() >> 40;
                let batch = Batch::of(kind, dtype, 3, vocab, seed);
                let asked = Asked::random(3, vocab, &mut numbers);
                let given = asked.given();
                let query = asked.query(&given);
                let parts = cut(vocab, &mut numbers);
                let whole = merged(batch.stats(&parts, &query), &mut numbers);
                let sent = ShardStats::from_bytes(&whole.to_bytes()).expect("statistics");
                assert!(
                    sent.targets().eq(asked.targets.iter().copied())
                        && sent.token_ids().eq(asked.given.iter().cloned())
                );
                if whole.logprobs().expect("all is here") != batch.whole(&query) || sent != whole {
                    wrong.push(format!(
                        "{} {dtype} of {vocab}, seed {seed}, cut {parts:?}, {:?}",
                        kind.name, asked.params
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows in parts say what they say at once; what is not asked alike does not follow.
#[test]
fn rows_follow_rows() {
    const ROWS: usize = 7;
    let mut numbers = SplitMix64::new(23);
    let batch = Batch::of(&KINDS[0], Dtype::F16, ROWS, 5000, 4);
    let part = 4096..5000;
    let stored = batch.stored(&part);
    let shard = Shard::new(batch.logits(&stored, &part), part.start, 5000).expect("a shard");
    for _ in 0..10 {
        let asked = Asked::random(ROWS, 5000, &mut numbers);
        let given = asked.given();
        let query = asked.query(&given);
        let all = 0..5000;
        let whole = batch.stored(&all);
        let keys =
            Shard::new(batch.logits(&whole, &all), 0, 5000).expect("a shard").keys(&query).expect("keys");
        let at_once = shard.stats(&query, &keys).expect("statistics");
        let [a, b] = [(); 2].map(|()| numbers.below(ROWS + 1));
        let of = |rows| shard.stats_of_rows(rows, &query, &keys).expect("statistics");
        let mut joined = of(0..a.min(b));
        joined.append(of(a.min(b)..a.max(b))).expect("rows of one shard");
        joined.append(of(a.max(b)..ROWS)).expect("rows of one shard");
        assert_eq!(joined, at_once);

        let behind = shard.stats_of_rows(3..ROWS + 1, &query, &keys).expect_err("a row too many").to_string();
        assert!(behind.contains("rows 3..8 are not all in the batch of 7"), "{behind}");
        let other = ShardQuery { params: LogprobsParams { temperature: 3.0, ..query.params }, ..query };
        let other = shard.stats(&other, &keys).expect("statistics");
        assert!(matches!(joined.append(other), Err(sortilege::Error::Shard(_))));
        assert_eq!(joined, at_once, "nothing changes");
    }
}

/// Equal logits on both sides of a cut: the list goes on in the order of the tokens, and ranks count both sides.
#[test]
fn ties_across_a_cut_are_one_tie() {
    const TILE: usize = Shard::TILE_TOKENS;
    let mut row = vec![-3.0f32; 2 * TILE + 5];
    let tied = [TILE - 2, TILE - 1, TILE, TILE + 1, 2 * TILE];
    tied.iter().for_each(|&token| row[token] = 7.0);
    row[3] = 9.0;
    let batch = Batch { dtype: Dtype::F32, vocab: row.len(), rows: vec![row] };
    let query = ShardQuery {
        params: LogprobsParams { top_logprobs: 4, ..LogprobsParams::default() },
        targets: &[Some(TILE as u32)],
        token_ids: &[&[2 * TILE as u32, 0]],
    };
    let parts = Shard::cut(batch.vocab, 3).expect("three tiles");
    let answers =
        merged(batch.stats(&parts, &query), &mut SplitMix64::new(1)).logprobs().expect("all is here");
    let listed: Vec<usize> =
        answers[0].distribution.top_logprobs.iter().map(|entry| entry.token as usize).collect();
    assert_eq!(listed, [3, TILE - 2, TILE - 1, TILE]);
    let target = answers[0].target.expect("asked");
    assert_eq!((target.n_greater, target.n_equal), (1, 5));
    let ranks = answers[0].distribution.token_logprobs.iter().map(|given| (given.n_greater, given.n_equal));
    assert_eq!(ranks.collect::<Vec<_>>(), [(1, 5), (6, 2 * TILE as u32 - 1)]);
}

#[test]
fn cuts_are_even() {
    let lengths = |vocab, shards| -> Vec<usize> {
        Shard::cut(vocab, shards).expect("tiles enough").into_iter().map(|part| part.len()).collect()
    };
    assert_eq!(lengths(128_256, 4), [32_768, 32_768, 32_768, 29_952]);
    assert_eq!(lengths(151_936, 8), [20_480, 20_480, 20_480, 20_480, 20_480, 20_480, 16_384, 12_672]);
    assert_eq!(lengths(5, 1), [5]);
}

/// The comparison above must see one bit of one logit, and what others do: add up what shards have already rounded.
#[test]
fn what_is_not_the_whole_is_seen() {
    let (mut numbers, mut by_floats) = (SplitMix64::new(22), 0);
    const TRIALS: usize = 100;
    for trial in 0..TRIALS {
        let mut batch = Batch::of(&KINDS[0], Dtype::F32, 1, 20_000, trial as u64);
        let asked = Asked { params: LogprobsParams::default(), targets: vec![None], given: vec![Vec::new()] };
        let query = ShardQuery { params: asked.params, ..ShardQuery::default() };
        let parts = Shard::cut(batch.vocab, 2 + numbers.below(4)).expect("five tiles");
        let whole = batch.whole(&query);
        // The log-sum-exp of the shards' own, by floats.
        let own = parts.iter().map(|part| {
            let stored = batch.stored(part);
            let logits = batch.logits(&stored, part);
            Cpu.logprobs(&logits, &query.params, &[]).expect("an answer")[0].distribution.logsumexp
        });
        let sum: f64 = own.map(f64::exp).sum();
        by_floats += usize::from(sum.ln().to_bits() != whole[0].distribution.logsumexp.to_bits());
        let likely = whole[0].distribution.top_logprobs[0].token as usize;
        batch.rows[0][likely] = batch.rows[0][likely].next_up();
        assert_ne!(
            merged(batch.stats(&parts, &query), &mut numbers).logprobs().expect("all is here"),
            whole,
            "{trial}"
        );
    }
    assert!(by_floats > TRIALS / 2, "{by_floats} of {TRIALS} sums by floats differ");
}
