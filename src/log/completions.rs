//! OpenAI's older completions, which vLLM serves too: for each request a `logprobs` object of four lists side by side.
//! Tokens are texts alone: two tokens of one text are one alternative.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::foreign::{ForeignToken, UNLIKELY, finite, record, spelled};
use super::json::write_json;
use super::objects::Objects;
use super::record::{LogprobsRecord, Record, TokenLogprob};
use super::write::WriteRecord;

/// Writes the objects; the lists of a request are kept in memory until its last record, but for the first of them.
#[derive(Debug)]
pub struct OpenAiCompletionsWriter<W> {
    objects: Objects<W>,
    lists: Lists,
}

/// The lists after that of the tokens, as JSON without their ends.
#[derive(Debug, Default)]
struct Lists {
    token_logprobs: Vec<u8>,
    top_logprobs: Vec<u8>,
    text_offset: Vec<u8>,
    /// Characters of the tokens so far.
    characters: usize,
}

impl Lists {
    /// The end of an object.
    fn tail(&mut self) -> Vec<u8> {
        let Self { token_logprobs, top_logprobs, text_offset, .. } = std::mem::take(self);
        [
            b"],\"token_logprobs\":[",
            &token_logprobs[..],
            b"],\"top_logprobs\":[",
            &top_logprobs,
            b"],\"text_offset\":[",
            &text_offset,
            b"]}",
        ]
        .concat()
    }
}

impl<W: Write> OpenAiCompletionsWriter<W> {
    /// A writer of objects.
    pub fn new(out: W) -> Self {
        Self { objects: Objects::new(out, "{\"tokens\":["), lists: Lists::default() }
    }
}

impl<W: Write> WriteRecord for OpenAiCompletionsWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Self { objects, lists } = self;
        objects.open(record.request(), || lists.tail())?;
        let Some(chosen) = record.chosen() else { return Ok(()) };
        let text = spelled(chosen.token, chosen.text);
        objects.entry(&text)?;
        push(&mut lists.token_logprobs, &finite(chosen.logprob, UNLIKELY))?;
        push(&mut lists.top_logprobs, &ByText(record.top()))?;
        push(&mut lists.text_offset, &lists.characters)?;
        lists.characters += text.chars().count();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let Self { objects, lists } = self;
        objects.finish(|| lists.tail())
    }
}

fn push(list: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    if !list.is_empty() {
        list.push(b',');
    }
    write_json(list, value)
}

/// Alternatives by their texts, the most probable of each text.
struct ByText<'r>(&'r [TokenLogprob<'r>]);

impl Serialize for ByText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seen = BTreeSet::new();
        let mut map = serializer.serialize_map(None)?;
        for entry in self.0 {
            let text = spelled(entry.token, entry.text.as_deref());
            if seen.insert(text.clone()) {
                map.serialize_entry(&text, &entry.logprob)?;
            }
        }
        map.end()
    }
}

/// The object as it is read.
#[derive(serde::Deserialize)]
pub(super) struct ReadCompletions {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Option<Vec<Option<InOrder<String, f64>>>>,
}

impl ReadCompletions {
    /// A record for each token, none for one of which nothing is said.
    pub(super) fn records(self) -> Result<Vec<Option<LogprobsRecord<'static>>>, String> {
        let Self { tokens, token_logprobs, top_logprobs } = self;
        let lengths = [Some(token_logprobs.len()), top_logprobs.as_ref().map(Vec::len)];
        if let Some(other) = lengths.into_iter().flatten().find(|&length| length != tokens.len()) {
            return Err(format!("a list of {other} beside {} tokens", tokens.len()));
        }
        let tops = top_logprobs.unwrap_or_default().into_iter().map(Option::unwrap_or_default);
        let tops = tops.chain(std::iter::repeat_with(InOrder::default));
        Ok(tokens
            .into_iter()
            .zip(token_logprobs)
            .zip(tops)
            .map(|((text, logprob), top)| row(text, logprob, top))
            .collect())
    }
}

fn row(
    text: String,
    logprob: Option<f64>,
    InOrder(mut top): InOrder<String, f64>,
) -> Option<LogprobsRecord<'static>> {
    top.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let token = |text, logprob| ForeignToken { text: Some(text), logprob, ..ForeignToken::default() };
    record(token(text, logprob), top.into_iter().map(|(text, logprob)| token(text, Some(logprob))).collect())
}

/// The members of an object in its order.
#[derive(Debug)]
pub(super) struct InOrder<K, V>(pub(super) Vec<(K, V)>);

impl<K, V> Default for InOrder<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for InOrder<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

struct Members<K, V>(std::marker::PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Members<K, V> {
    type Value = InOrder<K, V>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(InOrder(members))
    }
}
