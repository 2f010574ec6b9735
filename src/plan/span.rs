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
/// anew; else each holds as many rows as lie near enough to each other, and ends where the next may begin, if it can.
#[cfg(feature = "gpu")]
pub(crate) fn spans<'a>(
    shape: &Shape,
    offsets: &'a [u64],
    buffer_bytes: u64,
    may_begin: impl Fn(usize) -> bool + Clone + 'a,
    limits: &DeviceLimits,
) -> impl Iterator<Item = Span> + Clone + 'a {
    let width = shape.dtype.bytes() as u64;
    let (byte_offset, row_bytes) = (shape.byte_offset, (shape.vocab as u64).saturating_mul(width));
    let (most, rest) = (limits.most_bytes(), (buffer_bytes / 4 * 4).saturating_sub(byte_offset));
    let mut left = offsets;
    std::iter::from_fn(move || {
        let first = byte_offset + left.first()? * width;
        if rest <= most {
            left = &[];
            return Some(Span { rows: offsets.len(), first_byte: byte_offset, bytes: rest });
        }
        let first_row = offsets.len() - left.len();
        let (mut low, mut high) = (first, first + row_bytes);
        let (mut span, mut is_end) = (None, false);
        for (rows, next) in left.iter().skip(1).map(Some).chain([None]).enumerate() {
            let rows = rows + 1;
            // The rows so far, unless there is something better that ends where another may begin.
            let can_end = next.is_none() || may_begin(first_row + rows);
            if can_end || !is_end {
                (span, is_end) = (Some(Span { rows, first_byte: low, bytes: high - low }), can_end);
            }
            let Some(offset) = next else { break };
            let begin = byte_offset + offset * width;
            (low, high) = (low.min(begin), high.max(begin + row_bytes));
            if high - low > most {
                break;
            }
        }
        left = &left[span?.rows..];
        span
    })
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;

    #[test]
    fn rows_near_each_other_are_one_span() {
        let limits = DeviceLimits { max_binding_bytes: 10_260, ..DeviceLimits::default() }; // 10 000 beside the slack
        let shape = Shape { dtype: Dtype::F16, rows: 0, vocab: 1000, row_stride: 1000, byte_offset: 200 };
        let around = |offsets: &[u64], buffer_bytes, within: &'static [usize]| {
            let spans = spans(&shape, offsets, buffer_bytes, |row| !within.contains(&row), &limits);
            spans.map(|Span { rows, first_byte, bytes }| (rows, first_byte, bytes)).collect::<Vec<_>>()
        };
        let of = |offsets: &[u64], buffer_bytes| around(offsets, buffer_bytes, &[]);
        assert_eq!(of(&[], 1 << 20), []);
        assert_eq!(of(&[3000, 0], 10_200), [(2, 200, 10_000)], "the rest of the buffer");
        assert_eq!(of(&[3000, 0], 10_204), [(2, 200, 8000)], "one word more: what is needed");
        assert_eq!(of(&[0, 4000, 4001], 1 << 20), [(2, 200, 10_000), (1, 8202, 2000)], "up to the limit");
        assert_eq!(of(&[9000, 5000, 0, 5], 1 << 20), [(2, 10_200, 10_000), (2, 200, 2010)], "in any order");
        assert_eq!(of(&[7, 7, 7], 1 << 20), [(3, 214, 2000)], "a row many times");
        let far = [0, 10, 5000, 5001, 5002];
        assert_eq!(around(&far, 1 << 20, &[1]), [(2, 200, 2020), (3, 10_200, 2004)], "the next may begin");
        assert_eq!(
            around(&far, 1 << 20, &[2, 3]),
            [(1, 200, 2000), (1, 220, 2000), (3, 10_200, 2004)],
            "not within"
        );
        assert_eq!(
            around(&far, 1 << 20, &[1, 2]),
            [(2, 200, 2020), (3, 10_200, 2004)],
            "longer than a binding"
        );
        assert_eq!(around(&[0, 0, 0], 1 << 20, &[1]), [(3, 200, 2000)], "all of them");
    }
}
