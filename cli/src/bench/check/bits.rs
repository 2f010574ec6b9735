//! Bits against bits: a device must say what the CPU engine says.

use std::fmt::Debug;

use sortilege::Logits;

use crate::bench::data::Source;
use crate::bench::task::{Output, Task};
use crate::failure::Result;

/// Logits of which every row is looked at.
const SMALL: usize = 1 << 22;

/// The rows of a batch to look at.
pub(crate) fn rows_to_check(source: &Source) -> Vec<usize> {
    if source.rows * source.vocab <= SMALL { (0..source.rows).collect() } else { first_middle_last(source) }
}

/// The first row, the middle one and the last one, each once.
pub(super) fn first_middle_last(source: &Source) -> Vec<usize> {
    let mut rows = vec![0, source.rows / 2, source.rows - 1];
    rows.dedup();
    rows
}

/// An error unless a device said of these rows what the CPU engine says, bit for bit. `got` has the outputs of `rows`
/// in order.
pub(crate) fn against_cpu(
    device: &str,
    task: &Task,
    source: &Source,
    rows: &[usize],
    got: &[Output],
) -> Result<()> {
    for (&row, got) in rows.iter().zip(got) {
        let bytes = source.read(row..row + 1)?;
        let logits = Logits::new(&bytes, source.dtype, 1, source.vocab)?;
        let expected = task.on_cpu(&logits, row..row + 1)?;
        if let Some(what) = got.difference(&expected) {
            return Err(task.mismatch(device, source, row, &what));
        }
    }
    Ok(())
}

impl Output {
    /// The first thing in which two outputs differ.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        match (self, expected) {
            (Self::Records(got), Self::Records(expected)) => difference_of_lists(got, expected),
            (Self::Samples(got), Self::Samples(expected)) => difference_of_lists(got, expected),
            (Self::Logprobs(got), Self::Logprobs(expected)) => {
                difference_of_lists(&bits(got), &bits(expected))
            }
            (Self::Entries(got, tokens), Self::Entries(expected, expected_tokens)) => {
                difference_of_lists(&bits(got), &bits(expected))
                    .or_else(|| difference_of_lists(tokens, expected_tokens))
            }
            _ => Some("the output of another operation".to_owned()),
        }
    }
}

/// The bits of numbers, where any NaN equals any other.
pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

/// The first place in which two lists differ, and the words around it.
pub(super) fn difference_of_lists<T: PartialEq + Debug>(got: &[T], expected: &[T]) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{} results instead of {}", got.len(), expected.len()));
    }
    let place = got.iter().zip(expected).position(|(got, expected)| got != expected)?;
    let (got, expected) = (format!("{:?}", got[place]), format!("{:?}", expected[place]));
    // The words around the first difference: lists are long.
    let same = got.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let around = |words: &str| words.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    Some(format!("result {place} is …{} instead of …{}", around(&got), around(&expected)))
}
