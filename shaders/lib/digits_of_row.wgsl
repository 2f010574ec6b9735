// digits_of_row: a list of more than MOST_LISTED entries in a record of row_logprobs. Its codes are of the logits as they are
// stored, with a digit for each of their bytes.
// Provides: levels, is_idle, begin_row, code_of_token, bits_of_code, list_length, list_of, entries_of.
// Needs: words, logits, rows, integers, exact (.wgsl), the kernel's bindings `logits`, `records`.

fn levels() -> u32 { // digits of a code: as many as the bytes of a logit
    return select(2u, 4u, DTYPE == 0u);
}

// Code of the largest magnitude without a sign: that of zero.
fn zero_code() -> u32 {
    return select(0x7fffu, 0x7fffffffu, DTYPE == 0u);
}

// Code of a logit as stored, smaller where the logit is larger; -0 has that of +0.
fn code_of_stored(stored: u32) -> u32 {
    if stored == zero_code() + 1u {
        return zero_code();
    }
    return select(stored ^ zero_code(), stored, stored > zero_code());
}

// Bits of the f32 with the value of the logit that has this code.
fn bits_of_code(code: u32) -> u32 {
    return widen(select(code ^ zero_code(), code, code > zero_code()), 0u);
}

// Whether nobody asks for the list of a row.
fn is_idle(row: u32) -> bool {
    return false;
}

// What is the same for all tokens of a row: nothing.
fn begin_row(row: u32) {
}

fn code_of_token(row: u32, token: u32) -> u32 {
    let element = start_of(row) + token;
    let word = logits[word_of_element(element)];
    return code_of_stored(select((word >> ((element & 1u) * 16u)) & 0xffffu, word, DTYPE == 0u));
}

// Entries of the list, in every record.
fn list_length() -> u32 {
    return chunk.listed;
}

fn list_of(row: u32) -> u32 {
    return row * chunk.record_words + RECORD_HEADER_WORDS;
}

// Entries that the row's own list has: none of a row that is no distribution.
fn entries_of(row: u32) -> u32 {
    return select(0u, chunk.listed, records[row * chunk.record_words + RECORD_STATUS] == 0u);
}
