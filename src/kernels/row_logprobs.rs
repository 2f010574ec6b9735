//! Merges the tiles of a row into its record: mass and surprisal relative to the row's maximum, top k, target.
//!
//! Top k: the k largest tokens lie in the k subtiles with the largest delegates, because subtiles are runs of
//! consecutive tokens and both are ordered by value descending, then position ascending. Only those are opened again.

use crate::answer::{DistributionBits, LogprobsBits};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::merge::{RowStats, TileStats, merge_tiles};
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::{RowBits, order};

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_logprobs",
    wgsl: wgsl!("row_logprobs": "format", "words", "logits", "rows", "integers", "exact", "status", "request", "merge", "list", "radix",
        "select", "few"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The twin on the CPU.
pub(crate) fn run(
    row: RowBits<'_>,
    tiles: &[TileStats],
    delegates: &[i32],
    target: Option<u32>,
    scale: Scale,
    listed: u32,
) -> LogprobsBits {
    let RowStats { max_key, status, mass, surprisal, n_greater, n_equal } = merge_tiles(tiles, scale);
    let mut top = vec![(NO_TOKEN, exact::BITS_NEG_INFINITY); listed as usize];
    let mut target_bits = 0;
    if status == 0 {
        for (entry, (key, token)) in top.iter_mut().zip(order::top_tokens(row, delegates, listed as usize)) {
            *entry = (token, exact::bits_of_key(key));
        }
        let bits = |token: u32| exact::bits_of_key(exact::key_of_bits(row.get(token as usize)));
        target_bits = target.map_or(0, bits);
    }
    LogprobsBits {
        distribution: DistributionBits { status, max_key, mass, surprisal, top, given: Vec::new() },
        target: [target_bits, n_greater, n_equal],
    }
}
