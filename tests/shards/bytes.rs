//! The bytes of a shard's statistics: frozen, read back, and refused where they cannot be.

use sortilege::shard::{Shard, ShardQuery, ShardStats};
use sortilege::{Error, Logits, LogprobsParams};

/// Places of words in the bytes of [`small`].
mod place {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 1;
    pub(super) const VOCAB: usize = 3;
    pub(super) const ROWS: usize = 4;
    pub(super) const TEMPERATURE: usize = 5;
    pub(super) const LISTED: usize = 6;
    pub(super) const ENTROPY: usize = 7;
    pub(super) const N_TILES: usize = 8;
    pub(super) const TILE: usize = 9;
    pub(super) const TARGET: usize = 10;
    pub(super) const KEY: usize = 11;
    pub(super) const N_GIVEN: usize = 12;
    pub(super) const N_LISTED: usize = 13;
    pub(super) const GIVEN: usize = 14;
    pub(super) const TOP: usize = 18;
    pub(super) const STATS: usize = 22;
    pub(super) const END: usize = 29;
}

/// The second shard of a vocabulary of 4100 tokens, of one row with a target in the first and a given token here.
fn small() -> ShardStats {
    let logits = Logits::f32(&[1.0, 2.0, 2.0, 0.0], 1, 4).expect("a row");
    let shard = Shard::new(logits, 4096, 4100).expect("a shard");
    let query = ShardQuery {
        params: LogprobsParams { top_logprobs: 2, entropy: true, ..LogprobsParams::default() },
        targets: &[Some(7)],
        token_ids: &[&[4096]],
    };
    let mut keys = shard.keys(&query).expect("keys");
    assert_eq!(keys, [i32::MIN, 0x3f80_0000]);
    keys[0] = 0x3fc0_0000; // 1.5
    shard.stats(&query, &keys).expect("statistics")
}

/// The first shard of the same vocabulary, asked the same.
fn first() -> ShardStats {
    let mut row = [0.25; 4096];
    row[7] = 1.5;
    let shard = Shard::new(Logits::f32(&row, 1, 4096).expect("a row"), 0, 4100).expect("a shard");
    let query = ShardQuery {
        params: LogprobsParams { top_logprobs: 2, entropy: true, ..LogprobsParams::default() },
        targets: &[Some(7)],
        token_ids: &[&[4096]],
    };
    shard.stats(&query, &[0x3fc0_0000, 0x3f80_0000]).expect("statistics")
}

