//! The formats of `sortilege sample`. No infinity or NaN reaches JSON: `serde_json` writes them as null. What a sample
//! is and which file it goes to is not decided here.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{Distribution, Drawn, Sample, Status, TargetLogprob};

use super::args::SampleFormat;
use super::job::Place;
use crate::shown::clip;
use crate::text::columns::{bytes, number, optional, text, write_head, write_lines};
use crate::text::{Alternative, Texts, Vocab, write_json_line};

/// Writes samples in one format.
pub(crate) struct Writer<'a> {
    out: Box<dyn Write + 'a>,
    format: SampleFormat,
    texts: Texts<'a>,
}

impl<'a> Writer<'a> {
    /// A writer that has written what comes before the first row.
    pub(crate) fn new(
        out: Box<dyn Write + 'a>,
        format: SampleFormat,
        vocab: Option<&'a Vocab>,
    ) -> io::Result<Self> {
        let mut writer = Self { out, format, texts: Texts(vocab) };
        match format {
            SampleFormat::Csv => write_head(&mut writer.out, CSV_COLUMNS)?,
            SampleFormat::Table => writeln!(writer.out, "{TABLE_HEAD}")?,
            SampleFormat::Jsonl | SampleFormat::Tokens => {}
        }
        Ok(writer)
    }

    /// Writes the sample of a row.
    pub(crate) fn write(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
        match self.format {
            SampleFormat::Table => self.write_table(place, sample),
            SampleFormat::Jsonl => self.write_jsonl(place, sample),
            SampleFormat::Csv => self.write_csv(place, sample),
            SampleFormat::Tokens => self.write_tokens(sample),
        }
    }

    /// Writes what may still be held back.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_jsonl(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
        let Place { request, position, stream } = place;
        let line = JsonLine {
            request,
            position,
            status: sample.status.name(),
            seed: sample.seed,
            stream,
            temperature: sample.temperature,
            kept: sample.kept,
            kept_mass: sample.kept_mass,
            draws: sample.draws.iter().map(|drawn| self.json_draw(drawn)).collect(),
            processed: self.json_distribution(&sample.processed),
            raw: sample.raw.as_ref().map(|raw| self.json_distribution(raw)),
        };
        write_json_line(&mut self.out, &line)
    }

    fn json_draw(&self, drawn: &Drawn) -> JsonDraw<'a> {
        JsonDraw {
            token: drawn.token,
            text: self.texts.text(drawn.token),
            bytes: self.texts.bytes(drawn.token),
            logprob: drawn.logprob,
            rank: drawn.processed.rank(),
            raw_logprob: drawn.raw.map(|raw| raw.logprob),
            raw_rank: drawn.raw.as_ref().map(TargetLogprob::rank),
        }
    }

    fn json_distribution(&self, distribution: &Distribution) -> JsonDistribution<'a> {
        JsonDistribution {
            status: distribution.status.name(),
            logsumexp: distribution.logsumexp,
            entropy: distribution.entropy,
            top: self.texts.alternatives(&distribution.top_logprobs),
        }
    }

    /// One line per draw, or one without a draw.
    fn write_csv(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
        let texts = self.texts;
        let line = |draw| CsvLine { place, sample, draw, texts };
        let draws = (1..).zip(&sample.draws).map(|draw| line(Some(draw)));
        let none = sample.draws.is_empty().then(|| line(None));
        write_lines(&mut self.out, CSV_COLUMNS, draws.chain(none))
    }

    fn write_table(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
        let Place { request, position, .. } = place;
        write!(self.out, "{request:>3} {position:>4}")?;
        if sample.status != Status::Ok {
            return writeln!(self.out, "  {}", sample.status.name());
        }
        write!(
            self.out,
            " {:>7.3} {:>7} {:>7.2} % {:>7.3}  ",
            sample.temperature,
            sample.kept,
            sample.kept_mass * 100.0,
            sample.processed.entropy
        )?;
        for drawn in &sample.draws {
            let label = self.texts.label(drawn.token);
            write!(self.out, " {} {:.1} %", clip(&label, 16), drawn.logprob.exp() * 100.0)?;
        }
        writeln!(self.out)
    }

    fn write_tokens(&mut self, sample: &Sample) -> io::Result<()> {
        let tokens: Vec<String> = sample.draws.iter().map(|drawn| drawn.token.to_string()).collect();
        writeln!(self.out, "{}", if tokens.is_empty() { "-".to_owned() } else { tokens.join(" ") })
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    request: usize,
    position: u64,
    status: &'static str,
    seed: u64,
    stream: u32,
    temperature: f64,
    kept: u32,
    kept_mass: f64,
    draws: Vec<JsonDraw<'a>>,
    processed: JsonDistribution<'a>,
    raw: Option<JsonDistribution<'a>>,
}

#[derive(Serialize)]
struct JsonDraw<'a> {
    token: u32,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: f64,
    rank: u32,
    raw_logprob: Option<f64>,
    raw_rank: Option<u32>,
}

#[derive(Serialize)]
struct JsonDistribution<'a> {
    /// The raw distribution may be none where the processed one, without some tokens, is one.
    status: &'static str,
    logsumexp: f64,
    entropy: f64,
    top: Vec<Alternative<'a>>,
}

/// A sample and one of its draws, with its number.
struct CsvLine<'a> {
    place: Place,
    sample: &'a Sample,
    draw: Option<(usize, &'a Drawn)>,
    texts: Texts<'a>,
}

impl CsvLine<'_> {
    fn drawn(&self) -> Option<&Drawn> {
        self.draw.map(|(_, drawn)| drawn)
    }

    fn raw(&self) -> Option<&TargetLogprob> {
        self.drawn()?.raw.as_ref()
    }
}

/// A name, and the field of any line.
type CsvColumn = (&'static str, fn(&CsvLine<'_>) -> String);

const CSV_COLUMNS: &[CsvColumn] = &[
    ("request", |line| line.place.request.to_string()),
    ("position", |line| line.place.position.to_string()),
    ("status", |line| line.sample.status.name().to_owned()),
    ("seed", |line| line.sample.seed.to_string()),
    ("stream", |line| line.place.stream.to_string()),
    ("temperature", |line| number(line.sample.temperature)),
    ("kept", |line| line.sample.kept.to_string()),
    ("kept_mass", |line| number(line.sample.kept_mass)),
    ("entropy", |line| number(line.sample.processed.entropy)),
    ("draw", |line| optional(line.draw.map(|(number, _)| number))),
    ("token", |line| optional(line.drawn().map(|drawn| drawn.token))),
    ("text", |line| text(line.texts, line.drawn().map(|drawn| drawn.token))),
    ("bytes", |line| bytes(line.texts, line.drawn().map(|drawn| drawn.token))),
    ("logprob", |line| optional(line.drawn().map(|drawn| number(drawn.logprob)))),
    ("rank", |line| optional(line.drawn().map(|drawn| drawn.processed.rank()))),
    ("raw_logprob", |line| optional(line.raw().map(|raw| number(raw.logprob)))),
    ("raw_rank", |line| optional(line.raw().map(TargetLogprob::rank))),
];

const TABLE_HEAD: &str = "req  pos    temp    kept      mass entropy   draws";
