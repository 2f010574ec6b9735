//! Files of integers, as arrays or as text, of which a job wants no more than so many.

use std::path::Path;

use super::array::SAVE;
use super::formats::{Format, open_format};
use super::hints::Hints;
use crate::failure::{Failure, Result};
use crate::foreign;
use crate::input::Opened;

/// What a file of integers holds.
pub(super) enum Content {
    /// Their values, and the shape and the name of their array.
    Array(Vec<i64>, Vec<usize>, Option<String>),
    /// Text that is to be parsed.
    Text(Opened),
}

/// The integers of a file, if there are no more than the hints want.
pub(super) fn read(path: &Path, hints: &Hints) -> Result<Content> {
    let opened = Opened::new(path)?;
    let Some(format) = Format::of(&opened).filter(|format| *format != Format::Index) else {
        return match foreign::name(&opened.head) {
            Some(known) => Err(Failure::file(path, known.told(SAVE))),
            None => Ok(Content::Text(opened)),
        };
    };
    let array = open_format(opened, format, hints)?;
    let mut bytes = Vec::new();
    array.read(0, array.shape.iter().product(), &mut bytes)?;
    Ok(Content::Array(array.element.integers(path, &bytes)?, array.shape, array.tensor))
}
