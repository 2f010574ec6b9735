//! llama-server's `completion_probabilities`: one object for each request, on a line of its own, with the chosen tokens
//! and their `top_logprobs`. It has no log-sum-exp, no entropy and no ranks. It is read as chat completions are.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::foreign::{chosen_entry, finite, spelled};
use super::objects::{Entry, Objects};
use super::record::{Record, TokenLogprob};
use super::write::WriteRecord;

/// What stands for −infinity: the least number of f32.
const IMPOSSIBLE: f64 = f32::MIN as f64;

/// Writes the objects as their records come.
#[derive(Debug)]
pub struct LlamaServerWriter<W> {
    objects: Objects<W>,
}

impl<W: Write> LlamaServerWriter<W> {
    /// A writer of objects.
    pub const fn new(out: W) -> Self {
        Self { objects: Objects::new(out, "{\"completion_probabilities\":[") }
    }
}

fn tail() -> Vec<u8> {
    b"]}".to_vec()
}

impl<W: Write> WriteRecord for LlamaServerWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.objects.open(record.request(), tail)?;
        let Some(chosen) = record.chosen() else { return Ok(()) };
        let chosen = chosen_entry(&chosen, IMPOSSIBLE);
        self.objects
            .entry(&Entry { token: token(&chosen), top_logprobs: record.top().iter().map(token).collect() })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.objects.finish(tail)
    }
}

/// A token in the schema's words.
#[derive(Serialize)]
struct Token<'r> {
    id: Option<u32>,
    token: Cow<'r, str>,
    bytes: Option<&'r [u8]>,
    logprob: f64,
}

fn token<'r>(entry: &'r TokenLogprob<'_>) -> Token<'r> {
    Token {
        id: entry.token,
        token: spelled(entry.token, entry.text.as_deref()),
        bytes: entry.bytes.as_deref(),
        logprob: finite(Some(entry.logprob), IMPOSSIBLE),
    }
}
