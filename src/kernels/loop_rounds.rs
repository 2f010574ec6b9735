//! How many rounds of loops a device carries out: a generator's state after so many steps tells.

use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One invocation, dispatch (1).
pub(crate) const KERNEL: Kernel =
    Kernel { name: "loop_rounds", wgsl: wgsl!("loop_rounds": "format"), slots: &[Slot::Chunk, Slot::Write] };

/// The generator's states, the one before its first step first (Numerical Recipes, 2nd edition, 7.1).
pub(crate) fn states(seed: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(seed), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)))
}
