//! Rows of log-probabilities in 16 bits, as llama.cpp's perplexity tool saves those of a base model. The file around them
//! is read in `formats`.
//!
//! A row is two little-endian f32, `scale` and `min`, and a u16 for each token, of an even number: the log-probability of
//! token i is `min + scale · code[i]`. The tool takes `min` 16 nats below the largest where the least is farther, so a
//! code of 0 may stand for anything below.

/// Bytes before the codes.
const HEAD_BYTES: usize = 8;

/// The text that such rows are of.
#[derive(Debug)]
pub(crate) struct Text {
    /// The token that each row predicts.
    pub(crate) targets: Vec<Option<u32>>,
    /// Tokens of a chunk, of which the rows are the second half: the position that the first row predicts.
    pub(crate) context: usize,
    pub(crate) first: usize,
}

/// Bytes of a row.
pub(super) const fn row_bytes(vocab: usize) -> usize {
    HEAD_BYTES + 2 * vocab.next_multiple_of(2)
}

/// Adds the log-probabilities of a row to the buffer, as little-endian f32.
pub(super) fn unpack(row: &[u8], vocab: usize, buffer: &mut Vec<u8>) {
    let (head, codes) = row.split_at(HEAD_BYTES);
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let (scale, min) = (number(&head[..4]), number(&head[4..]));
    let logprobs = codes.as_chunks().0.iter().map(|code| scale * f32::from(u16::from_le_bytes(*code)) + min);
    buffer.extend(logprobs.take(vocab).flat_map(f32::to_le_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_its_codes_say() {
        assert_eq!((row_bytes(1), row_bytes(4), row_bytes(5)), (12, 16, 20));
        let numbers = [0.25f32.to_le_bytes(), (-20f32).to_le_bytes()].concat();
        let codes: Vec<u8> = [0u16, 80, 65_535, 7].iter().flat_map(|code| code.to_le_bytes()).collect();
        let mut buffer = vec![9];
        // The fourth code is padding.
        unpack(&[numbers, codes].concat(), 3, &mut buffer);
        let expected: Vec<u8> = [-20f32, 0.0, 16_363.75].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(buffer, [&[9], &expected[..]].concat());
    }
}
