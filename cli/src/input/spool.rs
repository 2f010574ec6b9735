//! Temporary files for bytes that come once or in another order than they are needed: without a name, so that nothing
//! remains however the program ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::digest::Digest;
use crate::failure::{Failure, Result};
use crate::shown::shown_path;

/// A temporary file with everything that `from` gives, and its length, if that is no more than `most` bytes; `problem`
/// words a failed read.
pub(crate) fn spool(
    path: &Path,
    mut from: impl Read,
    most: Option<u64>,
    mut digest: Option<&mut Digest>,
    problem: impl Fn(io::Error) -> String,
) -> Result<(File, u64)> {
    let mut file = temporary(path)?;
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((file, bytes)),
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::file(path, problem(error))),
        };
        bytes += read.len() as u64;
        if let Some(most) = most.filter(|&most| bytes > most) {
            return Err(Failure::file(path, format!("holds more than {most} bytes")));
        }
        if let Some(digest) = &mut digest {
            digest.update(read);
        }
        file.write_all(read).map_err(|error| cannot_spool(path, &error))?;
    }
}

/// An empty temporary file for what becomes of the input at `path`.
pub(crate) fn temporary(path: &Path) -> Result<File> {
    tempfile::tempfile().map_err(|error| cannot_spool(path, &error))
}

/// The failure of a temporary file.
pub(crate) fn cannot_spool(path: &Path, error: &io::Error) -> Failure {
    let (folder, words) = (std::env::temp_dir(), describe_io(error));
    let (folder, variable) = (shown_path(&folder), if cfg!(windows) { "TMP" } else { "TMPDIR" });
    Failure::file(
        path,
        format!("needs a temporary file in {folder}: {words}: set {variable} to a folder with room"),
    )
}

/// What the system says of an error, without the name of a temporary file.
pub(crate) fn describe_io(error: &io::Error) -> String {
    if error.raw_os_error().is_some() { error.to_string() } else { error.kind().to_string() }
}
