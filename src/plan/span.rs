//! Rows that begin anywhere, cut into runs that one binding holds.

use super::chunk::Window;
#[cfg(feature = "gpu")]
use super::limits::DeviceLimits;
use crate::logits::Dtype;
#[cfg(feature = "gpu")]
use crate::logits::Shape;

/// Consecutive rows, and the bytes of the buffer around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) rows: usize,
    pub(crate) first_byte: u64,
    pub(crate) bytes: u64,
}

impl Span {
    /// The binding around it.
    pub(super) fn window(&self, dtype: Dtype, alignment: u64) -> Window {
        Window::new(self.first_byte, self.bytes, dtype.bytes() as u64, alignment)
    }
}

/// Rows that begin so many elements after the first of the shape, in a buffer of so many bytes. One span reaches to the
/// end of the buffer where a binding holds that much, so that the rows may move from step to step and nothing is bound
/// anew; else each holds as many rows as lie near enough to each other.
#[cfg(feature = "gpu")]
pub(crate) fn spans<'a>(
    shape: &Shape,
    offsets: &'a [u64],
    buffer_bytes: u64,
    limits: &DeviceLimits,
) -> impl Iterator<Item = Span> + Clone + 'a {
    let width = shape.dtype.bytes() as u64;
    let (byte_offset, row_bytes) = (shape.byte_offset, shape.vocab as u64 * width);
    let (most, rest) = (limits.most_bytes(), (buffer_bytes / 4 * 4).saturating_sub(byte_offset));
    let mut left = offsets;
    std::iter::from_fn(move || {
        let first = byte_offset + left.first()? * width;
        if rest <= most {
            left = &[];
            return Some(Span { rows: offsets.len(), first_byte: byte_offset, bytes: rest });
        }
        let (mut low, mut high, mut rows) = (first, first + row_bytes, 1);
        for offset in &left[1..] {
            let begin = byte_offset + offset * width;
            let (lower, higher) = (low.min(begin), high.max(begin + row_bytes));
            if higher - lower > most {
                break;
            }
            (low, high, rows) = (lower, higher, rows + 1);
        }
        left = &left[rows..];
        Some(Span { rows, first_byte: low, bytes: high - low })
    })
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;

    #[test]
    fn rows_near_each_other_are_one_span() {
        let limits = DeviceLimits { max_binding_bytes: 10_260, ..DeviceLimits::default() }; // 10 000 beside the slack
        let shape = Shape { dtype: Dtype::F16, rows: 0, vocab: 1000, row_stride: 1000, byte_offset: 200 };
        let of = |offsets: &[u64], buffer_bytes| {
            let spans = spans(&shape, offsets, buffer_bytes, &limits);
            spans.map(|Span { rows, first_byte, bytes }| (rows, first_byte, bytes)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[], 1 << 20), []);
        assert_eq!(of(&[3000, 0], 10_200), [(2, 200, 10_000)], "the rest of the buffer");
        assert_eq!(of(&[3000, 0], 10_204), [(2, 200, 8000)], "one word more: what is needed");
        assert_eq!(of(&[0, 4000, 4001], 1 << 20), [(2, 200, 10_000), (1, 8202, 2000)], "up to the limit");
        assert_eq!(of(&[9000, 5000, 0, 5], 1 << 20), [(2, 10_200, 10_000), (2, 200, 2010)], "in any order");
        assert_eq!(of(&[7, 7, 7], 1 << 20), [(3, 214, 2000)], "a row many times");
    }
}
