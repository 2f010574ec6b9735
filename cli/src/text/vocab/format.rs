//! What a file of a vocabulary is, by what it holds: names of files are chosen by people.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::{self, Lines};
use super::sentencepiece;
use crate::foreign;
use crate::text::read::decode;

/// A kind of file, with its text.
#[derive(Debug)]
pub(super) enum Format<'a> {
    TokenizerJson(&'a str),
    TekkenJson(&'a str),
    /// An object text -> id, or an array of texts.
    JsonTexts(&'a str),
    SentencePieceModel(&'a [u8]),
    SentencePieceVocab(&'a str),
    Tiktoken(&'a str),
    /// One token a line.
    Lines(&'a str),
}

/// What to do with a file of another kind.
const REMEDY: &str = "give a tokenizer.json, a tokenizer.model, a vocab.json or another file of texts";

/// What the bytes are. A name that ends in .txt or .json decides where the text alone may be both.
pub(super) fn format_of<'a>(bytes: &'a [u8], ending: &str) -> Result<Format<'a>, String> {
    if let Some(other) = foreign::name(bytes) {
        return Err(format!("no vocabulary: {}", other.told(REMEDY)));
    }
    if bytes.get(8..10) == Some(b"{\"") && bytes[4..8] == [0; 4] {
        return Err(format!("no vocabulary: this is a .safetensors file: {REMEDY}"));
    }
    // A model begins with its first piece, field 1 of the message, a text with an empty line.
    if bytes.starts_with(b"\n") && (sentencepiece::is_model(bytes) || std::str::from_utf8(bytes).is_err()) {
        return Ok(Format::SentencePieceModel(bytes));
    }
    let text = decode(bytes)?;
    if text.contains('\0') {
        return Err("no vocabulary: this is a binary file of a kind that is not known".to_owned());
    }
    if text.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    if let Some(format) = json_format(text, ending)? {
        return Ok(format);
    }
    Ok(match lines::kind(text)? {
        Lines::Tiktoken => Format::Tiktoken(text),
        Lines::SentencePiece => Format::SentencePieceVocab(text),
        Lines::Tokens => Format::Lines(text),
    })
}

/// Values of a JSON object that tell what it is; in an object text -> id all of them are numbers.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    vocab: Option<&'a RawValue>,
    #[serde(borrow)]
    added_tokens_decoder: Option<&'a RawValue>,
    #[serde(borrow)]
    weight_map: Option<&'a RawValue>,
    #[serde(borrow)]
    architectures: Option<&'a RawValue>,
}

/// What a text in JSON is; nothing for a text that only begins like one, as a list of tokens with `[PAD]` first.
fn json_format<'a>(text: &'a str, ending: &str) -> Result<Option<Format<'a>>, String> {
    let is_json = ending == "json" || (ending != "txt" && begins_as_json(text));
    if !text.trim_start().starts_with(['{', '[']) && !is_json {
        return Ok(None);
    }
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) if is_json => return Err(format!("no valid JSON: {error}")),
        Err(_) => return Ok(None),
        Ok(value) if value.get().starts_with('{') => {}
        Ok(_) => return Ok(Some(Format::JsonTexts(text))),
    }
    let outline: Outline<'_> =
        serde_json::from_str(text).map_err(|error| format!("no vocabulary: {error}"))?;
    let is = |value: Option<&RawValue>, open: char| value.is_some_and(|value| value.get().starts_with(open));
    let config = if is(outline.added_tokens_decoder, '{') {
        Some("the settings of a tokenizer (tokenizer_config.json): give its tokenizer.json")
    } else if is(outline.weight_map, '{') {
        Some("the index of a model's files")
    } else if is(outline.architectures, '[') {
        Some("the settings of a model (config.json): give its tokenizer.json")
    } else {
        None
    };
    match config {
        _ if is(outline.model, '{') => Ok(Some(Format::TokenizerJson(text))),
        _ if is(outline.vocab, '[') => Ok(Some(Format::TekkenJson(text))),
        Some(config) => Err(format!("no vocabulary: this is {config}")),
        None => Ok(Some(Format::JsonTexts(text))),
    }
}

/// Whether a text begins with a bracket and what may follow it in the JSON of a vocabulary.
fn begins_as_json(text: &str) -> bool {
    let follows = |open: char, next: &[char]| {
        text.trim_start().strip_prefix(open).is_some_and(|rest| rest.trim_start().starts_with(next))
    };
    follows('{', &['"', '}']) || follows('[', &['"', '[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_holds() {
        let name = |bytes: &[u8], ending: &str| match format_of(bytes, ending) {
            Ok(Format::TokenizerJson(_)) => "tokenizer".to_owned(),
            Ok(Format::TekkenJson(_)) => "tekken".to_owned(),
            Ok(Format::JsonTexts(_)) => "texts".to_owned(),
            Ok(Format::SentencePieceModel(_)) => "model".to_owned(),
            Ok(Format::SentencePieceVocab(_)) => "scores".to_owned(),
            Ok(Format::Tiktoken(_)) => "ranks".to_owned(),
            Ok(Format::Lines(_)) => "lines".to_owned(),
            Err(problem) => problem,
        };
        for (bytes, ending, what) in [
            (&br#"{"model": {"vocab": {}}}"#[..], "", "tokenizer"),
            (br#"{"vocab": [], "config": {}}"#, "", "tekken"),
            (br#"{"model": 1, "vocab": 2, "weight_map": 3}"#, "", "texts"),
            (br#" ["a"]"#, "", "texts"),
            (b"[PAD]\n[UNK]\n", "", "lines"),
            (b"{\n}\nx\n", "txt", "lines"),
            (b"[\"\n]\n", "txt", "lines"),
            (b"[\n\\\n]\n", "", "lines"),
            (b"[PAD]\n", "json", "no valid JSON"),
            (b"{\"a\": 0", "", "no valid JSON"),
            (b"\n\nx\n", "", "lines"),
            (b"\x0a\x03\x0a\x01a", "", "model"),
            (b"\x0a\x05\x0a\x03a\xff", "", "model"),
            (b"IQ== 0\nYQ== 1\n", "model", "ranks"),
            (b"that 0\nthis 1\na 2\n", "", "a word and a number"),
            ("<unk>\t0\n▁the\t-3.25\r\n".as_bytes(), "", "scores"),
            (b"a\t5\nb\t3\n", "", "a word and a number"),
            (b"#version: 0.2\nt h\n", "txt", "merges"),
            (b"PK\x03\x04....", "json", "zip"),
            (b"\x10\0\0\0\0\0\0\0{\"a\"", "", "safetensors"),
            (br#"{"added_tokens_decoder": {}}"#, "", "tokenizer_config.json"),
            (b"a\0b", "", "binary"),
            (b"\xff\xfea\0", "", "UTF-16"),
            (b"\xef\xbb\xbf \n", "", "empty"),
        ] {
            let found = name(bytes, ending);
            assert!(found.contains(what), "{:?} .{ending}: {found}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(name(b"YQ== 0\n\nYg== 1\n\n", "tiktoken"), "ranks");
        let many = (0..3).map(|rank| format!("YWE= {rank}\n")).collect::<String>() + "oh\n";
        assert!(name(many.as_bytes(), "").contains("line 4 is none"), "{}", name(many.as_bytes(), ""));
    }
}
