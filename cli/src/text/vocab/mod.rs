//! What tokens stand for, as bytes: a token of a byte-level tokenizer alone may be no valid UTF-8. `format` tells what a
//! file is by what it holds, a file for each kind reads it, `spelling` says how its pieces stand for bytes.

mod format;
mod lines;
mod open;
mod pieces;
mod sentencepiece;
mod spelling;
mod table;
mod tekken;
mod tiktoken;
mod tokenizer;

pub(crate) use self::open::{open_tokenizer, open_vocab_file};
pub(crate) use self::table::Vocab;
