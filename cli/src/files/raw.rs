//! Files of numbers without a header.

use std::fs::File;
use std::path::Path;

use super::array::{Array, Element};
use super::hints::Hints;
use crate::failure::{Failure, Result};

/// The logits that are the whole file, in the shape and the type that the user says.
pub(super) fn open(path: &Path, file: File, hints: &Hints) -> Result<Array> {
    let (Some(shape), Some(dtype)) = (hints.shape.clone(), hints.dtype) else {
        return Err(Failure::Usage("a raw file needs both --shape and --dtype".to_owned()));
    };
    let element = Element::Logit(dtype);
    let array = Array { path: path.to_owned(), file, offset: 0, tensor: None, element, shape };
    let (has, needs) = (array.file_bytes()?, array.bytes()?);
    if has != needs {
        return Err(Failure::file(
            path,
            format!(
                "holds {has} bytes, but {:?} {dtype} are {needs}: correct --shape or --dtype",
                array.shape
            ),
        ));
    }
    Ok(array)
}
