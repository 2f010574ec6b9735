//! The one total order of tokens: value descending, then token ascending; and the first of a row by it.

use std::collections::BinaryHeap;

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, i32x16};

use super::host::RowBits;
use crate::arithmetic::exact;
use crate::arithmetic::format::SUBTILE_TOKENS;

/// Keys of a vector.
const WIDTH: usize = 16;

/// Keys and ids of the `count` first possible tokens of a row, in order; opens the subtiles that can hold them.
pub(crate) fn top_tokens(row: RowBits<'_>, delegates: &[i32], count: usize) -> Vec<(i32, u32)> {
    if count == 0 {
        return Vec::new(); // sums alone are asked for
    }
    let subtiles = first(heads(Level::new(), delegates, count), count);
    // Every delegate is a token: so many are not below the last of them.
    let last = subtiles.last().map_or(i32::MIN, |&subtile| decode(subtile).0);
    let floor = if subtiles.len() < count { i32::MIN } else { last }.max(exact::KEY_NEG_INFINITY + 1);
    let mut tokens = Vec::with_capacity(2 * count);
    for subtile in subtiles {
        let first = decode(subtile).1 as usize * SUBTILE_TOKENS;
        let mut room = [0; SUBTILE_TOKENS];
        let bits = row.range(first, row.len().min(first + SUBTILE_TOKENS)).widened(&mut room);
        #[expect(clippy::cast_possible_truncation, reason = "tokens are below 2^20")]
        let first = first as u32;
        let codes = bits.iter().zip(first..).map(|(&bits, token)| (exact::key_of_bits(bits), token));
        tokens.extend(codes.filter(|(key, _)| *key >= floor).map(|(key, token)| code(key, token)));
    }
    first(tokens, count).into_iter().map(decode).collect()
}

/// Codes of keys of which the `count` first are the first of all: few more, where there are many.
fn heads(level: Level, keys: &[i32], count: usize) -> Vec<u64> {
    dispatch!(level, simd => simd.vectorize(#[inline(always)] || reaching(simd, keys, floor_of(simd, keys, count))))
}

/// A key that at least `count` of these reach, if there are so many: of the maxima of up to sixteen of them, which stand a
/// vector apart, the last that is wanted.
#[inline(always)]
fn floor_of<S: Simd>(simd: S, keys: &[i32], count: usize) -> i32 {
    let mut maxima = Vec::with_capacity(keys.len() / WIDTH + WIDTH);
    for block in keys.chunks(16 * WIDTH) {
        let mut most = i32x16::splat(simd, i32::MIN);
        for keys in block.as_chunks::<WIDTH>().0 {
            most = most.max(i32x16::simd_from(simd, *keys));
        }
        maxima.extend_from_slice(&<[i32; WIDTH]>::from(most));
    }
    if maxima.len() < count {
        return i32::MIN;
    }
    *maxima.select_nth_unstable_by(count - 1, |a, b| b.cmp(a)).1
}

/// Codes of the keys that are not below the floor.
#[inline(always)]
fn reaching<S: Simd>(simd: S, keys: &[i32], floor: i32) -> Vec<u64> {
    let mut codes = Vec::new();
    let (vectors, rest) = keys.as_chunks::<WIDTH>();
    for (vector, first) in vectors.iter().zip((0u32..).step_by(WIDTH)) {
        let mut reached = i32x16::simd_from(simd, *vector).simd_ge(floor).to_bitmask();
        while reached != 0 {
            let place = reached.trailing_zeros();
            codes.push(code(vector[place as usize], first + place));
            reached &= reached - 1;
        }
    }
    let rest = keys.iter().zip(0..).skip(keys.len() - rest.len()).filter(|(key, _)| **key >= floor);
    codes.extend(rest.map(|(&key, position)| code(key, position)));
    codes
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

    /// The first tokens are those of a sort of all, ties, impossible tokens and short rows included.
    #[test]
    fn the_first_tokens_are_those_of_a_sort() {
        for (len, different) in [(1, 1), (63, 5), (5000, 40), (5000, 3), (70_000, 60_000)] {
            let bits: Vec<u32> = (0..len)
                .map(|i: u32| match i.wrapping_mul(0x9e37_79b1) >> 8 {
                    noise if noise % 7 == 0 => exact::BITS_NEG_INFINITY,
                    noise => (noise as f32 % different as f32 - 2.0).to_bits(),
                })
                .collect();
            let row = RowBits::of_f32(&bits);
            let delegates: Vec<i32> = bits
                .chunks(SUBTILE_TOKENS)
                .filter_map(|run| run.iter().map(|&bits| exact::key_of_bits(bits)).max())
                .collect();
            let mut all: Vec<(i32, u32)> =
                bits.iter().map(|&bits| exact::key_of_bits(bits)).zip(0..).collect();
            all.retain(|(key, _)| *key > exact::KEY_NEG_INFINITY);
            all.sort_by_key(|&(key, token)| (std::cmp::Reverse(key), token));
            for count in [0, 1, 2, 20, 64, 65, 300, 100_000] {
                let expected = &all[..count.min(all.len())];
                assert_eq!(top_tokens(row, &delegates, count), expected, "{count} of {len}");
                let subtiles: Vec<(i32, u32)> = delegates.iter().copied().zip(0..).collect();
                let expected = largest(subtiles, count);
                for (name, level) in crate::proof::simd::levels() {
                    let heads = heads(level, &delegates, count.max(1));
                    let found: Vec<_> = first(heads, count).into_iter().map(decode).collect();
                    assert_eq!(found, expected, "{count} of {len} by {name}");
                }
            }
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
