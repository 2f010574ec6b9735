//! Merges the tiles of a row into its record: mass and surprisal relative to the row's maximum, top k, target.
//!
//! Top k: the k largest tokens lie in the k subtiles with the largest delegates, because subtiles are runs of
//! consecutive tokens and both are ordered by value descending, then position ascending. Only those are opened again.

use std::collections::BinaryHeap;

use crate::exact::{self, SUBTILE_TOKENS, Scale, TileStats};
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, wgsl};
use crate::logits::RowBits;
use crate::record::{NO_TOKEN, RawRecord};

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_logprobs",
    wgsl: wgsl!("row_logprobs": "format", "words", "logits", "integers", "exact", "request", "merge", "list", "radix",
        "select"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The same on the CPU.
pub(crate) fn run(
    row: RowBits<'_>,
    tiles: &[TileStats],
    delegates: &[i32],
    target: Option<u32>,
    scale: Scale,
    top_k: u32,
) -> RawRecord {
    let stats = exact::merge(tiles, scale);
    let mut entries = vec![(NO_TOKEN, exact::BITS_NEG_INFINITY); top_k as usize];
    if stats.flags != 0 {
        return RawRecord { stats, target_bits: 0, entries };
    }
    for (entry, (key, token)) in entries.iter_mut().zip(top_tokens(row, delegates, top_k as usize)) {
        *entry = (token, exact::bits_of_key(key));
    }
    let target_bits = target.map_or(0, |token| exact::bits_of_key(exact::key(row.get(token as usize))));
    RawRecord { stats, target_bits, entries }
}

/// Keys and ids of the `count` first possible tokens of a row, in order; opens the subtiles that can hold them.
pub(crate) fn top_tokens(row: RowBits<'_>, delegates: &[i32], count: usize) -> Vec<(i32, u32)> {
    if count == 0 {
        return Vec::new(); // sums alone are asked for
    }
    let subtiles =
        first(delegates.iter().zip(0..).map(|(key, subtile)| code(*key, subtile)).collect(), count);
    let impossible = code(exact::KEY_NEG_INFINITY, 0); // and what comes after it
    let mut tokens = Vec::with_capacity(subtiles.len() * SUBTILE_TOKENS);
    for subtile in subtiles {
        let first = decode(subtile).1 as usize * SUBTILE_TOKENS;
        let bits = row.range(first, row.len().min(first + SUBTILE_TOKENS)).iter();
        #[expect(clippy::cast_possible_truncation, reason = "tokens are below 2^20")]
        let first = first as u32;
        let codes = bits.zip(first..).map(|(bits, token)| code(exact::key(bits), token));
        tokens.extend(codes.filter(|code| *code < impossible));
    }
    first(tokens, count).into_iter().map(decode).collect()
}

/// The `count` first of the order by key descending, then position ascending, in that order.
pub(crate) fn largest(items: Vec<(i32, u32)>, count: usize) -> Vec<(i32, u32)> {
    let codes = items.into_iter().map(|(key, position)| code(key, position)).collect();
    first(codes, count).into_iter().map(decode).collect()
}

/// A number that is smaller for what comes earlier: key descending, then position ascending.
fn code(key: i32, position: u32) -> u64 {
    u64::from(!(key ^ i32::MIN).cast_unsigned()) << 32 | u64::from(position)
}

#[expect(clippy::cast_possible_truncation, reason = "two halves")]
fn decode(code: u64) -> (i32, u32) {
    (!((code >> 32) as u32).cast_signed() ^ i32::MIN, code as u32)
}

/// The `count` smallest in order.
fn first(mut codes: Vec<u64>, count: usize) -> Vec<u64> {
    if count >= codes.len() {
        codes.sort_unstable();
    } else if count <= FEW {
        // One comparison each: hardly any is among the few first so far.
        let (head, rest) = codes.split_at(count);
        let mut heap = BinaryHeap::from(head.to_vec());
        for &code in rest {
            if let Some(mut last) = heap.peek_mut().filter(|last| code < **last) {
                *last = code;
            }
        }
        codes = heap.into_sorted_vec();
    } else {
        codes.select_nth_unstable(count - 1);
        codes.truncate(count);
        codes.sort_unstable();
    }
    codes
}

/// Lists that a heap makes faster than a partition.
const FEW: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for item in [(i32::MIN, 0), (-1, 7), (0, u32::MAX), (i32::MAX, 5)] {
            assert_eq!(decode(code(item.0, item.1)), item);
        }
    }

    #[test]
    fn ties_go_to_the_earlier_position() {
        let items = vec![(3, 0), (7, 1), (7, 2), (7, 3), (1, 4)];
        assert_eq!(largest(items.clone(), 2), [(7, 1), (7, 2)]);
        assert_eq!(largest(items.clone(), 9), [(7, 1), (7, 2), (7, 3), (3, 0), (1, 4)]);
        assert_eq!(largest(items, 0), []);
    }
}
