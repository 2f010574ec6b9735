//! Which reader a file of arrays is for, by its first bytes, its name and what the user says of it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::array::Array;
use super::hints::Hints;
use super::{npy, npz, raw, safetensors};
use crate::failure::{Failure, Result};

/// The array of a .npy, .npz, .safetensors or raw file, which holds what its header says.
pub(crate) fn open_array(path: &Path, hints: &Hints) -> Result<Array> {
    let mut file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let mut magic = [0; 8];
    let read = read_up_to(&mut file, &mut magic).map_err(|error| Failure::file(path, error))?;
    file.rewind().map_err(|error| Failure::file(path, error))?;
    let magic = &magic[..read];
    let is_npy = magic.starts_with(b"\x93NUMPY");
    let is_npz = magic.starts_with(b"PK\x03\x04");
    let is_safetensors = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("safetensors"));
    if let Some(shape) = &hints.shape {
        if is_npy || is_npz || is_safetensors {
            return Err(Failure::Usage(format!(
                "--shape {shape:?}: the header of {} has the shape, leave --shape out",
                path.display()
            )));
        }
        if let Some(name) = &hints.tensor {
            return Err(Failure::Usage(format!(
                "--tensor {name}: a raw file holds one array without a name"
            )));
        }
        return raw::open(path, file, hints);
    }
    if let (true, Some(name)) = (is_npy, &hints.tensor) {
        return Err(Failure::Usage(format!("--tensor {name}: a .npy file holds one array without a name")));
    }
    match magic {
        _ if is_npy => npy::open(path, file, 0, None, hints),
        _ if is_npz => npz::open(path, file, hints),
        _ if is_safetensors => safetensors::open(path, file, hints),
        [] => Err(Failure::file(path, "the file is empty")),
        _ => Err(Failure::file(
            path,
            "this is no .npy, .npz or .safetensors file; for raw numbers give --shape and --dtype",
        )),
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}
