//! Texts of tokens, as bytes: a token of a byte-level tokenizer alone may be no valid UTF-8.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Result};

/// Bytes of each token, by id; `None` where unknown.
#[derive(Debug, Default)]
pub(crate) struct Vocab {
    tokens: Vec<Option<Vec<u8>>>,
}

/// How pieces of a tokenizer stand for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// As they are.
    Plain,
    /// GPT-2's: every byte is a printable character.
    ByteLevel,
    /// `SentencePiece`'s: ▁ is a space, `<0x0A>` a byte.
    Metaspace,
    /// BERT's: ## continues a word, anything else starts one.
    WordPiece,
}

impl Vocab {
    /// Bytes of a token.
    pub(crate) fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.tokens.get(token as usize)?.as_deref()
    }

    /// The tokens of a JSON object text -> id, a JSON array, or a text with one per line.
    pub(crate) fn from_vocab_file(path: &Path) -> Result<Self> {
        let text = read(path)?;
        if !text.trim_start().starts_with(['{', '[']) {
            let lines = text.lines().enumerate().map(|(id, line)| (id as u64, line.to_owned()));
            return Ok(Self::new(lines, Spelling::Plain));
        }
        let pieces = pieces(&parse(path, &text)?)
            .ok_or_else(|| Failure::file(path, "neither an object of text -> id nor an array of texts"))?;
        // GPT-2's vocab.json spells a leading space Ġ.
        let spelling = if pieces.iter().any(|(_, piece)| piece.starts_with('Ġ')) {
            Spelling::ByteLevel
        } else {
            Spelling::Plain
        };
        Ok(Self::new(pieces, spelling))
    }

    /// The tokens of a tokenizer.json.
    pub(crate) fn from_tokenizer(path: &Path) -> Result<Self> {
        let json = parse(path, &read(path)?)?;
        let pieces = json
            .pointer("/model/vocab")
            .and_then(pieces)
            .ok_or_else(|| Failure::file(path, "no model.vocab: this is no tokenizer.json"))?;
        let mut vocab = Self::new(pieces, spelling(&json));
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            if let (Some(id), Some(content)) = (added["id"].as_u64(), added["content"].as_str()) {
                vocab.set(id, content.as_bytes().to_vec());
            }
        }
        Ok(vocab)
    }

    fn new(pieces: impl IntoIterator<Item = (u64, String)>, spelling: Spelling) -> Self {
        let byte_of_char = byte_level_alphabet();
        let mut vocab = Self::default();
        for (id, piece) in pieces {
            vocab.set(id, spell(&piece, spelling, &byte_of_char));
        }
        vocab
    }

    fn set(&mut self, id: u64, bytes: Vec<u8>) {
        // An id past any vocabulary is never looked up.
        let Some(place) = usize::try_from(id).ok().filter(|&id| id < sortilege::MAX_VOCAB) else { return };
        if self.tokens.len() <= place {
            self.tokens.resize(place + 1, None);
        }
        self.tokens[place] = Some(bytes);
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))
}

fn parse(path: &Path, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Failure::file(path, format!("no valid JSON: {error}")))
}

/// Ids and pieces of `{"piece": id}`, `["piece"]` or `[["piece", score]]`.
fn pieces(json: &Value) -> Option<Vec<(u64, String)>> {
    match json {
        Value::Object(map) => map.iter().map(|(piece, id)| Some((id.as_u64()?, piece.clone()))).collect(),
        Value::Array(list) => (0..)
            .zip(list)
            .map(|(id, piece)| Some((id, piece.as_str().or_else(|| piece.get(0)?.as_str())?.to_owned())))
            .collect(),
        _ => None,
    }
}

