//! Moves the items of a block to where they belong by their digit, items with equal digits in their order. On the CPU
//! `row_logprobs` and `row_sample` make lists of any length.

use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One workgroup per block of consecutive items of one row, dispatch (blocks, rows).
pub(crate) const KERNEL: Kernel = Kernel {
    name: "digit_scatter",
    wgsl: wgsl!("digit_scatter": "format", "words", "logits", "rows", "integers", "exact", "digits_of_row", "digits"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Write, Slot::Write],
};

/// The same for the lists of a sample.
pub(crate) const OF_VIEW: Kernel = Kernel {
    name: "view_digit_scatter",
    wgsl: wgsl!("digit_scatter": "format", "words", "logits", "rows", "integers", "exact", "soft_float", "request", "changes",
        "digits_of_view", "digits"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Write, Slot::Write, Slot::Read, Slot::Read],
};
