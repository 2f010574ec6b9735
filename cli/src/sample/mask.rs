//! Grammar bitmasks in files, which say which tokens are possible.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::files::{Array, Element, Hints, LogitsFile, open_array};

/// One bit per token of a file of logits, in rows of whole words.
pub(crate) struct Mask {
    array: Array,
    words: usize,
}

impl Mask {
    /// The mask in a file, if it fits the logits.
    pub(crate) fn open(path: &Path, logits: &LogitsFile) -> Result<Self> {
        let array = open_array(path, &Hints::default())?;
        if !matches!(array.element, Element::I32 | Element::U32) {
            return Err(Failure::file(path, "a grammar mask is int32 or uint32: one bit per token"));
        }
        let words = logits.vocab.div_ceil(32);
        let nested = [logits.leading(), &[words]].concat();
        if array.shape != nested && array.shape != [logits.rows, words] {
            return Err(Failure::file(
                path,
                format!(
                    "shape {:?} does not fit logits {:?}: {nested:?} is needed, one bit per token in \
                     rows of whole words",
                    array.shape, logits.array.shape
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
