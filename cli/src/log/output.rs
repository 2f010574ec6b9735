//! The formats of `sortilege log`. No infinity or NaN reaches JSON: `serde_json` writes them as null. What a record is
//! and which file it goes to is not decided here.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{Logprobs, Status, TargetLogprob, TopLogprob};

use super::args::LogFormat;
use crate::shown::clip;
use crate::text::columns::{bytes, number, optional, text, write_head, write_lines};
use crate::text::{Alternative, Texts, Vocab, write_json, write_json_line};

/// Where a row stands in the batch.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) request: usize,
    pub(crate) position: usize,
    /// Whether a new request starts here, and whether this is its last position.
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// Writes records in one format.
pub(crate) struct Writer<'a> {
    out: Box<dyn Write + 'a>,
    format: LogFormat,
    texts: Texts<'a>,
    /// Whether the object that is being written has an entry: there is none without a target.
    has_entry: bool,
}

impl<'a> Writer<'a> {
    /// A writer that has written what comes before the first row.
    pub(crate) fn new(
        out: Box<dyn Write + 'a>,
        format: LogFormat,
        vocab: Option<&'a Vocab>,
    ) -> io::Result<Self> {
        let mut writer = Self { out, format, texts: Texts(vocab), has_entry: false };
        match format {
            LogFormat::Csv => write_head(&mut writer.out, CSV_COLUMNS)?,
            LogFormat::Table => writeln!(writer.out, "{TABLE_HEAD}")?,
            LogFormat::Jsonl | LogFormat::Openai => {}
        }
        Ok(writer)
    }

    /// Writes the record of a row, and of its target.
    pub(crate) fn write(&mut self, place: Place, record: &Logprobs, target: Option<u32>) -> io::Result<()> {
        match self.format {
            LogFormat::Table => self.write_table(place, record, target),
            LogFormat::Jsonl => self.write_jsonl(place, record, target),
            LogFormat::Csv => self.write_csv(place, record, target),
            LogFormat::Openai => self.write_openai(place, record, target),
        }
    }

    /// Writes what may still be held back.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_jsonl(&mut self, place: Place, record: &Logprobs, target: Option<u32>) -> io::Result<()> {
        let is_sound = record.distribution.status == Status::Ok;
        let line = JsonLine {
            request: place.request,
            position: place.position,
            token: target,
            text: target.and_then(|token| self.texts.text(token)),
            bytes: target.and_then(|token| self.texts.bytes(token)),
            logprob: record.target.map(|target| target.logprob),
            rank: record.target.as_ref().map(TargetLogprob::rank),
            logsumexp: is_sound.then_some(record.distribution.logsumexp),
            entropy: is_sound.then_some(record.distribution.entropy),
            top: self.texts.alternatives(&record.distribution.top_logprobs),
            status: record.distribution.status.name(),
        };
        write_json_line(&mut self.out, &line)
    }

    /// One line per alternative, or one without an alternative.
    fn write_csv(&mut self, place: Place, record: &Logprobs, target: Option<u32>) -> io::Result<()> {
        let texts = self.texts;
        let line = |alternative| CsvLine { place, record, target, alternative, texts };
        let alternatives = (1..).zip(&record.distribution.top_logprobs).map(|entry| line(Some(entry)));
        let none = record.distribution.top_logprobs.is_empty().then(|| line(None));
        write_lines(&mut self.out, CSV_COLUMNS, alternatives.chain(none))
    }

    fn write_table(&mut self, place: Place, record: &Logprobs, target: Option<u32>) -> io::Result<()> {
        let Place { request, position, .. } = place;
        let token = target.map_or_else(|| "-".to_owned(), |token| self.texts.label(token));
        write!(self.out, "{request:>3} {position:>4}  {:<14}", clip(&token, 14))?;
        if record.distribution.status != Status::Ok {
            return writeln!(self.out, "{}", record.distribution.status.name());
        }
        match &record.target {
            Some(target) => {
                let TargetLogprob { logprob, .. } = target;
                let (percent, rank) = (logprob.exp() * 100.0, target.rank());
                write!(self.out, " {logprob:>8.4} {percent:>6.2} % {rank:>6}")?;
            }
            None => write!(self.out, " {:>8} {:>8} {:>6}", "-", "-", "-")?,
        }
        write!(self.out, " {:>7.3}  ", record.distribution.entropy)?;
        for entry in &record.distribution.top_logprobs {
            write!(
                self.out,
                " {} {:.1} %",
                clip(&self.texts.label(entry.token), 16),
                entry.logprob.exp() * 100.0
            )?;
        }
        writeln!(self.out)
    }

    /// One `logprobs` object of a chat completion per request and line, written as the positions come; an entry for each
    /// target.
    fn write_openai(&mut self, place: Place, record: &Logprobs, target: Option<u32>) -> io::Result<()> {
        if place.is_first {
            self.out.write_all(b"{\"content\":[")?;
            self.has_entry = false;
        }
        if let Some(target) = target {
            if self.has_entry {
                self.out.write_all(b",")?;
            }
            self.has_entry = true;
            let alternative = |entry: &TopLogprob| self.openai_token(entry.token, entry.logprob);
            let entry = OpenaiEntry {
                token: self.openai_token(target, record.target.map_or(f64::NAN, |target| target.logprob)),
                top_logprobs: record.distribution.top_logprobs.iter().map(alternative).collect(),
            };
            write_json(&mut self.out, &entry)?;
        }
        if place.is_last { self.out.write_all(b"],\"refusal\":null}\n") } else { Ok(()) }
    }

    fn openai_token(&self, token: u32, logprob: f64) -> OpenaiToken<'a> {
        OpenaiToken {
            token: self.texts.text(token).unwrap_or_else(|| Cow::Owned(format!("token_id:{token}"))),
            token_id: token,
            // The schema's own word for "no such probability".
            logprob: if logprob.is_finite() { logprob } else { -9999.0 },
            bytes: self.texts.bytes(token),
        }
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    request: usize,
    position: usize,
    token: Option<u32>,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: Option<f64>,
    rank: Option<u32>,
    logsumexp: Option<f64>,
    entropy: Option<f64>,
    top: Vec<Alternative<'a>>,
    status: &'static str,
}

