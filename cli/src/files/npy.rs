//! .npy files: one array, without a name.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::array::{Array, Element};
use super::hints::Hints;
use crate::failure::{Failure, Result};

/// The array whose header starts at `start`, and which has `limit` bytes with it, or ends with the file.
pub(super) fn open(
    path: &Path,
    mut file: File,
    start: u64,
    limit: Option<u64>,
    hints: &Hints,
) -> Result<Array> {
    let bad = |error: io::Error| Failure::file(path, format!("no readable .npy header: {error}"));
    file.seek(io::SeekFrom::Start(start)).map_err(bad)?;
    let header = NpyHeader::from_reader(&mut file).map_err(bad)?;
    let offset = file.stream_position().map_err(bad)?;
    let element = element(path, &header, hints)?;
    let shape: Vec<usize> =
        header.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>().map_err(|_| {
            Failure::file(path, format!("shape {:?} is more than memory can hold", header.shape()))
        })?;
    if header.order() == Order::Fortran && shape.iter().filter(|&&n| n > 1).count() > 1 {
        return Err(Failure::file(
            path,
            "the array is in Fortran order: save it with numpy.ascontiguousarray(...)",
        ));
    }
    let array = Array { path: path.to_owned(), file, offset, tensor: None, element, shape };
    array.check_length(limit.map(|limit| start + limit))
}

fn element(path: &Path, header: &NpyHeader, hints: &Hints) -> Result<Element> {
    let described = header.dtype().descr();
    let DType::Plain(plain) = header.dtype() else { return Err(Element::unsupported(path, &described)) };
    if plain.endianness() == Endianness::Big {
        return Err(Failure::file(
            path,
            format!("{described} is big-endian: save it with array.astype(array.dtype.newbyteorder('<'))"),
        ));
    }
    Ok(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 4) => Element::Logit(sortilege::Dtype::F32),
        (TypeChar::Float, 2) => Element::Logit(sortilege::Dtype::F16),
        (TypeChar::Int, 4) => Element::I32,
        (TypeChar::Int, 8) => Element::I64,
        (TypeChar::Uint, 4) => Element::U32,
        (TypeChar::Uint, 8) => Element::U64,
        // numpy has no bf16; ml_dtypes saves it as two raw bytes
        (TypeChar::RawData, 2) if hints.dtype == Some(sortilege::Dtype::Bf16) => {
            Element::Logit(sortilege::Dtype::Bf16)
        }
        (TypeChar::RawData, 2) => {
            return Err(Failure::file(
                path,
                format!("{described} are two raw bytes: if they are bf16, give --dtype bf16"),
            ));
        }
        _ => return Err(Element::unsupported(path, &described)),
    })
}
