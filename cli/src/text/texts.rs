//! Tokens by their texts, as people and readers of JSON see them.

use std::borrow::Cow;

use serde::Serialize;
use sortilege::TopLogprob;

use super::vocab::Vocab;
use crate::shown::escaped;

/// Texts of tokens, where a vocabulary was given.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a>(pub(crate) Option<&'a Vocab>);

impl<'a> Texts<'a> {
    /// Bytes of a token, where they are known.
    pub(crate) fn bytes(self, token: u32) -> Option<&'a [u8]> {
        self.0?.bytes(token)
    }

    /// The bytes as text, with a replacement character for what is no UTF-8.
    pub(crate) fn text(self, token: u32) -> Option<Cow<'a, str>> {
        Some(String::from_utf8_lossy(self.bytes(token)?))
    }

    /// The text for people, or the id; control characters are escaped.
    pub(crate) fn label(self, token: u32) -> String {
        self.text(token).map_or_else(|| token.to_string(), |text| format!("\"{}\"", escaped(&text)))
    }

    /// The entries of a list with their texts.
    pub(crate) fn alternatives(self, top: &[TopLogprob]) -> Vec<Alternative<'a>> {
        let alternative = |entry: &TopLogprob| Alternative {
            token: entry.token,
            text: self.text(entry.token),
            bytes: self.bytes(entry.token),
            logprob: entry.logprob,
        };
        top.iter().map(alternative).collect()
    }
}

/// One of the most probable tokens, in JSON.
#[derive(Serialize)]
pub(crate) struct Alternative<'a> {
    token: u32,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: f64,
}
