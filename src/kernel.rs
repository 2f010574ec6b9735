//! Kernels as data: source, bindings declared once. Tests compare the bindings with the WGSL and translate every
//! kernel for every backend.

use bytemuck::{Pod, Zeroable};

use crate::dtype::Dtype;
#[cfg(test)]
use crate::kernels::{
    digit_count, digit_scatter, log_softmax, row_logprobs, row_sample, row_scalar, tile_stats, top_entries,
};

/// The text of a kernel, `shaders/<name>.wgsl` first so that line numbers in errors are those of the file, then its
/// libraries: for any device, and for one with integers of 64 bits, where `integers64` stands in for `integers`.
macro_rules! wgsl {
    ($name:literal: $($lib:tt),*) => {
        $crate::kernel::Wgsl {
            portable: concat!(include_str!(concat!("../../shaders/", $name, ".wgsl")), $($crate::kernel::lib!($lib)),*),
            int64: concat!(include_str!(concat!("../../shaders/", $name, ".wgsl")), $($crate::kernel::lib!($lib 64)),*),
        }
    };
}
pub(crate) use wgsl;

macro_rules! lib {
    ("integers" 64) => {
        include_str!("../../shaders/lib/integers64.wgsl")
    };
    ($name:literal $($_any:literal)?) => {
        include_str!(concat!("../../shaders/lib/", $name, ".wgsl"))
    };
}
pub(crate) use lib;

/// The texts of a kernel. Both give the same bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wgsl {
    /// For any device.
    pub(crate) portable: &'static str,
    /// For a device with [`wgpu::Features::SHADER_INT64`].
    pub(crate) int64: &'static str,
}

impl Wgsl {
    pub(crate) const fn text(&self, int64: bool) -> &'static str {
        if int64 { self.int64 } else { self.portable }
    }
}

/// One binding of group 0; its index is its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The uniform [`ChunkUniform`].
    Chunk,
    /// A storage buffer, read only.
    Read,
    /// A storage buffer, written.
    Write,
}

/// A compute shader with the entry point `main`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) wgsl: Wgsl,
    pub(crate) slots: &'static [Slot],
}

#[cfg(test)]
impl Kernel {
    /// The same with another piece of text in place of one that must be there.
    pub(crate) fn replaced(self, right: &str, wrong: &str) -> Self {
        let change = |text: &str| -> &'static str {
            assert!(text.contains(right), "{}: no {right:?}", self.name);
            text.replace(right, wrong).leak()
        };
        Self { wgsl: Wgsl { portable: change(self.wgsl.portable), int64: change(self.wgsl.int64) }, ..self }
    }
}

/// Every kernel.
#[cfg(test)]
pub(crate) const ALL: [Kernel; 8] = [
    tile_stats::KERNEL,
    row_logprobs::KERNEL,
    digit_count::KERNEL,
    digit_scatter::KERNEL,
    row_sample::KERNEL,
    log_softmax::KERNEL,
    row_scalar::KERNEL,
    top_entries::KERNEL,
];

/// Value of the override `DTYPE`.
pub(crate) fn dtype_constant(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 0.0,
        Dtype::F16 => 1.0,
        Dtype::Bf16 => 2.0,
    }
}

/// The uniform of `shaders/lib/format.wgsl`, field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(crate) struct ChunkUniform {
    pub(crate) vocab: u32,
    pub(crate) tiles: u32,
    pub(crate) listed: u32,
    pub(crate) rows: u32,
    pub(crate) element_base: u32,
    pub(crate) row_stride: u32,
    pub(crate) record_words: u32,
    pub(crate) out_base: u32,
    pub(crate) first_row: u32,
    /// Comes back in every record.
    pub(crate) call: u32,
    pub(crate) views: u32,
    pub(crate) mask_words: u32,
    pub(crate) mask_base: u32,
    pub(crate) draft_base: u32,
    pub(crate) draft_stride: u32,
    pub(crate) draws: u32,
    pub(crate) top_raw: u32,
    /// Of a list of more than [`MOST_LISTED`](crate::plan::MOST_LISTED) entries.
    pub(crate) stage: u32,
    pub(crate) unused: [u32; 2],
}

#[cfg(test)]
mod tests;
