//! OpenAI's chat completions: one `logprobs` object for each request, on a line of its own, with an entry for each
//! chosen token. It has no log-sum-exp, no entropy and no ranks, and −9999.0 for what is impossible.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::json::write_json;
use super::record::{Record, TokenLogprob};
use super::write::WriteRecord;

/// Writes the objects as their records come.
#[derive(Debug)]
pub struct OpenAiWriter<W> {
    out: W,
    /// The request whose object is open, and whether that has an entry.
    open: Option<(u64, bool)>,
}

impl<W: Write> OpenAiWriter<W> {
    /// The most alternatives that the schema has.
    pub const MAX_TOP_LOGPROBS: u32 = 20;

    /// A writer of objects.
    pub const fn new(out: W) -> Self {
        Self { out, open: None }
    }

    fn close(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(_) => self.out.write_all(b"],\"refusal\":null}\n"),
            None => Ok(()),
        }
    }
}

impl<W: Write> WriteRecord for OpenAiWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let request = record.request();
        let has_entry = match self.open {
            Some((open, has_entry)) if open == request => has_entry,
            _ => {
                self.close()?;
                self.out.write_all(b"{\"content\":[")?;
                false
            }
        };
        self.open = Some((request, has_entry));
        let Some(chosen) = record.chosen() else { return Ok(()) };
        if has_entry {
            self.out.write_all(b",")?;
        }
        self.open = Some((request, true));
        let entry = Entry {
            token: token(chosen.token, chosen.text, chosen.bytes, chosen.logprob),
            top_logprobs: record.top().iter().map(alternative).collect(),
        };
        write_json(&mut self.out, &entry)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.close()?;
        self.out.flush()
    }
}

/// An entry of `content`: the token at a position, and its alternatives.
#[derive(Serialize)]
struct Entry<'r> {
    #[serde(flatten)]
    token: Token<'r>,
    top_logprobs: Vec<Token<'r>>,
}

/// A token in the schema's words.
#[derive(Serialize)]
struct Token<'r> {
    token: Cow<'r, str>,
    /// Not in the schema, which has no way to tell two tokens of the same text apart.
    token_id: u32,
    logprob: f64,
    bytes: Option<&'r [u8]>,
}

fn alternative<'r>(entry: &'r TokenLogprob<'_>) -> Token<'r> {
    token(entry.token, entry.text.as_deref(), entry.bytes.as_deref(), Some(entry.logprob))
}

fn token<'r>(id: u32, text: Option<&'r str>, bytes: Option<&'r [u8]>, logprob: Option<f64>) -> Token<'r> {
    Token {
        token: text.map_or_else(|| Cow::Owned(format!("token_id:{id}")), Cow::Borrowed),
        token_id: id,
        // The schema's own word for "no such probability".
        logprob: logprob.filter(|logprob| logprob.is_finite()).unwrap_or(-9999.0),
        bytes,
    }
}
