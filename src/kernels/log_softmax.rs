//! Full log-softmax at temperature 1, `x − max − ln(mass)` rounded once to f32: a second read and one write.

use crate::exact;
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, lib};
use crate::logits::RowBits;
use crate::record::RawRecord;

/// One workgroup per tile, dispatch (tiles, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "log_softmax",
    wgsl: concat!(
        include_str!("../../shaders/log_softmax.wgsl"),
        lib!("batch"),
        lib!("logits"),
        lib!("exact"),
        lib!("wide")
    ),
    slots: &[Slot::Batch, Slot::Read, Slot::Read, Slot::Write],
};

/// The same on the CPU: one row into `out`.
pub(crate) fn run(row: RowBits<'_>, record: &RawRecord, out: &mut [f32]) {
    if record.stats.flags != 0 {
        out.fill(f32::NAN);
        return;
    }
    let max_bits = exact::bits_of_key(record.stats.max_key);
    let ln_mass = exact::ln_mass_fixed(record.stats.mass);
    for (out, bits) in out.iter_mut().zip(row.iter()) {
        *out = f32::from_bits(exact::log_softmax_bits(max_bits, ln_mass, bits));
    }
}
