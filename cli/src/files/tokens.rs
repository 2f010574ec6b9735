//! Token ids from files and lists. Their texts are in `text`; which row one belongs to is the matter of the command.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::array::{Array, Element};
use super::hints::Hints;
use super::open::open_array;
use crate::failure::{Failure, Result};

/// Integers of a file or a list, in its order.
pub(crate) struct Integers {
    pub(crate) values: Vec<i64>,
    pub(crate) form: Form,
}

/// How integers are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
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
        match &self.form {
            Form::List => write!(f, "{} tokens", self.values.len()),
            Form::Array(shape) => write!(f, "shape {shape:?}"),
            Form::Lists(lengths) => {
                let some: Vec<String> = lengths.iter().take(8).map(usize::to_string).collect();
                let dots = if lengths.len() > 8 { ", ..." } else { "" };
                write!(f, "{} lists of {}{dots} tokens", lengths.len(), some.join(", "))
            }
        }
    }
}

/// Integers of the file or of the list that an option names, if they are no more than `most`.
pub(crate) fn read_integers(option: &str, source: &str, most: usize) -> Result<Integers> {
    let path = Path::new(source);
    let integers = if path.exists() {
        read_file(path, most)?
    } else {
        let short: String = source.chars().take(60).collect();
        parse_text(source).map_err(|problem| {
            Failure::Usage(format!("{option} {short}: {problem}, and there is no such file"))
        })?
    };
    if integers.values.len() > most {
        return Err(too_many(path, most));
    }
    Ok(integers)
}

fn too_many(path: &Path, most: usize) -> Failure {
    Failure::Usage(format!("{}: over {most} tokens, more than these logits have use for", path.display()))
}

fn read_file(path: &Path, most: usize) -> Result<Integers> {
    let is_array = path.extension().is_some_and(|extension| {
        ["npy", "npz", "safetensors"].iter().any(|format| extension.eq_ignore_ascii_case(format))
    });
    if !is_array {
        return read_text(path, most);
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
    if count > most {
        return Err(too_many(path, most));
    }
    let block = array.block(0, count)?;
    let bytes = block.bytes().chunks_exact(array.element.bytes());
    let too_large = |_| Failure::file(path, "a token is over 2^63");
    let values = match array.element {
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
    Ok(Integers { values, form: Form::Array(array.shape) })
}

/// Bytes of text that an integer may have, with what stands between it and the next.
const INTEGER_BYTES: u64 = 24;

fn read_text(path: &Path, most: usize) -> Result<Integers> {
    let failed = |error: io::Error| Failure::file(path, error);
    let bytes = INTEGER_BYTES * most as u64;
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(bytes + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > bytes {
        return Err(too_many(path, most));
    }
    parse_text(&text).map_err(|problem| Failure::file(path, problem))
}

fn element<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the element's size")
}

/// Integers between commas, white space and brackets, or a JSON list of lists; `null` counts as unknown.
fn parse_text(text: &str) -> Result<Integers, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_nested = text.strip_prefix('[').is_some_and(|inner| inner.trim_start().starts_with('['));
    if is_nested {
        let lists: Vec<Vec<Option<i64>>> = serde_json::from_str(text)
            .map_err(|error| format!("this is no list of lists of integers: {error}"))?;
        let lengths = lists.iter().map(Vec::len).collect();
        let values = lists.iter().flatten().map(|token| token.unwrap_or(-1)).collect();
        return Ok(Integers { values, form: Form::Lists(lengths) });
    }
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'));
    let token = |word: &str| match word {
        "null" => Ok(-1),
        _ => word.parse().map_err(|_| {
            let short: String = word.chars().take(60).collect();
            format!("{short:?} is no integer")
        }),
    };
    let values = words.filter(|word| !word.is_empty()).map(token).collect::<Result<_, _>>()?;
    Ok(Integers { values, form: Form::List })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<i64>, Form) {
        let Integers { values, form } = parse_text(text).expect(text);
        (values, form)
    }

    #[test]
    fn lists_are_read_with_gaps() {
        assert_eq!(parsed("5, -1,null [7]"), (vec![5, -1, -1, 7], Form::List));
        assert_eq!(parsed("[5,\n6]"), (vec![5, 6], Form::List));
        assert_eq!(parsed("\u{feff}[ [1, null], [], [2]]"), (vec![1, -1, 2], Form::Lists(vec![2, 0, 1])));
    }

    #[test]
    fn what_is_no_integer_is_named() {
        for (text, words) in [
            ("1,x,3", "\"x\" is no integer"),
            ("1.5", "\"1.5\" is no integer"),
            ("[[1, 2], 3]", "no list of lists of integers"),
            ("[[1, 0.5]]", "no list of lists of integers"),
        ] {
            let problem = parse_text(text).err().expect(text);
            assert!(problem.contains(words), "{problem}");
        }
    }
}
