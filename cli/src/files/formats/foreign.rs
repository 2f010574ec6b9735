//! Files that are not read, known by their first bytes and named for what they are.

use std::path::Path;

use crate::failure::Failure;

/// Where the first bytes stand, what they are, and whose.
type Magic = (usize, &'static [u8], &'static str);

const ARRAYS: &[Magic] = &[
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "a PyTorch file"),
    (0, b"\x80\x02", "a Python pickle"),
    (0, b"\x80\x03", "a Python pickle"),
    (0, b"\x80\x04", "a Python pickle"),
    (0, b"\x80\x05", "a Python pickle"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"tjgg", "a GGML file"),
    (0, b"lmgg", "a GGML file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"FEA1", "a Feather file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"CDF\x01", "a NetCDF file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PK\x05\x06", "an empty .zip archive"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"WAVE", "a WAV recording"),
    (0, b"%PDF", "a PDF"),
    (0, b"\x7fELF", "a program"),
];

const PACKED: &[Magic] = &[
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (0, b"\xfd7zXZ\0", "compressed with xz"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
];

const TEXTS: &[Magic] = &[
    (0, b"version https://git-lfs", "a pointer of Git LFS: fetch the file with git lfs pull"),
    (0, b"<!DOCTYPE", "a web page: download the file itself"),
    (0, b"<!doctype", "a web page: download the file itself"),
    (0, b"<html", "a web page: download the file itself"),
    (0, b"\xff\xfe", "text in UTF-16: save it in UTF-8"),
    (0, b"\xfe\xff", "text in UTF-16: save it in UTF-8"),
];

/// The failure of a file that is none of ours but is known by its first bytes.
pub(crate) fn check(path: &Path, head: &[u8]) -> Result<(), Failure> {
    let find = |table: &[Magic]| {
        let is_at =
            |(place, magic, _): &&Magic| head.get(*place..).is_some_and(|rest| rest.starts_with(magic));
        table.iter().find(is_at).map(|(_, _, what)| *what)
    };
    if let Some(what) = find(ARRAYS) {
        return Err(refuse(path, what));
    }
    if let Some(what) = find(PACKED) {
        return Err(Failure::file(path, format!("this is {what}: unpack it first")));
    }
    find(TEXTS).map_or(Ok(()), |what| Err(Failure::file(path, format!("this is {what}"))))
}

/// The failure of a file that may well hold an array.
pub(super) fn refuse(path: &Path, what: &str) -> Failure {
    Failure::file(path, format!("this is {what}: save the array with numpy or safetensors"))
}
