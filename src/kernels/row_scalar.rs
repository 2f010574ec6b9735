//! One f32 per row out of its record: the maximum, or the log-sum-exp at temperature 1.

use crate::answer::DistributionBits;
use crate::arithmetic::exact::bits_of_key;
use crate::arithmetic::merge::{STATUS_INFINITY, STATUS_NAN};
use crate::arithmetic::wide::{ln_mass_fixed, log_sum_exp_bits};
#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};

/// One lane per row, dispatch (rows / 64).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_scalar",
    wgsl: wgsl!("row_scalar": "format", "words", "integers", "exact", "wide"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Write],
};

/// The twin on the CPU.
pub(crate) fn run(distribution: &DistributionBits, log_sum_exp: bool) -> f32 {
    match distribution.status {
        0 => {
            let max_bits = bits_of_key(distribution.max_key);
            f32::from_bits(if log_sum_exp {
                log_sum_exp_bits(max_bits, ln_mass_fixed(distribution.mass))
            } else {
                max_bits
            })
        }
        STATUS_NAN => f32::NAN,
        STATUS_INFINITY => f32::INFINITY,
        _ => f32::NEG_INFINITY,
    }
}
