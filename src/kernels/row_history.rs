//! What the tokens before a row change, of rows that run ahead of the host: it takes in the token that was drawn last, and
//! leaves a table of changes where `tile_stats` and `row_sample` look first, and Mirostat's limit.
//!
//! Its twin on the CPU is what every waiting row goes through: the changes of a step over the tokens that a row takes for
//! accepted (`src/request/step.rs`), DRY's repeats kept from token to token (`src/request/repeats.rs`), and
//! [`Mirostat::next_mu`](crate::Mirostat).

use super::kernel::{Kernel, Slot, wgsl};

/// One workgroup per row, dispatch (1, rows).
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_history",
    wgsl: wgsl!("row_history": "format", "words", "integers", "exact", "soft_float", "numbers"),
    slots: &[Slot::Chunk, Slot::Write, Slot::Write, Slot::Read],
};