/// The spelling that the parts of a tokenizer.json speak of.
fn spelling(tokenizer: &Value) -> Spelling {
    let mentions = |kind: &str| {
        ["decoder", "pre_tokenizer", "normalizer"].iter().any(|part| {
            let part = &tokenizer[*part];
            let nested =
                part["decoders"].as_array().or(part["pretokenizers"].as_array()).into_iter().flatten();
            std::iter::once(part).chain(nested).any(|step| step["type"] == kind)
        })
    };
    let byte_fallback = tokenizer.pointer("/model/byte_fallback") == Some(&Value::Bool(true));
    if mentions("ByteLevel") {
        Spelling::ByteLevel
    } else if mentions("Metaspace") || mentions("ByteFallback") || byte_fallback {
        Spelling::Metaspace
    } else if mentions("WordPiece") {
        Spelling::WordPiece
    } else {
        Spelling::Plain
    }
}

/// The bytes that a piece stands for.
fn spell(piece: &str, spelling: Spelling, byte_of_char: &HashMap<char, u8>) -> Vec<u8> {
    match spelling {
        Spelling::Plain => piece.as_bytes().to_vec(),
        Spelling::ByteLevel => piece
            .chars()
            .map(|c| byte_of_char.get(&c).copied())
            .collect::<Option<_>>()
            .unwrap_or_else(|| piece.as_bytes().to_vec()), // an added token, spelled plainly
        Spelling::Metaspace => {
            let byte = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => vec![byte],
                None => piece.replace('▁', " ").into_bytes(),
            }
        }
        Spelling::WordPiece => match piece.strip_prefix("##") {
            Some(rest) => rest.as_bytes().to_vec(),
            None => format!(" {piece}").into_bytes(),
        },
    }
}

/// GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on
/// (`bytes_to_unicode` of its encoder.py).
fn byte_level_alphabet() -> HashMap<char, u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printable = (0..=u8::MAX).filter(|&byte| is_printable(byte)).map(|byte| (char::from(byte), byte));
    let others = (0..=u8::MAX).filter(|&byte| !is_printable(byte));
    printable.chain(('\u{100}'..).zip(others)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(piece: &str, spelling: Spelling) -> Vec<u8> {
        spell(piece, spelling, &byte_level_alphabet())
    }

    #[test]
    fn pieces_become_the_bytes_they_stand_for() {
        assert_eq!(spelled("Ġmat", Spelling::ByteLevel), b" mat");
        assert_eq!(spelled("Ċ", Spelling::ByteLevel), b"\n");
        assert_eq!(spelled("Ã©", Spelling::ByteLevel), "é".as_bytes());
        assert_eq!(spelled("▁mat", Spelling::Metaspace), b" mat");
        assert_eq!(spelled("<0x0A>", Spelling::Metaspace), b"\n");
        assert_eq!(spelled("##ing", Spelling::WordPiece), b"ing");
        assert_eq!(spelled("mat", Spelling::WordPiece), b" mat");
        assert_eq!(byte_level_alphabet().len(), 256);
    }

    #[test]
    fn every_form_of_vocabulary_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("vocab");
        let write = |text: &str| std::fs::write(&path, text).expect("writable");
        for text in [r#"{"a": 0, " b": 1}"#, r#"["a", " b"]"#, "a\n b\n"] {
            write(text);
            let vocab = Vocab::from_vocab_file(&path).expect(text);
            assert_eq!(
                (vocab.bytes(0), vocab.bytes(1), vocab.bytes(2)),
                (Some(&b"a"[..]), Some(&b" b"[..]), None)
            );
        }
        write(
            r#"{"model": {"vocab": [["▁a", -1.5], ["<0x00>", 0]]}, "decoder": {"type": "Metaspace"},
                  "added_tokens": [{"id": 3, "content": "<s>"}]}"#,
        );
        let vocab = Vocab::from_tokenizer(&path).expect("a unigram tokenizer");
        assert_eq!((vocab.bytes(0), vocab.bytes(1)), (Some(&b" a"[..]), Some(&b"\0"[..])));
        assert_eq!((vocab.bytes(2), vocab.bytes(3)), (None, Some(&b"<s>"[..])));
        for (text, words) in [("{", "no valid JSON"), ("{}", "no model.vocab")] {
            write(text);
            let message = Vocab::from_tokenizer(&path).expect_err(text).to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
