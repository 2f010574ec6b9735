//! Texts: what tokens stand for, and how fields of output files are spelled. It does not know which fields an output
//! has.

pub(crate) mod columns;
mod texts;
mod vocab;

pub(crate) use self::texts::{Alternative, Texts, clip};
pub(crate) use self::vocab::Vocab;
