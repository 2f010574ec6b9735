//! Files that llama.cpp's `llama-perplexity --kl-divergence-base FILE` writes: the text of an evaluation and the base
//! model's log-probabilities of it, in 16 bits. How a row is packed is in `packed`.
//!
//! ```text
//! "_logits_"  n_ctx i32  n_vocab i32  n_chunk i32  tokens i32 [n_chunk][n_ctx]
//! rows [n_chunk][n_ctx - 1 - n_ctx / 2]
//! ```
//! Rows are there for the second half of each chunk: row j predicts the token at n_ctx / 2 + 1 + j.

use sortilege::{Dtype, MAX_VOCAB};

use crate::failure::{Failure, Result, note};
use crate::files::array::Array;
use crate::files::element::Element;
use crate::files::hints::Hints;
use crate::files::packed::{Text, row_bytes};
use crate::input::Input;
use crate::shown::{shown, shown_path};

pub(super) const MAGIC: &[u8] = b"_logits_";

/// Bytes before the tokens.
const HEAD_BYTES: u64 = 20;

/// The log-probabilities, `[n_chunk][rows][n_vocab]`.
pub(super) fn open(data: Input, hints: &Hints) -> Result<Array> {
    if let Some(name) = &hints.tensor {
        let (name, side) = (shown(name), hints.side);
        return Err(Failure::Usage(format!(
            "--tensor{side} {name}: a file of llama.cpp holds one array without a name"
        )));
    }
    let bad =
        |problem: String| Failure::file(&data.path, format!("no readable file of llama.cpp: {problem}"));
    if data.bytes < HEAD_BYTES {
        return Err(bad("it is cut off".to_owned()));
    }
    let mut head = [0; 12];
    data.read(MAGIC.len() as u64, &mut head)?;
    let [context, vocab, chunks] = [0, 4, 8].map(|place| number(&head[place..]));
    let sizes = [context, vocab, chunks].map(|n| usize::try_from(n).unwrap_or(0));
    let [context, vocab, chunks] = sizes;
    // A context below 3 has no row.
    if context < 3 || !(1..=MAX_VOCAB).contains(&vocab) || chunks < 1 {
        return Err(bad(format!("its n_ctx, n_vocab and n_chunk cannot be {sizes:?}")));
    }
    let rows = context - 1 - context / 2;
    // None of them is over 2^31, so nothing overflows.
    let start = u128::from(HEAD_BYTES) + 4 * (context as u128 * chunks as u128);
    let needs = start + chunks as u128 * rows as u128 * row_bytes(vocab) as u128;
    let has = u128::from(data.bytes);
    if has < needs {
        return Err(bad(format!(
            "{chunks} chunks of {context} tokens need {needs} bytes, it has {has}: it is truncated"
        )));
    }
    if has > needs {
        note!("note: {}: {} bytes follow its rows and are not read", shown_path(&data.path), has - needs);
    }
    let text = text(&data, [context, chunks, rows], vocab)?;
    let start = HEAD_BYTES + 4 * (context * chunks) as u64;
    let array = Array::plain(data, start, Element::Logit(Dtype::F32), vec![chunks, rows, vocab]);
    Ok(Array { packed: Some(text), ..array })
}

fn number(bytes: &[u8]) -> i32 {
    i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The tokens that the rows predict.
fn text(data: &Input, [context, chunks, rows]: [usize; 3], vocab: usize) -> Result<Text> {
    let first = context / 2 + 1;
    let (mut chunk, mut targets) = (vec![0; 4 * context], Vec::with_capacity(chunks * rows));
    for number_of_chunk in 0..chunks {
        data.read(HEAD_BYTES + (number_of_chunk * chunk.len()) as u64, &mut chunk)?;
        for token in chunk.chunks_exact(4).skip(first).map(number) {
            let known = u32::try_from(token).ok().filter(|&token| (token as usize) < vocab);
            targets.push(Some(known.ok_or_else(|| {
                Failure::file(&data.path, format!("its token {token} is outside its vocabulary of {vocab}"))
            })?));
        }
    }
    Ok(Text { targets, context, first })
}
