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
    let damaged = |problem: &str| format!("the array {} is damaged: {problem}", shown(&name));
    let unread = |error: io::Error| damaged(&error.to_string().to_lowercase());
    let mut member = archive.by_name(&format!("{name}.npy")).map_err(bad)?;
    let size = member.size();
    let place = (member.compression() == CompressionMethod::Stored).then(|| member.data_start()).flatten();
    let mut inflated = None;
    // The archive's reader fails at the end if the checksum is wrong.
    let bytes = if place.is_some() {
        let mut member = BufReader::with_capacity(1 << 20, &mut member);
        io::copy(&mut member, &mut io::sink()).map_err(|error| Failure::file(&path, unread(error)))?
    } else {
        let (file, bytes) = spool(&path, &mut member, Some(size), None, unread)?;
        inflated = Some(Input::private(path.clone(), file, bytes));
        bytes
    };
    drop(member);
    input.check_unchanged()?;
    if bytes != size {
        let problem = format!("it is {bytes} bytes, and {size} bytes by the archive");
        return Err(Failure::file(&path, damaged(&problem)));
    }
    let start = place.unwrap_or(0);
    let end = start.saturating_add(size);
    let array = match inflated {
        Some(inflated) => Array { origin: Some(input), ..npy::open(inflated, start, end, hints)? },
        None => npy::open(input, start, end, hints)?,
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
