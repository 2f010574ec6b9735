//! .npz files: a .zip archive of named .npy files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::array::Array;
use super::hints::Hints;
use super::npy;
use crate::failure::{Failure, Result};

/// The array that the hints pick. A compressed one is unpacked into a temporary file, since it cannot be mapped.
pub(super) fn open(path: &Path, file: File, hints: &Hints) -> Result<Array> {
    let bad = |error: zip::result::ZipError| Failure::file(path, format!("no readable .npz file: {error}"));
    let mut archive =
        zip::ZipArchive::new(file.try_clone().map_err(|error| Failure::file(path, error))?).map_err(bad)?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(bad)?;
    let arrays: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    let name = hints.pick(path, &arrays)?;
    let entry = archive.by_name(&format!("{name}.npy")).map_err(bad)?;
    if entry.compression() == zip::CompressionMethod::Stored
        && let Some(start) = entry.data_start()
    {
        let size = entry.size();
        drop(entry);
        return npy::open(path, file, start, Some(size), hints)
            .map(|array| Array { tensor: Some(name), ..array });
    }
    let mut inflated = tempfile::tempfile().map_err(|error| Failure::file(path, error))?;
    let size = entry.size();
    io::copy(&mut entry.take(size), &mut inflated)
        .map_err(|error| Failure::file(path, format!("entry {name} cannot be decompressed: {error}")))?;
    npy::open(path, inflated, 0, None, hints).map(|array| Array { tensor: Some(name), ..array })
}
