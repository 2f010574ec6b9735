//! .npy files: one array, without a name.

use std::path::Path;

use sortilege::Dtype;

use super::fortran::in_c_order;
use super::npy_header::Header;
use crate::failure::{Failure, Result};
use crate::files::array::Array;
use crate::files::element::Element;
use crate::files::hints::Hints;
use crate::input::Input;
use crate::shown::shown;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header that is read: numpy's own reader takes 10 000 characters from strangers.
const MOST_HEADER_BYTES: u64 = 64 << 10;

/// The array whose magic number stands at `start` of the data, and which ends before `end`.
pub(super) fn open(data: Input, start: u64, end: u64, hints: &Hints) -> Result<Array> {
    let end = end.min(data.bytes);
    let (header, offset) = read_header(&data, start, end)?;
    let (element, is_big_endian) = element(&data.path, &header.descr, hints)?;
    let Header { shape, is_fortran, .. } = header;
    let array = Array { is_big_endian, ..Array::plain(data, offset, element, shape) };
    let array = array.checked(end, hints)?;
    if is_fortran { in_c_order(array) } else { Ok(array) }
}

/// The header at `start`, and where it ends.
fn read_header(data: &Input, start: u64, end: u64) -> Result<(Header, u64)> {
    let bad = |problem: &str| Failure::file(&data.path, format!("no readable .npy header: {problem}"));
    let read = |from: u64, count: u64| {
        if end.saturating_sub(from) < count {
            return Err(bad("it is cut off"));
        }
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        data.read(from, &mut bytes).map(|()| bytes)
    };
    let magic = read(start, 8)?;
    if !magic.starts_with(MAGIC) {
        return Err(bad("its magic number is missing"));
    }
    let version = magic[6];
    let (place, bytes) = match version {
        1 => (10, read(start + 8, 2)?),
        2 | 3 => (12, read(start + 8, 4)?),
        _ => return Err(bad(&format!("version {version} is none of 1, 2 and 3"))),
    };
    let bytes = bytes.iter().rev().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte));
    if bytes > MOST_HEADER_BYTES {
        return Err(bad(&format!("it claims {bytes} bytes, of which there are at most {MOST_HEADER_BYTES}")));
    }
    let text = read(start + place, bytes)?;
    let header = Header::parse(&String::from_utf8_lossy(&text)).map_err(|problem| bad(&problem))?;
    Ok((header, start + place + bytes))
}

/// The element type that a `descr` spells, and whether it is big-endian.
fn element(path: &Path, descr: &str, hints: &Hints) -> Result<(Element, bool)> {
    let (is_big_endian, name) = match descr.split_at_checked(1) {
        Some((">", name)) => (true, name),
        Some(("<" | "=" | "|", name)) => (false, name),
        _ => (false, descr),
    };
    // numpy has no bf16; ml_dtypes saves it as two raw bytes
    let element = match (name, hints.dtype) {
        ("V2", Some(Dtype::Bf16)) => Element::Logit(Dtype::Bf16),
        ("V2", _) => {
            let descr = shown(descr);
            return Err(Failure::file(
                path,
                format!("{descr} are two raw bytes: if they are bf16, give --dtype{} bf16", hints.side),
            ));
        }
        _ => Element::named(name).ok_or_else(|| Element::unsupported(path, descr))?,
    };
    Ok((element, is_big_endian))
}
