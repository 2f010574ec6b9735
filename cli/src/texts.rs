//! Tokens as people and spreadsheets see them.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::TopLogprob;

use crate::vocab::Vocab;

/// Texts of tokens, where a vocabulary was given.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a>(pub(crate) Option<&'a Vocab>);

impl<'a> Texts<'a> {
    pub(crate) fn bytes(self, token: u32) -> Option<&'a [u8]> {
        self.0?.bytes(token)
    }

    pub(crate) fn text(self, token: u32) -> Option<Cow<'a, str>> {
        Some(String::from_utf8_lossy(self.bytes(token)?))
    }

    /// The text for people, or the id; control characters are escaped.
    pub(crate) fn label(self, token: u32) -> String {
        self.text(token).map_or_else(|| token.to_string(), |text| format!("{text:?}"))
    }

    pub(crate) fn alternatives(self, top: &[TopLogprob]) -> Vec<Alternative<'a>> {
        let alternative = |entry: &TopLogprob| Alternative {
            token: entry.token,
            text: self.text(entry.token),
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
    logprob: f64,
}

/// The number in a CSV field, which is empty where it is not finite.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

/// A CSV field, empty where there is nothing.
pub(crate) fn optional<T>(value: Option<T>, field: impl Fn(T) -> String) -> String {
    value.map_or_else(String::new, field)
}

pub(crate) fn csv_lines<const N: usize>(out: &mut dyn Write, lines: &[[String; N]]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line)?;
    }
    // A vector takes everything, so only the write below can fail.
    out.write_all(&writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?)
}

pub(crate) fn clip(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(width - 1).chain(['…']).collect())
}
