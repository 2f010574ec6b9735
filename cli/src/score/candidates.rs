//! Questions and their candidates, out of a file of JSON; and what rows are asked for them.

use std::fmt::Display;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use sortilege::{ScoredToken, Status};

use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::shown::{shown, shown_path};
use crate::text::read_text;

/// Bytes of the largest file of candidates.
const MOST_BYTES: u64 = 1 << 30;

/// A sequence of tokens, and where it is scored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Candidate {
    pub(super) tokens: Vec<u32>,
    pub(super) name: Option<String>,
    request: Option<usize>,
    #[serde(default)]
    pub(super) first_row: usize,
    pub(super) bytes: Option<usize>,
    /// The line of the file that it begins in, counted from 1.
    #[serde(skip)]
    line: usize,
    /// The place of its first token among those of all candidates.
    #[serde(skip)]
    pub(super) first_place: usize,
}

impl Candidate {
    /// The request whose rows score it.
    pub(super) fn request(&self) -> usize {
        self.request.unwrap_or_default() // `read` has filled it in
    }
}

/// The questions of a file, each with its candidates.
pub(super) struct Questions(pub(super) Vec<Vec<Candidate>>);

/// What is asked of a row of a request: a token, and its place among those of all candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) request: usize,
    pub(super) row: usize,
    pub(super) token: u32,
    pub(super) place: usize,
    /// The line of the file that its candidate begins in.
    pub(super) line: usize,
}

/// What a row says of a token, or why it says nothing.
pub(super) type Scored = Result<ScoredToken, Status>;

