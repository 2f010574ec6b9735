// exact: the integer weight of a token; docs/exact.md is the specification, src/arithmetic/exact.rs the host half.
// Provides: keys, log2_q26, Scale, SCALE_ONE, FAR, fixed, octaves_below, octaves_between, table_index,
// mantissa, weight.
// Needs: integers.wgsl, and the kernel's uniform `chunk`, for a loop that stays a loop.

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
const KEY_NAN: i32 = 0x7fffffff; // in place of that of a NaN
const FAR: u32 = 0xffffffffu; // outside the window: no weight

const SCALE_ONE: Scale = Scale(24, 1549082005u, 24.0); // temperature 1

// Signed order of keys is the order of the values; -0 equals +0.
fn key_of_bits(bits: u32) -> i32 {
    let raw = bitcast<i32>(bits) ^ ((bitcast<i32>(bits) >> 31u) & 0x7fffffff);
    return select(raw, 0, raw == -1);
}

// The same, above all others for a NaN.
fn key_or_nan(bits: u32) -> i32 {
    return select(key_of_bits(bits), KEY_NAN, (bits & 0x7fffffffu) > 0x7f800000u);
}

fn bits_of_key(key: i32) -> u32 {
    return bitcast<u32>(key ^ ((key >> 31u) & 0x7fffffff));
}

// log2 of an integer of at least 1, Q26, rounded down, by repeated squaring (Knuth, TAOCP 1, 1.2.2, exercise 25).
fn log2_q26(value: vec2<u32>) -> u32 {
    let lead = select(countLeadingZeros(value.y), 32u + countLeadingZeros(value.x), value.y == 0u);
    var y = shift_left64(value, lead).y; // Q31 in [1, 2)
    var log2 = 63u - lead;
    for (var i = chunk.nothing; i < 26u; i++) {
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
    // The one comparison of floats: any rounding gives the same weights, docs/exact.md section 5.
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, scale.shift) - fixed(bits, scale.shift);
    let near = half_distance < scale.half_window && logit_bits < BITS_NEG_INFINITY;
    return select(FAR, mul_high(distance << 2u, scale.rate), near);
}

// The same by the device's own conversion to integers, where that will do. Far down it is any distance that leaves nothing:
// at least 60 octaves, or FAR, whose shifts are cut to 63 bits and meet numbers below 2^63.
fn octaves_between(max_bits: u32, logit_bits: u32, scale: Scale) -> u32 {
    // Below 2^(30 - shift) in magnitude a product with the unit is exact, and distances fit 32 bits.
    if (max_bits & 0x7fffffffu) >= (u32(157 - scale.shift) << 23u) {
        return octaves_below(max_bits, logit_bits, scale);
    }
    let unit = bitcast<f32>(u32(127 + scale.shift) << 23u);
    // Negative numbers by their bits: a larger magnitude, -infinity and a NaN become the lowest.
    let logit = bitcast<f32>(min(logit_bits, 0x80000000u | (u32(158 - scale.shift) << 23u)));
    // `fixed` by the device: a product with a power of two is exact, and what a flushed subnormal loses is truncated.
    let distance = bitcast<u32>(i32(bitcast<f32>(max_bits) * unit)) - bitcast<u32>(i32(logit * unit));
    let limit = u32(scale.half_window * unit * 1.75); // 42 temperatures; any rounding leaves the same
    return mul_high(min(distance, limit) << 2u, scale.rate);
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
