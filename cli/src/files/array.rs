//! Arrays in files, read block by block: memory stays flat however large the file. What a format's header looks like
//! is the matter of its reader.

use std::sync::Once;

use sortilege::log::HashedFile;

use super::element::Element;
use super::hints::Hints;
use super::packed;
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
    /// Where the rows are llama.cpp's log-probabilities of 16 bits: the text that they are of.
    pub(crate) packed: Option<packed::Text>,
    /// That some of it overflowed is told once.
    pub(super) overflow: Once,
}

impl Array {
    /// The little-endian elements from `offset` on, of a file with one array without a name.
    pub(super) const fn plain(data: Input, offset: u64, element: Element, shape: Vec<usize>) -> Self {
        let (origin, index, tensor, packed) = (None, None, None, None);
        let (is_big_endian, overflow) = (false, Once::new());
        Self { data, origin, offset, index, tensor, element, is_big_endian, shape, packed, overflow }
    }

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

    /// Whether its numbers are only near those that they stand for.
    pub(crate) fn is_approximate(&self) -> bool {
        self.packed.is_some()
    }

    /// Fills the buffer with the elements `first..first + count`, little-endian, f64 as f32. Packed ones are read from the
    /// start of a row.
    pub(crate) fn read(&self, first: usize, count: usize, buffer: &mut Vec<u8>) -> Result<()> {
        if self.packed.is_some() {
            return self.read_packed(first, count, buffer);
        }
        let bytes = self.element.bytes();
        // What a buffer holds from before is not cleared twice.
        buffer.resize(count * bytes, 0);
        self.data.read(self.offset + (first * bytes) as u64, buffer)?;
        if self.element.convert(self.is_big_endian, buffer) > 0 {
            self.overflow.call_once(|| {
                note!(
                    "note: {}: logits of f64 beyond 3.4e38 overflow f32, and are infinite here",
                    shown_path(self.path())
                );
            });
        }
        Ok(())
    }

    fn read_packed(&self, first: usize, count: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let vocab = self.shape.last().copied().unwrap_or(1);
        assert_eq!(first % vocab, 0, "packed rows are read from their start");
        let bytes = packed::row_bytes(vocab);
        let mut rows = vec![0; count.div_ceil(vocab) * bytes];
        self.data.read(self.offset + (first / vocab * bytes) as u64, &mut rows)?;
        buffer.clear();
        rows.chunks_exact(bytes).for_each(|row| packed::unpack(row, vocab, buffer));
        buffer.truncate(count * 4);
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
