// integers64: 64-bit integers as (low, high) on devices that have such integers (wgpu: SHADER_INT64). The same
// functions and results as integers.wgsl, in fewer instructions: packing and unpacking cost none.
// Provides: mul_wide, mul_high, add64, shift_right64, at_least64, shift_left64, mul_shift.
// Needs: nothing.

fn pack64(a: vec2<u32>) -> u64 {
    return u64(a.x) | (u64(a.y) << 32u);
}

fn unpack64(a: u64) -> vec2<u32> {
    return vec2<u32>(u32(a & 0xfffffffflu), u32(a >> 32u));
}

// 64-bit product (low, high).
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    return unpack64(u64(a) * u64(b));
}

fn mul_high(a: u32, b: u32) -> u32 {
    return u32((u64(a) * u64(b)) >> 32u);
}

// Sum of two (low, high) numbers.
fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return unpack64(pack64(a) + pack64(b));
}

// (low, high) >> by, for any `by`; WGSL leaves a shift of 64 or more undefined.
fn shift_right64(value: vec2<u32>, by: u32) -> vec2<u32> {
    return unpack64(pack64(value) >> min(by, 63u));
}

fn at_least64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return pack64(a) >= pack64(b);
}

// (low, high) << by, for 0 <= by <= 63.
fn shift_left64(value: vec2<u32>, by: u32) -> vec2<u32> {
    return unpack64(pack64(value) << by);
}

// (value · factor) >> by with a 96-bit product, for by >= 32.
fn mul_shift(value: vec2<u32>, factor: u32, by: u32) -> vec2<u32> {
    let low = u64(value.x) * u64(factor);
    let high = u64(value.y) * u64(factor);
    return unpack64((high + (low >> 32u)) >> min(by - 32u, 63u));
}
