//! OpenAI's chat completions: one `logprobs` object for each request, on a line of its own, with an entry for each
//! chosen token. It has no log-sum-exp, no entropy and no ranks, and −9999.0 for what is impossible.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::foreign::{ForeignToken, UNLIKELY, chosen_entry, finite, record, spelled};
use super::objects::{Entry, Objects};
use super::record::{LogprobsRecord, Record, TokenLogprob};
use super::write::WriteRecord;

/// Writes the objects as their records come.
#[derive(Debug)]
pub struct OpenAiWriter<W> {
    objects: Objects<W>,
}

impl<W: Write> OpenAiWriter<W> {
    /// The most alternatives that the schema has.
    pub const MAX_TOP_LOGPROBS: u32 = 20;

    /// A writer of objects.
    pub const fn new(out: W) -> Self {
        Self { objects: Objects::new(out, "{\"content\":[") }
    }
}

fn tail() -> Vec<u8> {
    b"],\"refusal\":null}".to_vec()
}

impl<W: Write> WriteRecord for OpenAiWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.objects.open(record.request(), tail)?;
        let Some(chosen) = record.chosen() else { return Ok(()) };
        let chosen = chosen_entry(&chosen, UNLIKELY);
        let most = Self::MAX_TOP_LOGPROBS as usize;
        self.objects.entry(&Entry {
            token: token(&chosen),
            top_logprobs: record.top().iter().take(most).map(token).collect(),
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.objects.finish(tail)
    }
}

/// A token in the schema's words.
#[derive(Serialize)]
struct Token<'r> {
    token: Cow<'r, str>,
    /// Not in the schema, which has no way to tell two tokens of the same text apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<u32>,
    logprob: f64,
    bytes: Option<&'r [u8]>,
}

fn token<'r>(entry: &'r TokenLogprob<'_>) -> Token<'r> {
    Token {
        token: spelled(entry.token, entry.text.as_deref()),
        token_id: entry.token,
        logprob: finite(Some(entry.logprob), UNLIKELY),
        bytes: entry.bytes.as_deref(),
    }
}

/// A token as it is read; llama-server calls the id `id`, and may tell probabilities.
#[derive(Deserialize)]
pub(super) struct ReadToken {
    #[serde(alias = "token_id")]
    id: Option<u32>,
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
    #[serde(default, deserialize_with = "probability")]
    prob: Option<f64>,
    #[serde(alias = "top_probs", default)]
    top_logprobs: Option<Vec<ReadToken>>,
}

/// A probability; of a sum of f32 it may be a little above 1.
fn probability<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(value)? {
        Some(prob) if !(0.0..=1.0 + 1e-6).contains(&prob) => {
            Err(Error::custom(format!("prob is {prob:?}: a probability is from 0 to 1")))
        }
        prob => Ok(prob),
    }
}

impl ReadToken {
    /// Its record; none where nothing is said of it.
    pub(super) fn record(mut self) -> Option<LogprobsRecord<'static>> {
        let top = self.top_logprobs.take().unwrap_or_default();
        record(self.token(), top.into_iter().map(Self::token).collect())
    }

    fn token(self) -> ForeignToken {
        let logprob = self.logprob.or_else(|| self.prob.map(f64::ln));
        ForeignToken { id: self.id, text: Some(self.token), bytes: self.bytes, logprob, rank: None }
    }
}
