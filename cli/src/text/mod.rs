//! Texts: text files, what tokens stand for, and how fields of output files are spelled. It does not know which fields an
//! output has.

pub(crate) mod columns;
mod json;
mod read;
mod texts;
mod vocab;

pub(crate) use self::json::{write_json, write_json_line, write_json_pretty};
pub(crate) use self::read::{read_text, strip_bom};
pub(crate) use self::texts::{Alternative, Texts};
pub(crate) use self::vocab::{Vocab, open_tokenizer, open_vocab_file};
