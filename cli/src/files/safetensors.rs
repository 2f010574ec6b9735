//! .safetensors files: named arrays behind a JSON header.

use std::fs::File;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::array::{Array, Element, map};
use super::hints::Hints;
use crate::failure::{Failure, Result};

/// The array that the hints pick.
pub(super) fn open(path: &Path, file: File, hints: &Hints) -> Result<Array> {
    let map = map(&file, 0, None).map_err(|error| Failure::file(path, error))?;
    let (header_bytes, metadata) = SafeTensors::read_metadata(&map)
        .map_err(|error| Failure::file(path, format!("no readable .safetensors header: {error}")))?;
    let name = hints.pick(path, &metadata.offset_keys())?;
    let info = metadata.info(&name).ok_or_else(|| Failure::file(path, format!("no tensor {name}")))?;
    let element = match info.dtype {
        Dtype::F32 => Element::Logit(sortilege::Dtype::F32),
        Dtype::F16 => Element::Logit(sortilege::Dtype::F16),
        Dtype::BF16 => Element::Logit(sortilege::Dtype::Bf16),
        Dtype::I32 => Element::I32,
        Dtype::U32 => Element::U32,
        Dtype::I64 => Element::I64,
        Dtype::U64 => Element::U64,
        other => return Err(Element::unsupported(path, &format!("{other:?}"))),
    };
    let offset = (8 + header_bytes + info.data_offsets.0) as u64;
    let shape = info.shape.clone();
    drop(map);
    Array { path: path.to_owned(), file, offset, tensor: Some(name), element, shape }.check_length(None)
}
