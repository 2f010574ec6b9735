// integers: 64-bit integers as (low, high), on any device.
// Provides: mul_wide, mul_high, add64, shift_right64, at_least64, shift_left64, mul_shift.
// Needs: nothing.

// 64-bit product (low, high) by 16-bit halves: WGSL has no multiply-high.
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let middle = a1 * b0 + ((a0 * b0) >> 16u); // below 2^32
    let cross = a0 * b1 + (middle & 0xffffu); // below 2^32
    return vec2<u32>(a * b, a1 * b1 + (middle >> 16u) + (cross >> 16u));
}

fn mul_high(a: u32, b: u32) -> u32 {
    return mul_wide(a, b).y;
}

// Sum of two (low, high) numbers.
fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}

// (low, high) >> by, for any `by`; WGSL leaves a shift of 32 or more undefined.
fn shift_right64(value: vec2<u32>, by: u32) -> vec2<u32> {
    let amount = min(by, 63u);
    let part = amount & 31u;
    let low = (value.x >> part) | ((value.y << 1u) << (31u - part));
    let high = value.y >> part;
    return select(vec2<u32>(low, high), vec2<u32>(high, 0u), amount >= 32u);
}

fn at_least64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y > b.y || (a.y == b.y && a.x >= b.x);
}

// (low, high) << by, for 0 <= by <= 63.
fn shift_left64(value: vec2<u32>, by: u32) -> vec2<u32> {
    let part = by & 31u;
    let high = (value.y << part) | ((value.x >> 1u) >> (31u - part));
    let low = value.x << part;
    return select(vec2<u32>(low, high), vec2<u32>(0u, low), by >= 32u);
}

// (value · factor) >> by with a 96-bit product, for by >= 32.
fn mul_shift(value: vec2<u32>, factor: u32, by: u32) -> vec2<u32> {
    let low = mul_wide(value.x, factor);
    let high = mul_wide(value.y, factor);
    return shift_right64(add64(high, vec2<u32>(low.y, 0u)), by - 32u);
}
