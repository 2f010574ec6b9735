//! `files` of the program, without its outputs.

#[path = "../../cli/src/files/array.rs"]
mod array;
#[path = "../../cli/src/files/element.rs"]
mod element;
#[path = "../../cli/src/files/formats/mod.rs"]
mod formats;
#[path = "../../cli/src/files/hints.rs"]
mod hints;
#[path = "../../cli/src/files/integers.rs"]
mod integers;
#[path = "../../cli/src/files/logits.rs"]
mod logits;
#[path = "../../cli/src/files/packed.rs"]
mod packed;
#[path = "../../cli/src/files/tokens.rs"]
mod tokens;

pub(crate) use self::array::Array;
pub(crate) use self::element::Element;
pub(crate) use self::formats::open_array;
pub(crate) use self::hints::Hints;
pub(crate) use self::logits::LogitsFile;
pub(crate) use self::tokens::{Integers, Layout, read_integers};