impl Questions {
    /// Those of a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_BYTES)?;
        let bad = |problem: &dyn Display| Failure::file(path, format!("no candidates: {problem}"));
        let mut questions = parse(&text).map_err(|problem| bad(&problem))?;
        if questions.is_empty() {
            return Err(bad(&"the file is empty"));
        }
        let (mut number, mut place) = (0, 0);
        for candidate in questions.iter_mut().flatten() {
            candidate.request.get_or_insert(number);
            candidate.first_place = place;
            number += 1;
            place += candidate.tokens.len();
        }
        Ok(Self(questions))
    }

    /// Nothing, if the logits have the rows and the tokens for them.
    pub(super) fn check(&self, path: &Path, logits: &LogitsFile) -> Result<()> {
        for (question, candidates) in self.0.iter().enumerate() {
            for (number, candidate) in candidates.iter().enumerate() {
                candidate.check(logits).map_err(|problem| {
                    let path = shown_path(path);
                    let line = candidate.line;
                    Failure::Usage(format!(
                        "{path}: line {line}: question {question}, candidate {number}: {problem}"
                    ))
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter().flatten()
    }

    /// Tokens of all candidates.
    pub(super) fn n_tokens(&self) -> usize {
        self.candidates().map(|candidate| candidate.tokens.len()).sum()
    }

    /// What the rows are asked, row by row.
    pub(super) fn asks(&self) -> Vec<Ask> {
        let mut asks = Vec::with_capacity(self.n_tokens());
        for candidate in self.candidates() {
            let request = candidate.request();
            let places = candidate.first_place..;
            // No log has the last row of all, so that it may be asked for twice.
            let rows = (0..).map(|row| candidate.first_row.saturating_add(row));
            let tokens = candidate.tokens.iter().zip(places).zip(rows);
            let line = candidate.line;
            asks.extend(tokens.map(|((&token, place), row)| Ask { request, row, token, place, line }));
        }
        asks.sort_by_key(|ask| (ask.request, ask.row));
        asks
    }
}

impl Candidate {
    /// Why these logits cannot score it.
    fn check(&self, logits: &LogitsFile) -> Result<(), String> {
        let LogitsFile { positions, rows, vocab, .. } = *logits;
        let requests = rows.checked_div(positions).unwrap_or(0);
        if self.request() >= requests {
            return Err(format!(
                "request {} of logits with {requests}: without \"request\", each candidate of the file takes the next one",
                self.request()
            ));
        }
        let end = self.first_row.saturating_add(self.tokens.len());
        if end > positions {
            return Err(format!(
                "{} tokens from row {} on need {end} rows, a request has {positions}: does \"first_row\" count the \
                 context, less one?",
                self.tokens.len(),
                self.first_row
            ));
        }
        if let Some(token) = self.tokens.iter().find(|&&token| token as usize >= vocab) {
            return Err(format!("token {token} is outside the vocabulary of {vocab}"));
        }
        Ok(())
    }
}

/// The questions of a text: arrays of candidates and single ones, one after the other; or an array of arrays.
fn parse(text: &str) -> Result<Vec<Vec<Candidate>>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut values: Vec<&str> = values
        .map(|value| value.map(RawValue::get).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    if let [only] = values[..]
        && let Ok(lists) = serde_json::from_str::<Vec<&RawValue>>(only)
        && lists.iter().any(|list| list.get().starts_with('['))
    {
        values = lists.into_iter().map(RawValue::get).collect();
    }
    let mut lines = Lines { text, place: 0, line: 1 };
    let question = |(number, value): (usize, &str)| {
        let line = lines.of(value);
        let list: Vec<&RawValue> = if value.starts_with('[') {
            serde_json::from_str(value).map_err(|error| error.to_string())?
        } else {
            vec![serde_json::from_str(value).map_err(|error| error.to_string())?]
        };
        if list.is_empty() {
            return Err(format!("line {line}: question {number} has no candidates: leave it out"));
        }
        let read = |value: &RawValue| {
            let line = lines.of(value.get());
            let candidate = candidate(value.get(), line);
            candidate.map_err(|(line, problem)| format!("line {line}: question {number}: {problem}"))
        };
        list.into_iter().map(read).collect()
    };
    values.into_iter().enumerate().map(question).collect()
}

/// Numbers of the lines of a text, for parts of it that come in its order.
struct Lines<'t> {
    text: &'t str,
    /// Where the part before begins, and in which line.
    place: usize,
    line: usize,
}

impl Lines<'_> {
    /// The number, from 1, of the line that this part of the text begins in.
    fn of(&mut self, part: &str) -> usize {
        let place = part.as_ptr().addr() - self.text.as_ptr().addr();
        let between = &self.text.as_bytes()[self.place..place];
        self.line += between.iter().filter(|&&byte| byte == b'\n').count();
        self.place = place;
        self.line
    }
}

/// The candidate that begins in this line; otherwise the line of what is wrong, and that.
fn candidate(text: &str, line: usize) -> Result<Candidate, (usize, String)> {
    if !text.starts_with('{') {
        return Err((line, format!("{} is no candidate, an object with \"tokens\"", shown(text))));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let candidate: Candidate = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (place, error) = (error.path().to_string(), error.into_inner());
        // The parser counts from the candidate's beginning, and from 1.
        let within = error.line().max(1) - 1;
        let words = error.to_string();
        let words = words.rsplit_once(" at line ").map_or(&words[..], |(words, _)| words);
        (line + within, format!("{}: {}", shown(&place), shown(words)))
    })?;
    if candidate.tokens.is_empty() {
        return Err((line, "a candidate has no tokens: leave it out".to_owned()));
    }
    Ok(Candidate { line, ..candidate })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of the candidates of each question.
    fn tokens(text: &str) -> Vec<Vec<Vec<u32>>> {
        let questions = parse(text).expect(text);
        questions.into_iter().map(|list| list.into_iter().map(|one| one.tokens).collect()).collect()
    }

    #[test]
    fn questions_are_arrays_of_candidates_or_single_ones() {
        let (one, two) = (r#"{"tokens": [1]}"#, r#"{"tokens": [2, 3], "name": "b", "first_row": 4}"#);
        let both = [vec![vec![1], vec![2, 3]]];
        let each = [vec![vec![1]], vec![vec![2, 3]]];
        assert_eq!(tokens(&format!("[{one}, {two}]")), both);
        assert_eq!(tokens(&format!("{one}\n{two}\n")), each);
        assert_eq!(tokens(&format!("[[{one}], [{two}]]")), each);
        assert_eq!(tokens(&format!("[[{one}], {two}]")), each);
        assert_eq!(tokens(&format!("[[{one}, {two}]]")), both);
        assert_eq!(tokens(&format!("[{one}, {two}]\n[{two}]")), [&both[..], &[vec![vec![2, 3]]]].concat());
        assert_eq!(tokens(""), tokens(" \n"));
    }

    #[test]
    fn what_is_no_candidate_is_named() {
        for (text, words) in [
            ("[1]", &["line 1: question 0", "1 is no candidate", "\"tokens\""][..]),
            ("\n{}", &["line 2: question 0", "missing field `tokens`"]),
            (
                "[[{\"tokens\": [1]}],\n [{\"tokens\": \"x\"}]]",
                &["line 2: question 1", "tokens", "a sequence"],
            ),
            ("[{\"tokens\":\n [1]},\n {\"tokens\":\n\n [1,\n -5]}]", &["line 6: ", "tokens[1]", "-5", "u32"]),
            (
                "[{\"tokens\": [1]},\n\n {\"tokens\": []}]",
                &["line 3: question 0", "no tokens", "leave it out"],
            ),
            ("{\"tokens\": [1]}\n[]", &["line 2: question 1", "no candidates", "leave it out"]),
            ("[[], [{\"tokens\": [1]}]]", &["line 1: question 0", "no candidates"]),
            (r#"{"tokens": [1], "row": 5}"#, &["unknown field `row`", "first_row"]),
            (r#"{"tokens": [1], "first_row": -1}"#, &["first_row", "-1"]),
            (r#"[{"tokens": [1]}"#, &["EOF"]),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(words.iter().all(|word| problem.contains(word)), "{text}: {problem}");
        }
    }
}
