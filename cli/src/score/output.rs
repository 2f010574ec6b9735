//! Answers to questions, and the formats of `sortilege score`. No infinity or NaN reaches JSON: `serde_json` writes them
//! as null.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::log::{Texts, escaped, write_json_line};
use sortilege::{ScoredToken, SequenceScore, Status, best_first};

use super::args::ScoreFormat;
use super::candidates::{Candidate, Scored};
use crate::shown::{clip, label};

/// A candidate and its score.
struct Entry<'a> {
    candidate: &'a Candidate,
    /// What it is called.
    name: Cow<'a, str>,
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
    fn new(number: usize, candidate: &'a Candidate, scored: &[Scored], texts: Texts<'a>) -> Self {
        let own = &scored[candidate.first_place..][..candidate.tokens.len()];
        let tokens: Result<Vec<ScoredToken>, Status> = own.iter().copied().collect();
        let spelled: Option<Vec<&[u8]>> = candidate.tokens.iter().map(|&token| texts.bytes(token)).collect();
        let spelled = spelled.map(|parts| parts.concat());
        let name = match (&candidate.name, &spelled) {
            (Some(name), _) => Cow::Borrowed(name.as_str()),
            (None, Some(bytes)) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
            (None, None) => Cow::Owned(format!("candidate {number}")),
        };
        Self {
            candidate,
            name,
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

    /// Its name in a sentence.
    fn quoted(&self) -> String {
        format!("\"{}\"", clip(&escaped(&self.name), 40))
    }
}

impl<'a> Answer<'a> {
    pub(super) fn new(candidates: &'a [Candidate], scored: &[Scored], texts: Texts<'a>) -> Self {
        let entry = |(number, candidate)| Entry::new(number, candidate, scored, texts);
        let entries: Vec<Entry<'_>> = candidates.iter().enumerate().map(entry).collect();
        let order = |of: fn(&SequenceScore) -> f64| {
            best_first(&entries.iter().map(|entry| entry.value(of)).collect::<Vec<f64>>())
        };
        let (by_total, by_token) = (order(SequenceScore::total), order(SequenceScore::per_token));
        Self { entries, by_total, by_token }
    }

    /// Which candidate is preferred, in total and per token, and where the orders disagree; nothing of one alone, or of
    /// none that has a score.
    fn explanation(&self) -> Option<String> {
        let unscored = self.entries.iter().filter(|entry| entry.score.is_none()).count();
        if self.entries.len() - unscored < 2 {
            return None; // nobody knows of those without a score
        }
        let words = self.order_words();
        Some(if unscored > 0 { format!("{words}; {unscored} without a score are left out") } else { words })
    }

    /// What the orders of two or more with a score say.
    fn order_words(&self) -> String {
        let first = |order: &[usize]| &self.entries[order[0]];
        if let Some(words) = self.tie_words() {
            return words;
        }
        let (total, token) = (first(&self.by_total), first(&self.by_token));
        let differs = self.by_total.iter().zip(&self.by_token).position(|(a, b)| a != b);
        match differs {
            None => format!("{} is preferred, in total and per token: both orders agree", total.quoted()),
            Some(0) => format!(
                "{} is preferred in total ({:.4} over {} tokens), {} per token ({:.4} over {}): every further token lowers \
                 a total, and a mean does not count them",
                total.quoted(),
                total.value(SequenceScore::total),
                total.candidate.tokens.len(),
                token.quoted(),
                token.value(SequenceScore::per_token),
                token.candidate.tokens.len()
            ),
            Some(place) => format!(
                "{} is preferred, in total and per token; the orders disagree from place {} on, where {} is in total and {} \
                 per token",
                total.quoted(),
                place + 1,
                self.entries[self.by_total[place]].quoted(),
                self.entries[self.by_token[place]].quoted()
            ),
        }
    }
}

impl Answer<'_> {
    /// Whether the best two are equal, in total and per token.
    fn ties(&self) -> [bool; 2] {
        let ties = |order: &[usize], of: fn(&SequenceScore) -> f64| match *order {
            [a, b, ..] => self.entries[a].value(of) == self.entries[b].value(of),
            _ => false,
        };
        [ties(&self.by_total, SequenceScore::total), ties(&self.by_token, SequenceScore::per_token)]
    }

    /// What there is to say of best ones that are equal.
    fn tie_words(&self) -> Option<String> {
        let name = |order: &[usize], place: usize| self.entries[order[place]].quoted();
        let tie = |order: &[usize], how| {
            format!("{} and {} tie {how}; the earlier comes first", name(order, 0), name(order, 1))
        };
        let (total, token) = (&self.by_total[..], &self.by_token[..]);
        Some(match self.ties() {
            [false, false] => return None,
            [true, true] if total[..2] == token[..2] => tie(total, "in total and per token"),
            [true, true] => format!("{}; {}", tie(total, "in total"), tie(token, "per token")),
            [true, false] => format!("{}; {} is preferred per token", tie(total, "in total"), name(token, 0)),
            [false, true] => format!("{} is preferred in total; {}", name(total, 0), tie(token, "per token")),
        })
    }
}

