//! Grammar bitmasks in files.

use std::path::Path;

use crate::batch::Batch;
use crate::failure::{Failure, Result};
use crate::input::{Array, Element, Hints};

/// One bit per token of a batch, rows of whole words.
pub(crate) struct Mask {
    array: Array,
    words: usize,
}

impl Mask {
    pub(crate) fn open(path: &Path, batch: &Batch) -> Result<Self> {
        let array = Array::open(path, &Hints::default())?;
        if !matches!(array.element, Element::I32 | Element::U32) {
            return Err(Failure::file(path, "a grammar mask is int32 or uint32: one bit per token"));
        }
        let words = batch.vocab.div_ceil(32);
        let nested = [batch.leading(), &[words]].concat();
        if array.shape != nested && array.shape != [batch.rows, words] {
            return Err(Failure::file(
                path,
                format!(
                    "shape {:?} does not fit logits {:?}: {nested:?} is needed, one bit per token in rows of whole words",
                    array.shape, batch.array.shape
                ),
            ));
        }
        Ok(Self { array, words })
    }

    /// The words of these rows.
    pub(crate) fn rows(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<u32>> {
        let mut words = Vec::new();
        for row in rows {
            let block = self.array.block(row * self.words, self.words)?;
            words.extend(block.bytes().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        Ok(words)
    }
}
