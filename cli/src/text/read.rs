//! Text files as editors and shells leave them: a byte order mark is no part of the text, and there is an end to it.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::input::Opened;

/// The text of a UTF-8 file of at most `limit` bytes, without a byte order mark.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String> {
    let mut bytes = Opened::new(path)?.all(limit, RIGHT_ONE)?;
    let mark = bytes.len() - decode(&bytes).map_err(|problem| Failure::file(path, problem))?.len();
    bytes.drain(..mark);
    String::from_utf8(bytes).map_err(|error| Failure::file(path, error))
}

/// What to do about a file that is too long to be what it is said to be.
pub(super) const RIGHT_ONE: &str = "is it the right file?";

/// What comes behind a byte order mark; an error for that of UTF-16.
pub(crate) fn strip_bom(bytes: &[u8]) -> Result<&[u8], String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("this is UTF-16 (or UTF-32), by its byte order mark: save it as UTF-8".to_owned());
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// The text that the bytes are, without a byte order mark; otherwise what they are.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, String> {
    let text = strip_bom(bytes)?;
    std::str::from_utf8(text).map_err(|error| {
        let place = error.valid_up_to();
        let offset = bytes.len() - text.len() + place;
        format!("byte {:#04x} at offset {offset} is not UTF-8: save it as UTF-8", text[place])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped_or_named() {
        let utf16: Vec<u8> = "\u{feff}a".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(b"\xef\xbb\xbfa\n"), Ok("a\n"));
        assert_eq!(decode("é".as_bytes()), Ok("é"));
        assert!(decode(&utf16).is_err_and(|problem| problem.contains("UTF-16")));
        let problem = decode(b"\xef\xbb\xbfab\xff").expect_err("no UTF-8");
        assert!(problem.contains("0xff at offset 5"), "{problem}");
    }

    #[test]
    fn a_file_has_an_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("text");
        std::fs::write(&path, "\u{feff}1234567").expect("writable");
        assert_eq!(read_text(&path, 10).expect("ten bytes"), "1234567");
        let message = read_text(&path, 9).expect_err("too long").to_string();
        assert!(message.contains("more than 9 bytes: is it the right file?"), "{message}");
    }
}
