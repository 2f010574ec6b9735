//! Token ids from files and lists: targets, one per row, and prompts. Their texts are in `text`.

use std::path::Path;

use super::input::is_stdin;
use super::integers::{self, Content};
use crate::failure::{Failure, Result};
use crate::shown::shown;

/// Tokens of the longest prompt.
const MOST_PROMPT: usize = 1 << 20;

/// Targets from a file of integers or from a list, one per row of logits of this shape; `None` where negative.
pub(crate) fn read_targets(
    source: &str,
    rows: usize,
    leading: &[usize],
    vocab: usize,
) -> Result<Vec<Option<u32>>> {
    let (tokens, shape) = read_integers("--tokens", source, rows)?;
    if tokens.len() != rows || !shape.as_ref().is_none_or(|shape| fits(shape, leading)) {
        return Err(Failure::Failed(format!(
            "--tokens {source} has {} for logits of {leading:?} rows: give one token per row",
            shape.map_or_else(|| format!("{} tokens", tokens.len()), |shape| format!("shape {shape:?}"))
        )));
    }
    tokens
        .into_iter()
        .enumerate()
        .map(|(row, token)| match u32::try_from(token) {
            Ok(id) if (id as usize) < vocab => Ok(Some(id)),
            _ if token < 0 => Ok(None),
            _ => Err(Failure::Failed(format!(
                "--tokens {source}: token {token} of row {row} is outside the vocabulary of {vocab}; \
                 negative means unknown"
            ))),
        })
        .collect()
}

/// Whether tokens of a shape lie as rows do: one after the other, or nested alike.
fn fits(shape: &[usize], leading: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    shape.len() < 2 || long(shape) == long(leading)
}

/// Tokens of a prompt, from a file of integers or from a list.
pub(crate) fn read_prompt(source: &str) -> Result<Vec<u32>> {
    let (tokens, _) = read_integers("--prompt", source, MOST_PROMPT)?;
    let token = |token| {
        u32::try_from(token).map_err(|_| {
            Failure::Usage(format!("--prompt {source}: {token} is no token: ids are 0 to 2^32 - 1"))
        })
    };
    tokens.into_iter().map(token).collect()
}

/// Integers, and their shape if they are an array.
type Integers = (Vec<i64>, Option<Vec<usize>>);

/// Integers of the file or of the list that an option names.
fn read_integers(option: &str, source: &str, most: usize) -> Result<Integers> {
    let path = Path::new(source);
    if is_stdin(path) || path.exists() {
        return read_file(path, most);
    }
    let wrong = |word: &str| {
        let (source, word) = (shown(source), shown(word));
        Failure::Usage(format!("{option} {source}: \"{word}\" is no integer, and there is no such file"))
    };
    Ok((parse_list(source, wrong)?, None))
}

fn read_file(path: &Path, most: usize) -> Result<Integers> {
    match integers::read(path, most)? {
        Content::Array(values, shape) => Ok((values, Some(shape))),
        Content::Text(opened) => {
            let bytes = opened.all(integers::most_bytes(most), &integers::wanted(most))?;
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_start_matches('\u{feff}');
            let wrong = |word: &str| Failure::file(path, format!("\"{}\" is no integer", shown(word)));
            Ok((parse_list(text, wrong)?, None))
        }
    }
}

/// Integers between commas, white space and brackets; `null` counts as unknown.
fn parse_list(text: &str, wrong: impl Fn(&str) -> Failure) -> Result<Vec<i64>> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'))
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "null" => Ok(-1),
            _ => word.parse().map_err(|_| wrong(word)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_gaps() {
        assert_eq!(
            read_targets("5, -1,null [7]", 4, &[4], 8).expect("a list"),
            [Some(5), None, None, Some(7)]
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (list, words) in [
            ("1,2", "2 tokens for logits of [3] rows"),
            ("1,2,8", "token 8 of row 2 is outside the vocabulary of 8"),
            ("1,x,3", "\"x\" is no integer"),
            ("1,2,99999999999", "token 99999999999 of row 2"),
        ] {
            let message = read_targets(list, 3, &[3], 8).expect_err(list).to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
