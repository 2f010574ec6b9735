//! One f32 per row out of its record: the maximum, or the log-sum-exp at temperature 1.

use crate::exact;
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, wgsl};
use crate::record::RawRecord;

/// One lane per row, dispatch (rows / 64).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_scalar",
    wgsl: wgsl!("row_scalar": "format", "words", "integers", "exact", "wide"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Write],
};

/// The same on the CPU.
pub(crate) fn run(record: &RawRecord, log_sum_exp: bool) -> f32 {
    match record.stats.flags {
        0 => {
            let max_bits = exact::bits_of_key(record.stats.max_key);
            f32::from_bits(if log_sum_exp {
                exact::log_sum_exp_bits(max_bits, exact::ln_mass_fixed(record.stats.mass))
            } else {
                max_bits
            })
        }
        exact::FLAG_NAN => f32::NAN,
        exact::FLAG_INFINITY => f32::INFINITY,
        _ => f32::NEG_INFINITY,
    }
}
