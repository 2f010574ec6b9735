//! Arrays in files, read block by block: memory stays flat however large the file. What a format's header looks like
//! is the matter of its reader.

use sortilege::log::HashedFile;

use super::element::Element;
use super::hints::Hints;
use crate::failure::{Failure, Result, note};
use crate::input::Input;
use crate::shown::shown_path;

/// What to do with a file of another format.
pub(super) const SAVE: &str = "save the array with numpy or safetensors";

/// An array in a file: where its bytes lie and what they mean.
#[derive(Debug)]
pub(crate) struct Array {
    /// What holds its bytes.
    pub(super) data: Input,
    /// The file that the user named, where the data was unpacked or reordered from it.
    pub(super) origin: Option<Input>,
    pub(super) offset: u64,
    /// The index of several files that led to it.
    pub(crate) index: Option<HashedFile>,
    /// Its name, in a file with names.
    pub(crate) tensor: Option<String>,
    pub(crate) element: Element,
    pub(super) is_big_endian: bool,
    pub(crate) shape: Vec<usize>,
}

impl Array {
    /// The file that it is from.
    pub(super) fn input(&self) -> &Input {
        self.origin.as_ref().unwrap_or(&self.data)
    }

    /// The path of that file, as the user gives it.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.data.path
    }

    /// Bytes of the array, from its shape.
    pub(super) fn bytes(&self) -> Result<u64> {
        self.element.bytes_of(self.path(), &self.shape)
    }

    /// The array itself, if it is what the hints want and the bytes before `end` are enough; a note if there are more.
    pub(super) fn checked(self, end: u64, hints: &Hints) -> Result<Self> {
        hints.check_tokens(self.path(), self.element, &self.shape)?;
        let has = end.min(self.data.bytes).saturating_sub(self.offset);
        let needs = self.bytes()?;
        if has < needs {
            return Err(Failure::file(
                self.path(),
                format!("shape {:?} needs {needs} bytes, the file holds {has}: it is truncated", self.shape),
            ));
        }
        if has > needs {
            let path = shown_path(self.path());
            note!("note: {path}: {} bytes follow the array {:?} and are not read", has - needs, self.shape);
        }
        Ok(self)
    }

    /// Fills the buffer with the elements `first..first + count`, little-endian, f64 as f32.
    pub(crate) fn read(&self, first: usize, count: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let bytes = self.element.bytes();
        // What a buffer holds from before is not cleared twice.
        buffer.resize(count * bytes, 0);
        self.data.read(self.offset + (first * bytes) as u64, buffer)?;
        self.element.convert(self.is_big_endian, buffer);
        Ok(())
    }

    /// Hashes what is read from now on; rows must then be read in order.
    pub(super) fn hash_what_is_read(&self) {
        if self.origin.is_none() {
            self.data.hash_what_is_read();
        }
    }

    /// The hash of the whole file, of the bytes that were read.
    pub(crate) fn sha256(&self) -> Result<String> {
        self.input().sha256()
    }
}
