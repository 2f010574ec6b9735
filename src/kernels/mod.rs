//! One kernel, one file: what it computes, its bindings (`KERNEL`), its twin on the CPU, its tests. The shader of the
//! same name lies in `shaders/`.

pub(crate) mod digit_count;
#[cfg(feature = "wgpu")]
pub(crate) mod digit_scatter;
pub(crate) mod log_softmax;
pub(crate) mod row_logprobs;
pub(crate) mod row_sample;
pub(crate) mod row_scalar;
pub(crate) mod tile_stats;
#[cfg(feature = "wgpu")]
pub(crate) mod top_entries;