/// Writes answers in one format.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    format: ScoreFormat,
    texts: Texts<'a>,
}

impl<'a> Writer<'a> {
    /// A writer that has written what comes before the first answer.
    pub(super) fn new(out: &'a mut dyn Write, format: ScoreFormat, texts: Texts<'a>) -> io::Result<Self> {
        if format == ScoreFormat::Table {
            writeln!(out, "{TABLE_HEAD}")?;
        }
        Ok(Self { out, format, texts })
    }

    /// Writes the answer to the question of this number.
    pub(super) fn write(&mut self, question: usize, answer: &Answer<'_>) -> io::Result<()> {
        match self.format {
            ScoreFormat::Table => self.write_table(question, answer),
            ScoreFormat::Jsonl => {
                write_json_line(&mut self.out, &JsonAnswer::new(question, answer, self.texts))
            }
        }
    }

    /// Writes what may still be held back.
    pub(super) fn finish(self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_table(&mut self, question: usize, answer: &Answer<'_>) -> io::Result<()> {
        for entry in &answer.entries {
            write!(self.out, "{question:>5}  {:<20}", clip(&escaped(&entry.name), 20))?;
            let Some(score) = &entry.score else {
                writeln!(self.out, " {}", entry.status.name())?;
                continue;
            };
            let per_byte = entry.per_byte().map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            let greedy = match score.is_greedy() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            };
            write!(
                self.out,
                " {:>6} {:>10.4} {:>9.4} {per_byte:>9} {:>10.4} {greedy:>6}",
                score.tokens().len(),
                score.total(),
                score.per_token(),
                score.perplexity()
            )?;
            if let Some((place, token)) = entry.least_likely() {
                let label = label(Some(token.token), self.texts.text(token.token).as_deref());
                let label = clip(&label, 20);
                let rank = token.rank.map_or_else(|| "?".to_owned(), |rank| rank.to_string());
                write!(self.out, "   {place}: {label} {:.4}, rank {rank}", token.logprob)?;
            }
            writeln!(self.out)?;
        }
        answer.explanation().map_or(Ok(()), |words| writeln!(self.out, "       {words}"))
    }
}

const TABLE_HEAD: &str =
    "quest  candidate            tokens      total per token  per byte perplexity greedy   least likely";

#[derive(Serialize)]
struct JsonAnswer<'a> {
    question: usize,
    candidates: Vec<JsonEntry<'a>>,
    /// Numbers of the candidates, the preferred one first.
    order_total: &'a [usize],
    order_per_token: &'a [usize],
    orders_agree: bool,
    /// Whether the best two are equal in one of the orders.
    tie: bool,
    explanation: Option<String>,
}

#[derive(Serialize)]
struct JsonEntry<'a> {
    name: &'a str,
    request: usize,
    first_row: usize,
    status: Status,
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
    rank: Option<u32>,
    is_greedy: Option<bool>,
}

impl<'a> JsonAnswer<'a> {
    fn new(question: usize, answer: &'a Answer<'_>, texts: Texts<'a>) -> Self {
        Self {
            question,
            candidates: answer.entries.iter().map(|entry| JsonEntry::new(entry, texts)).collect(),
            order_total: &answer.by_total,
            order_per_token: &answer.by_token,
            orders_agree: answer.by_total == answer.by_token,
            tie: answer.ties().contains(&true),
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
            name: &entry.name,
            request: entry.candidate.request(),
            first_row: entry.candidate.first_row,
            status: entry.status,
            total: entry.value(SequenceScore::total),
            per_token: entry.value(SequenceScore::per_token),
            bytes: entry.bytes,
            per_byte: entry.per_byte(),
            perplexity: entry.value(SequenceScore::perplexity),
            is_greedy: entry.score.as_ref().and_then(SequenceScore::is_greedy),
            least_likely: entry.least_likely().map(|(place, _)| place),
            tokens: tokens.iter().map(token).collect(),
        }
    }
}
