//! Files of integers, as arrays or as text, of which a job wants no more than so many.

use std::path::Path;

use super::formats::{Format, check_foreign, open_format};
use super::hints::Hints;
use super::input::Opened;
use crate::failure::{Failure, Result};
use crate::shown::shown_path;

/// Names that tokens usually have in a file with several arrays.
const USUAL: &[&str] = &["tokens", "targets", "token_ids", "input_ids", "labels"];

/// Bytes of a file that an integer may take with what stands around it, and those of a file with few.
const MOST_BYTES: [u64; 2] = [64, 64 << 10];

/// What a file of integers holds.
pub(super) enum Content {
    /// Their values and their shape.
    Array(Vec<i64>, Vec<usize>),
    /// Text that is to be parsed.
    Text(Opened),
}

/// The integers of a file, if there are no more than `most`.
pub(super) fn read(path: &Path, most: usize) -> Result<Content> {
    let opened = Opened::new(path)?;
    let Some(format) = Format::of(&opened).filter(|format| *format != Format::Index) else {
        check_foreign(path, &opened.head)?;
        return Ok(Content::Text(opened));
    };
    let most_bytes = (most as u64).saturating_mul(MOST_BYTES[0]).saturating_add(MOST_BYTES[1]);
    let array = open_format(opened, format, &Hints { usual: USUAL, ..Hints::default() }, Some(most_bytes))?;
    // Of another type, it is refused for that.
    array.element.integers(path, &[])?;
    let count = array.shape.iter().product();
    if count > most {
        return Err(too_many(path, most));
    }
    let mut bytes = Vec::new();
    array.read(0, count, &mut bytes)?;
    Ok(Content::Array(array.element.integers(path, &bytes)?, array.shape))
}

/// The failure of a file with more integers than a job wants.
pub(super) fn too_many(path: &Path, most: usize) -> Failure {
    let path = shown_path(path);
    Failure::Usage(format!("{path}: over {most} tokens, more than these logits have use for"))
}
