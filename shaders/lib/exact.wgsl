// exact: the integer weight of a token; docs/exact.md is the specification, src/arithmetic/exact.rs the host half.
// Provides: keys, log2_q26, Scale, SCALE_ONE, FAR, Reference, octaves_from, fixed, octaves_below, table_index,
// mantissa, weight, surprisal.
// Needs: integers.wgsl.

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
    // The one comparison of floats: any rounding gives the same weights, docs/exact.md section 5.
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, scale.shift) - fixed(bits, scale.shift);
    let near = half_distance < scale.half_window && logit_bits < BITS_NEG_INFINITY;
    return select(FAR, mul_high(distance << 2u, scale.rate), near);
}

// The maximum of a tile, prepared for the distances of all its tokens.
struct Reference {
    bits: u32,
    fixed: u32,
    scale: Scale,
    unit: f32,        // 2^shift; 0 where logits are too large for the device's own conversion to integers
    lowest_bits: u32, // of -2^(31 - shift): anything below weighs nothing
    limit: u32,       // 42 temperatures, in units: anything farther weighs nothing
}

fn reference_of(max_bits: u32, scale: Scale) -> Reference {
    let unit = bitcast<f32>(u32(127 + scale.shift) << 23u);
    // Below 2^(30 - shift) in magnitude a product with `unit` is exact, and distances fit 32 bits.
    let is_tame = (max_bits & 0x7fffffffu) < (u32(157 - scale.shift) << 23u);
    let lowest_bits = 0x80000000u | (u32(158 - scale.shift) << 23u);
    let limit = u32(scale.half_window * unit * 1.75); // any rounding gives the same weights
    return Reference(max_bits, fixed(max_bits, scale.shift), scale, select(0.0, unit, is_tame), lowest_bits, limit);
}

// Distance in octaves, Q24, from a tile's maximum down to a logit; where that is far, any distance without weight.
fn octaves_from(reference: Reference, logit_bits: u32) -> u32 {
    if reference.unit == 0.0 {
        return octaves_below(reference.bits, logit_bits, reference.scale);
    }
    // Negative numbers by their bits: a larger magnitude, -infinity and a NaN become the lowest.
    let logit = bitcast<f32>(min(logit_bits, reference.lowest_bits));
    // `fixed` by the device: a product with a power of two is exact, and what a flushed subnormal loses is truncated.
    let distance = reference.fixed - bitcast<u32>(i32(logit * reference.unit));
    return mul_high(min(distance, reference.limit) << 2u, reference.scale.rate);
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
