//! Token ids from files and lists. Their texts are in `text`; which row one belongs to is the matter of the command.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::hints::{Hints, too_many};
use super::integers::{self, Content};
use crate::failure::{Failure, Result};
use crate::input::is_stdin;
use crate::shown::shown;
use crate::text::strip_bom;

/// Integers of a file or a list, in its order.
pub(crate) struct Integers {
    pub(crate) values: Vec<i64>,
    pub(crate) layout: Layout,
    /// The name of their array, in a file with names.
    pub(crate) tensor: Option<String>,
}

/// How integers are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One after the other.
    List,
    /// An array of this shape.
    Array(Vec<usize>),
    /// A list of lists with so many integers.
    Lists(Vec<usize>),
}

impl fmt::Display for Integers {
    /// As a message says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.layout {
            Layout::List => write!(f, "{} tokens", self.values.len()),
            Layout::Array(shape) => write!(f, "shape {shape:?}"),
            Layout::Lists(lengths) => {
                let some: Vec<String> = lengths.iter().take(8).map(usize::to_string).collect();
                let dots = if lengths.len() > 8 { ", ..." } else { "" };
                write!(f, "{} lists of {}{dots} tokens", lengths.len(), some.join(", "))
            }
        }
    }
}

/// Integers of the file or of the list that an option names, if they are no more than `most`; in a file with names, of the
/// array that has one of these.
pub(crate) fn read_integers(
    option: &str,
    source: &str,
    default_names: &'static [&'static str],
    most: usize,
) -> Result<Integers> {
    let path = Path::new(source);
    if is_stdin(path) || path.exists() {
        return read_file(path, &Hints { default_names, most_tokens: Some(most), ..Hints::default() }, most);
    }
    parse(source.as_bytes(), most).map_err(|problem| match problem {
        Problem::TooMany => too_many(path, most),
        Problem::Text(problem) => {
            Failure::Usage(format!("{option} {}: {problem}, and there is no such file", shown(source)))
        }
        Problem::Reading(error) => unreachable!("memory is read: {error}"),
    })
}

/// The integers of a text that is a list of them, and no file's name.
pub(crate) fn listed_integers(text: &str) -> Option<Integers> {
    let is_file = is_stdin(Path::new(text)) || Path::new(text).exists();
    if is_file { None } else { parse(text.as_bytes(), usize::MAX).ok() }
}

fn read_file(path: &Path, hints: &Hints, most: usize) -> Result<Integers> {
    match integers::read(path, hints)? {
        Content::Array(values, shape, tensor) => {
            Ok(Integers { values, layout: Layout::Array(shape), tensor })
        }
        Content::Text(opened) => {
            parse(BufReader::new(opened.reader()), most).map_err(|problem| match problem {
                Problem::TooMany => too_many(path, most),
                Problem::Text(problem) => Failure::file(path, problem),
                Problem::Reading(error) => Failure::file(path, error),
            })
        }
    }
}

/// Why a text is not read.
enum Problem {
    TooMany,
    Text(String),
    Reading(io::Error),
}

/// Integers between commas, white space and brackets, or lists of them in a list; `null` counts as unknown. Of a text of
/// any length no more than the integers is kept.
fn parse(mut text: impl BufRead, most: usize) -> Result<Integers, Problem> {
    let head = text.fill_buf().map_err(Problem::Reading)?;
    let mark = head.len() - strip_bom(head).map_err(Problem::Text)?.len();
    text.consume(mark);
    let mut parser = Parser::default();
    for byte in text.bytes() {
        match byte.map_err(Problem::Reading)? {
            byte if byte.is_ascii_whitespace() || matches!(byte, b',' | b'[' | b']') => {
                parser.end_word().map_err(Problem::Text)?;
                parser.bracket(byte).map_err(Problem::Text)?;
            }
            byte => parser.word.push(byte),
        }
        if parser.len() > most {
            return Err(Problem::TooMany);
        }
        if parser.word.len() > MOST_WORD {
            parser.end_word().map_err(Problem::Text)?;
        }
    }
    parser.end_word().map_err(Problem::Text)?;
    if parser.len() > most { Err(Problem::TooMany) } else { parser.finish().map_err(Problem::Text) }
}

/// Bytes of the longest word that could be an integer.
const MOST_WORD: usize = 40;

