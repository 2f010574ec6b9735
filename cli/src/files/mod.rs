//! Files: arrays of logits and token ids that are read, outputs that are written with a sidecar. It knows formats,
//! shapes and hashes, and neither what is computed of the numbers nor how results are spelled.

mod array;
mod atomic_file;
mod element;
mod formats;
mod hints;
mod integers;
mod interrupt;
mod lasting;
mod log;
mod logits;
mod packed;
mod partial;
mod reference;
mod sidecar;
mod tokens;

pub(crate) use self::array::Array;
pub(crate) use self::atomic_file::write_file;
pub(crate) use self::element::Element;
pub(crate) use self::formats::open_array;
pub(crate) use self::hints::Hints;
pub(crate) use self::interrupt::{leave_nothing_behind, yield_to_signal};
pub(crate) use self::log::LogFile;
pub(crate) use self::logits::{BLOCK_BYTES, LogitsFile, each_block_of};
pub(crate) use self::partial::Partial;
pub(crate) use self::reference::{About, ReferenceFile, ReferenceWriter, Source};
pub(crate) use self::sidecar::{
    Asked, Inputs, deliver, deliver_whole, meta, meta_within, once, read_sidecar, sha256, sidecar_beside,
    with_sidecar,
};
pub(crate) use self::tokens::{Integers, Layout, listed_integers, read_integers};
