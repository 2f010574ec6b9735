// pair: logits of two batches, each of its own type and stride.
// Provides: first_bits, second_bits.
// Needs: format, logits (.wgsl), the kernel's bindings `logits`, `others`.

override OTHER_DTYPE: u32 = 0u; // of the second batch; codes as DTYPE's

// Bits of a token's logit, as f32, in the first batch; -infinity past the vocabulary, which weighs nothing.
fn first_bits(row: u32, token: u32) -> u32 {
    if token >= chunk.vocab {
        return BITS_NEG_INFINITY;
    }
    let element = chunk.element_base + row * chunk.row_stride + token;
    return widen(logits[word_of_element(element)], element);
}

// The same in the second.
fn second_bits(row: u32, token: u32) -> u32 {
    if token >= chunk.vocab {
        return BITS_NEG_INFINITY;
    }
    let element = chunk.other_base + row * chunk.other_stride + token;
    if OTHER_DTYPE == 0u {
        return others[element];
    }
    let stored = (others[element >> 1u] >> ((element & 1u) * 16u)) & 0xffffu;
    if OTHER_DTYPE == 2u {
        return stored << 16u;
    }
    return widen_f16(stored);
}