fn words(stats: &ShardStats) -> Vec<u32> {
    stats.to_bytes().as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn read(words: &[u32]) -> Result<ShardStats, Error> {
    ShardStats::from_bytes(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
}

#[test]
fn the_bytes_are_frozen() {
    let [one, two] = [1.0f32, 2.0].map(f32::to_bits);
    let words = words(&small());
    let head = [u32::from_le_bytes(*b"shrd"), 1, 2, 4100, 1, one, 2, 1, 1, 1];
    assert_eq!(words[..place::TARGET], head);
    assert_eq!(words[place::TARGET..place::GIVEN], [7, 1.5f32.to_bits(), 1, 2]);
    assert_eq!(words[place::GIVEN..place::TOP], [4096, one, 2, 1]);
    assert_eq!(words[place::TOP..place::STATS], [4097, two, 4098, two]);
    // Two tokens weigh one, the others e^-1 and e^-2.
    let sum = |low: usize| u64::from(words[low]) | u64::from(words[low + 1]) << 32;
    assert_eq!(words[place::STATS], two);
    let mass = sum(place::STATS + 1) as f64 / 2f64.powi(50);
    assert!((mass - 2.503_214_724).abs() < 1e-6, "{mass}");
    let nats = sum(place::STATS + 3) as f64 / 2f64.powi(44) * std::f64::consts::LN_2;
    assert!((nats - 0.638_550_008).abs() < 1e-6, "{nats}");
    assert_eq!(words[place::STATS + 5..], [2, 0]);
    assert_eq!(words.len(), place::END);
}

#[test]
fn what_cannot_be_is_refused() {
    type Change = (&'static str, fn(&mut Vec<u32>));
    let changes: &[Change] = &[
        ("do not begin as such", |w| w[place::MAGIC] ^= 1),
        ("of version 2, arithmetic 2", |w| w[place::VERSION] = 2),
        ("of version 1, arithmetic 3", |w| w[place::VERSION + 1] = 3),
        ("vocab 0", |w| w[place::VOCAB] = 0),
        ("vocab 1048577", |w| w[place::VOCAB] = (1 << 20) + 1),
        ("temperature 0 is outside", |w| w[place::TEMPERATURE] = 0),
        ("top_logprobs 1048577", |w| w[place::LISTED] = (1 << 20) + 1),
        ("a list of 2 tokens, of 1", |w| w[place::LISTED] = 1),
        ("2 for whether the entropy", |w| w[place::ENTROPY] = 2),
        ("0 words where 4 should be", |w| w[place::ROWS] = 2),
        ("19 words too many", |w| w[place::ROWS] = 0),
        ("0 tiles of 2", |w| w[place::N_TILES] = 0),
        ("4294967295 tiles of 2", |w| w[place::N_TILES] = u32::MAX),
        ("tiles [1, 7] of 2", |w| w[place::N_TILES] = 2),
        ("tiles [2] of 2", |w| w[place::TILE] = 2),
        ("token 4097 with the key", |w| w[place::TILE] = 0),
        ("token 4100 of 4100", |w| w[place::TARGET] = 4100),
        ("with the key 2139095041", |w| w[place::KEY] = 0x7f80_0001),
        ("1025 given tokens, of 1024", |w| w[place::N_GIVEN] = 1025),
        ("the key 1069547520 of no target", |w| w[place::TARGET] = u32::MAX),
        ("with the key -1", |w| w[place::KEY] = u32::MAX),
        ("with the key -1", |w| w[place::TOP + 3] = u32::MAX),
        ("a list of 3 tokens, of 2", |w| w[place::N_LISTED] = 3),
        ("token 4294967295 of 4100", |w| w[place::GIVEN] = u32::MAX),
        ("with the key -2147483648", |w| w[place::GIVEN + 1] = i32::MIN.cast_unsigned()),
        ("4 tokens greater and 1 equal of 4", |w| w[place::GIVEN + 2] = 4),
        ("a list out of order", |w| w[place::TOP] = 4099),
        ("token 4100 with the key", |w| w[place::TOP + 2] = 4100),
        ("token 4095 with the key", |w| w[place::TOP] = 4095),
        ("token 4097 with the key", |w| w[place::TOP + 1] += 1),
        ("token 4098 with the key -2139095041", |w| w[place::TOP + 3] = 0x8080_0000 - 1),
        ("a maximum with the key", |w| w[place::STATS] = 0x7fc0_0000),
        ("a mass of", |w| w[place::STATS + 2] = (1 << 18) - 1),
        ("a mass of", |w| w[place::STATS + 2] = (4 << 18) + 1),
        ("a surprisal of", |w| w[place::STATS + 4] = (4 << 12) + 1),
        ("greater and", |w| w[place::STATS + 6] = 3),
        ("greater and", |w| w[place::STATS + 5] = u32::MAX),
        ("1 words too many", |w| w.push(0)),
    ];
    let sound = words(&small());
    assert_eq!(read(&sound), Ok(small()));
    for (said, change) in changes {
        let mut changed = sound.clone();
        change(&mut changed);
        let outcome = read(&changed);
        assert!(outcome.as_ref().is_err_and(|error| error.to_string().contains(said)), "{said}: {outcome:?}");
    }
}

/// Cut anywhere they are refused, and no word makes what is read panic.
#[test]
fn no_bytes_make_it_panic() {
    let bytes = small().to_bytes();
    for end in 0..bytes.len() {
        assert!(ShardStats::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    let first = first();
    let (sound, mut read_back, mut answered) = (words(&small()), 0, 0);
    for place in 0..sound.len() {
        for word in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, sound[place] ^ 1, sound[place] ^ 0x8000] {
            let mut changed = sound.clone();
            changed[place] = word;
            let Ok(stats) = read(&changed) else { continue };
            read_back += 1;
            // Fit or not, whole or not: an answer or an error.
            let outcome = stats.merge(&first).and_then(|whole| whole.logprobs());
            answered += usize::from(outcome.is_ok());
        }
    }
    assert!(read_back > 20 && (10..read_back).contains(&answered), "{answered} of {read_back}");
}

/// Each number could be, but not beside the others.
#[test]
fn what_cannot_be_true_together_is_refused() {
    type Change = (&'static str, fn(&mut Vec<u32>));
    let changes: &[Change] = &[
        ("0 equal in 4100, of token 4096", |w| w[place::GIVEN + 3] = 0),
        ("rank 1 of token 7", |w| (w[place::STATS + 5], w[place::STATS + 6]) = (0, 4)),
        ("does not begin with the largest", |w| (w[place::TOP + 1], w[place::TOP + 3]) = (1, 0)),
    ];
    let sound = words(&small());
    let logprobs = |words: &[u32]| read(words)?.merge(&first())?.logprobs();
    logprobs(&sound).expect("sound");
    for (said, change) in changes {
        let mut changed = sound.clone();
        change(&mut changed);
        let outcome = logprobs(&changed);
        assert!(outcome.as_ref().is_err_and(|error| error.to_string().contains(said)), "{said}: {outcome:?}");
    }
}

/// What a row costs on the wire, as docs/scale.md says.
#[test]
fn a_row_takes_a_kilobyte() {
    let vocab = 128_256;
    let row: Vec<f32> = (0..vocab).map(|token| (token % 977) as f32 / 50.0).collect();
    let query = ShardQuery {
        params: LogprobsParams { top_logprobs: 20, ..LogprobsParams::default() },
        targets: &[Some(9)],
        ..ShardQuery::default()
    };
    let size = |rows: usize| {
        let batch = super::Batch { dtype: sortilege::Dtype::F32, vocab, rows: vec![row.clone(); rows] };
        let targets = vec![Some(9); rows];
        let stats =
            batch.stats(&Shard::cut(vocab, 4).expect("tiles"), &ShardQuery { targets: &targets, ..query });
        let each: Vec<usize> = stats.iter().map(|stats| stats.to_bytes().len()).collect();
        (each, super::merged(stats, &mut sortilege::synthetic::SplitMix64::new(1)).to_bytes().len())
    };
    let ((each, whole), (each_of_two, whole_of_two)) = (size(1), size(2));
    let of_row: Vec<usize> = each_of_two.iter().zip(&each).map(|(two, one)| two - one).collect();
    assert_eq!((of_row, whole_of_two - whole), (vec![400; 4], 1072));
}
