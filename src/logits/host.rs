//! Logits in host memory, and their rows as the CPU engine reads them.

#[cfg(feature = "device")]
use std::borrow::Cow;

use fearless_simd::Simd;

use super::dtype::Dtype;
use super::shape::{bytes_needed, validate_shape};
use super::widen;
use crate::error::{Error, Result};

/// A batch of logits in host memory: `[rows][vocab]`, rows `row_stride` elements apart, or each where an offset says. Borrows
/// the bytes, which need no alignment: a memory-mapped file will do.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    bytes: &'a [u8],
    dtype: Dtype,
    rows: usize,
    vocab: usize,
    row_stride: usize,
    /// Where each row begins, in elements; none where the stride says it.
    offsets: Option<&'a [u64]>,
}

impl<'a> Logits<'a> {
    /// A batch of `rows` rows of `vocab` elements, one after the other, in native byte order.
    ///
    /// # Errors
    /// [`Error::Logits`] if `vocab` is 0 or over 2^20, or if `bytes` is shorter than the shape says.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, Logits};
    /// let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    /// let logits = Logits::new(bytemuck::cast_slice(&values), Dtype::F32, 2, 3)?;
    /// assert_eq!(logits.rows(), 2);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    pub fn new(bytes: &'a [u8], dtype: Dtype, rows: usize, vocab: usize) -> Result<Self> {
        Self::strided(bytes, dtype, rows, vocab, vocab)
    }

    /// A batch of `rows` rows of `vocab` elements, `row_stride` elements apart (at least `vocab`), in native byte
    /// order.
    ///
    /// # Errors
    /// As for [`Logits::new`], and if `row_stride` is smaller than `vocab`.
    pub fn strided(
        bytes: &'a [u8],
        dtype: Dtype,
        rows: usize,
        vocab: usize,
        row_stride: usize,
    ) -> Result<Self> {
        validate_shape(rows, vocab, row_stride)?;
        let needed = bytes_needed(dtype, rows, vocab, row_stride);
        if needed.is_none_or(|needed| needed > bytes.len()) {
            return Err(Error::Logits(format!(
                "{} bytes are too few for [{rows}][{vocab}] {dtype} with a row stride of {row_stride}, which needs {}: \
                 correct the shape",
                bytes.len(),
                needed.map_or_else(|| "more than memory can hold".to_owned(), |n| n.to_string())
            )));
        }
        // The stride of a single row says nothing.
        let row_stride = if rows > 1 { row_stride } else { vocab };
        Ok(Self { bytes, dtype, rows, vocab, row_stride, offsets: None })
    }

    /// A batch of rows that begin so many elements after the first: in any order, overlapping, several times, as
    /// `GpuLogits::row_offsets` says it of logits on a device.
    ///
    /// # Errors
    /// [`Error::Logits`] if `vocab` is 0 or over 2^20, or if a row does not lie in `bytes`.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, Logits};
    /// let values = [1.0f32, 2.0, 3.0, 4.0];
    /// let logits = Logits::with_row_offsets(bytemuck::cast_slice(&values), Dtype::F32, 2, &[2, 0, 1])?;
    /// assert_eq!((logits.row(0), logits.row(2)), (vec![3.0, 4.0], vec![2.0, 3.0]));
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    pub fn with_row_offsets(
        bytes: &'a [u8],
        dtype: Dtype,
        vocab: usize,
        row_offsets: &'a [u64],
    ) -> Result<Self> {
        validate_shape(row_offsets.len(), vocab, vocab)?;
        let most = (bytes.len() / dtype.bytes()) as u64;
        let lies_outside = |offset: &u64| offset.checked_add(vocab as u64).is_none_or(|end| end > most);
        if let Some(row) = row_offsets.iter().position(lies_outside) {
            return Err(Error::Logits(format!(
                "row {row} of {vocab} {dtype}, {} elements after the first, does not lie in {} bytes: correct the row offsets",
                row_offsets[row],
                bytes.len()
            )));
        }
        let offsets = Some(row_offsets);
        Ok(Self { bytes, dtype, rows: row_offsets.len(), vocab, row_stride: vocab, offsets })
    }

    /// A batch of f32 values, rows one after the other.
    ///
    /// # Errors
    /// As for [`Logits::new`].
    pub fn f32(values: &'a [f32], rows: usize, vocab: usize) -> Result<Self> {
        Self::new(bytemuck::cast_slice(values), Dtype::F32, rows, vocab)
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Tokens of a row.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        self.vocab
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Elements from the start of one row to the start of the next; the vocabulary where rows have offsets.
    #[must_use]
    pub const fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// A row, each logit as the f32 of the same value.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> Vec<f32> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        self.row_bits(row).iter().map(f32::from_bits).collect()
    }

    /// The rows `first..first + rows` as a batch of their own.
    ///
    /// # Panics
    /// If the range is outside the batch.
    #[must_use]
    pub fn slice_rows(&self, first: usize, rows: usize) -> Self {
        let is_inside = first.checked_add(rows).is_some_and(|end| end <= self.rows);
        assert!(is_inside, "{rows} rows from row {first} of {}", self.rows);
        if let Some(offsets) = self.offsets {
            return Self { offsets: Some(&offsets[first..first + rows]), rows, ..*self };
        }
        let start = (first * self.row_stride * self.dtype.bytes()).min(self.bytes.len());
        Self { bytes: &self.bytes[start..], rows, ..*self }
    }

    /// The bytes from the first element to the end of the last row; where rows have offsets, the rows one after the other.
    #[cfg(feature = "device")]
    pub(crate) fn span(&self) -> Cow<'a, [u8]> {
        if self.offsets.is_some() {
            let rows: Vec<&[u8]> = (0..self.rows).map(|row| self.row_bits(row).bytes).collect();
            return Cow::Owned(rows.concat());
        }
        let end = bytes_needed(self.dtype, self.rows, self.vocab, self.row_stride).unwrap_or(0);
        Cow::Borrowed(&self.bytes[..end])
    }

    /// Row of this number, to be read as bits of f32 values.
    pub(crate) fn row_bits(&self, row: usize) -> RowBits<'a> {
        let width = self.dtype.bytes();
        #[expect(clippy::cast_possible_truncation, reason = "it lies in memory")]
        let first = self.offsets.map_or(row * self.row_stride, |offsets| offsets[row] as usize);
        let start = first * width;
        RowBits { bytes: &self.bytes[start..start + self.vocab * width], dtype: self.dtype }
    }
}

