//! What a row says of given tokens: bits of the logit, how many tokens have a larger one, and how many an equal one. It
//! counts in one more walk over the row, whatever the number of tokens; it weighs nothing.

use crate::arithmetic::exact;
use crate::arithmetic::format::TILE_TOKENS;
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, TileRoom};

/// One workgroup per view of a row, dispatch (views, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "token_ranks",
    wgsl: wgsl!("token_ranks": "format", "words", "logits", "rows", "integers", "exact", "soft_float", "request", "changes"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// A part of the one total order, from its first to its last token, both as (key, token).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) first: (i32, u32),
    pub(crate) last: (i32, u32),
}

impl Bounds {
    /// Every token of a row, the impossible ones too.
    pub(crate) const ALL: Self = Self { first: (i32::MAX, 0), last: (i32::MIN, u32::MAX) };

    fn hold(&self, (key, token): (i32, u32)) -> bool {
        let (first, last) = (self.first, self.last);
        (key < first.0 || (key == first.0 && token >= first.1))
            && (key > last.0 || (key == last.0 && token <= last.1))
    }
}

/// The twin on the CPU: what a row says of these tokens, in their order. A token outside of the bounds is impossible,
/// behind the `kept` tokens within.
pub(crate) fn run(row: RowBits<'_>, bounds: Bounds, kept: u32, tokens: &[u32]) -> Vec<(u32, [u32; 3])> {
    if tokens.is_empty() {
        return Vec::new();
    }
    let key = |token: u32| exact::key_of_bits(row.get(token as usize));
    let within = |&token: &u32| Some(key(token)).filter(|&key| bounds.hold((key, token)));
    let counts = Counts::new(row, bounds, tokens.iter().filter_map(within).collect());
    #[expect(clippy::cast_possible_truncation, reason = "a vocabulary has at most 2^20 tokens")]
    let outside = [exact::BITS_NEG_INFINITY, kept, row.len() as u32 - kept];
    let describe = |token: &u32| {
        let own = within(token).and_then(|key| Some((key, counts.of(key)?)));
        (*token, own.map_or(outside, |(key, [greater, equal])| [exact::bits_of_key(key), greater, equal]))
    };
    tokens.iter().map(describe).collect()
}

/// How many tokens have a larger key than each of some, and how many the same.
pub(crate) struct Counts {
    /// Ascending.
    keys: Vec<i32>,
    greater: Vec<u32>,
    equal: Vec<u32>,
}

impl Counts {
    /// Of tokens within the bounds, in one walk over the row. The keys need not be its own.
    pub(crate) fn new(row: RowBits<'_>, bounds: Bounds, mut keys: Vec<i32>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let (equal, above) = count(row, bounds, &keys);
        let mut greater = vec![0; keys.len()];
        let mut sum = 0;
        for place in (0..keys.len()).rev() {
            sum += above[place];
            greater[place] = sum;
            sum += equal[place];
        }
        Self { keys, greater, equal }
    }

    /// Tokens with a larger key and with this one, if it is one of those that were counted.
    pub(crate) fn of(&self, key: i32) -> Option<[u32; 2]> {
        let place = self.keys.binary_search(&key).ok()?;
        Some([self.greater[place], self.equal[place]])
    }
}

/// Tokens within the bounds that have each key, and that lie between it and the next larger one. The keys ascend.
fn count(row: RowBits<'_>, bounds: Bounds, keys: &[i32]) -> (Vec<u32>, Vec<u32>) {
    let (mut equal, mut above) = (vec![0; keys.len()], vec![0; keys.len()]);
    let Some(&least) = keys.first() else { return (equal, above) };
    let mut room = TileRoom::new();
    for (tile, first) in row.runs(TILE_TOKENS).zip((0u32..).step_by(TILE_TOKENS)) {
        for (&bits, token) in tile.widened(&mut room.0).iter().zip(first..) {
            let key = exact::key_of_bits(bits);
            if key < least || !bounds.hold((key, token)) {
                continue;
            }
            match keys.binary_search(&key) {
                Ok(place) => equal[place] += 1,
                Err(place) => above[place - 1] += 1,
            }
        }
    }
    (equal, above)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "tokens of a small row")]
mod tests {
    use super::*;

    /// Keys by token, in the one total order.
    fn order(row: &[f32]) -> Vec<(i32, u32)> {
        let mut order: Vec<(i32, u32)> =
            row.iter().map(|x| exact::key_of_bits(x.to_bits())).zip(0..).collect();
        order.sort_by_key(|&(key, token)| (std::cmp::Reverse(key), token));
        order
    }

    /// Against a sort of the row, for every run of a small one and every number of tokens.
    #[test]
    fn ranks_are_those_of_a_sort() {
        let row: Vec<f32> = (0..40)
            .map(|i| if i % 9 == 4 { f32::NEG_INFINITY } else { (i * 17 % 11) as f32 - 4.0 })
            .chain([0.0, -0.0])
            .collect();
        let bits: Vec<u32> = row.iter().map(|x| x.to_bits()).collect();
        let order = order(&row);
        for (start, end) in [(0, 42), (0, 1), (3, 9), (10, 38), (41, 42)] {
            let run_of = &order[start..end];
            let bounds = Bounds { first: run_of[0], last: run_of[run_of.len() - 1] };
            for count in [1, 2, 5, 42] {
                // Duplicates too.
                let tokens: Vec<u32> = (0..count).map(|i| i * 31 % 42).chain([7, 7]).collect();
                let kept = (end - start) as u32;
                for (token, got) in run(RowBits::of_f32(&bits), bounds, kept, &tokens) {
                    let own = exact::key_of_bits(bits[token as usize]);
                    let count = |holds: &dyn Fn(i32) -> bool| {
                        run_of.iter().filter(|(key, _)| holds(*key)).count() as u32
                    };
                    let expected = if run_of.contains(&(own, token)) {
                        [exact::bits_of_key(own), count(&|key| key > own), count(&|key| key == own)]
                    } else {
                        [exact::BITS_NEG_INFINITY, kept, 42 - kept]
                    };
                    assert_eq!(got, expected, "token {token} of {tokens:?}, {start}..{end}");
                }
            }
        }
        assert!(run(RowBits::of_f32(&bits), Bounds::ALL, 42, &[]).is_empty());
    }

    #[test]
    fn all_of_a_row_is_every_token() {
        let bits = [1f32, f32::NEG_INFINITY, f32::MAX, f32::NEG_INFINITY, f32::MIN].map(f32::to_bits);
        let got = run(RowBits::of_f32(&bits), Bounds::ALL, 5, &[3, 2, 4]);
        let expected = [
            (3, [exact::BITS_NEG_INFINITY, 3, 2]),
            (2, [f32::MAX.to_bits(), 0, 1]),
            (4, [f32::MIN.to_bits(), 2, 1]),
        ];
        assert_eq!(got, expected);
    }
}
