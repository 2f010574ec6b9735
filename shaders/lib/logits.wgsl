// logits: elements of three types out of u32 words.
// Provides: DTYPE, word_of_element, widen.
// Needs: nothing.

override DTYPE: u32 = 0u; // 0 f32, 1 f16, 2 bf16: the order of Dtype in src/logits/dtype.rs

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

// Not by unpack2x16float, which may flush subnormals.
fn widen_f16(stored: u32) -> u32 {
    let sign = (stored & 0x8000u) << 16u;
    let magnitude = stored & 0x7fffu;
    // The exponent's bias is 15 there and 127 here; all ones of it stay all ones.
    let normal = (magnitude << 13u) + select(112u << 23u, 224u << 23u, magnitude >= 0x7c00u);
    let subnormal = bitcast<u32>(f32(magnitude) * 0x1p-24f); // exact, and no subnormal here
    return sign | select(normal, subnormal, magnitude < 0x400u);
}
