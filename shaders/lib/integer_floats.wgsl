// integer_floats: what floats.wgsl provides, by integers alone, for a device whose own operations round otherwise.
// Provides: subtract4, multiply4, add4, add1, truncate4, widen_pair.
// Needs: soft_float, logits (.wgsl).

fn subtract4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    // With the sign changed, b may be infinite: it comes first.
    let minus = b ^ vec4<u32>(0x80000000u);
    return vec4<u32>(
        add_float(minus.x, a.x), add_float(minus.y, a.y), add_float(minus.z, a.z), add_float(minus.w, a.w));
}

fn multiply4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        multiply_float(a.x, b.x), multiply_float(a.y, b.y), multiply_float(a.z, b.z), multiply_float(a.w, b.w));
}

fn add4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(add_float(a.x, b.x), add_float(a.y, b.y), add_float(a.z, b.z), add_float(a.w, b.w));
}

fn add1(a: u32, b: u32) -> u32 {
    return add_float(a, b);
}

// Whole part of numbers from 0 to 2^31.
fn truncate4(a: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(truncate1(a.x), truncate1(a.y), truncate1(a.z), truncate1(a.w));
}

fn truncate1(a: u32) -> u32 {
    let exponent = i32(a >> 23u) - 150;
    let significand = (a & 0x7fffffu) | 0x800000u; // that of a subnormal is shifted out
    return select(significand >> u32(clamp(-exponent, 0, 31)), significand << u32(clamp(exponent, 0, 7)), exponent > 0);
}

// Bits of the f32 with the values of two f16, the lower half of the word first.
fn widen_pair(word: u32) -> vec2<u32> {
    return vec2<u32>(widen_f16(word & 0xffffu), widen_f16(word >> 16u));
}
