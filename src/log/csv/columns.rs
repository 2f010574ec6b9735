//! The columns of CSV files: the words of JSON for the row and its token, and with `alternative_` for one of a list.

use crate::log::record::{DrawRecord, LogprobsRecord, SampleRecord, TokenLogprob};
use crate::log::spelling::text_cell;

/// A record and one of its alternatives, with its number.
#[derive(Clone, Copy)]
pub(super) struct LogprobsLine<'r> {
    pub(super) record: &'r LogprobsRecord<'r>,
    pub(super) alternative: Option<(usize, &'r TokenLogprob<'r>)>,
}

/// A record and one of its draws, with its number.
#[derive(Clone, Copy)]
pub(super) struct SampleLine<'r> {
    pub(super) record: &'r SampleRecord<'r>,
    pub(super) draw: Option<(usize, &'r DrawRecord<'r>)>,
}

/// A name, and the field of any line.
type LogprobsColumn = (&'static str, fn(&LogprobsLine<'_>) -> String);
type SampleColumn = (&'static str, fn(&SampleLine<'_>) -> String);

pub(super) const LOGPROBS_COLUMNS: &[LogprobsColumn] = &[
    ("request", |line| line.record.request.to_string()),
    ("position", |line| line.record.position.to_string()),
    ("status", |line| line.record.status.name().to_owned()),
    ("logsumexp", |line| number(line.record.logsumexp)),
    ("entropy", |line| number(line.record.entropy)),
    ("token", |line| optional(line.record.token)),
    ("text", |line| text(line.record.text.as_deref())),
    ("bytes", |line| bytes(line.record.text.as_deref(), line.record.bytes.as_deref())),
    ("logprob", |line| number(line.record.logprob)),
    ("rank", |line| optional(line.record.rank)),
    ("alternative", |line| optional(line.alternative.map(|(number, _)| number))),
    ("alternative_token", |line| optional(line.entry().and_then(|entry| entry.token))),
    ("alternative_text", |line| text(line.entry().and_then(|entry| entry.text.as_deref()))),
    ("alternative_bytes", |line| {
        let entry = line.entry();
        bytes(entry.and_then(|entry| entry.text.as_deref()), entry.and_then(|entry| entry.bytes.as_deref()))
    }),
    ("alternative_logprob", |line| number(line.entry().map(|entry| entry.logprob))),
];

pub(super) const SAMPLE_COLUMNS: &[SampleColumn] = &[
    ("request", |line| line.record.request.to_string()),
    ("position", |line| line.record.position.to_string()),
    ("status", |line| line.record.status.name().to_owned()),
    ("finish_reason", |line| optional(line.record.finish_reason)),
    ("seed", |line| line.record.seed.to_string()),
    ("stream", |line| line.record.stream.to_string()),
    ("temperature", |line| number(line.record.temperature)),
    ("kept", |line| line.record.kept.to_string()),
    ("kept_mass", |line| number(line.record.kept_mass)),
    ("entropy", |line| number(line.record.processed.entropy)),
    ("draw", |line| optional(line.draw.map(|(number, _)| number))),
    ("token", |line| optional(line.drawn().map(|drawn| drawn.token))),
    ("text", |line| text(line.drawn().and_then(|drawn| drawn.text.as_deref()))),
    ("bytes", |line| {
        let drawn = line.drawn();
        bytes(drawn.and_then(|drawn| drawn.text.as_deref()), drawn.and_then(|drawn| drawn.bytes.as_deref()))
    }),
    ("logprob", |line| number(line.drawn().map(|drawn| drawn.logprob))),
    ("rank", |line| optional(line.drawn().map(|drawn| drawn.rank))),
    ("raw_logprob", |line| number(line.drawn().and_then(|drawn| drawn.raw_logprob))),
    ("raw_rank", |line| optional(line.drawn().and_then(|drawn| drawn.raw_rank))),
];

impl<'r> LogprobsLine<'r> {
    fn entry(&self) -> Option<&'r TokenLogprob<'r>> {
        self.alternative.map(|(_, entry)| entry)
    }
}

impl<'r> SampleLine<'r> {
    fn drawn(&self) -> Option<&'r DrawRecord<'r>> {
        self.draw.map(|(_, drawn)| drawn)
    }
}

/// The field of what there may be, empty where there is nothing.
fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The field of a number, empty where it is not finite.
fn number(value: Option<f64>) -> String {
    optional(value.filter(|value| value.is_finite()))
}

/// The field of a token's text; empty where there is none.
fn text(text: Option<&str>) -> String {
    text.map_or_else(String::new, text_cell)
}

/// The field of a token's bytes, as JSON spells them; empty where they are not known. Those of an empty text are: none, by
/// which it is told from no text.
fn bytes(text: Option<&str>, bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes.or_else(|| text.filter(|text| text.is_empty()).map(str::as_bytes)) else {
        return String::new();
    };
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", numbers.join(","))
}
