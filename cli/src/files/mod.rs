//! Files: arrays of logits and token ids that are read, outputs that are written with a sidecar. It knows formats,
//! shapes and hashes, and neither what is computed of the numbers nor how results are spelled.

mod array;
mod draft;
mod hints;
mod logits;
mod npy;
mod npz;
mod open;
mod raw;
mod safetensors;
mod sha256;
mod sidecar;
mod tokens;

pub(crate) use self::array::{Array, Element};
pub(crate) use self::draft::Draft;
pub(crate) use self::hints::Hints;
pub(crate) use self::logits::{BLOCK_BYTES, LogitsFile};
pub(crate) use self::open::open_array;
pub(crate) use self::sha256::sha256;
pub(crate) use self::sidecar::{Meta, check_output, deliver};
pub(crate) use self::tokens::{Form, Integers, read_integers};
