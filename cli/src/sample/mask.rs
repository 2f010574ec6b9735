//! Masks in files, which say which tokens are possible: a bit for each token, or a flag.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::files::{Array, Element, Hints, LogitsFile, open_array};
use crate::shown::shown_path;

/// Which tokens of a file of logits are possible: for each row, or the same for all.
pub(crate) struct Mask {
    pub(super) array: Array,
    form: Form,
    /// Elements of a row that stand for tokens, and all of them.
    width: [usize; 2],
    is_for_all_rows: bool,
}

/// How a row of a mask is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Integers of 32 bits, one bit per token, the lowest first.
    Bits,
    /// A byte per token, 0 or 1.
    Flags,
}

/// Names that masks usually have in a file with several arrays.
const DEFAULT_NAMES: &[&str] = &["mask", "bitmask", "token_bitmask", "grammar_bitmask"];

impl Form {
    /// Elements of a row.
    const fn width(self, vocab: usize) -> usize {
        match self {
            Self::Bits => vocab.div_ceil(32),
            Self::Flags => vocab,
        }
    }
}

impl Mask {
    /// The mask in a file, if it fits the logits.
    pub(crate) fn open(path: &Path, logits: &LogitsFile) -> Result<Self> {
        let array = open_array(path, &Hints { default_names: DEFAULT_NAMES, ..Hints::default() })?;
        let form = match array.element {
            Element::Int(4) | Element::Uint(4) => Form::Bits,
            Element::Bool | Element::Int(1) | Element::Uint(1) => Form::Flags,
            other => {
                let problem = format!(
                    "a mask of {} is not read: it is bool or uint8, a flag per token, or int32, a bit per token",
                    other.name()
                );
                return Err(Failure::file(path, problem));
            }
        };
        // Of the vocabulary, or of logits that are padded.
        let widths = [form.width(logits.vocab), form.width(logits.stride)];
        let width = widths[0];
        let (last, before) = array.shape.split_last().unwrap_or((&0, &[]));
        let long = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        let is_for_all_rows = before.iter().all(|&n| n == 1);
        let is_for_each = long(before) == long(logits.leading()) || before == [logits.rows];
        if !widths.contains(last) || !(is_for_all_rows || is_for_each) {
            let each = [logits.leading(), &[width]].concat();
            let what = match form {
                Form::Bits => "one bit per token in rows of whole words",
                Form::Flags => "one flag per token",
            };
            return Err(Failure::Usage(format!(
                "{}: shape {:?} does not fit logits {:?}: {each:?} is needed, or [{width}] for all rows, {what}",
                shown_path(path),
                array.shape,
                logits.array.shape
            )));
        }
        let width = [width, *last];
        Ok(Self { array, form, width, is_for_all_rows })
    }

    /// The words of these rows.
    pub(crate) fn rows(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<u32>> {
        let [used, all] = self.width;
        let (mut words, mut bytes) = (Vec::new(), Vec::new());
        for (number, row) in rows.enumerate() {
            if number == 0 || !self.is_for_all_rows {
                let row = if self.is_for_all_rows { 0 } else { row };
                self.array.read(row * all, used, &mut bytes)?;
                self.check_flags(row, &bytes)?;
            }
            match self.form {
                Form::Bits => words.extend(
                    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))),
                ),
                Form::Flags => words.extend(bytes.chunks(32).map(packed)),
            }
        }
        Ok(words)
    }

    /// An error if a flag is neither 0 nor 1.
    fn check_flags(&self, row: usize, bytes: &[u8]) -> Result<()> {
        let odd = bytes.iter().enumerate().find(|&(_, &flag)| self.form == Form::Flags && flag > 1);
        odd.map_or(Ok(()), |(token, flag)| {
            let problem =
                format!("the flag of token {token} in row {row} is {flag}: 1 is possible, 0 is not");
            Err(Failure::file(self.array.path(), problem))
        })
    }
}

/// The word of up to 32 flags.
fn packed(flags: &[u8]) -> u32 {
    flags.iter().enumerate().fold(0, |word, (bit, &flag)| word | u32::from(flag) << bit)
}
