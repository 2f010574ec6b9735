//! The logits to measure with: synthetic ones, or those of a file.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use sortilege::Dtype;

use super::args::DataArg;
use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::shared_args::LogitsArgs;

/// A batch of logits that is made or read as it is needed.
pub(crate) struct Source {
    pub(crate) rows: usize,
    pub(crate) vocab: usize,
    pub(crate) dtype: Dtype,
    origin: Origin,
}

enum Origin {
    Synthetic(DataArg),
    File(Box<LogitsFile>),
}

impl Source {
    /// Logits of a kind.
    pub(crate) fn synthetic(data: DataArg, dtype: Dtype, rows: usize, vocab: usize) -> Self {
        Self { rows, vocab, dtype, origin: Origin::Synthetic(data) }
    }

    /// Logits of a file, which `dtypes` may say the type of.
    pub(crate) fn file(path: &Path, dtypes: &[Dtype]) -> Result<Self> {
        let dtype = match dtypes {
            [] => None,
            [dtype] => Some(*dtype),
            _ => {
                return Err(Failure::Usage(
                    "--dtype lists several types, --input has one: leave --dtype out".to_owned(),
                ));
            }
        };
        let args = LogitsArgs { logits: path.to_owned(), dtype, ..LogitsArgs::default() };
        let logits = LogitsFile::open(&args)?;
        if logits.rows == 0 {
            return Err(Failure::file(path, "there are no rows to measure with"));
        }
        let LogitsFile { rows, vocab, dtype, .. } = logits;
        Ok(Self { rows, vocab, dtype, origin: Origin::File(Box::new(logits)) })
    }

    /// `normal`, `peaked`, `tied`, or the name of the file.
    pub(crate) fn name(&self) -> String {
        match &self.origin {
            Origin::Synthetic(data) => data.name().to_owned(),
            Origin::File(logits) => logits.array.path().display().to_string(),
        }
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.vocab * self.dtype.bytes()
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows as u64 * self.row_bytes() as u64
    }

    /// These rows, in native byte order.
    pub(crate) fn read(&self, rows: Range<usize>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let needed = rows.len() * self.row_bytes();
        bytes.try_reserve_exact(needed).map_err(|_| {
            Failure::Failed(format!(
                "{needed} bytes of logits are more than this machine's memory: lower --rows"
            ))
        })?;
        match &self.origin {
            Origin::Synthetic(data) => {
                bytes.resize(needed, 0);
                let of_rows = bytes.par_chunks_exact_mut(self.row_bytes());
                rows.into_par_iter()
                    .zip(of_rows)
                    .for_each(|(row, bytes)| data.kind().store(self.dtype, seed_of(row), bytes));
            }
            Origin::File(logits) => {
                logits.read_rows(rows, &mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

/// What a row is made of, whatever batch it is in.
fn seed_of(row: usize) -> u64 {
    0x5eed_u64.wrapping_add((row as u64).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for &dtype in Dtype::ALL {
            let source = |rows| Source::synthetic(DataArg::Peaked, dtype, rows, 777);
            let all = source(5).read(0..5).expect("memory");
            let row = source(4).read(3..4).expect("memory");
            assert_eq!(row, all[3 * row.len()..4 * row.len()]);
            assert_ne!(row, all[..row.len()]);
        }
    }
}
