//! Files: arrays of logits and token ids that are read, outputs that are written with a sidecar. It knows formats,
//! shapes and hashes, and neither what is computed of the numbers nor how results are spelled.

mod array;
mod digest;
mod draft;
mod element;
mod formats;
mod hints;
mod input;
mod integers;
mod interrupt;
mod logits;
mod sidecar;
mod spool;
mod tokens;

pub(crate) use self::array::Array;
pub(crate) use self::draft::Draft;
pub(crate) use self::element::Element;
pub(crate) use self::formats::open_array;
pub(crate) use self::hints::Hints;
pub(crate) use self::interrupt::leave_nothing_behind;
pub(crate) use self::logits::{BLOCK_BYTES, LogitsFile};
pub(crate) use self::sidecar::{Meta, check_output, deliver, sha256};
pub(crate) use self::tokens::{Form, Integers, read_integers};
