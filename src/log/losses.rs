//! What a format has no place for: one table of the parts of records, and the count of what is lost on the way into a
//! format.

use super::format::Format;
use super::openai::OpenAiWriter;
use super::record::{Record, SampleRecord, TokenLogprob};
use crate::answer::Status;

/// A part of records.
struct Part {
    name: &'static str,
    /// Whether a record has it.
    is_in: fn(&Record<'_>) -> bool,
    /// Whether a format has a place for it.
    has_place: fn(Format) -> bool,
}

/// Ours hold all records, those of other programs the chosen tokens alone.
const fn is_ours(format: Format) -> bool {
    !format.is_of_chosen_tokens()
}

/// Formats that hold all of a record, of samples too.
fn holds_all(format: Format) -> bool {
    is_ours(format) && format != Format::Csv
}

const PARTS: &[Part] = &[
    Part {
        name: "records without a chosen token",
        is_in: |record| record.chosen().is_none(),
        has_place: is_ours,
    },
    Part {
        name: "states of rows that are no distribution",
        is_in: |record| !matches!(record.status(), Status::Ok | Status::Finished),
        has_place: is_ours,
    },
    Part {
        name: "rows behind the end of their request",
        is_in: |record| record.status() == Status::Finished,
        has_place: is_ours,
    },
    Part {
        name: "finish_reason",
        is_in: |record| sample(record).is_some_and(|sample| sample.finish_reason.is_some()),
        has_place: is_ours,
    },
    Part {
        name: "ids of tokens",
        is_in: |record| tokens(record).any(|(token, text, _)| token.is_some() && text.is_some()),
        has_place: |format| format != Format::OpenAiCompletions,
    },
    Part {
        name: "bytes of tokens",
        is_in: |record| tokens(record).any(|(.., bytes)| bytes.is_some()),
        has_place: |format| !matches!(format, Format::OpenAiCompletions | Format::Vllm),
    },
    Part {
        name: "rank",
        is_in: |record| record.chosen().is_some_and(|chosen| chosen.rank.is_some()),
        has_place: |format| is_ours(format) || format == Format::Vllm,
    },
    Part {
        name: "that a token is none of the alternatives, where its rank is not behind the next",
        is_in: is_next_to_the_list,
        has_place: |format| format != Format::Vllm,
    },
    Part {
        name: "logsumexp",
        is_in: |record| matches!(record, Record::Logprobs(record) if record.logsumexp.is_some()),
        has_place: is_ours,
    },
    Part { name: "entropy", is_in: |record| record.entropy().is_some(), has_place: is_ours },
    Part {
        name: "tokens that were asked for by their ids",
        is_in: |record| !record.token_logprobs().is_empty(),
        has_place: holds_all,
    },
    Part {
        name: "alternatives after the first 20",
        is_in: |record| record.top().len() > OpenAiWriter::<Vec<u8>>::MAX_TOP_LOGPROBS as usize,
        has_place: |format| format != Format::OpenAi,
    },
    Part {
        name: "alternatives with the text of a more probable one",
        is_in: has_equal_texts,
        has_place: |format| format != Format::OpenAiCompletions,
    },
    Part {
        name: "seed, stream, temperature, kept and kept_mass",
        is_in: |record| sample(record).is_some(),
        has_place: is_ours,
    },
    Part {
        name: "draws after the first",
        is_in: |record| sample(record).is_some_and(|sample| sample.draws.len() > 1),
        has_place: is_ours,
    },
    Part {
        name: "raw logprobs and raw ranks of draws",
        is_in: |record| {
            sample(record).is_some_and(|sample| sample.draws.iter().any(|draw| draw.raw_logprob.is_some()))
        },
        has_place: is_ours,
    },
    Part {
        name: "logsumexp of the processed distribution",
        is_in: |record| sample(record).is_some_and(|sample| sample.processed.logsumexp.is_some()),
        has_place: holds_all,
    },
    Part {
        name: "alternatives of the processed distribution",
        is_in: |record| sample(record).is_some_and(|sample| !sample.processed.top.is_empty()),
        has_place: |format| format != Format::Csv,
    },
    Part {
        name: "the raw distribution",
        is_in: |record| sample(record).is_some_and(|sample| sample.raw.is_some()),
        has_place: holds_all,
    },
];

fn sample<'r>(record: &'r Record<'_>) -> Option<&'r SampleRecord<'r>> {
    match record {
        Record::Sample(sample) => Some(sample),
        Record::Logprobs(_) => None,
    }
}

