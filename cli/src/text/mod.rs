//! Texts: text files, and what tokens stand for.

mod read;
mod vocab;

pub(crate) use self::read::{read_text, strip_bom};
pub(crate) use self::vocab::{Vocab, open_tokenizer, open_vocab_file};
