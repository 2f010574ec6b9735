//! Logits in a file as a batch of rows that is read block by block, for `log` and `sample`.

use std::io::IsTerminal;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use sortilege::{Dtype, Logits, Status};

use crate::args::{LogitsArgs, VocabArgs};
use crate::engine::Engine;
use crate::failure::{Failure, Result, note};
use crate::input::{Array, Element, Hints};
use crate::sidecar::Source;
use crate::vocab::Vocab;

/// Bytes of logits that are mapped at a time.
pub(crate) const BLOCK_BYTES: usize = 64 << 20;

/// A batch in a file: rows, cut into requests of so many positions.
pub(crate) struct Batch {
    pub(crate) array: Array,
    pub(crate) dtype: Dtype,
    pub(crate) positions: usize,
    pub(crate) rows: usize,
    pub(crate) vocab: usize,
}

impl Batch {
    pub(crate) fn open(args: &LogitsArgs) -> Result<Self> {
        let hints = Hints {
            tensor: args.tensor.clone(),
            shape: args.shape.clone(),
            dtype: args.dtype.map(Dtype::from),
        };
        let path = &args.logits;
        let array = Array::open(path, &hints)?;
        let Element::Logit(dtype) = array.element else {
            return Err(Failure::file(
                path,
                "these are integers, not logits: give the logits first, and tokens by their option",
            ));
        };
        if hints.dtype.is_some_and(|wanted| wanted != dtype) {
            return Err(Failure::file(path, format!("the file says {dtype}: leave --dtype out")));
        }
        let (positions, rows, vocab) = match array.shape[..] {
            [vocab] => (1, 1, vocab),
            [rows, vocab] => (rows, rows, vocab),
            [requests, positions, vocab] => (positions, requests * positions, vocab),
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
        // The library's own words on a vocabulary that cannot be.
        Logits::new(&[], dtype, 0, vocab).map_err(|error| Failure::file(path, error))?;
        Ok(Self { array, dtype, positions, rows, vocab })
    }

    /// The shape without the vocabulary.
    pub(crate) fn leading(&self) -> &[usize] {
        &self.array.shape[..self.array.shape.len() - 1]
    }

    /// Bytes of a row of logits.
    pub(crate) fn row_bytes(&self) -> usize {
        self.vocab * self.dtype.bytes()
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
            let block = self.array.block(first * self.vocab, count * self.vocab)?;
            work(first..first + count, &Logits::new(block.bytes(), self.dtype, count, self.vocab)?)?;
            bar.inc(count as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Copies of rows that do not lie one after the other.
    pub(crate) fn gather(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(self.array.block(row * self.vocab, self.vocab)?.bytes());
        }
        Ok(bytes)
    }

    /// Of rows, on a terminal.
    pub(crate) fn progress_bar(&self) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} rows, {per_sec}, {eta} left");
        let bar = ProgressBar::new(self.rows as u64);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    /// For the sidecar.
    pub(crate) fn source(&self) -> Result<Source<'_>> {
        Ok(Source {
            file: self.array.path.display().to_string(),
            tensor: self.array.tensor.as_deref(),
            sha256: Array::sha256(&self.array.path)?,
        })
    }
}

impl VocabArgs {
    pub(crate) fn load(&self) -> Result<Option<Vocab>> {
        match (&self.vocab_file, &self.tokenizer) {
            (Some(path), _) => Vocab::from_vocab_file(path).map(Some),
            (_, Some(path)) => Vocab::from_tokenizer(path).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn files(&self) -> [Option<&PathBuf>; 2] {
        [self.vocab_file.as_ref(), self.tokenizer.as_ref()]
    }
}

/// What is told at the end.
pub(crate) struct Tally {
    start: Instant,
    unsound: Vec<(&'static str, usize)>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), unsound: Vec::new() }
    }

    pub(crate) fn count(&mut self, status: Status) {
        if status == Status::Ok {
            return;
        }
        match self.unsound.iter_mut().find(|(known, _)| *known == status.name()) {
            Some((_, count)) => *count += 1,
            None => self.unsound.push((status.name(), 1)),
        }
    }

    /// Rows, time and device; `rest` is further lines.
    pub(crate) fn tell(self, batch: &Batch, engine: &Engine, rest: &dyn std::fmt::Display) {
        let rows = batch.rows;
        let seconds = self.start.elapsed().as_secs_f64();
        let device = engine.describe().0;
        let speed = rows as f64 / seconds.max(1e-9);
        let read_back = engine.bytes_back().map_or_else(String::new, |bytes| {
            let share = bytes as f64 / (rows * batch.row_bytes()).max(1) as f64 * 100.0;
            format!(", {bytes} bytes read back ({share:.3} % of the logits)")
        });
        for (name, count) in self.unsound {
            note!("note: {count} of {rows} rows are no distribution: {name}");
        }
        note!("{rows} rows in {seconds:.3} s on {device}, {speed:.0} rows/s{read_back}{rest}");
    }
}
