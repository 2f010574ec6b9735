//! Moves the items of a block to where they belong by their digit, items with equal digits in their order. On the CPU
//! `row_logprobs` makes lists of any length.

use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One workgroup per block of consecutive items of one row, dispatch (blocks, rows).
pub(crate) const KERNEL: Kernel = Kernel {
    name: "digit_scatter",
    wgsl: wgsl!("digit_scatter": "format", "words", "logits", "rows", "digits", "integers", "exact"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Write, Slot::Write],
};
