//! A file of logits as a batch of rows, which is read block by block. It does not know what the rows are for.

use std::ops::Range;
use std::sync::mpsc;

use indicatif::ProgressBar;
use sortilege::{Dtype, Logits};

use super::array::Array;
use super::element::Element;
use super::formats::{Format, array_of};
use super::hints::Hints;
use crate::failure::{Failure, Result, note};
use crate::input::Opened;
use crate::progress;
use crate::shared_args::{LogitsArgs, Said};
use crate::shown::shown_path;

/// Bytes of logits that are read at a time.
pub(crate) const BLOCK_BYTES: usize = 16 << 20;

/// Logits in a file: rows, cut into requests of so many positions.
pub(crate) struct LogitsFile {
    pub(crate) array: Array,
    pub(crate) dtype: Dtype,
    pub(crate) positions: usize,
    pub(crate) rows: usize,
    pub(crate) vocab: usize,
    /// Elements from a row to the next one: more than the vocabulary where it is padded.
    pub(crate) stride: usize,
    /// Positions that a request has in the file, and the first of them that is taken; otherwise all are.
    window: Option<[usize; 2]>,
}

impl LogitsFile {
    /// The file that the options name, if it holds logits in a shape that makes rows.
    pub(crate) fn open(args: &LogitsArgs) -> Result<Self> {
        Self::of(Opened::new(&args.logits)?, args)
    }

