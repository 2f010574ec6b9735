//! Tokens by their texts.

use std::borrow::Cow;

/// What knows the bytes of tokens: a vocabulary.
pub trait TokenBytes {
    /// Bytes of a token in the middle of a text, where they are known.
    fn bytes(&self, token: u32) -> Option<&[u8]>;
}

/// Texts of tokens, where a vocabulary is known.
#[derive(Clone, Copy)]
pub struct Texts<'a>(Option<&'a dyn TokenBytes>);

impl<'a> Texts<'a> {
    /// No token has a known text.
    pub const NONE: Self = Self(None);

    /// Those of a vocabulary.
    #[must_use]
    pub const fn new(vocab: &'a dyn TokenBytes) -> Self {
        Self(Some(vocab))
    }

    /// Bytes of a token, where they are known.
    #[must_use]
    pub fn bytes(self, token: u32) -> Option<&'a [u8]> {
        self.0?.bytes(token)
    }

    /// The bytes as text, with a replacement character for what is no UTF-8.
    #[must_use]
    pub fn text(self, token: u32) -> Option<Cow<'a, str>> {
        self.bytes(token).map(String::from_utf8_lossy)
    }
}

impl std::fmt::Debug for Texts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Texts(known)" } else { "Texts(none)" })
    }
}
