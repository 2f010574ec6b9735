//! Text files: what their lines show, and one token a line.

use super::pieces::Pieces;
use super::table::Vocab;
use super::{sentencepiece, tiktoken};

/// What the lines of a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    Tiktoken,
    SentencePiece,
    Tokens,
}

/// What every line shows; an error where most lines do, or where they are known to be something else.
pub(super) fn kind(text: &str) -> Result<Lines, String> {
    if text.starts_with("#version") {
        return Err("these are merges of a tokenizer: give its vocab.json or its tokenizer.json".to_owned());
    }
    if all_lines(text, "the ranks of tiktoken", |line| line.is_empty() || tiktoken::token(line).is_some())? {
        return Ok(Lines::Tiktoken);
    }
    if all_lines(text, "the pieces and scores of SentencePiece", |line| {
        sentencepiece::scored(line).is_some()
    })? {
        return Ok(Lines::SentencePiece);
    }
    let is_counted = |line: &str| {
        let words = line.rsplit_once([' ', '\t']);
        words.is_some_and(|(word, count)| !word.is_empty() && count.trim_end().parse::<u64>().is_ok())
    };
    if text.lines().nth(1).is_some() && text.lines().all(is_counted) {
        return Err(
            "every line is a word and a number, which is neither the ranks of tiktoken nor SentencePiece's \
                    pieces and scores: give one token a line, or a JSON object text -> id"
                .to_owned(),
        );
    }
    Ok(Lines::Tokens)
}

/// Whether every line is of a kind; an error if most are, and so nobody's tokens.
fn all_lines(text: &str, kind: &str, is_one: impl Fn(&str) -> bool) -> Result<bool, String> {
    // The first lines decide of nearly all files.
    if text.lines().take(8).filter(|line| is_one(line)).count() < text.lines().take(8).count().div_ceil(2) {
        return Ok(false);
    }
    let all = text.lines().count();
    let wrong: Vec<usize> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !is_one(line))
        .map(|(number, _)| number)
        .take(all / 2 + 1)
        .collect();
    match wrong.first() {
        None => Ok(all > 0),
        Some(first) if wrong.len() * 4 <= all => {
            let more = match wrong.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            Err(format!("these are {kind}, but line {first} is none{more}"))
        }
        Some(_) => Ok(false),
    }
}

/// The tokens of a file with one a line.
pub(super) fn read(text: &str) -> Result<Vocab, String> {
    let limit = sortilege::MAX_VOCAB;
    if text.lines().nth(limit).is_some() {
        return Err(format!("more than {limit} lines: a token a line is expected"));
    }
    let pieces = Pieces::listed(text.lines().map(str::to_owned));
    let spelling = pieces.spelling();
    pieces.spelled(&spelling)
}