    /// That of the open file.
    pub(crate) fn of(opened: Opened, args: &LogitsArgs) -> Result<Self> {
        let mut hints = Hints {
            tensor: args.tensor.clone(),
            default_names: &["logits"],
            shape: args.shape.clone(),
            dtype: args.dtype,
            most_tokens: None,
            is_of_sidecar: args.said == Said::InSidecar,
            side: args.side,
        };
        let is_of_it = args.said == Said::OfIt;
        if !is_of_it {
            fit(&mut hints, Format::of(&opened));
        }
        let path = &args.logits;
        let mut array = array_of(opened, &hints)?;
        let dtype = match array.element {
            Element::Logit(dtype) => dtype,
            Element::F64 => {
                note!("note: {}: f64 logits are rounded to f32", shown_path(path));
                Dtype::F32
            }
            other => {
                let problem = format!(
                    "these are {}, not logits: give the logits first, tokens and masks by their options",
                    other.name()
                );
                return Err(Failure::file(path, problem));
            }
        };
        if is_of_it && hints.dtype.is_some_and(|wanted| wanted != dtype) {
            let path = shown_path(path);
            return Err(Failure::Usage(format!(
                "{path}: the file says {dtype}: leave --dtype{} out",
                args.side
            )));
        }
        if array.is_approximate() {
            note!(
                "note: {}: llama.cpp's log-probabilities of 16 bits, floored 16 nats below the largest: what is computed \
                 of them is approximate",
                shown_path(path)
            );
        }
        let said = array.shape.clone();
        drop_ones(&mut array.shape);
        let (positions, rows, stride) = match array.shape[..] {
            [columns] => (1, 1, columns),
            [rows, columns] => (rows, rows, columns),
            [requests, positions, columns] => (positions, requests * positions, columns),
            _ => {
                return Err(Failure::file(
                    path,
                    format!("shape {said:?} is none of [vocab], [rows][vocab], [requests][positions][vocab]"),
                ));
            }
        };
        let vocab = args.vocab_size.unwrap_or(stride);
        if vocab > stride {
            return Err(Failure::Usage(format!(
                "--vocab-size {vocab}: {} has {stride} columns, and no more tokens",
                shown_path(path)
            )));
        }
        // The library's own words on a vocabulary that cannot be.
        Logits::new(&[], dtype, 0, vocab).map_err(|error| Failure::file(path, error))?;
        Ok(Self { array, dtype, positions, rows, vocab, stride, window: None })
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
        work: impl FnMut(Range<usize>, &Logits<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_block_from(0, result_bytes, work)
    }

    /// As `each_block`, without the first so many rows.
    pub(crate) fn each_block_from(
        &self,
        first: usize,
        result_bytes: usize,
        mut work: impl FnMut(Range<usize>, &Logits<'_>) -> Result<()>,
    ) -> Result<()> {
        each_block_of(&[self], first, result_bytes, |rows, blocks| work(rows, &blocks[0]))
    }

    /// The same with so many positions of each request alone, from `first` on.
    pub(crate) fn windowed(self, first: usize, positions: usize) -> Self {
        assert!(
            self.window.is_none() && first + positions <= self.positions,
            "they are among those of the file"
        );
        let (window, rows) = (Some([self.positions, first]), self.rows / self.positions.max(1) * positions);
        Self { window, rows, positions, ..self }
    }

    /// Fills the buffer with the logits of these rows, a stride apart.
    pub(crate) fn read_rows(&self, rows: Range<usize>, buffer: &mut Vec<u8>) -> Result<()> {
        let Some([of, first]) = self.window else {
            return self.array.read(rows.start * self.stride, rows.len() * self.stride, buffer);
        };
        let (mut run, mut row) = (Vec::new(), rows.start);
        buffer.clear();
        // A run ends with its request.
        while row < rows.end {
            let (request, position) = (row / self.positions, row % self.positions);
            let count = (self.positions - position).min(rows.end - row);
            let start = request * of + first + position;
            self.array.read(start * self.stride, count * self.stride, &mut run)?;
            buffer.extend_from_slice(&run);
            row += count;
        }
        Ok(())
    }

    /// Copies of rows that do not lie one after the other.
    pub(crate) fn copy_rows(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<u8>> {
        let (mut bytes, mut row_bytes) = (Vec::new(), Vec::new());
        for row in rows {
            self.array.read(row * self.stride, self.vocab, &mut row_bytes)?;
            bytes.extend_from_slice(&row_bytes);
        }
        Ok(bytes)
    }

    /// Hashes the file while `each_block` reads it, for a sidecar.
    pub(crate) fn hash_while_reading(&self) {
        self.array.hash_what_is_read();
    }

    /// Progress through the rows.
    pub(crate) fn progress_bar(&self) -> ProgressBar {
        progress::bar(self.rows, "{wide_bar} {pos}/{len} rows, {per_sec}, {eta} left")
    }
}

/// Calls `work` with each block of rows in turn, from this row on, and their logits in each of the files, which have
/// equally many rows.
pub(crate) fn each_block_of(
    files: &[&LogitsFile],
    first_row: usize,
    result_bytes: usize,
    mut work: impl FnMut(Range<usize>, &[Logits<'_>]) -> Result<()>,
) -> Result<()> {
    let Some(first) = files.first() else { return Ok(()) };
    let bar = first.progress_bar();
    bar.inc(first_row as u64);
    let most = files.iter().map(|file| file.rows_per_block(result_bytes)).min().unwrap_or(1);
    let blocks = || (first_row..first.rows).step_by(most).map(|start| start..first.rows.min(start + most));
    // The next block is read while this one is worked on.
    std::thread::scope(|scope| {
        let (filled, full) = mpsc::sync_channel(0);
        let (emptied, empty) = mpsc::channel::<Vec<Vec<u8>>>();
        scope.spawn(move || {
            for rows in blocks() {
                let mut buffers = empty.try_recv().unwrap_or_else(|_| vec![Vec::new(); files.len()]);
                let mut each = files.iter().zip(&mut buffers);
                let read = each.try_for_each(|(file, buffer)| file.read_rows(rows.clone(), buffer));
                if filled.send(read.map(|()| buffers)).is_err() {
                    return;
                }
            }
        });
        for rows in blocks() {
            let buffers = full.recv().expect("one for each block")?;
            let logits: Vec<Logits<'_>> = files
                .iter()
                .zip(&buffers)
                .map(|(file, buffer)| {
                    Logits::strided(buffer, file.dtype, rows.len(), file.vocab, file.stride)
                })
                .collect::<Result<_, _>>()?;
            work(rows.clone(), &logits)?;
            drop(logits);
            bar.inc(rows.len() as u64);
            let _ = emptied.send(buffers); // nobody reads any more after the last block
        }
        bar.finish_and_clear();
        Ok(())
    })
}

/// Leaves out what a file of this format, or of raw numbers, says itself.
fn fit(hints: &mut Hints, format: Option<Format>) {
    if format.is_some() {
        hints.shape = None;
    }
    if !matches!(format, Some(Format::Npz | Format::Safetensors | Format::Index)) {
        hints.tensor = None;
    }
}

/// Drops dimensions of 1 until there are no more than three, those before the vocabulary.
fn drop_ones(shape: &mut Vec<usize>) {
    while let Some(place) =
        (shape.len() > 3).then(|| shape[..shape.len() - 1].iter().position(|&n| n == 1)).flatten()
    {
        shape.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_of_one_are_dropped_where_there_are_too_many() {
        let dropped = |shape: &[usize]| {
            let mut shape = shape.to_vec();
            drop_ones(&mut shape);
            shape
        };
        assert_eq!(dropped(&[1, 1, 3, 7]), [1, 3, 7]);
        assert_eq!(dropped(&[2, 3, 1, 7]), [2, 3, 7]);
        assert_eq!(dropped(&[1, 1, 1, 1, 1]), [1, 1, 1]);
        assert_eq!(dropped(&[2, 1, 7]), [2, 1, 7]);
        assert_eq!(dropped(&[2, 2, 3, 7]), [2, 2, 3, 7]);
        assert_eq!(dropped(&[]), [0; 0]);
    }
}
