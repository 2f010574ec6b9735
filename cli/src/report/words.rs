//! Tokens as the page knows them, each once: rows name them by their number.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Serialize;
use sortilege::log::Chosen;

/// Characters of a text that the page has, and bytes of a token that it spells; of what is longer it has the beginning.
const TEXT_CHARS: usize = 200;
const HEX_BYTES: usize = 32;

/// A token as a log has it.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    id: Option<u32>,
    text: Option<&'a str>,
    bytes: Option<&'a [u8]>,
}

impl<'a> Token<'a> {
    pub(super) fn new(id: impl Into<Option<u32>>, text: Option<&'a str>, bytes: Option<&'a [u8]>) -> Self {
        Self { id: id.into(), text, bytes }
    }

    pub(super) fn of(chosen: &Chosen<'a>) -> Self {
        Self::new(chosen.token, chosen.text, chosen.bytes)
    }

    /// Whether a page shows both as one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.known_bytes() == other.known_bytes()
    }

    /// Its bytes, which are those of the text where nothing else is known.
    pub(super) fn known_bytes(&self) -> Option<&'a [u8]> {
        self.bytes.or(self.text.map(str::as_bytes))
    }
}

/// A token in the page.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Word {
    id: Option<u32>,
    /// The bytes as text, with U+FFFD for what is none.
    text: Option<String>,
    /// The bytes in hexadecimal.
    hex: Option<String>,
    /// How many they are.
    bytes: usize,
}

/// All tokens of a page.
#[derive(Default)]
pub(super) struct Words {
    numbers: HashMap<(Option<u32>, Option<Vec<u8>>), usize>,
    list: Vec<Word>,
}

impl Words {
    /// The number of a token.
    pub(super) fn number(&mut self, token: Token<'_>) -> usize {
        let bytes = token.known_bytes();
        let next = self.list.len();
        let number = *self.numbers.entry((token.id, bytes.map(<[u8]>::to_vec))).or_insert(next);
        if number == next {
            self.list.push(Word {
                id: token.id,
                text: bytes.map(|bytes| clipped(&String::from_utf8_lossy(bytes))),
                hex: token.bytes.map(hex),
                bytes: token.bytes.map_or(0, <[u8]>::len),
            });
        }
        number
    }

    /// The text of a token.
    pub(super) fn text(&self, number: usize) -> Option<&str> {
        self.list[number].text.as_deref()
    }

    pub(super) fn into_list(self) -> Vec<Word> {
        self.list
    }
}

/// The beginning of a text, and an ellipsis where there is more.
pub(super) fn clipped(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => [&text[..end], "…"].concat(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes.iter().take(HEX_BYTES) {
        // A string takes everything.
        let _ = write!(hex, "{}{byte:02x}", if hex.is_empty() { "" } else { " " });
    }
    if bytes.len() > HEX_BYTES { hex + " …" } else { hex }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_there_once_and_never_long() {
        let mut words = Words::default();
        let token = |id: Option<u32>, bytes| Token::new(id, None, bytes);
        let long = "é".repeat(600_000);
        let tokens = [
            token(Some(5), Some(&b"a"[..])),
            token(Some(5), None),
            token(Some(6), Some(b"a")),
            token(Some(5), Some(b"a")),
            token(None, Some(&[0xe2, 0x82])),
            token(Some(7), Some(long.as_bytes())),
        ];
        assert_eq!(tokens.map(|token| words.number(token)), [0, 1, 2, 0, 3, 4]);
        let list = words.into_list();
        assert_eq!(list[1], Word { id: Some(5), text: None, hex: None, bytes: 0 });
        assert_eq!((list[3].text.as_deref(), list[3].hex.as_deref()), (Some("\u{fffd}"), Some("e2 82")));
        assert_eq!(list[4].text.as_deref(), Some(&*["é".repeat(TEXT_CHARS), "…".to_owned()].concat()));
        assert_eq!(list[4].bytes, 1_200_000);
        assert_eq!(list[4].hex.as_ref().map(String::len), Some(3 * HEX_BYTES - 1 + " …".len()));
    }
}
