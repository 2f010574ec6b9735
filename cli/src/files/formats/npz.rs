//! .npz files: a .zip archive of named .npy files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::npy;
use crate::failure::{Failure, Result};
use crate::files::array::{Array, SAVE};
use crate::files::hints::{Hints, too_many};
use crate::input::{Input, spool};
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
    if let (Some(most), Some(most_bytes)) = (hints.most_tokens, hints.most_bytes())
        && size > most_bytes
    {
        return Err(too_many(&path, most));
    }
    let method = member.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        let problem =
            format!("the array {} is compressed by {method}: save it by numpy's savez", shown(&name));
        return Err(Failure::file(&path, problem));
    }
    let place = (method == CompressionMethod::Stored).then(|| member.data_start()).flatten();
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
        return Err(Failure::file(path, format!("this is a PyTorch file: {SAVE}")));
    }
    if archive.has_duplicate_names() {
        return Err(Failure::file(path, "holds two members of one name: save it again, each name once"));
    }
    let arrays: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    if arrays.is_empty() {
        return Err(Failure::file(path, format!("this is a .zip archive without a .npy file: {SAVE}")));
    }
    hints.pick(path, &arrays)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;
    use crate::files::open_array;

    #[test]
    fn no_bit_of_a_member_may_be_wrong() {
        let header = format!("{:<117}\n", "{'descr': '<f2', 'fortran_order': False, 'shape': (3,)}");
        let array = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &[0, 60, 0, 61, 0, 62]].concat();
        let file = tempfile::NamedTempFile::new().expect("a file");
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file("logits.npy", options).expect("a new member");
            writer.write_all(&array).expect("memory");
            let mut archive = writer.finish().expect("memory").into_inner();
            let is_directory = |word: &[u8]| word == b"PK\x01\x02";
            let (start, end) = (40, archive.windows(4).position(is_directory).expect("a directory"));
            let read = |bytes: &[u8]| {
                std::fs::write(file.path(), bytes).expect("writable");
                let array = open_array(file.path(), &Hints::default()).ok()?;
                let mut elements = Vec::new();
                array.read(0, 3, &mut elements).ok().map(|()| elements)
            };
            let whole = Some(vec![0, 60, 0, 61, 0, 62]);
            assert_eq!(read(&archive), whole, "{method}");
            for bit in start * 8..end * 8 {
                archive[bit / 8] ^= 1 << (bit % 8);
                // Bits behind the end of a compressed stream, in its last byte, mean nothing.
                let may_be_read = method == CompressionMethod::Deflated && bit / 8 == end - 1;
                let found = read(&archive);
                assert!(
                    found.is_none() || (may_be_read && found == whole),
                    "{method}, bit {bit} of {end} bytes"
                );
                archive[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
