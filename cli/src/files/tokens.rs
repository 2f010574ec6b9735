//! Token ids from files and lists: targets, one per row, and prompts. Their texts are in `text`.

use std::path::Path;

use super::array::{Array, Element};
use super::hints::Hints;
use super::open::open_array;
use crate::failure::{Failure, Result};
use crate::text::read_text;

/// Bytes of a text of tokens.
const MAX_TEXT_BYTES: usize = 1 << 30;

/// Targets from a file of integers or from a list, one per row of logits of this shape; `None` where negative.
pub(crate) fn read_targets(
    source: &str,
    rows: usize,
    leading: &[usize],
    vocab: usize,
) -> Result<Vec<Option<u32>>> {
    let (tokens, shape) = read_integers("--tokens", source)?;
    if tokens.len() != rows || shape.as_ref().is_some_and(|shape| shape != leading && shape.len() > 1) {
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

/// Tokens of a prompt, from a file of integers or from a list.
pub(crate) fn read_prompt(source: &str) -> Result<Vec<u32>> {
    let (tokens, _) = read_integers("--prompt", source)?;
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
fn read_integers(option: &str, source: &str) -> Result<Integers> {
    let path = Path::new(source);
    if path.exists() {
        return read_file(path);
    }
    let wrong = |word: &str| {
        let short: String = source.chars().take(60).collect();
        Failure::Usage(format!("{option} {short}: {word:?} is no integer, and there is no such file"))
    };
    Ok((parse_list(source, wrong)?, None))
}

fn read_file(path: &Path) -> Result<Integers> {
    let is_array = path.extension().is_some_and(|extension| {
        ["npy", "npz", "safetensors"].iter().any(|format| extension.eq_ignore_ascii_case(format))
    });
    if !is_array {
        let text = read_text(path, MAX_TEXT_BYTES)?;
        let wrong = |word: &str| Failure::file(path, format!("{word:?} is no integer"));
        return Ok((parse_list(&text, wrong)?, None));
    }
    // In a file with several arrays, the names that tokens usually have.
    let named =
        |tensor: &str| open_array(path, &Hints { tensor: Some(tensor.to_owned()), ..Hints::default() });
    let is_tokens = |array: &Array| !matches!(array.element, Element::Logit(_));
    let array = match open_array(path, &Hints::default()) {
        Ok(array) if is_tokens(&array) => array,
        first => ["tokens", "targets", "token_ids", "labels"]
            .into_iter()
            .find_map(|tensor| named(tensor).ok().filter(is_tokens))
            .map_or(first, Ok)?,
    };
    let count = array.shape.iter().product();
    let block = array.block(0, count)?;
    let bytes = block.bytes().chunks_exact(array.element.bytes());
    let too_large = |_| Failure::file(path, "a token is over 2^63");
    let tokens = match array.element {
        Element::I32 => bytes.map(|b| i64::from(i32::from_le_bytes(element(b)))).collect(),
        Element::U32 => bytes.map(|b| i64::from(u32::from_le_bytes(element(b)))).collect(),
        Element::I64 => bytes.map(|b| i64::from_le_bytes(element(b))).collect(),
        Element::U64 => bytes
            .map(|b| i64::try_from(u64::from_le_bytes(element(b))))
            .collect::<Result<_, _>>()
            .map_err(too_large)?,
        Element::Logit(dtype) => {
            return Err(Failure::file(
                path,
                format!("tokens must be 32- or 64-bit integers, these are {dtype}"),
            ));
        }
    };
    Ok((tokens, Some(array.shape)))
}

fn element<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the element's size")
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
