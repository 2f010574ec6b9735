//! Files of vocabularies, opened.

use std::path::Path;

use super::format::{Format, format_of};
use super::table::Vocab;
use super::{lines, pieces, sentencepiece, tekken, tiktoken, tokenizer};
use crate::failure::{Failure, Result};
use crate::input::{Opened, sha256};
use crate::text::read::RIGHT_ONE;

/// Bytes of the largest file that is read: four times the largest tokenizer.json that is known.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// The tokens of any file of a vocabulary, and the file's hash.
pub(crate) fn open_vocab_file(path: &Path) -> Result<(Vocab, String)> {
    open(path, |_| None)
}

/// The tokens of a tokenizer, which says itself how its pieces are spelled, and the file's hash.
pub(crate) fn open_tokenizer(path: &Path) -> Result<(Vocab, String)> {
    open(path, |format| match format {
        Format::JsonTexts(_) => {
            Some("no model.vocab: this is no tokenizer.json; texts of tokens go to --vocab-file")
        }
        Format::Lines(_) => {
            Some("no valid JSON: this is no tokenizer.json; texts of tokens go to --vocab-file")
        }
        _ => None,
    })
}

fn open(path: &Path, refused: impl FnOnce(&Format<'_>) -> Option<&'static str>) -> Result<(Vocab, String)> {
    let bytes = Opened::new(path)?.all(MAX_FILE_BYTES, RIGHT_ONE)?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let read = || {
        let format = format_of(&bytes, &ending)?;
        if let Some(problem) = refused(&format) {
            return Err(problem.to_owned());
        }
        let vocab = read(&format)?;
        if vocab.size() == 0 {
            return Err("no token is in it".to_owned());
        }
        Ok((vocab, sha256(&bytes)))
    };
    read().map_err(|problem| Failure::file(path, problem))
}

fn read(format: &Format<'_>) -> Result<Vocab, String> {
    match format {
        Format::TokenizerJson(text) => tokenizer::read(text),
        Format::TekkenJson(text) => tekken::read(text),
        Format::JsonTexts(text) => pieces::read(text),
        Format::SentencePieceModel(bytes) => sentencepiece::read_model(bytes),
        Format::SentencePieceVocab(text) => sentencepiece::read_vocab(text),
        Format::Tiktoken(text) => tiktoken::read(text),
        Format::Lines(text) => lines::read(text),
    }
}

#[cfg(test)]
mod tests {
    use sortilege::synthetic::SplitMix64;

    use super::*;
    use crate::shown::is_harmless;

    const FILES: [&str; 8] = [
        r#"{"model": {"type": "BPE", "vocab": {"a": 0, "\u0120b": 1, "<0x0A>": 2}, "byte_fallback": true,
            "end_of_word_suffix": "</w>"}, "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 9}, {"type": "Replace", "pattern": {"String": "_"},
            "content": " "}]}, "added_tokens": [{"id": 3, "content": "<s>", "special": true}]}"#,
        r#"{"config": {"default_vocab_size": 5, "default_num_special_tokens": 2}, "vocab": [{"rank": 0, "token_bytes":
            "AA=="}], "special_tokens": [{"rank": 0, "token_str": "<s>"}]}"#,
        r#"{"a": 0, "\u2581b": 1}"#,
        r#"[["a", -1.5], "b", ["<0x0A>"]]"#,
        "\n\u{9}\n\u{4}abcd\u{18}\u{6}\n\u{3}\n\u{1}b\u{12}\u{2}\u{20}\u{7}",
        "<s>\t0\n▁a\t-1.5\n<0x0A>\t-2\n",
        "YQ== 0\nIGI= 1\n",
        "[PAD]\nĠa\n##b\n",
    ];

    /// A file that something happened to is read or refused, never more.
    #[test]
    fn damaged_files_end_in_tokens_or_in_words() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("vocab");
        let mut outcomes = [0, 0];
        let mut numbers = SplitMix64::new(1);
        let mut random =
            |below: usize| usize::try_from(numbers.next() % below as u64).expect("below a length");
        for text in FILES {
            std::fs::write(&path, text).expect("writable");
            open_vocab_file(&path).expect("as it was written");
            for _ in 0..200 {
                let mut bytes = text.as_bytes().to_vec();
                for _ in 0..=random(3) {
                    let place = random(bytes.len());
                    match random(4) {
                        0 => bytes[place] = [b'"', b'{', b']', 0xff, 0, b'9', b'-', b'\n'][random(8)],
                        1 => bytes[place] ^= 1 << random(8),
                        2 => drop(bytes.drain(place..(place + 1 + random(5)).min(bytes.len()))),
                        _ => bytes.truncate(place + 1),
                    }
                    if bytes.is_empty() {
                        break;
                    }
                }
                std::fs::write(&path, &bytes).expect("writable");
                let outcome = open_vocab_file(&path);
                outcomes[usize::from(outcome.is_ok())] += 1;
                match outcome {
                    // Nothing but what the file holds: a byte of it makes no more than a space, three bytes of UTF-8.
                    Ok((vocab, _)) => {
                        let tokens = (0..).take(vocab.size()).filter_map(|token| vocab.bytes(token));
                        let most = 3 * bytes.len() + 20 * "<SPECIAL_1048575>".len();
                        assert!(tokens.map(<[u8]>::len).sum::<usize>() <= most, "{text}");
                    }
                    Err(failure) => assert!(is_harmless(&failure.to_string()), "{failure}"),
                }
            }
        }
        assert!(outcomes.iter().all(|&count| count > 200), "refused and read: {outcomes:?}");
    }
}
