//! The words of a row's record on the device, by name: `shaders/lib/words.wgsl`, compared with it by a test.

#[cfg(feature = "gpu")]
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::format::layout;

layout! {
    /// Header of a record that `row_logprobs` writes; its list of (token, bits) follows.
    record: usize, "RECORD_" {
        MAX_KEY = 0,
        STATUS = 1,
        /// Low word, then high word.
        MASS = 2,
        SURPRISAL = 4,
        N_GREATER = 6,
        N_EQUAL = 7,
        TARGET_BITS = 8,
        /// Number of the call, by which a record that never came about is known.
        CALL = 9,
        HEADER_WORDS = 10,
    }
}

layout! {
    /// Header of a record that `row_sample` writes; its draws, the processed list and the raw list follow.
    sample: usize, "SAMPLE_" {
        MAX_KEY = 0,
        STATUS = 1,
        MASS = 2,
        SURPRISAL = 4,
        KEPT = 6,
        SHIFT = 7,
        UNIT = 8,
        /// Where a record of `row_logprobs` has it.
        CALL = 9,
        KEPT_MASS = 10,
        ALL_MASS = 12,
        REOPENED = 14,
        ACCEPTED = 15,
        RAW_MAX_KEY = 16,
        RAW_STATUS = 17,
        RAW_MASS = 18,
        RAW_SURPRISAL = 20,
        /// The run's first and last token, where a filter acted.
        FIRST_TOKEN = 22,
        LAST_TOKEN = 23,
        LAST_KEY = 24,
        HEADER_WORDS = 25,
        /// Turned in the number of the call where the row's history is not there.
        LOST = 1 << 31,
    }
}

layout! {
    /// A record that `row_divergence` writes and `tile_information` completes: two of each, of the first batch and of the
    /// second.
    divergence: usize, "DIVERGENCE_" {
        STATUSES = 0,
        MAX_KEYS = 2,
        MASSES = 4,
        UNMATCHED = 8,
        /// Where a record of `row_logprobs` has it.
        CALL = 9,
        /// Three words each, the lowest first, two's complement.
        CROSSES = 10,
        INFORMATIONS = 16,
        WORDS = 20,
    }
}

layout! {
    /// A draw: the token, then bits, n_greater and n_equal of the processed view, then of the raw one.
    draw: usize, "DRAW_" {
        TOKEN = 0,
        VIEWS = 1,
        WORDS = 7,
    }
}

layout! {
    /// What `row_sample` leaves of a row's run for `token_ranks` and for long lists: keys and tokens of its first and last one. Given tokens
    /// follow, of the processed view, then of the raw one.
    run: usize, "RUN_" {
        FIRST_KEY = 0,
        FIRST_TOKEN = 1,
        LAST_KEY = 2,
        LAST_TOKEN = 3,
        WORDS = 4,
    }
}

layout! {
    /// A given token in one view: the token, then bits, n_greater and n_equal.
    given: usize, "GIVEN_" {
        TOKEN = 0,
        BITS = 1,
        N_GREATER = 2,
        N_EQUAL = 3,
        WORDS = 4,
    }
}

/// The 64-bit number whose low word stands at this place.
#[cfg(feature = "gpu")]
pub(crate) fn pair(words: &[u32], low: usize) -> u64 {
    u64::from(words[low]) | (u64::from(words[low + 1]) << 32)
}

/// Takes what is said of given tokens in place of what was there: up to the first place without a token.
#[cfg(feature = "gpu")]
pub(crate) fn read_given(words: &[u32], tokens: &mut Vec<(u32, [u32; 3])>) {
    tokens.clear();
    let places = words.as_chunks::<{ given::WORDS }>().0.iter();
    let there = places.take_while(|place| place[given::TOKEN] != NO_TOKEN);
    tokens.extend(there.map(|place| {
        let counts = [place[given::BITS], place[given::N_GREATER], place[given::N_EQUAL]];
        (place[given::TOKEN], counts)
    }));
}

/// Takes the entries of a list of (token, bits) in place of those that were there.
#[cfg(feature = "gpu")]
pub(crate) fn read_entries(words: &[u32], entries: &mut Vec<(u32, u32)>) {
    entries.clear();
    entries.extend(words.as_chunks().0.iter().map(|&[token, bits]| (token, bits)));
}