/// Id, text and bytes of the chosen token and of the alternatives.
fn tokens<'r>(
    record: &'r Record<'_>,
) -> impl Iterator<Item = (Option<u32>, Option<&'r str>, Option<&'r [u8]>)> {
    let chosen = record.chosen().map(|chosen| (chosen.token, chosen.text, chosen.bytes));
    let entry = |entry: &'r TokenLogprob<'_>| (entry.token, entry.text.as_deref(), entry.bytes.as_deref());
    chosen.into_iter().chain(record.top().iter().map(entry))
}

/// Whether the chosen token is not listed and has the rank of one that is, or the next one, or without a rank is as probable:
/// of what is left it is listed.
fn is_next_to_the_list(record: &Record<'_>) -> bool {
    let (Some(chosen), top) = (record.chosen(), record.top()) else { return false };
    let is_possible = chosen.logprob.is_some_and(f64::is_finite);
    let is_listed = top.iter().any(|entry| entry.token == chosen.token);
    let is_next = match chosen.rank {
        Some(rank) => rank as usize <= top.len() + 1,
        None => top.last().is_some_and(|last| chosen.logprob.is_some_and(|own| own >= last.logprob)),
    };
    is_possible && !is_listed && is_next
}

fn has_equal_texts(record: &Record<'_>) -> bool {
    let mut texts: Vec<&str> = record.top().iter().filter_map(|entry| entry.text.as_deref()).collect();
    texts.sort_unstable();
    texts.windows(2).any(|pair| pair[0] == pair[1])
}

/// Counts what of the records that it is shown a format has no place for.
#[derive(Clone, Debug)]
pub struct Losses {
    format: Format,
    /// Records with each part of the table.
    counts: [u64; PARTS.len()],
    /// Records whose numbers are others than a reader of the format counts.
    renumbered: u64,
    /// Their numbers for such a reader: requests, and the position that comes next in the last of them.
    counted: Option<(u64, u64)>,
    /// The request of the record before.
    request: Option<u64>,
}

impl Losses {
    /// Nothing is lost yet.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, counts: [0; PARTS.len()], renumbered: 0, counted: None, request: None }
    }

    /// Counts what of this record is lost.
    pub fn add(&mut self, record: &Record<'_>) {
        for (count, part) in self.counts.iter_mut().zip(PARTS) {
            *count += u64::from(!(part.has_place)(self.format) && (part.is_in)(record));
        }
        if is_ours(self.format) {
            return;
        }
        let is_next = self.request.replace(record.request()) == Some(record.request());
        let (request, position) = match self.counted {
            Some((request, position)) if is_next => (request, position),
            Some((request, _)) => (request + 1, 0),
            None => (0, 0),
        };
        let has_entry = record.chosen().is_some();
        self.counted = Some((request, position + u64::from(has_entry)));
        self.renumbered +=
            u64::from(has_entry && (record.request(), record.position()) != (request, position));
    }

    /// What is lost, and of how many records.
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let renumbered = ("numbers of requests and positions", self.renumbered);
        let parts = PARTS.iter().map(|part| part.name).zip(self.counts);
        parts.chain([renumbered]).filter(|(_, count)| *count > 0)
    }

    /// Whether nothing is lost of all records so far.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.lost().next().is_none()
    }
}
