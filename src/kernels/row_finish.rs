//! Merges the tiles of a row into its record: mass and surprisal relative to the row's maximum, top k, target.
//!
//! Top k: the k largest tokens lie in the k subtiles with the largest delegates, because subtiles are runs of
//! consecutive tokens and both are ordered by value descending, then position ascending. Only those are opened again.

use crate::exact::{self, SUBTILE_TOKENS, Scale, TileStats};
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, lib};
use crate::logits::RowBits;
use crate::record::{NO_TOKEN, RawRecord};

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_finish",
    wgsl: concat!(
        include_str!("../../shaders/row_finish.wgsl"),
        lib!("batch"),
        lib!("logits"),
        lib!("exact"),
        lib!("request"),
        lib!("merge"),
        lib!("list"),
        lib!("select")
    ),
    slots: &[Slot::Batch, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
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
    let subtiles = largest(delegates.iter().copied().zip(0..).collect(), count);
    let tokens = subtiles
        .into_iter()
        .flat_map(|(_, subtile)| {
            let first = subtile as usize * SUBTILE_TOKENS;
            let bits = row.range(first, row.len().min(first + SUBTILE_TOKENS)).iter();
            #[expect(clippy::cast_possible_truncation, reason = "tokens are below 2^20")]
            let first = first as u32;
            bits.zip(first..).map(|(bits, token)| (exact::key(bits), token))
        })
        .filter(|(key, _)| *key > exact::KEY_NEG_INFINITY)
        .collect();
    largest(tokens, count)
}

/// The `count` largest by key descending, then position ascending, in that order.
pub(crate) fn largest(mut items: Vec<(i32, u32)>, count: usize) -> Vec<(i32, u32)> {
    let order = |a: &(i32, u32), b: &(i32, u32)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
    if count == 0 {
        return Vec::new();
    }
    if count < items.len() {
        items.select_nth_unstable_by(count - 1, order);
        items.truncate(count);
    }
    items.sort_unstable_by(order);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_earlier_position() {
        let items = vec![(3, 0), (7, 1), (7, 2), (7, 3), (1, 4)];
        assert_eq!(largest(items.clone(), 2), [(7, 1), (7, 2)]);
        assert_eq!(largest(items.clone(), 9), [(7, 1), (7, 2), (7, 3), (3, 0), (1, 4)]);
        assert_eq!(largest(items, 0), []);
    }
}
