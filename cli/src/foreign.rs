//! Files that are not read, known by their first bytes and named for what they are.

/// A file of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) what: &'static str,
    /// What to do, where that is the same whatever the file was given for.
    pub(crate) remedy: Option<&'static str>,
}

impl Foreign {
    /// The file in a message, and what to do: this, if nothing else is said of it.
    pub(crate) fn told(self, remedy: &str) -> String {
        format!("this is {}: {}", self.what, self.remedy.unwrap_or(remedy))
    }
}

/// Where the first bytes stand, what they are, and whose.
type Magic = (usize, &'static [u8], &'static str);

const FORMATS: &[Magic] = &[
    (0, b"\x93NUMPY", "an .npy array"),
    (0, b"PK\x03\x04", "a zip archive, such as PyTorch and numpy write"),
    (0, b"PK\x05\x06", "an empty .zip archive"),
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

const POINTERS: &[Magic] = &[(0, b"version https://git-lfs", "a pointer of Git LFS, not the file")];

const PAGES: &[Magic] =
    &[(0, b"<!DOCTYPE", "a web page"), (0, b"<!doctype", "a web page"), (0, b"<html", "a web page")];

const UTF_16: &[Magic] = &[(0, b"\xff\xfe", "text in UTF-16"), (0, b"\xfe\xff", "text in UTF-16")];

/// What a file is by its first bytes, if they are known.
pub(crate) fn name(head: &[u8]) -> Option<Foreign> {
    let tables = [
        (FORMATS, None),
        (PACKED, Some("unpack it first")),
        (POINTERS, Some("fetch the file with git lfs pull")),
        (PAGES, Some("download the file itself")),
        (UTF_16, Some("save it as UTF-8")),
    ];
    tables.into_iter().find_map(|(table, remedy)| {
        // A page may begin with empty lines.
        let head = if table == PAGES { head.trim_ascii_start() } else { head };
        let is_at =
            |(place, magic, _): &&Magic| head.get(*place..).is_some_and(|rest| rest.starts_with(magic));
        table.iter().find(is_at).map(|(_, _, what)| Foreign { what, remedy })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, what, has_remedy) in [
            (&b"GGUF\x03"[..], "a GGUF file", false),
            (b"RIFF\0\0\0\0WEBP", "a WebP image", false),
            (&tar, "a tar archive", true),
            (b"\n \r\n<!DOCTYPE html>", "a web page", true),
            (b"version https://git-lfs.github.com", "a pointer of Git LFS, not the file", true),
        ] {
            let found = name(head).expect(what);
            assert_eq!((found.what, found.remedy.is_some()), (what, has_remedy));
            assert_eq!(found.told("leave it").ends_with(": leave it"), !has_remedy);
        }
        for head in [&b""[..], b"GGU", b"PK\x03", b"[1, 2]", b"ustar"] {
            assert_eq!(name(head), None, "{head:?}");
        }
    }
}
