//! Files of parameters: a JSON object for all requests, or an array or lines with one for each. What the keys of other
//! programs mean is in `peers`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

use super::numbers::plain_field;
use super::params::PartialParams;
use super::peers::{Translated, translate};
use super::unique::Unique;
use crate::failure::{Failure, Result, note};
use crate::input::Opened;
use crate::shared_args::float;
use crate::shown::{shown, shown_path};
use crate::text::strip_bom;

/// Bytes of text that an object may have, and more for each token of the vocabulary: every list of tokens fits, and
/// prompts of half a million. Then those of all objects.
const TEXT_BYTES: [u64; 3] = [4 << 20, 32, 1 << 30];
/// Most unused keys that are named.
const MOST_NAMED: usize = 40;

/// What an object of parameters says.
#[derive(Default)]
pub(super) struct ReadParams {
    pub(super) params: PartialParams,
    /// What is taken where nobody says something.
    pub(super) defaults: PartialParams,
    /// Keys that are not used.
    pub(super) unused: Vec<String>,
    /// Those that are not, and would change what is drawn.
    pub(super) changing: Vec<String>,
}

/// Calls `take` with the parameters of a file for so many requests of such a vocabulary: once, or for each request with
/// its number. An error of `take` is told with the file, and the object's number. Keys that are not used are told.
pub(super) fn read_params(
    path: &Path,
    requests: usize,
    vocab: usize,
    mut take: impl FnMut(Option<usize>, &ReadParams) -> Result<()>,
) -> Result<()> {
    let text = read_text(path, requests, vocab)?;
    let bad = |error: serde_json::Error| Failure::file(path, format!("no parameters: {error}"));
    let is_array = text.trim_start().starts_with('[');
    let objects: Vec<&RawValue> = if is_array {
        serde_json::from_str(&text).map_err(bad)?
    } else {
        // One after the other, as in JSON lines.
        let values = serde_json::Deserializer::from_str(&text).into_iter();
        values.collect::<Result<_, _>>().map_err(bad)?
    };
    let is_list = is_array || objects.len() != 1;
    if is_list && objects.len() != requests {
        return Err(Failure::Usage(format!(
            "{}: there are {} objects for {requests} requests: give one for each, or one object for all",
            shown_path(path),
            objects.len()
        )));
    }
    let own_keys = own_keys();
    let [mut unused, mut changing] = [const { BTreeSet::new() }; 2];
    for (number, object) in objects.into_iter().enumerate() {
        let number = is_list.then_some(number);
        let taken = read_object(object.get(), &own_keys).map_err(Failure::Usage).and_then(|mut read| {
            unused.extend(read.unused.drain(..));
            changing.extend(read.changing.drain(..));
            take(number, &read)
        });
        taken.map_err(|problem| {
            let place = number.map_or_else(String::new, |number| format!("object {number}: "));
            Failure::Usage(format!("{}: {place}{problem}", shown_path(path)))
        })?;
        while unused.len() > MOST_NAMED + 1 {
            unused.pop_last();
        }
    }
    tell_unused(path, "keys that would change what is drawn, and are not used", &changing);
    tell_unused(path, "keys that are not used", &unused);
    Ok(())
}

/// Says once which keys are not used.
fn tell_unused(path: &Path, what: &str, keys: &BTreeSet<String>) {
    if keys.is_empty() {
        return;
    }
    let mut names: Vec<String> = keys.iter().take(MOST_NAMED).map(|key| shown(key)).collect();
    if keys.len() > MOST_NAMED {
        names.push("and more".to_owned());
    }
    note!("note: {}: {what}: {}", shown_path(path), names.join(", "));
}

/// The text of a file that is no longer than parameters for so many requests can be.
fn read_text(path: &Path, requests: usize, vocab: usize) -> Result<String> {
    let [bytes, of_token, most] = TEXT_BYTES;
    let most = (bytes + of_token * vocab as u64).saturating_mul(requests.max(1) as u64).min(most);
    let opened = Opened::new(path)?;
    let bad = |problem: String| Failure::file(path, problem);
    // What is no JSON is not read to its end, which it may not have.
    let start = strip_bom(&opened.head).map_err(bad)?;
    if start.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| !matches!(byte, b'[' | b'{'))
    {
        return Err(bad("no parameters: this is neither a JSON object nor an array of them".to_owned()));
    }
    let mark = opened.head.len() - start.len();
    let remedy = format!("parameters for {requests} requests of {vocab} tokens are shorter");
    let mut text = opened.all(most, &remedy)?;
    text.drain(..mark);
    spell_infinities(&mut text);
    String::from_utf8(text).map_err(|error| Failure::file(path, format!("no UTF-8: {error}")))
}

/// Makes texts of the infinities that Python writes as bare words, in as many bytes.
fn spell_infinities(text: &mut [u8]) {
    const WORD: &[u8] = b"Infinity";
    let (mut is_inside, mut place) = (false, 0);
    while place < text.len() {
        match text[place] {
            b'\\' if is_inside => place += 1,
            b'"' => is_inside = !is_inside,
            b'I' if !is_inside && text[place..].starts_with(WORD) => {
                let is_negative = place > 0 && text[place - 1] == b'-';
                let start = place - usize::from(is_negative);
                let spelled: &[u8] = if is_negative { b"\"-inf\"   " } else { b"\"inf\"   " };
                text[start..place + WORD.len()].copy_from_slice(spelled);
                place += WORD.len() - 1;
            }
            _ => {}
        }
        place += 1;
    }
}

/// The parameters of an object.
pub(super) fn read_object(text: &str, own_keys: &[String]) -> Result<ReadParams, String> {
    let Unique(value) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(object) = value else { return Err(format!("{value} is not an object of parameters")) };
    let object = object.into_iter().map(plain_field).collect();
    let Translated { object, defaults, unused, changing } = translate(object, own_keys)?;
    object.iter().try_for_each(|(key, value)| check_floats(key, value))?;
    let params = |object| {
        serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
            let place = error.path().to_string();
            format!("{place}: {}", in_words(&error.into_inner().to_string()))
        })
    };
    Ok(ReadParams { params: params(object)?, defaults: params(defaults)?, unused, changing })
}

/// An error for a number that 32 bits do not have: it would become 0 or an infinity.
fn check_floats(key: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Number(number) => {
            float(&number.to_string()).map(drop).map_err(|problem| format!("{key}: {problem}"))
        }
        Value::Array(list) => list.iter().try_for_each(|value| check_floats(key, value)),
        Value::Object(object) => object.values().try_for_each(|value| check_floats(key, value)),
        _ => Ok(()),
    }
}

/// What serde expected, as people say it.
fn in_words(message: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0 to 18446744073709551615"),
        ("expected f32", "expected a number"),
        ("expected a sequence", "expected a list"),
    ];
    WORDS.iter().fold(message.to_owned(), |message, (from, to)| message.replace(from, to))
}

/// All keys of ours.
pub(super) fn own_keys() -> Vec<String> {
    match serde_json::to_value(PartialParams::default()) {
        Ok(Value::Object(object)) => object.keys().cloned().collect(),
        _ => unreachable!("a struct is an object"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A text with its infinities spelled.
    pub(in super::super) fn spelled(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        spell_infinities(&mut bytes);
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn infinities_are_spelled_outside_of_texts_alone() {
        assert_eq!(spelled("[-Infinity, Infinity]"), r#"["-inf"   , "inf"   ]"#);
        for text in [r#""-Infinity \" Infinity""#, "[Infinite]", "-Inf", ""] {
            assert_eq!(spelled(text), text);
        }
    }
}
