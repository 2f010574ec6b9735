//! vLLM's own lists, those of a `CompletionOutput` and of `prompt_logprobs`: for each position an object from token ids
//! to their `Logprob` (logprob, rank, decoded_token), that of the chosen token first. One object for each request, on a
//! line of its own. It has no log-sum-exp, no entropy and no bytes.

use std::io::{self, Write};

use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::chosen::Chosen;
use super::completions::InOrder;
use super::foreign::{ForeignToken, UNLIKELY, finite, record};
use super::objects::Objects;
use super::record::{LogprobsRecord, Record, TokenLogprob};
use super::write::WriteRecord;

/// Writes the objects as their records come; the ids of a request's tokens are kept in memory until its last record.
#[derive(Debug)]
pub struct VllmWriter<W> {
    objects: Objects<W>,
    token_ids: Vec<u32>,
}

impl<W: Write> VllmWriter<W> {
    /// A writer of objects.
    pub const fn new(out: W) -> Self {
        Self { objects: Objects::new(out, "{\"logprobs\":["), token_ids: Vec::new() }
    }
}

/// The end of an object, which takes the ids.
fn tail(token_ids: &mut Vec<u32>) -> Vec<u8> {
    let ids: Vec<String> = token_ids.drain(..).map(|token| token.to_string()).collect();
    format!("],\"token_ids\":[{}]}}", ids.join(",")).into_bytes()
}

impl<W: Write> WriteRecord for VllmWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Self { objects, token_ids } = self;
        objects.open(record.request(), || tail(token_ids))?;
        let Some(chosen) = record.chosen() else { return Ok(()) };
        let (Some(token), true) = (chosen.token, record.top().iter().all(|entry| entry.token.is_some()))
        else {
            let problem = "a token of unknown id: vllm names tokens by their ids";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        };
        token_ids.push(token);
        objects.entry(&ById { token, chosen, top: record.top() })
    }

    fn finish(&mut self) -> io::Result<()> {
        let Self { objects, token_ids } = self;
        objects.finish(|| tail(token_ids))
    }
}

/// The chosen token and its alternatives by their ids. It has its own rank, those beside it have their places in the list.
struct ById<'r> {
    token: u32,
    chosen: Chosen<'r>,
    top: &'r [TokenLogprob<'r>],
}

impl Serialize for ById<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { token, chosen, top } = self;
        let mut map = serializer.serialize_map(None)?;
        let logprob = finite(chosen.logprob, UNLIKELY);
        // One without a rank has its place, if it is listed.
        let place = || (1..).zip(*top).find(|(_, entry)| entry.token == Some(*token)).map(|(place, _)| place);
        let rank = chosen.rank.or_else(place);
        map.serialize_entry(token, &Logprob { logprob, rank, decoded_token: chosen.text })?;
        for (place, entry) in (1..).zip(*top) {
            if let Some(id) = entry.token.filter(|id| id != token) {
                let (logprob, decoded_token) = (entry.logprob, entry.text.as_deref());
                map.serialize_entry(&id, &Logprob { logprob, rank: Some(place), decoded_token })?;
            }
        }
        map.end()
    }
}

/// A token in vLLM's words.
#[derive(serde::Serialize)]
struct Logprob<'r> {
    logprob: f64,
    rank: Option<u32>,
    decoded_token: Option<&'r str>,
}

/// A token as it is read.
#[derive(Deserialize)]
pub(super) struct ReadLogprob {
    logprob: f64,
    rank: Option<u32>,
    decoded_token: Option<String>,
}

/// A position as it is read; the first one of a prompt is null.
pub(super) type ReadPosition = Option<InOrder<u32, ReadLogprob>>;

/// A record for each position, none for one of which nothing is said. The chosen tokens are these, or else the first of
/// each position.
pub(super) fn records(
    positions: Vec<ReadPosition>,
    tokens: Option<&[u32]>,
) -> Result<Vec<Option<LogprobsRecord<'static>>>, String> {
    if let Some(tokens) = tokens.filter(|tokens| tokens.len() != positions.len()) {
        return Err(format!("{} positions of logprobs beside {} tokens", positions.len(), tokens.len()));
    }
    let of_position = |(number, position): (usize, ReadPosition)| {
        let Some(InOrder(mut entries)) = position else { return Ok(None) };
        let place = match tokens {
            Some(tokens) => entries.iter().position(|(id, _)| *id == tokens[number]),
            None => (!entries.is_empty()).then_some(0),
        };
        let place = place.ok_or_else(|| format!("position {number} has no logprob of its token"))?;
        let chosen = entries.remove(place);
        Ok(position_record(chosen, entries))
    };
    positions.into_iter().enumerate().map(of_position).collect()
}

/// The record of a token and of those beside it. Ranks tell whether the token is one of the list too: it is, where the
/// others leave its place free, or where it is the next after them, or has the rank of one of them: it is as probable as
/// the last one. Without a rank the places and the logprobs tell.
fn position_record(
    (id, chosen): (u32, ReadLogprob),
    mut others: Vec<(u32, ReadLogprob)>,
) -> Option<LogprobsRecord<'static>> {
    others.sort_by_key(|(_, entry)| entry.rank);
    // Those on their places, and whether those behind them leave one place free.
    let before = (1..).zip(&others).take_while(|(place, (_, entry))| entry.rank == Some(*place)).count();
    let is_free = others[before..]
        .iter()
        .zip(before..)
        .all(|((_, entry), place)| entry.rank.is_some_and(|rank| rank as usize == place + 2));
    let is_listed = match chosen.rank {
        Some(rank) => before < others.len() || rank as usize <= before + 1,
        None => {
            is_free && before < others.len()
                || others.last().is_some_and(|(_, last)| chosen.logprob >= last.logprob)
        }
    };
    let token = |id: u32, entry: &ReadLogprob| ForeignToken {
        id: Some(id),
        text: entry.decoded_token.clone(),
        bytes: None,
        logprob: Some(entry.logprob),
        rank: entry.rank,
    };
    let mut top: Vec<ForeignToken> = others.iter().map(|(id, entry)| token(*id, entry)).collect();
    if is_listed {
        let place = match chosen.rank {
            _ if is_free && before < others.len() => before,
            Some(_) if is_free => before,
            Some(_) => others.partition_point(|(_, entry)| entry.rank < chosen.rank),
            None => others.partition_point(|(_, entry)| entry.logprob > chosen.logprob),
        };
        top.insert(place, token(id, &chosen));
    }
    record(token(id, &chosen), top)
}
