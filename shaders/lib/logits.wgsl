// logits: elements of three types out of u32 words.
// Provides: DTYPE, word_of_element, widen.
// Needs: nothing.

override DTYPE: u32 = 0u; // 0 f32, 1 f16, 2 bf16: the order of Dtype in src/dtype.rs

fn word_of_element(element: u32) -> u32 {
    return select(element >> 1u, element, DTYPE == 0u);
}

// Bits of the f32 with the value of the element, which lies in this word. NaN and infinity stay what they are.
fn widen(word: u32, element: u32) -> u32 {
    if DTYPE == 0u {
        return word;
    }
    let stored = (word >> ((element & 1u) * 16u)) & 0xffffu;
    if DTYPE == 2u {
        return stored << 16u;
    }
    return widen_f16(stored);
}

// By integers, because unpack2x16float may flush subnormals.
fn widen_f16(stored: u32) -> u32 {
    let sign = (stored & 0x8000u) << 16u;
    let magnitude = stored & 0x7fffu;
    if magnitude >= 0x7c00u {
        return sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u);
    }
    if magnitude >= 0x400u {
        return sign | ((magnitude << 13u) + (112u << 23u));
    }
    if magnitude == 0u {
        return sign;
    }
    // m · 2^-24 with the leading bit of m moved to the hidden place.
    let lead = countLeadingZeros(magnitude) - 21u;
    return sign | (((113u - lead) << 23u) + ((magnitude << (lead + 13u)) & 0x7fffffu));
}
