//! One kernel, one file: what it computes, its bindings (`KERNEL`), its twin on the CPU, its tests. The shader of the
//! same name lies in `shaders/`.

pub(crate) mod block;
#[cfg(all(test, feature = "gpu"))]
mod constants_tests;
pub(crate) mod digit_count;
#[cfg(feature = "gpu")]
pub(crate) mod digit_scatter;
mod draw;
#[cfg(feature = "gpu")]
pub(crate) mod kernel;
#[cfg(all(test, feature = "gpu"))]
mod kernel_tests;
mod lane_entries;
mod lanes;
pub(crate) mod log_softmax;
#[cfg(feature = "gpu")]
pub(crate) mod loop_rounds;
mod octaves;
mod pairs;
mod residual;
pub(crate) mod row_divergence;
#[cfg(feature = "gpu")]
pub(crate) mod row_history;
pub(crate) mod row_logprobs;
pub(crate) mod row_sample;
pub(crate) mod row_scalar;
pub(crate) mod row_task;
pub(crate) mod tile_divergence;
pub(crate) mod tile_information;
pub(crate) mod tile_stats;
mod token_at;
pub(crate) mod token_ranks;
#[cfg(feature = "gpu")]
pub(crate) mod top_entries;

/// Every kernel.
#[cfg(all(test, feature = "gpu"))]
pub(crate) const ALL: &[kernel::Kernel] = &[
    tile_stats::KERNEL,
    row_logprobs::KERNEL,
    digit_count::KERNEL,
    digit_scatter::KERNEL,
    digit_count::OF_VIEW,
    digit_scatter::OF_VIEW,
    row_sample::KERNEL,
    token_ranks::KERNEL,
    log_softmax::KERNEL,
    row_scalar::KERNEL,
    top_entries::KERNEL,
    loop_rounds::KERNEL,
    row_history::KERNEL,
    tile_divergence::KERNEL,
    row_divergence::KERNEL,
    tile_information::KERNEL,
];
