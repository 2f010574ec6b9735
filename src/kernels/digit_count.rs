//! How many items of a block have each digit, for lists of more entries than one workgroup can hold: a radix select of
//! the k-th best logit, digit by digit, then with [`digit_scatter`](super::digit_scatter) a stable radix sort of what
//! is kept. `shaders/lib/digits.wgsl` has the stages. Their number depends on the type of the logits alone, and no
//! place on the order in which a device does its work. On the CPU `row_logprobs` and `row_sample` make lists of any length.

#[cfg(feature = "gpu")]
use crate::kernels::kernel::{Kernel, Slot, wgsl};
use crate::logits::Dtype;

/// One workgroup per block of consecutive items of one row, dispatch (blocks, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "digit_count",
    wgsl: wgsl!("digit_count": "format", "words", "logits", "rows", "integers", "exact", "digits_of_row", "digits"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write],
};

/// The same for the lists of a sample.
#[cfg(feature = "gpu")]
pub(crate) const OF_VIEW: Kernel = Kernel {
    name: "view_digit_count",
    wgsl: wgsl!("digit_count": "format", "words", "logits", "rows", "integers", "exact", "soft_float", "request", "changes",
        "digits_of_view", "digits"),
    slots: &[Slot::Chunk, Slot::Read, Slot::Read, Slot::Read, Slot::Write, Slot::Read, Slot::Read],
};

/// Items of one workgroup.
pub(crate) const BLOCK_ITEMS: usize = 8192;
/// Values of a digit.
pub(crate) const DIGITS: usize = 256;
/// Words of a row's k-th best codes: what each selecting stage knows of them.
pub(crate) const KTH_WORDS: usize = 16;

/// Digits of a code, which tells as many values apart as the type has.
pub(crate) fn levels(dtype: Dtype) -> usize {
    dtype.bytes()
}

/// Stages: a digit each to select, one to keep what is selected, a digit each to sort it.
pub(crate) fn stages(dtype: Dtype) -> usize {
    2 * levels(dtype) + 1
}

/// Blocks of a row in a stage.
pub(crate) fn blocks(dtype: Dtype, stage: usize, vocab: usize, listed: u32) -> u32 {
    let kept = listed as usize;
    let items = if stage <= levels(dtype) { kept.max(vocab) } else { kept };
    #[expect(clippy::cast_possible_truncation, reason = "neither is over 2^20")]
    let blocks = items.div_ceil(BLOCK_ITEMS) as u32;
    blocks
}

/// Words of scratch of one row: counts of two stages, k-th best codes, pairs.
pub(crate) fn scratch_words(dtype: Dtype, vocab: usize, listed: u32) -> usize {
    2 * blocks(dtype, 0, vocab, listed) as usize * DIGITS + KTH_WORDS + 2 * listed as usize
}
