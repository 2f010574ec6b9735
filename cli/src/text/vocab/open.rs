//! Files of vocabularies, opened.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::format::{Format, format_of};
use super::table::Vocab;
use super::{lines, pieces, sentencepiece, tekken, tiktoken, tokenizer};
use crate::failure::{Failure, Result};
use crate::text::read::read_bytes;

/// Bytes of the largest file that is read: four times the largest tokenizer.json that is known.
const MAX_FILE_BYTES: usize = 128 << 20;

/// The tokens of any file of a vocabulary.
pub(crate) fn open_vocab_file(path: &Path) -> Result<Vocab> {
    open(path, |_| None)
}

/// The tokens of a tokenizer, which says itself how its pieces are spelled.
pub(crate) fn open_tokenizer(path: &Path) -> Result<Vocab> {
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

fn open(path: &Path, refused: impl FnOnce(&Format<'_>) -> Option<&'static str>) -> Result<Vocab> {
    let bytes = read_bytes(path, MAX_FILE_BYTES)?;
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
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(vocab.of_file(sha256))
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