/// One row, read as the bits of f32 values.
#[derive(Clone, Copy)]
pub(crate) struct RowBits<'a> {
    bytes: &'a [u8],
    dtype: Dtype,
}

impl<'a> RowBits<'a> {
    /// Bits of one token's logit.
    pub(crate) fn get(&self, token: usize) -> u32 {
        let width = self.dtype.bytes();
        read(&self.bytes[token * width..(token + 1) * width], self.dtype)
    }

    /// Tokens of the row.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// The tokens `first..end` as a row.
    pub(crate) fn range(&self, first: usize, end: usize) -> Self {
        let width = self.dtype.bytes();
        Self { bytes: &self.bytes[first * width..end * width], dtype: self.dtype }
    }

    /// A row of the bits of f32 values.
    pub(crate) fn of_f32(bits: &'a [u32]) -> Self {
        Self { bytes: bytemuck::cast_slice(bits), dtype: Dtype::F32 }
    }

    /// Brings to the nearest cache what lies some way behind these tokens, if it is of the row: it is read soon, and to wait for
    /// memory then takes a third as long as the work itself.
    #[inline(always)]
    pub(crate) fn prefetch(&self, first: usize, tokens: usize) {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
        {
            const AHEAD_BYTES: usize = 2048;
            const LINE_BYTES: usize = 64;
            let width = self.dtype.bytes();
            let lines = (first * width..(first + tokens) * width).step_by(LINE_BYTES);
            lines.filter_map(|byte| self.bytes.get(byte + AHEAD_BYTES)).for_each(safe_arch::prefetch_t0);
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
        let _ = (first, tokens);
    }

    /// The row cut into runs of `tokens` consecutive tokens.
    pub(crate) fn runs(self, tokens: usize) -> impl Iterator<Item = Self> + 'a {
        let dtype = self.dtype;
        self.bytes.chunks(tokens * dtype.bytes()).map(move |bytes| Self { bytes, dtype })
    }

    /// Bits of every token, in order, if that is how they are stored.
    #[inline(always)]
    pub(crate) fn in_place(&self) -> Option<&'a [u32]> {
        (self.dtype == Dtype::F32).then(|| bytemuck::try_cast_slice(self.bytes).ok())?
    }

    /// Bits of every token, in order: in place where they lie so, otherwise in the room that is given.
    #[inline(always)]
    pub(crate) fn widened<'b>(&self, room: &'b mut [u32]) -> &'b [u32]
    where
        'a: 'b,
    {
        if let Some(bits) = self.in_place() {
            return bits;
        }
        let room = &mut room[..self.len()];
        match self.dtype {
            Dtype::F32 => bytemuck::cast_slice_mut(room).copy_from_slice(self.bytes),
            Dtype::F16 => widen::halves(self.bytes, Dtype::F16, room),
            Dtype::Bf16 => widen::halves(self.bytes, Dtype::Bf16, room),
        }
        room
    }

    /// The same by the instructions of this level: a NaN may come out as another one of its sign.
    #[inline(always)]
    pub(crate) fn widened_with<'b, S: Simd>(&self, simd: S, room: &'b mut [u32]) -> &'b [u32]
    where
        'a: 'b,
    {
        let tokens = self.len();
        if self.dtype == Dtype::F16 && widen::f16_with(simd, self.bytes, &mut room[..tokens]) {
            return &room[..tokens];
        }
        self.widened(room)
    }

    /// Bits of every token, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        let dtype = self.dtype;
        self.bytes.chunks_exact(dtype.bytes()).map(move |element| read(element, dtype))
    }
}

#[inline]
fn read(element: &[u8], dtype: Dtype) -> u32 {
    let stored = match dtype {
        Dtype::F32 => u32::from_ne_bytes([element[0], element[1], element[2], element[3]]),
        Dtype::F16 | Dtype::Bf16 => u16::from_ne_bytes([element[0], element[1]]).into(),
    };
    dtype.widen(stored)
}
