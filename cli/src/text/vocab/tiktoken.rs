//! Ranks of tiktoken, also in a tokenizer.model of Llama 3 and others: a line has a token's bytes in base64, and its id.
//! Special tokens are in no such file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::table::Vocab;

/// The token of a line, and its id.
pub(super) fn token(line: &str) -> Option<(u64, Vec<u8>)> {
    let (bytes, rank) = line.split_once(' ')?;
    let rank = rank.trim_end();
    let is_number = !rank.is_empty() && rank.bytes().all(|digit| digit.is_ascii_digit());
    Some((rank.parse().ok().filter(|_| is_number)?, STANDARD.decode(bytes).ok()?))
}

/// The tokens of a file of which every line has one.
pub(super) fn read(text: &str) -> Result<Vocab, String> {
    Vocab::new(text.lines().filter_map(token))
}
