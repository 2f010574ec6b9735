//! Answers to questions, and the formats of `sortilege score`. No infinity or NaN reaches JSON: `serde_json` writes them
//! as null.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{ScoredToken, SequenceScore, Status, preference};

use super::Scored;
use super::args::ScoreFormat;
use super::candidates::Candidate;
use crate::shown::{clip, escaped};
use crate::text::columns::{bytes, number, optional, text, text_cell, write_head, write_lines};
use crate::text::{Texts, Vocab, write_json_line};

/// A candidate and its score.
struct Entry<'a> {
    candidate: &'a Candidate,
    /// What it is called.
    label: Cow<'a, str>,
    score: Option<SequenceScore>,
    /// Of the first of its rows that is no distribution.
    status: Status,
    bytes: Option<usize>,
}

/// The candidates of a question with their scores, and the order in which the model prefers them.
pub(super) struct Answer<'a> {
    entries: Vec<Entry<'a>>,
    by_total: Vec<usize>,
    by_token: Vec<usize>,
}

impl<'a> Entry<'a> {
    fn new(number: usize, candidate: &'a Candidate, scored: &[Scored], vocab: Option<&'a Vocab>) -> Self {
        let own = &scored[candidate.first_place..][..candidate.tokens.len()];
        let tokens: Result<Vec<ScoredToken>, Status> = own.iter().copied().collect();
        let texts = Texts(vocab);
        let spelled: Option<Vec<&[u8]>> = candidate.tokens.iter().map(|&token| texts.bytes(token)).collect();
        let spelled = spelled.map(|parts| parts.concat());
        let label = match (&candidate.name, &spelled) {
            (Some(name), _) => Cow::Borrowed(name.as_str()),
            (None, Some(bytes)) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
            (None, None) => Cow::Owned(format!("candidate {number}")),
        };
        Self {
            candidate,
            label,
            status: tokens.as_ref().err().copied().unwrap_or(Status::Ok),
            score: tokens.ok().map(SequenceScore::new),
            bytes: candidate.bytes.or(spelled.map(|bytes| bytes.len())),
        }
    }

    /// A number of the score, NaN without one.
    fn value(&self, of: impl Fn(&SequenceScore) -> f64) -> f64 {
        self.score.as_ref().map_or(f64::NAN, of)
    }

    fn per_byte(&self) -> Option<f64> {
        let bytes = self.bytes.filter(|&bytes| bytes > 0)?;
        Some(self.score.as_ref()?.per_byte(bytes))
    }

    /// Place and score of the least likely token.
    fn least_likely(&self) -> Option<(usize, &ScoredToken)> {
        let score = self.score.as_ref()?;
        score.least_likely().map(|place| (place, &score.tokens()[place]))
    }
}

impl<'a> Answer<'a> {
    pub(super) fn new(candidates: &'a [Candidate], scored: &[Scored], vocab: Option<&'a Vocab>) -> Self {
        let entry = |(number, candidate)| Entry::new(number, candidate, scored, vocab);
        let entries: Vec<Entry<'_>> = candidates.iter().enumerate().map(entry).collect();
        let order = |of: fn(&SequenceScore) -> f64| {
            preference(&entries.iter().map(|entry| entry.value(of)).collect::<Vec<f64>>())
        };
        let (by_total, by_token) = (order(SequenceScore::total), order(SequenceScore::per_token));
        Self { entries, by_total, by_token }
    }

