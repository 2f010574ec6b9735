//! Which reader a file of arrays is for, by its first bytes, its name and what the user says of it.

use std::path::Path;

use super::{foreign, npy, npz, raw, safetensors};
use crate::failure::{Failure, Result};
use crate::files::array::Array;
use crate::files::hints::Hints;
use crate::files::input::{Opened, is_stdin};
use crate::shown::{shown, shown_path};

/// Formats that say what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Npy,
    Npz,
    Safetensors,
    /// Of several .safetensors files.
    Index,
}

impl Format {
    /// The format of a file, if it is one of ours.
    pub(crate) fn of(opened: &Opened) -> Option<Self> {
        let name = opened.path.to_string_lossy().to_lowercase();
        let head = &opened.head[..];
        let header_bytes = head.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let is_header =
            header_bytes.is_some_and(|bytes| (2..=safetensors::MOST_HEADER_BYTES).contains(&bytes));
        match () {
            () if head.starts_with(npy::MAGIC) => Some(Self::Npy),
            () if head.starts_with(b"PK\x03\x04") => Some(Self::Npz),
            () if name.ends_with(".safetensors") || (is_header && head.get(8) == Some(&b'{')) => {
                Some(Self::Safetensors)
            }
            () if name.ends_with(".json") && head.trim_ascii_start().starts_with(b"{") => Some(Self::Index),
            () => None,
        }
    }
}

/// The array of a .npy, .npz, .safetensors or raw file, which holds what its header says.
pub(crate) fn open_array(path: &Path, hints: &Hints) -> Result<Array> {
    let opened = Opened::new(path)?;
    match (&hints.shape, Format::of(&opened)) {
        (Some(shape), Some(_)) => Err(Failure::Usage(format!(
            "--shape {shape:?}: the header of {} has the shape, leave --shape out",
            shown_path(path)
        ))),
        (Some(_), None) => match &hints.tensor {
            Some(name) => {
                let name = shown(name);
                Err(Failure::Usage(format!("--tensor {name}: a raw file holds one array without a name")))
            }
            None => raw::open(opened, hints),
        },
        (None, Some(format)) => open_format(opened, format, hints, None),
        (None, None) => Err(unknown(&opened)),
    }
}

/// The array of a file that says what it holds; of a stream, no more than `most` bytes are taken.
pub(crate) fn open_format(opened: Opened, format: Format, hints: &Hints, most: Option<u64>) -> Result<Array> {
    match format {
        Format::Npy => {
            if let Some(name) = &hints.tensor {
                return Err(Failure::Usage(format!(
                    "--tensor {name}: a .npy file holds one array without a name"
                )));
            }
            npy::open(opened.seekable(most)?, 0, u64::MAX, hints)
        }
        Format::Npz => npz::open(opened.seekable(most)?, hints),
        Format::Safetensors => safetensors::open(opened.seekable(most)?, hints),
        Format::Index => safetensors::open_shard(opened, hints),
    }
}

/// The failure of a file that is of no format of ours.
fn unknown(opened: &Opened) -> Failure {
    let path = &opened.path;
    match foreign::check(path, &opened.head) {
        Err(known) => known,
        Ok(()) if opened.head.is_empty() && is_stdin(path) => {
            Failure::file(path, "standard input is empty, or was read before")
        }
        Ok(()) if opened.head.is_empty() => Failure::file(path, "the file is empty"),
        Ok(()) => Failure::file(
            path,
            "this is no .npy, .npz or .safetensors file; for raw numbers give --shape and --dtype",
        ),
    }
}
