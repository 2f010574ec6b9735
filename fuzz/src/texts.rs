//! Files of tokens and of vocabularies.

use crate::files::LogitsFile;
use crate::masks::zeros;
use crate::text::{open_tokenizer, open_vocab_file};
use crate::{file, folder, log, told};

/// Tokens in any format: targets of six rows.
pub fn tokens(data: &[u8]) {
    let folder = folder();
    let logits = file(&folder, "logits.npy", &zeros("(2, 3, 40)", 240));
    let logits = LogitsFile::open(&crate::arrays::args(logits)).expect("logits");
    let source = file(&folder, "tokens", data);
    let source = source.to_str().expect("UTF-8");
    for shift in [false, true] {
        told(log::read_targets(source, &logits, shift));
    }
}

/// A vocabulary: the first byte says how its name ends and how it is asked for.
pub fn vocabularies(data: &[u8]) {
    let folder = folder();
    let Some((&kind, rest)) = data.split_first() else { return };
    let endings = ["json", "txt", "model", "vocab", "tiktoken"];
    let ending = endings[usize::from(kind / 2) % endings.len()];
    let path = file(&folder, &format!("vocabulary.{ending}"), rest);
    let opened = if kind % 2 == 0 { open_tokenizer(&path) } else { open_vocab_file(&path) };
    let Some((vocab, _)) = told(opened) else { return };
    assert!((1..=sortilege::MAX_VOCAB).contains(&vocab.size()));
    let bytes: usize = (0..).take(vocab.size()).filter_map(|token| vocab.bytes(token)).map(<[u8]>::len).sum();
    assert!(bytes <= 64 * data.len() + 4096, "{bytes} bytes of tokens in {} of a file", data.len());
}