    /// Which candidate is preferred, in total and per token, and where the orders disagree; nothing of one alone.
    fn explanation(&self) -> Option<String> {
        let of = |order: &[usize]| self.entries.get(*order.first()?).filter(|entry| entry.score.is_some());
        let (total, token) = (of(&self.by_total)?, of(&self.by_token)?);
        if self.entries.len() < 2 {
            return None;
        }
        let name = |entry: &Entry<'_>| format!("\"{}\"", clip(&escaped(&entry.label), 40));
        let length = |entry: &Entry<'_>| entry.candidate.tokens.len();
        let differs = self.by_total.iter().zip(&self.by_token).position(|(a, b)| a != b);
        Some(match differs {
            None => format!("{} is preferred, in total and per token: both orders agree", name(total)),
            Some(0) => format!(
                "{} is preferred in total ({:.4} over {} tokens), {} per token ({:.4} over {}): each token lowers a total, \
                 and a mean does not count them",
                name(total),
                total.value(SequenceScore::total),
                length(total),
                name(token),
                token.value(SequenceScore::per_token),
                length(token)
            ),
            Some(place) => format!(
                "{} is preferred, in total and per token; the orders disagree from place {} on, where {} is in total and {} \
                 per token",
                name(total),
                place + 1,
                name(&self.entries[self.by_total[place]]),
                name(&self.entries[self.by_token[place]])
            ),
        })
    }
}

/// Writes answers in one format.
pub(super) struct Writer<'a> {
    out: Box<dyn Write + 'a>,
    format: ScoreFormat,
    texts: Texts<'a>,
}

impl<'a> Writer<'a> {
    /// A writer that has written what comes before the first answer.
    pub(super) fn new(
        out: Box<dyn Write + 'a>,
        format: ScoreFormat,
        vocab: Option<&'a Vocab>,
    ) -> io::Result<Self> {
        let mut writer = Self { out, format, texts: Texts(vocab) };
        match format {
            ScoreFormat::Csv => write_head(&mut writer.out, CSV_COLUMNS)?,
            ScoreFormat::Table => writeln!(writer.out, "{TABLE_HEAD}")?,
            ScoreFormat::Jsonl => {}
        }
        Ok(writer)
    }

    /// Writes the answer to the question of this number.
    pub(super) fn write(&mut self, question: usize, answer: &Answer<'_>) -> io::Result<()> {
        match self.format {
            ScoreFormat::Table => self.write_table(question, answer),
            ScoreFormat::Jsonl => {
                write_json_line(&mut self.out, &JsonAnswer::new(question, answer, self.texts))
            }
            ScoreFormat::Csv => {
                let texts = self.texts;
                let line = |number| CsvLine { question, number, answer, texts };
                write_lines(&mut self.out, CSV_COLUMNS, (0..answer.entries.len()).map(line))
            }
        }
    }

    /// Writes what may still be held back.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_table(&mut self, question: usize, answer: &Answer<'_>) -> io::Result<()> {
        for entry in &answer.entries {
            write!(self.out, "{question:>5}  {:<20}", clip(&escaped(&entry.label), 20))?;
            let Some(score) = &entry.score else {
                writeln!(self.out, " {}", entry.status.name())?;
                continue;
            };
            let per_byte = entry.per_byte().map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            let greedy = if score.is_greedy() { "yes" } else { "no" };
            write!(
                self.out,
                " {:>6} {:>10.4} {:>9.4} {per_byte:>9} {:>10.3} {greedy:>6}",
                score.tokens().len(),
                score.total(),
                score.per_token(),
                score.perplexity()
            )?;
            if let Some((place, token)) = entry.least_likely() {
                let label = self.texts.label(token.token);
                write!(
                    self.out,
                    "   {place}: {} {:.4}, rank {}",
                    clip(&label, 20),
                    token.logprob,
                    token.rank
                )?;
            }
            writeln!(self.out)?;
        }
        answer.explanation().map_or(Ok(()), |words| writeln!(self.out, "       {words}"))
    }
}

impl<'a> JsonAnswer<'a> {
    fn new(question: usize, answer: &'a Answer<'_>, texts: Texts<'a>) -> Self {
        Self {
            question,
            candidates: answer.entries.iter().map(|entry| JsonEntry::new(entry, texts)).collect(),
            order_total: &answer.by_total,
            order_per_token: &answer.by_token,
            orders_agree: answer.by_total == answer.by_token,
            explanation: answer.explanation(),
        }
    }
}

