//! What breaks DRY's sequences: tokens by their ids, or by texts that a tokenizer has.

use std::collections::HashMap;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::numbers::whole;
use crate::failure::{Failure, Result, tell_idle};
use crate::shared_args::VocabArgs;
use crate::text::Vocab;

/// The texts that break a sequence in llama.cpp, unless others are given.
const LLAMA: [&str; 4] = ["\n", ":", "\"", "*"];

/// Sequence breakers; `1,2` or `llama` on the command line, a list of ids and texts or `"llama"` in JSON.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Breakers(Vec<Breaker>);

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Breaker {
    Token(u32),
    /// Every token that contains it.
    Text(String),
}

impl Breakers {
    /// With these texts too.
    pub(super) fn with(mut self, texts: Vec<String>) -> Self {
        self.0.extend(texts.into_iter().map(Breaker::Text));
        self
    }

    /// Puts tokens in place of texts, for a vocabulary of so many.
    pub(super) fn resolve(&mut self, texts: &mut TextsOfTokens<'_>, tokens: usize) -> Result<()> {
        let mut resolved = Vec::new();
        for breaker in &self.0 {
            match breaker {
                Breaker::Token(token) => resolved.push(*token),
                Breaker::Text(text) => {
                    resolved.extend(texts.tokens_with(text, tokens)?);
                }
            }
        }
        resolved.sort_unstable();
        resolved.dedup();
        self.0 = resolved.into_iter().map(Breaker::Token).collect();
        Ok(())
    }
}

/// The tokens, below so many, whose text contains this one. One of which only an end begins it is none: whether the text
/// comes about is then for the next token to say.
fn containing(vocab: &Vocab, text: &str, tokens: usize) -> Vec<u32> {
    let has_it = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "vocabularies are smaller")]
    let all = 0..tokens.min(vocab.size()) as u32;
    all.filter(|&token| vocab.bytes(token).is_some_and(has_it)).collect()
}

impl FromStr for Breakers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "llama" {
            return Ok(Self::default().with(LLAMA.map(str::to_owned).to_vec()));
        }
        let token = |id: &str| {
            let token = whole(id.trim()).map_err(|problem| format!("{problem}; or take llama"))?;
            Ok(Breaker::Token(token))
        };
        text.split(',').map(token).collect::<Result<_, String>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Breakers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value == "llama" {
            return "llama".parse().map_err(D::Error::custom);
        }
        let breakers = Vec::<Breaker>::deserialize(&value).map(Self);
        let has_empty =
            |Self(list): &Self| list.iter().any(|b| matches!(b, Breaker::Text(text) if text.is_empty()));
        match breakers {
            Ok(breakers) if !has_empty(&breakers) => Ok(breakers),
            _ => Err(D::Error::custom(format!(
                "sequence_breakers {value} are neither \"llama\" nor a list of token ids and texts"
            ))),
        }
    }
}

impl From<Breakers> for Vec<u32> {
    /// Of those that are resolved.
    fn from(Breakers(list): Breakers) -> Self {
        let token = |breaker| match breaker {
            Breaker::Token(token) => Some(token),
            Breaker::Text(_) => None,
        };
        list.into_iter().filter_map(token).collect()
    }
}

/// Reads a text that is given as an option.
pub(super) fn breaker_text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("an empty text breaks everything: leave it out".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// What the tokens stand for, read when somebody asks.
pub(super) struct TextsOfTokens<'a> {
    args: &'a VocabArgs,
    vocab: Option<Vocab>,
    /// What was asked before: every request of a file may ask the same.
    known: HashMap<(String, usize), Vec<u32>>,
}

impl<'a> TextsOfTokens<'a> {
    pub(super) fn new(args: &'a VocabArgs) -> Self {
        Self { args, vocab: None, known: HashMap::new() }
    }

    /// The tokens, below so many, that contain a text.
    fn tokens_with(&mut self, text: &str, tokens: usize) -> Result<&[u32]> {
        let key = (text.to_owned(), tokens);
        if !self.known.contains_key(&key) {
            let with_it = containing(self.load(text)?, text, tokens);
            if with_it.is_empty() {
                tell_idle(&format!("dry sequence breaker {text:?}"), "no token contains it");
            }
            self.known.insert(key.clone(), with_it);
        }
        Ok(&self.known[&key])
    }

    /// The vocabulary, for this text.
    fn load(&mut self, text: &str) -> Result<&Vocab> {
        if self.vocab.is_none() {
            self.vocab = self.args.open()?.map(|(vocab, _)| vocab);
        }
        self.vocab.as_ref().ok_or_else(|| {
            Failure::Usage(format!(
                "the dry sequence breaker {text:?} is a text: name its tokens by --tokenizer or --vocab-file, or give their ids"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_contain_a_text_are_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("vocab.json");
        std::fs::write(&path, r#"["a", "\n", "b\n\nc", ":\"", "é:", "\\n", "**"]"#).expect("writable");
        let args = VocabArgs { vocab_file: Some(path), tokenizer: None };
        let tokens = |breakers: &str, tokens: usize| -> Vec<u32> {
            let mut breakers: Breakers = serde_json::from_str(breakers).expect(breakers);
            breakers.resolve(&mut TextsOfTokens::new(&args), tokens).expect("a vocabulary");
            breakers.into()
        };
        assert_eq!(tokens(r#"["\n"]"#, 7), [1, 2]);
        assert_eq!(tokens(r#"["\n\n", 6, "\n\n"]"#, 7), [2, 6]);
        assert_eq!(tokens(r#""llama""#, 7), [1, 2, 3, 4, 6]);
        assert_eq!(tokens(r#""llama""#, 4), [1, 2, 3], "of a smaller vocabulary");
        assert_eq!(tokens(r#"["\nb"]"#, 7), [0u32; 0], "spread over tokens");
        let mut given: Breakers = "llama".parse().expect("a word");
        let message = given.resolve(&mut TextsOfTokens::new(&VocabArgs::default()), 7).expect_err("no texts");
        assert!(message.to_string().contains("--tokenizer"), "{message}");
    }

    #[test]
    fn breakers_are_ids_or_texts() {
        for (text, words) in [("1,x", "\"x\""), ("", "\"\""), ("-1", "-1")] {
            let message = text.parse::<Breakers>().expect_err(text);
            assert!(message.contains(words) && message.contains("llama"), "{message}");
        }
        for json in [r#"[""]"#, r#""vllm""#, "[-1]", "[[1]]", "3"] {
            assert!(serde_json::from_str::<Breakers>(json).is_err(), "{json}");
        }
        assert!(breaker_text("").is_err());
    }
}
