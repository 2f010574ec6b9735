//! Max-reduce and exp-sum of one tile in one read: its maximum, flags, mass, surprisal, the target's rank counts, and
//! the maxima of its subtiles (the delegates).

use crate::exact::{self, SUBTILE_TOKENS, Scale, TileStats};
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, lib};
use crate::logits::RowBits;

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "tile_stats",
    wgsl: concat!(
        include_str!("../../shaders/tile_stats.wgsl"),
        lib!("batch"),
        lib!("logits"),
        lib!("exact"),
        lib!("soft_float"),
        lib!("request"),
        lib!("changes")
    ),
    slots: &[Slot::Batch, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// Words of one tile on the device: statistics, then delegates.
pub(crate) const TILE_WORDS: usize = 72;
/// Words of its statistics.
#[cfg(feature = "wgpu")]
pub(crate) const STATS_WORDS: usize = 8;

/// The same on the CPU: statistics of the tokens of one tile; pushes a delegate per subtile that holds any. The counts of a
/// row without a target are those of -infinity: `n_greater` is the number of possible tokens.
pub(crate) fn run(tile: RowBits<'_>, target_key: i32, scale: Scale, delegates: &mut Vec<i32>) -> TileStats {
    let mut stats = TileStats {
        max_key: exact::KEY_NEG_INFINITY,
        max_bits: 0,
        mass: 0,
        surprisal: 0,
        n_greater: 0,
        n_equal: 0,
    };
    for subtile in tile.runs(SUBTILE_TOKENS) {
        let mut delegate = exact::KEY_NEG_INFINITY;
        for bits in subtile.iter() {
            let key = exact::key(bits);
            delegate = delegate.max(key);
            stats.max_bits = stats.max_bits.max(bits);
            stats.n_greater += u32::from(key > target_key);
            stats.n_equal += u32::from(key == target_key);
        }
        stats.max_key = stats.max_key.max(delegate);
        delegates.push(delegate);
    }
    if stats.max_key <= exact::KEY_NEG_INFINITY || stats.max_key >= exact::KEY_INFINITY {
        return stats;
    }
    let max_bits = exact::bits_of_key(stats.max_key);
    for bits in tile.iter() {
        if let Some(octaves) = scale.octaves(max_bits, bits) {
            stats.mass += exact::weight(octaves);
            stats.surprisal += exact::surprisal(octaves);
        }
    }
    stats
}
