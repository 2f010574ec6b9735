//! .npz files: a .zip archive of named .npy files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::array::Array;
use super::foreign;
use super::hints::Hints;
use super::input::Input;
use super::npy;
use super::spool::spool;
use crate::failure::{Failure, Result};
use crate::shown::shown;

/// The array that the hints pick, whose checksum is right. A compressed one is unpacked into a temporary file.
pub(super) fn open(input: Input, hints: &Hints) -> Result<Array> {
    let path = input.path.clone();
    let bad = |error: ZipError| Failure::file(&path, format!("no readable .npz file: {error}"));
    let mut archive = ZipArchive::new(input.file()?).map_err(bad)?;
    let name = pick(&path, &archive, hints)?;
    let mut member = archive.by_name(&format!("{name}.npy")).map_err(bad)?;
    let damaged = |error: io::Error| {
        format!("the array {} is damaged: {}", shown(&name), error.to_string().to_lowercase())
    };
    let size = member.size();
    let place = (member.compression() == CompressionMethod::Stored).then(|| member.data_start()).flatten();
    let array = if let Some(start) = place {
        // The archive's reader fails at the end if the checksum is wrong.
        io::copy(&mut BufReader::with_capacity(1 << 20, member), &mut io::sink())
            .map_err(|error| Failure::file(&path, damaged(error)))?;
        npy::open(input, start, start.saturating_add(size), hints)?
    } else {
        let spooled = spool(&path, &mut member, Some(size), damaged)?;
        drop(member);
        input.check_unchanged()?;
        let array = npy::open(Input::private(path, spooled.file, spooled.bytes), 0, spooled.bytes, hints)?;
        Array { origin: Some(input), ..array }
    };
    Ok(Array { tensor: Some(name), ..array })
}

/// The name of the array that is wanted.
fn pick(path: &Path, archive: &ZipArchive<File>, hints: &Hints) -> Result<String> {
    let bad = |error: ZipError| Failure::file(path, format!("no readable .npz file: {error}"));
    let names: Vec<String> =
        archive.file_names().map(|name| name.map(Cow::into_owned)).collect::<Result<_, _>>().map_err(bad)?;
    if names.iter().any(|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
        return Err(foreign::refuse(path, "a PyTorch file"));
    }
    if archive.has_duplicate_names() {
        return Err(Failure::file(path, "holds two members of one name: save it again, each name once"));
    }
    let arrays: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    if arrays.is_empty() {
        return Err(foreign::refuse(path, "a .zip archive without a .npy file"));
    }
    hints.pick(path, &arrays)
}
