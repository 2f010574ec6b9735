//! The exact arithmetic that both halves share: integers, so that every device gives the same bits. A file has the
//! name of the library in `shaders/lib` that computes it there; `draw_scale` is part of `thresholds`, `ln` the host's alone.

pub(crate) mod divergence;
pub(crate) mod draw_scale;
pub(crate) mod exact;
pub(crate) mod format;
pub(crate) mod integers;
pub(crate) mod lane;
pub(crate) mod ln;
pub(crate) mod merge;
pub(crate) mod numbers;
pub(crate) mod rng;
pub(crate) mod wide;
