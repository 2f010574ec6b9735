//! A vocabulary that is cut at tiles over several devices merges to the bits of the whole row, however it is cut and in
//! whatever order its parts come (docs/exact.md, 8).
#![expect(clippy::cast_possible_truncation, reason = "random numbers of a small range")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

use super::synthetic::SplitMix64;
use crate::arithmetic::exact::{KEY_NEG_INFINITY, ROW_FRACTION, key_of_bits};
use crate::arithmetic::format::TILE_TOKENS;
use crate::arithmetic::lane::PassScale;
use crate::arithmetic::merge::{RowStats, TileStats, merge_tiles};
use crate::kernels::tile_stats;
use crate::logits::Logits;

const SPLITS: usize = 100_000;

/// Tiles as rows have them: near each other, far apart, without a finite logit.
fn random_tile(numbers: &mut SplitMix64) -> TileStats {
    let spread = [0.0, 1.0, 30.0, 1000.0][numbers.below(4)];
    let logit = (numbers.unit() * spread - spread / 2.0) as f32;
    if numbers.below(8) == 0 {
        return TileStats { max_key: KEY_NEG_INFINITY, mass: 0, surprisal: 0, n_greater: 0, n_equal: 4096 };
    }
    let extra = numbers.next() >> (2 + numbers.below(20)); // below 2^62
    let mass = (1u64 << 50).max(extra);
    let surprisal = (numbers.next() >> 16).min(mass >> 2);
    let n_greater = numbers.below(4096) as u32;
    TileStats {
        max_key: key_of_bits(logit.to_bits()),
        mass,
        surprisal,
        n_greater,
        n_equal: numbers.below(4096) as u32,
    }
}

fn shuffle<T>(list: &mut [T], numbers: &mut SplitMix64) {
    for end in (1..list.len()).rev() {
        list.swap(end, numbers.below(end + 1));
    }
}

/// A list in pieces of random length.
fn cut<'a, T>(mut list: &'a [T], numbers: &mut SplitMix64) -> Vec<&'a [T]> {
    let mut pieces = Vec::new();
    while !list.is_empty() {
        let (piece, rest) = list.split_at(1 + numbers.below(list.len()));
        pieces.push(piece);
        list = rest;
    }
    pieces
}

/// The sum of what each part adds, relative to the maximum of all: a part is merged beside an empty tile that has it.
fn in_parts(parts: &[&[TileStats]], scale: PassScale) -> RowStats {
    let max_key = parts.iter().flat_map(|part| part.iter()).map(|tile| tile.max_key).max().unwrap_or(0);
    let at_maximum = TileStats { max_key, mass: 0, surprisal: 0, n_greater: 0, n_equal: 0 };
    let mut sum = RowStats { max_key, ..RowStats::default() };
    for part in parts {
        let own = merge_tiles(&[part, &[at_maximum][..]].concat(), scale.tile);
        sum.mass += own.mass;
        sum.surprisal += own.surprisal;
        sum.n_greater += own.n_greater;
        sum.n_equal += own.n_equal;
    }
    sum
}

/// Merges rows that were merged before, which rounds twice.
fn merged_twice(parts: &[&[TileStats]], scale: PassScale) -> RowStats {
    let of_part = |part: &&[TileStats]| {
        let row = merge_tiles(part, scale.tile);
        let max_key = if row.status == 0 { row.max_key } else { KEY_NEG_INFINITY };
        let RowStats { mass, surprisal, n_greater, n_equal, .. } = row;
        // From Q40 to a tile's Q50 and Q44, as far as 64 bits go.
        TileStats {
            max_key,
            mass: mass << 10,
            surprisal: surprisal << (44 - ROW_FRACTION),
            n_greater,
            n_equal,
        }
    };
    merge_tiles(&parts.iter().map(of_part).collect::<Vec<_>>(), scale.tile)
}

#[test]
fn shards_merge_to_the_whole_in_any_order() {
    let mut numbers = SplitMix64::new(11);
    let (mut sound, mut rounded_twice) = (0, 0);
    for split in 0..SPLITS {
        let scale = PassScale::new([1.0, 0.7, 0.05, 10.0][split % 4]);
        let mut tiles: Vec<TileStats> =
            (0..1 + numbers.below(12)).map(|_| random_tile(&mut numbers)).collect();
        let whole = merge_tiles(&tiles, scale.tile);
        shuffle(&mut tiles, &mut numbers);
        assert_eq!(merge_tiles(&tiles, scale.tile), whole, "split {split}, another order");
        if whole.status != 0 {
            continue;
        }
        sound += 1;
        let mut parts = cut(&tiles, &mut numbers);
        assert_eq!(in_parts(&parts, scale), whole, "split {split}, {} parts", parts.len());
        shuffle(&mut parts, &mut numbers);
        assert_eq!(in_parts(&parts, scale), whole, "split {split}, parts in another order");
        rounded_twice += usize::from(merged_twice(&parts, scale) != whole);
    }
    println!("{SPLITS} splits, {sound} of rows that are ok; {rounded_twice} differ if merged twice");
    assert!(sound > SPLITS * 9 / 10);
    // What is compared must be able to differ.
    assert!(rounded_twice > SPLITS / 10, "{rounded_twice}");
}

/// The same of logits: each shard's own first pass.
#[test]
fn shards_of_a_row_have_the_tiles_of_the_row() {
    let mut numbers = SplitMix64::new(12);
    let row: Vec<f32> = (0..5 * TILE_TOKENS + 77).map(|_| (numbers.unit() * 40.0 - 20.0) as f32).collect();
    let tiles_of = |row: &[f32], scale| {
        let logits = Logits::f32(row, 1, row.len()).expect("a row");
        tile_stats::run(logits.row_bits(0), key_of_bits(0), scale, true).stats
    };
    for split in 0..200 {
        let scale = PassScale::new([1.0, 0.7, 0.05, 10.0][split % 4]);
        let tiles: Vec<&[f32]> = row.chunks(TILE_TOKENS).collect();
        let mut shards: Vec<Vec<f32>> =
            cut(&tiles, &mut numbers).iter().map(|shard| shard.concat()).collect();
        shuffle(&mut shards, &mut numbers);
        let sent: Vec<TileStats> = shards.iter().flat_map(|shard| tiles_of(shard, scale)).collect();
        let whole = merge_tiles(&tiles_of(&row, scale), scale.tile);
        assert_eq!(merge_tiles(&sent, scale.tile), whole, "split {split}");
    }
}
