//! Text files, read whole within a limit.

use std::path::Path;

use super::foreign;
use super::input::Opened;
use crate::failure::{Failure, Result};

/// Bytes of the longest text: a tokenizer.json of 262 144 tokens has an eighth of that.
const MOST_BYTES: u64 = 256 << 20;

/// A text, and the hash of the file that it was read from.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) sha256: String,
}

/// The text of a file in UTF-8, without a byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<Text> {
    text_of(Opened::new(path)?, MOST_BYTES)
}

/// The text of a file of at most so many bytes.
pub(super) fn text_of(opened: Opened, most: u64) -> Result<Text> {
    let path = opened.path.clone();
    foreign::check(&path, &opened.head)?;
    let (bytes, sha256) = opened.all(most)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Failure::file(&path, format!("is no text in UTF-8: {}", error.utf8_error())))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Text { text, sha256 })
}
