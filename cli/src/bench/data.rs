//! The logits to measure with: synthetic ones, or those of a file.

use std::ops::Range;
use std::path::Path;

use half::bf16;
use rayon::prelude::*;
use sortilege::Dtype;

use super::args::DataArg;
use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::shared_args::{DtypeArg, LogitsArgs};

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
    pub(crate) fn file(path: &Path, dtypes: &[DtypeArg]) -> Result<Self> {
        let dtype = match dtypes {
            [] => None,
            [dtype] => Some(*dtype),
            _ => {
                return Err(Failure::Usage(
                    "--dtype lists several types, --input has one: leave --dtype out".to_owned(),
                ));
            }
        };
        let args = LogitsArgs { logits: path.to_owned(), tensor: None, shape: None, dtype };
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
            Origin::File(logits) => logits.array.path.display().to_string(),
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
                    .for_each(|(row, bytes)| fill(*data, self.dtype, row, bytes));
            }
            Origin::File(logits) => {
                let block = logits.array.block(rows.start * self.vocab, rows.len() * self.vocab)?;
                bytes.extend_from_slice(block.bytes());
            }
        }
        Ok(bytes)
    }
}

/// One row, the same whatever batch it is in, on every machine: sums of integers instead of logarithms.
fn fill(data: DataArg, dtype: Dtype, row: usize, bytes: &mut [u8]) {
    let width = dtype.bytes();
    let mut state = 0x5eed_u64.wrapping_add((row as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
    for element in bytes.chunks_exact_mut(width) {
        let value = 3.0 * normal(&mut state);
        let value = if data == DataArg::Tied { bf16::from_f32(value).to_f32() } else { value };
        dtype.store(value, element);
    }
    if data == DataArg::Peaked {
        for logit in [22.0, 20.0, 19.0, 17.0, 16.0] {
            #[expect(clippy::cast_possible_truncation, reason = "below the length of a slice")]
            let token = (next(&mut state) % (bytes.len() / width) as u64) as usize;
            dtype.store(logit, &mut bytes[token * width..][..width]);
        }
    }
}

/// Mean 0, variance 1: the sum of eight uniform numbers, within 4.9 of 0.
fn normal(state: &mut u64) -> f32 {
    let quarters = |bits: u64| (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum::<u64>();
    let sum = quarters(next(state)) + quarters(next(state));
    (sum as f32 / 65_536.0 - 4.0) * 1.5f32.sqrt()
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(data: DataArg, rows: usize) -> Vec<f32> {
        let source = Source::synthetic(data, Dtype::F32, rows, 20_000);
        let bytes = source.read(0..rows).expect("memory");
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
    }

    #[test]
    fn the_kinds_are_what_they_are_called() {
        let values = floats(DataArg::Normal, 2);
        let mean =
            |power: i32| values.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / values.len() as f64;
        // Standard errors over 40 000 values: 0.015, 0.064, 1.7.
        assert!(mean(1).abs() < 0.1 && (mean(2) - 9.0).abs() < 0.4, "{} {}", mean(1), mean(2));
        assert!((mean(4) / 81.0 - 3.0).abs() < 0.35, "a fourth moment near a normal's: {}", mean(4) / 81.0);
        let mut peaked = floats(DataArg::Peaked, 1);
        peaked.sort_by(f32::total_cmp);
        assert_eq!(peaked[peaked.len() - 5..], [16.0, 17.0, 19.0, 20.0, 22.0]);
        let tied = floats(DataArg::Tied, 1);
        assert!(tied.iter().all(|x| x.to_bits() & 0xffff == 0));
        assert!(values.iter().any(|x| x.to_bits() & 0xffff != 0));
    }

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