/// An entry of `content`: the token at a position, and its alternatives.
#[derive(Serialize)]
struct OpenaiEntry<'a> {
    #[serde(flatten)]
    token: OpenaiToken<'a>,
    top_logprobs: Vec<OpenaiToken<'a>>,
}

/// A token in the schema's words.
#[derive(Serialize)]
struct OpenaiToken<'a> {
    token: Cow<'a, str>,
    /// Not in the schema, which has no way to tell two tokens of the same text apart.
    token_id: u32,
    logprob: f64,
    bytes: Option<&'a [u8]>,
}

/// A record and one of its alternatives, with its number.
struct CsvLine<'a> {
    place: Place,
    record: &'a Logprobs,
    target: Option<u32>,
    alternative: Option<(usize, &'a TopLogprob)>,
    texts: Texts<'a>,
}

impl CsvLine<'_> {
    fn entry(&self) -> Option<&TopLogprob> {
        self.alternative.map(|(_, entry)| entry)
    }
}

/// A name, and the field of any line.
type CsvColumn = (&'static str, fn(&CsvLine<'_>) -> String);

/// The words of JSON for the row and its given token, and with `alternative_` for a token of the list.
const CSV_COLUMNS: &[CsvColumn] = &[
    ("request", |line| line.place.request.to_string()),
    ("position", |line| line.place.position.to_string()),
    ("status", |line| line.record.distribution.status.name().to_owned()),
    ("logsumexp", |line| number(line.record.distribution.logsumexp)),
    ("entropy", |line| number(line.record.distribution.entropy)),
    ("token", |line| optional(line.target)),
    ("text", |line| text(line.texts, line.target)),
    ("bytes", |line| bytes(line.texts, line.target)),
    ("logprob", |line| optional(line.record.target.map(|target| number(target.logprob)))),
    ("rank", |line| optional(line.record.target.map(|target| target.rank()))),
    ("alternative", |line| optional(line.alternative.map(|(number, _)| number))),
    ("alternative_token", |line| optional(line.entry().map(|entry| entry.token))),
    ("alternative_text", |line| text(line.texts, line.entry().map(|entry| entry.token))),
    ("alternative_bytes", |line| bytes(line.texts, line.entry().map(|entry| entry.token))),
    ("alternative_logprob", |line| optional(line.entry().map(|entry| number(entry.logprob)))),
];

const TABLE_HEAD: &str = "req  pos  token           logprob     prob   rank entropy   alternatives";
