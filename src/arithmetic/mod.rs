//! The exact arithmetic that both halves share: integers, so that every device gives the same bits. One file per
//! library in `shaders/lib`, under the same name; `format` and `ln` are the host's alone.

pub(crate) mod draw_scale;
pub(crate) mod exact;
pub(crate) mod format;
pub(crate) mod integers;
pub(crate) mod ln;
pub(crate) mod merge;
pub(crate) mod numbers;
pub(crate) mod rng;
pub(crate) mod wide;
