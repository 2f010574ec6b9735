//! Logits: their types, shapes, and rows in host memory.

mod dtype;
mod host;
pub(crate) mod order;
mod shape;
mod widen;

pub use dtype::Dtype;
pub use host::Logits;
pub use shape::Shape;

pub(crate) use host::RowBits;
pub(crate) use shape::{bytes_needed, validate_pair, validate_shape};
pub(crate) use widen::{Room, TileRoom};