impl<'a> JsonEntry<'a> {
    fn new(entry: &'a Entry<'_>, texts: Texts<'a>) -> Self {
        let tokens = entry.score.as_ref().map_or(&[][..], SequenceScore::tokens);
        let token = |scored: &ScoredToken| JsonToken {
            token: scored.token,
            text: texts.text(scored.token),
            bytes: texts.bytes(scored.token),
            logprob: scored.logprob,
            rank: scored.rank,
            is_greedy: scored.is_greedy,
        };
        Self {
            name: &entry.label,
            request: entry.candidate.request(),
            first_row: entry.candidate.first_row,
            status: entry.status.name(),
            total: entry.value(SequenceScore::total),
            per_token: entry.value(SequenceScore::per_token),
            bytes: entry.bytes,
            per_byte: entry.per_byte(),
            perplexity: entry.value(SequenceScore::perplexity),
            is_greedy: entry.score.as_ref().map(SequenceScore::is_greedy),
            least_likely: entry.least_likely().map(|(place, _)| place),
            tokens: tokens.iter().map(token).collect(),
        }
    }
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    question: usize,
    candidates: Vec<JsonEntry<'a>>,
    /// Numbers of the candidates, the preferred one first.
    order_total: &'a [usize],
    order_per_token: &'a [usize],
    orders_agree: bool,
    explanation: Option<String>,
}

#[derive(Serialize)]
struct JsonEntry<'a> {
    name: &'a str,
    request: usize,
    first_row: usize,
    status: &'static str,
    total: f64,
    per_token: f64,
    bytes: Option<usize>,
    per_byte: Option<f64>,
    perplexity: f64,
    is_greedy: Option<bool>,
    /// Its place among the tokens.
    least_likely: Option<usize>,
    tokens: Vec<JsonToken<'a>>,
}

#[derive(Serialize)]
struct JsonToken<'a> {
    token: u32,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: f64,
    rank: u32,
    is_greedy: bool,
}

/// A candidate of an answer.
struct CsvLine<'a> {
    question: usize,
    number: usize,
    answer: &'a Answer<'a>,
    texts: Texts<'a>,
}

impl CsvLine<'_> {
    fn entry(&self) -> &Entry<'_> {
        &self.answer.entries[self.number]
    }

    fn least(&self) -> Option<ScoredToken> {
        self.entry().least_likely().map(|(_, token)| *token)
    }

    /// Its place in an order, the preferred one's is 1.
    fn place_in(&self, order: &[usize]) -> String {
        optional(order.iter().position(|&number| number == self.number).map(|place| place + 1))
    }
}

/// A name, and the field of any line.
type CsvColumn = (&'static str, fn(&CsvLine<'_>) -> String);

const CSV_COLUMNS: &[CsvColumn] = &[
    ("question", |line| line.question.to_string()),
    ("candidate", |line| line.number.to_string()),
    ("name", |line| text_cell(&line.entry().label)),
    ("request", |line| line.entry().candidate.request().to_string()),
    ("first_row", |line| line.entry().candidate.first_row.to_string()),
    ("tokens", |line| line.entry().candidate.tokens.len().to_string()),
    ("status", |line| line.entry().status.name().to_owned()),
    ("total", |line| number(line.entry().value(SequenceScore::total))),
    ("per_token", |line| number(line.entry().value(SequenceScore::per_token))),
    ("per_byte", |line| optional(line.entry().per_byte().map(number))),
    ("perplexity", |line| number(line.entry().value(SequenceScore::perplexity))),
    ("is_greedy", |line| optional(line.entry().score.as_ref().map(SequenceScore::is_greedy))),
    ("place_by_total", |line| line.place_in(&line.answer.by_total)),
    ("place_per_token", |line| line.place_in(&line.answer.by_token)),
    ("least_likely", |line| optional(line.entry().least_likely().map(|(place, _)| place))),
    ("least_likely_token", |line| optional(line.least().map(|token| token.token))),
    ("least_likely_text", |line| text(line.texts, line.least().map(|token| token.token))),
    ("least_likely_bytes", |line| bytes(line.texts, line.least().map(|token| token.token))),
    ("least_likely_logprob", |line| optional(line.least().map(|token| number(token.logprob)))),
    ("least_likely_rank", |line| optional(line.least().map(|token| token.rank))),
];

const TABLE_HEAD: &str =
    "quest  candidate            tokens      total per token  per byte perplexity greedy   least likely";
