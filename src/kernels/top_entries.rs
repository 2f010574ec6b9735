//! The top-k part of the records as two arrays that stay on the device. On the CPU the records are those arrays.

use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One lane per entry, dispatch (listed / 64, rows).
pub(crate) const KERNEL: Kernel = Kernel {
    name: "top_entries",
    wgsl: wgsl!("top_entries": "format", "words"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Write, Slot::Write],
};
