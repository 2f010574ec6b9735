//! The formats of `sortilege log`. No infinity or NaN reaches JSON: `serde_json` writes them as null.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{Record, Status, TargetLogprob};

use crate::args::Format;
use crate::texts::{Alternative, Texts, clip, csv_lines, number, optional};
use crate::vocab::Vocab;

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
    format: Format,
    texts: Texts<'a>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        out: Box<dyn Write + 'a>,
        format: Format,
        vocab: Option<&'a Vocab>,
    ) -> io::Result<Self> {
        let mut writer = Self { out, format, texts: Texts(vocab) };
        match format {
            Format::Csv => csv_lines(&mut writer.out, &[CSV_COLUMNS.map(str::to_owned)])?,
            Format::Table => writeln!(writer.out, "{TABLE_HEAD}")?,
            Format::Jsonl | Format::Openai => {}
        }
        Ok(writer)
    }

    pub(crate) fn write(&mut self, place: Place, record: &Record, target: Option<u32>) -> io::Result<()> {
        match self.format {
            Format::Table => self.table(place, record, target),
            Format::Jsonl => {
                let line = self.line(place, record, target);
                serde_json::to_writer(&mut self.out, &line)?;
                self.out.write_all(b"\n")
            }
            Format::Csv => {
                let lines = self.csv_rows(place, record, target);
                csv_lines(&mut self.out, &lines)
            }
            Format::Openai => self.openai(place, record, target),
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn line(&self, place: Place, record: &Record, target: Option<u32>) -> Line<'a> {
        let said = record.target;
        let is_sound = record.status == Status::Ok;
        Line {
            request: place.request,
            position: place.position,
            token: target,
            text: target.and_then(|token| self.texts.text(token)),
            bytes: target.and_then(|token| self.texts.bytes(token)),
            logprob: said.map(|said| said.logprob),
            rank: said.as_ref().map(TargetLogprob::rank),
            logsumexp: is_sound.then_some(record.logsumexp),
            entropy: is_sound.then_some(record.entropy),
            top: self.texts.alternatives(&record.top),
            status: record.status.name(),
        }
    }

    fn csv_rows(&self, place: Place, record: &Record, target: Option<u32>) -> Vec<[String; 12]> {
        let said = record.target;
        let common = [
            place.request.to_string(),
            place.position.to_string(),
            record.status.name().to_owned(),
            number(record.logsumexp),
            number(record.entropy),
            optional(target, |token| token.to_string()),
            optional(said.map(|said| said.logprob), number),
            optional(said, |said| said.rank().to_string()),
        ];
        let line = |rest: [String; 4]| {
            let mut columns = common.iter().cloned().chain(rest);
            std::array::from_fn(|_| columns.next().unwrap_or_default())
        };
        if record.top.is_empty() {
            return vec![line([const { String::new() }; 4])];
        }
        (1..)
            .zip(&record.top)
            .map(|(alternative, entry): (usize, _)| {
                line([
                    alternative.to_string(),
                    entry.token.to_string(),
                    self.texts.text(entry.token).unwrap_or_default().into_owned(),
                    number(entry.logprob),
                ])
            })
            .collect()
    }

    fn table(&mut self, place: Place, record: &Record, target: Option<u32>) -> io::Result<()> {
        let Place { request, position, .. } = place;
        let token = target.map_or_else(|| "-".to_owned(), |token| self.texts.label(token));
        write!(self.out, "{request:>3} {position:>4}  {:<14}", clip(&token, 14))?;
        if record.status != Status::Ok {
            return writeln!(self.out, "{}", record.status.name());
        }
        match &record.target {
            Some(said) => {
                write!(
                    self.out,
                    " {:>8.4} {:>6.2} % {:>6}",
                    said.logprob,
                    said.logprob.exp() * 100.0,
                    said.rank()
                )?;
            }
            None => write!(self.out, " {:>8} {:>8} {:>6}", "-", "-", "-")?,
        }
        write!(self.out, " {:>7.3}  ", record.entropy)?;
        for entry in &record.top {
            write!(
                self.out,
                " {} {:.1} %",
                clip(&self.texts.label(entry.token), 16),
                entry.logprob.exp() * 100.0
            )?;
        }
        writeln!(self.out)
    }

    /// One `logprobs` object of a chat completion per request and line, written as the positions come.
    fn openai(&mut self, place: Place, record: &Record, target: Option<u32>) -> io::Result<()> {
        self.out.write_all(if place.is_first { b"{\"content\":[" } else { b"," })?;
        let content = Content {
            said: self.said(target, record.target.map(|said| said.logprob)),
            top_logprobs: record
                .top
                .iter()
                .map(|entry| self.said(Some(entry.token), Some(entry.logprob)))
                .collect(),
        };
        serde_json::to_writer(&mut self.out, &content)?;
        if place.is_last { self.out.write_all(b"],\"refusal\":null}\n") } else { Ok(()) }
    }

    fn said(&self, token: Option<u32>, logprob: Option<f64>) -> Said<'a> {
        Said {
            token: token.and_then(|token| self.texts.text(token)).unwrap_or_else(|| {
                Cow::Owned(token.map_or_else(String::new, |token| format!("token_id:{token}")))
            }),
            token_id: token,
            // The schema's own word for "no such probability".
            logprob: logprob.filter(|logprob| logprob.is_finite()).unwrap_or(-9999.0),
            bytes: token.and_then(|token| self.texts.bytes(token)),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
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

#[derive(Serialize)]
struct Content<'a> {
    #[serde(flatten)]
    said: Said<'a>,
    top_logprobs: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    token: Cow<'a, str>,
    /// Not in the schema, which has no way to tell two tokens of the same text apart.
    token_id: Option<u32>,
    logprob: f64,
    bytes: Option<&'a [u8]>,
}

const CSV_COLUMNS: [&str; 12] = [
    "request",
    "position",
    "status",
    "logsumexp",
    "entropy",
    "target",
    "target_logprob",
    "target_rank",
    "alternative",
    "token",
    "text",
    "logprob",
];

const TABLE_HEAD: &str = "req  pos  token           logprob     prob   rank entropy   alternatives";