/// What was read so far.
#[derive(Default)]
struct Parser {
    values: Vec<i64>,
    /// Lengths of the lists in a list.
    lists: Vec<usize>,
    /// Brackets that are open.
    depth: usize,
    /// Whether an integer stands in no list of a list.
    is_flat: bool,
    word: Vec<u8>,
}

impl Parser {
    /// Of what it keeps.
    fn len(&self) -> usize {
        self.values.len().max(self.lists.len())
    }

    fn end_word(&mut self) -> Result<(), String> {
        let word = std::mem::take(&mut self.word);
        let value = match &word[..] {
            b"" => return Ok(()),
            b"null" => -1,
            word => {
                let text = String::from_utf8_lossy(word);
                text.parse().map_err(|_| format!("\"{}\" is no integer", shown(&text)))?
            }
        };
        self.values.push(value);
        match self.lists.last_mut().filter(|_| self.depth == 2) {
            Some(length) => *length += 1,
            None => self.is_flat = true,
        }
        Ok(())
    }

    fn bracket(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'[' if self.depth == 2 => return Err("lists of lists of lists are no tokens".to_owned()),
            b'[' => {
                self.depth += 1;
                self.lists.extend((self.depth == 2).then_some(0));
            }
            b']' if self.depth == 0 => return Err("a ] closes no list".to_owned()),
            b']' => self.depth -= 1,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Integers, String> {
        if self.depth > 0 {
            return Err("a list has no end".to_owned());
        }
        let layout = match (self.lists.is_empty(), self.is_flat) {
            (true, _) => Layout::List,
            (false, true) => {
                return Err("some tokens stand in lists of a list, and others do not".to_owned());
            }
            (false, false) => Layout::Lists(self.lists),
        };
        Ok(Integers { values: self.values, layout, tensor: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(Vec<i64>, Layout), String> {
        match parse(text.as_bytes(), 10) {
            Ok(Integers { values, layout, .. }) => Ok((values, layout)),
            Err(Problem::Text(problem)) => Err(problem),
            Err(Problem::TooMany) => Err("too many".to_owned()),
            Err(Problem::Reading(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn lists_are_read_with_gaps() {
        let flat = |values: &[i64]| Ok((values.to_vec(), Layout::List));
        assert_eq!(parsed("5, -1,null [7]"), flat(&[5, -1, -1, 7]));
        assert_eq!(parsed("[5,\n6]"), flat(&[5, 6]));
        assert_eq!(parsed(""), flat(&[]));
        let nested = |values: &[i64], lists: &[usize]| Ok((values.to_vec(), Layout::Lists(lists.to_vec())));
        assert_eq!(parsed("\u{feff}[ [1, null], [], [2]]"), nested(&[1, -1, 2], &[2, 0, 1]));
        assert_eq!(parsed("[[]]"), nested(&[], &[0]));
    }

    #[test]
    fn what_is_no_list_is_named() {
        let long = "7".repeat(1000);
        for bytes in [&b"1\xbb2"[..], b"\xbf1", b"1,\xbf", b"\xef\xbb1", b"\xef\xbb\xbf\xef\xbb\xbf1"] {
            assert!(parse(bytes, 10).is_err(), "a part of a byte order mark is no white space: {bytes:?}");
        }
        for (text, words) in [
            ("1,x,3", "\"x\" is no integer"),
            ("1.5", "\"1.5\" is no integer"),
            ("\0\0", "\"\\u0000\\u0000\" is no integer"),
            (&long, &format!("\"{}\" is no integer", &long[..41])),
            ("[[1, 2], 3]", "others do not"),
            ("[[1, 0.5]]", "\"0.5\" is no integer"),
            ("[[[1]]]", "lists of lists of lists"),
            ("[[1, 2]", "a list has no end"),
            ("[1, 2", "a list has no end"),
            ("[", "a list has no end"),
            ("1]", "a ] closes no list"),
            ("[1]]]", "a ] closes no list"),
            ("1,2,3,4,5,6,7,8,9,10,11", "too many"),
            ("[[],[],[],[],[],[],[],[],[],[],[]]", "too many"),
        ] {
            let problem = parsed(text).expect_err(text);
            assert!(problem.contains(words), "{problem}");
        }
    }
}
