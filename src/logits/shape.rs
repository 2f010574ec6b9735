//! Where a batch of logits lies, and what a shape must fulfil wherever it does.

use super::dtype::Dtype;
use crate::arithmetic::format::MAX_VOCAB;
use crate::error::{Error, Result};

/// Where a batch of logits lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Element type.
    pub dtype: Dtype,
    /// Rows.
    pub rows: usize,
    /// Tokens of a row.
    pub vocab: usize,
    /// Elements from the start of one row to the start of the next.
    pub row_stride: usize,
    /// Bytes from the start of the buffer to the first element, a multiple of the element's size.
    pub byte_offset: u64,
}

/// Nothing, if a shape is possible wherever the logits lie.
pub(crate) fn validate_shape(rows: usize, vocab: usize, row_stride: usize) -> Result<()> {
    if vocab == 0 || vocab > MAX_VOCAB {
        return Err(Error::Logits(format!(
            "vocab {vocab} is outside 1 to {MAX_VOCAB}: is the last dimension of the shape the vocabulary?"
        )));
    }
    if rows > 1 && row_stride < vocab {
        return Err(Error::Logits(format!(
            "a row stride of {row_stride} elements is smaller than vocab {vocab}, so that rows would overlap: give {vocab} \
             or more"
        )));
    }
    Ok(())
}

/// Nothing, if two batches have the same rows and vocabulary, each given as (rows, vocab).
pub(crate) fn validate_pair(first: (usize, usize), second: (usize, usize)) -> Result<()> {
    let check = |what: &str, remedy: &str, first: usize, second: usize| {
        if first == second {
            return Ok(());
        }
        Err(Error::Params(format!(
            "the first batch has {what} {first}, the second {second}: a divergence is that of two distributions over the \
             same tokens, row by row; {remedy}"
        )))
    };
    check("rows", "compare the rows that both have", first.0, second.0)?;
    check("vocab", "leave the padding of the wider one out", first.1, second.1)
}

/// Bytes from the first element of the batch to the end of its last row; `None` past the address space.
pub(crate) fn bytes_needed(dtype: Dtype, rows: usize, vocab: usize, row_stride: usize) -> Option<usize> {
    if rows == 0 {
        return Some(0);
    }
    (rows - 1).checked_mul(row_stride)?.checked_add(vocab)?.checked_mul(dtype.bytes())
}
