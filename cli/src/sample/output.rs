//! The formats of `sortilege sample`. No infinity or NaN reaches JSON: `serde_json` writes them as null.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{Distribution, Drawn, Sample, Status, TargetLogprob};

use crate::args::SampleFormat;
use crate::texts::{Alternative, Texts, clip, csv_lines, number, optional};
use crate::vocab::Vocab;

/// Which draw a row is: its request, the number of its token, and what tells it apart under one seed.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) request: usize,
    pub(crate) position: u64,
    pub(crate) stream: u32,
}

/// Writes samples in one format.
pub(crate) struct Writer<'a> {
    out: Box<dyn Write + 'a>,
    format: SampleFormat,
    texts: Texts<'a>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        out: Box<dyn Write + 'a>,
        format: SampleFormat,
        vocab: Option<&'a Vocab>,
    ) -> io::Result<Self> {
        let mut writer = Self { out, format, texts: Texts(vocab) };
        match format {
            SampleFormat::Csv => csv_lines(&mut writer.out, &[CSV_COLUMNS.map(str::to_owned)])?,
            SampleFormat::Table => writeln!(writer.out, "{TABLE_HEAD}")?,
            SampleFormat::Jsonl | SampleFormat::Tokens => {}
        }
        Ok(writer)
    }

    pub(crate) fn write(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
        match self.format {
            SampleFormat::Table => self.table(place, sample),
            SampleFormat::Jsonl => {
                let line = self.line(place, sample);
                serde_json::to_writer(&mut self.out, &line)?;
                self.out.write_all(b"\n")
            }
            SampleFormat::Csv => {
                let lines = self.csv_rows(place, sample);
                csv_lines(&mut self.out, &lines)
            }
            SampleFormat::Tokens => self.tokens(sample),
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn line(&self, place: Place, sample: &Sample) -> Line<'a> {
        let Place { request, position, stream } = place;
        Line {
            request,
            position,
            status: sample.status.name(),
            seed: sample.seed,
            stream,
            temperature: sample.temperature,
            kept: sample.kept,
            kept_mass: sample.kept_mass,
            draws: sample.draws.iter().map(|drawn| self.draw(drawn)).collect(),
            processed: self.view(&sample.processed),
            raw: sample.raw.as_ref().map(|raw| self.view(raw)),
        }
    }

    fn draw(&self, drawn: &Drawn) -> Draw<'a> {
        Draw {
            token: drawn.token,
            text: self.texts.text(drawn.token),
            bytes: self.texts.bytes(drawn.token),
            logprob: drawn.logprob,
            rank: drawn.processed.rank(),
            raw_logprob: drawn.raw.map(|raw| raw.logprob),
            raw_rank: drawn.raw.as_ref().map(TargetLogprob::rank),
        }
    }

    fn view(&self, distribution: &Distribution) -> View<'a> {
        View {
            status: distribution.status.name(),
            logsumexp: distribution.logsumexp,
            entropy: distribution.entropy,
            top: self.texts.alternatives(&distribution.top),
        }
    }

    fn csv_rows(&self, place: Place, sample: &Sample) -> Vec<[String; 16]> {
        let common = [
            place.request.to_string(),
            place.position.to_string(),
            sample.status.name().to_owned(),
            sample.seed.to_string(),
            place.stream.to_string(),
            number(sample.temperature),
            sample.kept.to_string(),
            number(sample.kept_mass),
            number(sample.processed.entropy),
        ];
        let line = |rest: [String; 7]| {
            let mut columns = common.iter().cloned().chain(rest);
            std::array::from_fn(|_| columns.next().unwrap_or_default())
        };
        if sample.draws.is_empty() {
            return vec![line([const { String::new() }; 7])];
        }
        (1..)
            .zip(&sample.draws)
            .map(|(draw, drawn): (usize, _)| {
                line([
                    draw.to_string(),
                    drawn.token.to_string(),
                    self.texts.text(drawn.token).unwrap_or_default().into_owned(),
                    number(drawn.logprob),
                    drawn.processed.rank().to_string(),
                    optional(drawn.raw, |raw| number(raw.logprob)),
                    optional(drawn.raw, |raw| raw.rank().to_string()),
                ])
            })
            .collect()
    }

    fn table(&mut self, place: Place, sample: &Sample) -> io::Result<()> {
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

    fn tokens(&mut self, sample: &Sample) -> io::Result<()> {
        let tokens: Vec<String> = sample.draws.iter().map(|drawn| drawn.token.to_string()).collect();
        writeln!(self.out, "{}", if tokens.is_empty() { "-".to_owned() } else { tokens.join(" ") })
    }
}

#[derive(Serialize)]
struct Line<'a> {
    request: usize,
    position: u64,
    status: &'static str,
    seed: u64,
    stream: u32,
    temperature: f64,
    kept: u32,
    kept_mass: f64,
    draws: Vec<Draw<'a>>,
    processed: View<'a>,
    raw: Option<View<'a>>,
}

#[derive(Serialize)]
struct Draw<'a> {
    token: u32,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: f64,
    rank: u32,
    raw_logprob: Option<f64>,
    raw_rank: Option<u32>,
}

#[derive(Serialize)]
struct View<'a> {
    /// The raw distribution may be none where the processed one, without some tokens, is one.
    status: &'static str,
    logsumexp: f64,
    entropy: f64,
    top: Vec<Alternative<'a>>,
}

const CSV_COLUMNS: [&str; 16] = [
    "request",
    "position",
    "status",
    "seed",
    "stream",
    "temperature",
    "kept",
    "kept_mass",
    "entropy",
    "draw",
    "token",
    "text",
    "logprob",
    "rank",
    "raw_logprob",
    "raw_rank",
];

const TABLE_HEAD: &str = "req  pos    temp    kept      mass entropy   draws";
