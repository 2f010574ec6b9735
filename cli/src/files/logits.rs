//! A file of logits as a batch of rows, which is read block by block. It does not know what the rows are for.

use std::ops::Range;

use indicatif::ProgressBar;
use sortilege::{Dtype, Logits};

use super::array::{Array, Element};
use super::hints::Hints;
use super::open::open_array;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::shared_args::LogitsArgs;

/// Bytes of logits that are mapped at a time.
pub(crate) const BLOCK_BYTES: usize = 64 << 20;

/// Logits in a file: rows, cut into requests of so many positions.
pub(crate) struct LogitsFile {
    pub(crate) array: Array,
    pub(crate) dtype: Dtype,
    pub(crate) positions: usize,
    pub(crate) rows: usize,
    pub(crate) vocab: usize,
    /// Elements from a row to the next one: more than the vocabulary where it is padded.
    pub(crate) stride: usize,
}

impl LogitsFile {
    /// The file that the options name, if it holds logits in a shape that makes rows.
    pub(crate) fn open(args: &LogitsArgs) -> Result<Self> {
        let hints = Hints { tensor: args.tensor.clone(), shape: args.shape.clone(), dtype: args.dtype };
        let path = &args.logits;
        let array = open_array(path, &hints)?;
        let Element::Logit(dtype) = array.element else {
            return Err(Failure::file(
                path,
                "these are integers, not logits: give the logits first, and tokens by their option",
            ));
        };
        if hints.dtype.is_some_and(|wanted| wanted != dtype) {
            return Err(Failure::file(path, format!("the file says {dtype}: leave --dtype out")));
        }
        let (positions, rows, stride) = match array.shape[..] {
            [columns] => (1, 1, columns),
            [rows, columns] => (rows, rows, columns),
            [requests, positions, columns] => (positions, requests * positions, columns),
            _ => {
                return Err(Failure::file(
                    path,
                    format!(
                        "shape {:?} is none of [vocab], [rows][vocab], [requests][positions][vocab]",
                        array.shape
                    ),
                ));
            }
        };
        let vocab = args.vocab_size.unwrap_or(stride);
        if vocab > stride {
            return Err(Failure::Usage(format!(
                "--vocab-size {vocab}: {} has {stride} columns, and no more tokens",
                path.display()
            )));
        }
        // The library's own words on a vocabulary that cannot be.
        Logits::new(&[], dtype, 0, vocab).map_err(|error| Failure::file(path, error))?;
        Ok(Self { array, dtype, positions, rows, vocab, stride })
    }

    /// The shape without the vocabulary.
    pub(crate) fn leading(&self) -> &[usize] {
        &self.array.shape[..self.array.shape.len() - 1]
    }

    /// Bytes from a row of logits to the next one.
    pub(crate) fn row_bytes(&self) -> usize {
        self.stride * self.dtype.bytes()
    }

    /// Rows whose logits, and whose results of so many bytes each, stay below the size of a block.
    pub(crate) fn rows_per_block(&self, result_bytes: usize) -> usize {
        (BLOCK_BYTES / self.row_bytes().max(result_bytes)).max(1)
    }

    /// Calls `work` with each block of rows in turn, and their logits.
    pub(crate) fn each_block(
        &self,
        result_bytes: usize,
        mut work: impl FnMut(Range<usize>, &Logits<'_>) -> Result<()>,
    ) -> Result<()> {
        let bar = self.progress_bar();
        let rows_per_block = self.rows_per_block(result_bytes);
        for first in (0..self.rows).step_by(rows_per_block) {
            let count = rows_per_block.min(self.rows - first);
            let block = self.array.block(first * self.stride, count * self.stride)?;
            let logits = Logits::strided(block.bytes(), self.dtype, count, self.vocab, self.stride)?;
            work(first..first + count, &logits)?;
            bar.inc(count as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Copies of rows that do not lie one after the other.
    pub(crate) fn copy_rows(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(self.array.block(row * self.stride, self.vocab)?.bytes());
        }
        Ok(bytes)
    }

    /// Progress through the rows.
    pub(crate) fn progress_bar(&self) -> ProgressBar {
        progress::bar(self.rows, "{wide_bar} {pos}/{len} rows, {per_sec}, {eta} left")
    }
}
