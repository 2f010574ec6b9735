//! Arrays in files, mapped block by block: memory stays flat however large the file. What a format's header looks like
//! is the matter of its reader.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};

use crate::failure::{Failure, Result};

/// Element type of an array in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Logit(sortilege::Dtype),
    I32,
    U32,
    I64,
    U64,
}

impl Element {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Logit(dtype) => dtype.bytes(),
            Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 => 8,
        }
    }

    /// The failure of a file with elements of another type, as the file spells it.
    pub(super) fn unsupported(path: &Path, dtype: &str) -> Failure {
        Failure::file(
            path,
            format!(
                "element type {dtype} is not supported: logits are f32, f16 or bf16, tokens are 32- or 64-bit integers"
            ),
        )
    }
}

/// An array in a file: where its bytes lie and what they mean.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) path: PathBuf,
    /// Where the bytes are: `path`, or a temporary file with a decompressed entry of it.
    pub(super) file: File,
    pub(super) offset: u64,
    /// Its name, in a file with names.
    pub(crate) tensor: Option<String>,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
}

impl Array {
    /// Bytes of the array, from its shape.
    pub(super) fn bytes(&self) -> Result<u64> {
        self.shape
            .iter()
            .try_fold(self.element.bytes(), |bytes, &n| bytes.checked_mul(n))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .map(|bytes| bytes as u64)
            .ok_or_else(|| {
                Failure::file(&self.path, format!("shape {:?} is more than memory can hold", self.shape))
            })
    }

    /// Bytes of the file that holds the array.
    pub(super) fn file_bytes(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|error| Failure::file(&self.path, error))
    }

    /// The array itself, if the file has its bytes before `end`, or at all.
    pub(super) fn check_length(self, end: Option<u64>) -> Result<Self> {
        let has = end.unwrap_or(self.file_bytes()?).min(self.file_bytes()?).saturating_sub(self.offset);
        let needs = self.bytes()?;
        if has < needs {
            return Err(Failure::file(
                &self.path,
                format!("shape {:?} needs {needs} bytes, the file holds {has}: it is truncated", self.shape),
            ));
        }
        Ok(self)
    }

    /// The elements `first..first + count`, mapped.
    pub(crate) fn block(&self, first: usize, count: usize) -> Result<Block> {
        let offset = self.offset + (first * self.element.bytes()) as u64;
        let bytes = count * self.element.bytes();
        if bytes == 0 {
            return Ok(Block(None));
        }
        map(&self.file, offset, Some(bytes))
            .map(|map| Block(Some(map)))
            .map_err(|error| Failure::file(&self.path, error))
    }
}

/// Mapped elements; none for an empty range.
pub(crate) struct Block(Option<Mmap>);

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}

/// Bytes of a file from `offset` on, as many as `len` or to the end.
#[expect(unsafe_code, reason = "a mapped file is the only way to stream an array without a copy of it")]
pub(super) fn map(file: &File, offset: u64, len: Option<usize>) -> io::Result<Mmap> {
    let mut options = MmapOptions::new();
    options.offset(offset);
    if let Some(len) = len {
        options.len(len);
    }
    // SAFETY: the map is read only and lives for one block. Its length was checked against the file's. Another process
    // that truncates the file meanwhile ends ours with a bus error, as with every program that maps files; one that
    // writes to it changes the numbers read, of which any are valid.
    unsafe { options.map(file) }
}
