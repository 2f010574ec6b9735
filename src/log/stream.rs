//! Responses that were streamed: chunks, each with some tokens of a choice, joined by response and choice.

use std::collections::BTreeMap;

use super::foreign::Positions;

/// The requests of responses, or what is wrong with these.
pub(super) type Requests = Result<Vec<Positions>, String>;

/// What is said of a response without a token.
pub(super) const NO_LOGPROBS: &str =
    "no choice has logprobs: ask the server for them (`logprobs`, `top_logprobs`, `n_probs`)";

/// What a chunk adds to a choice.
pub(super) struct Chunk {
    /// Number of the choice.
    pub(super) index: u64,
    /// Nothing where the chunk tells of no token, as the last one of a choice.
    pub(super) positions: Option<Positions>,
    /// Whether the choice ends with it.
    pub(super) is_last: bool,
}

/// Responses of which chunks were read, in the order in which they began.
#[derive(Default)]
pub(super) struct Streams(Vec<Stream>);

struct Stream {
    id: String,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Default)]
struct Choice {
    positions: Option<Positions>,
    has_ended: bool,
}

impl Streams {
    /// Whether a choice of this response still goes on.
    pub(super) fn goes_on(&self, id: &str, index: u64) -> bool {
        let choice =
            |stream: &Stream| stream.id == id && stream.choices.get(&index).is_some_and(|it| !it.has_ended);
        self.0.iter().any(choice)
    }

    /// Takes a chunk of the response with this id.
    pub(super) fn add(&mut self, id: &str, chunk: Chunk) {
        let Chunk { index, positions, is_last } = chunk;
        let own = self.0.iter().rposition(|stream| stream.id == id);
        let has_ended = |stream: &Stream| stream.choices.get(&index).is_some_and(|choice| choice.has_ended);
        let place = match own {
            Some(place) if !has_ended(&self.0[place]) => place,
            // What comes behind the end and tells of no token counts what was used.
            Some(_) if positions.is_none() => return,
            _ => {
                self.0.push(Stream { id: id.to_owned(), choices: BTreeMap::new() });
                self.0.len() - 1
            }
        };
        let choice = self.0[place].choices.entry(index).or_default();
        if let Some(positions) = positions {
            choice.positions.get_or_insert_default().extend(positions);
        }
        choice.has_ended |= is_last;
    }

    /// The requests of the first responses, as far as these have ended and are not the one with this id.
    pub(super) fn ended(&mut self, but: Option<&str>) -> Requests {
        let has_ended = |stream: &&Stream| {
            Some(stream.id.as_str()) != but && stream.choices.values().all(|choice| choice.has_ended)
        };
        let count = self.0.iter().take_while(has_ended).count();
        self.take(count)
    }

    /// The requests of all responses, whether they have ended or were cut.
    pub(super) fn rest(&mut self) -> Requests {
        self.take(self.0.len())
    }

    fn take(&mut self, count: usize) -> Requests {
        let requests = self.0.drain(..count).map(Stream::requests).collect::<Result<Vec<_>, _>>()?;
        Ok(requests.into_iter().flatten().collect())
    }
}

impl Stream {
    /// The choices that have logprobs, in the order of their numbers.
    fn requests(self) -> Requests {
        let found: Vec<Positions> =
            self.choices.into_values().filter_map(|choice| choice.positions).collect();
        if found.is_empty() { Err(NO_LOGPROBS.to_owned()) } else { Ok(found) }
    }
}
