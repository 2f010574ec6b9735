//! Files of masks.

use crate::arrays::args;
use crate::files::LogitsFile;
use crate::sample::Mask;
use crate::{file, folder, told};

/// A mask of three rows of 40 tokens, in any format.
pub fn masks(data: &[u8]) {
    let folder = folder();
    let logits =
        LogitsFile::open(&args(file(&folder, "logits.npy", &zeros("(3, 40)", 120)))).expect("logits");
    let Some(mask) = told(Mask::open(&file(&folder, "mask", data), &logits)) else { return };
    if let Some(words) = told(mask.rows(0..3)) {
        assert_eq!(words.len(), 3 * 2);
    }
}

/// A .npy file of so many zeros.
pub(crate) fn zeros(shape: &str, count: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), &vec![0; 4 * count]].concat()
}
