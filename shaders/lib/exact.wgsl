// exact: the integer weight of a token; docs/exact.md is the specification, src/exact.rs the host half.
// Provides: keys, 64-bit integers as (low, high), log2_q26, Scale, fixed, octaves_below, table_index, mantissa, weight, surprisal.
// Needs: nothing.

// What the temperature contributes.
struct Scale {
    shift: i32,       // logits are taken in units of 2^-shift
    rate: u32,        // octaves per unit, Q54
    half_window: f32, // tokens further than twice this below the maximum weigh nothing
}

const BITS_NEG_INFINITY: u32 = 0xff800000u;
const BITS_LOWEST: u32 = 0xff7fffffu; // lowest finite f32
const KEY_NEG_INFINITY: i32 = -2139095041; // key of -infinity; every finite logit has a larger one
const KEY_INFINITY: i32 = 0x7f800000; // a larger key is a NaN
const FAR: u32 = 0xffffffffu; // outside the window: no weight

const SCALE_ONE: Scale = Scale(24, 1549082005u, 24.0); // temperature 1

// Signed order of keys is the order of the values; -0 equals +0.
fn key_of_bits(bits: u32) -> i32 {
    let raw = bitcast<i32>(bits) ^ ((bitcast<i32>(bits) >> 31u) & 0x7fffffff);
    return select(raw, 0, raw == -1);
}

fn bits_of_key(key: i32) -> u32 {
    return bitcast<u32>(key ^ ((key >> 31u) & 0x7fffffff));
}

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

// log2 of an integer of at least 1, Q26, rounded down, by repeated squaring (Knuth, TAOCP 1, 1.2.2, exercise 25).
fn log2_q26(value: vec2<u32>) -> u32 {
    let lead = select(countLeadingZeros(value.y), 32u + countLeadingZeros(value.x), value.y == 0u);
    var y = shift_left64(value, lead).y; // Q31 in [1, 2)
    var log2 = 63u - lead;
    for (var i = 0u; i < 26u; i++) {
        let square = mul_high(y, y); // Q30 in [1, 4)
        let carry = square >> 31u;
        log2 = (log2 << 1u) | carry;
        y = select(square << 1u, square, carry == 1u);
    }
    return log2;
}

// trunc(x · 2^shift) mod 2^32 of a finite f32 given by its bits.
fn fixed(bits: u32, shift: i32) -> u32 {
    let mantissa = (bits & 0x7fffffu) | 0x800000u; // the hidden bit of a subnormal is shifted out below
    let left = i32((bits >> 23u) & 0xffu) - 150 + shift;
    let up = mantissa << u32(clamp(left, 0, 31));
    let down = mantissa >> u32(clamp(-left, 0, 31));
    let magnitude = select(select(down, up, left >= 0), 0u, left >= 32);
    return select(magnitude, 0u - magnitude, bits >= 0x80000000u);
}

// Distance in octaves, Q24, from the maximum down to a logit, or FAR.
fn octaves_below(max_bits: u32, logit_bits: u32, scale: Scale) -> u32 {
    let bits = min(logit_bits, BITS_LOWEST); // the float below must not be -infinity or NaN
    // The one float comparison: any rounding gives the same weights, docs/exact.md section 5.
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, scale.shift) - fixed(bits, scale.shift);
    let near = half_distance < scale.half_window && logit_bits < BITS_NEG_INFINITY;
    return select(FAR, mul_high(distance << 2u, scale.rate), near);
}

fn table_index(octaves: u32) -> u32 {
    return (octaves >> 14u) & 0x3ffu;
}

// 2^(31 - fraction of the octaves), from the table's entry at table_index(octaves).
fn mantissa(entry: u32, octaves: u32) -> u32 {
    let drop = ((octaves & 0x3fffu) * 181643u + 0x8000u) >> 16u; // Q26
    return entry - (((entry >> 15u) * drop) >> 11u);
}

// Q50 weight of a token with this mantissa, as (low, high).
fn weight(mantissa: u32, octaves: u32) -> vec2<u32> {
    return shift_right64(vec2<u32>(mantissa << 19u, mantissa >> 13u), octaves >> 24u);
}

// Q44 weight times octaves, as (low, high).
fn surprisal(mantissa: u32, octaves: u32) -> vec2<u32> {
    let product = mul_high(mantissa, octaves << 1u); // Q24
    return shift_right64(vec2<u32>(product << 20u, product >> 12u), octaves >> 24u);
}
