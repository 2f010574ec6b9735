//! Moves the items of a block to where they belong by their digit, items with equal digits in their order. On the CPU
//! `row_finish` makes lists of any length.

use crate::kernel::{Kernel, Slot, lib};

/// One workgroup per block of consecutive items of one row, dispatch (blocks, rows).
pub(crate) const KERNEL: Kernel = Kernel {
    name: "digit_scatter",
    wgsl: concat!(
        include_str!("../../shaders/digit_scatter.wgsl"),
        lib!("batch"),
        lib!("logits"),
        lib!("digits"),
        lib!("exact")
    ),
    slots: &[Slot::Batch, Slot::Read, Slot::Write, Slot::Write],
};
