// divergence: what a token, a tile and a row add to the divergences of two distributions, docs/exact.md section 14;
// src/arithmetic/divergence.rs is the host half.
// Provides: distance_below, Power, power_of, mass_of, cross_of, tile_mass_of, tile_cross_of, information, information_of,
// log_ratio, difference64, widen96, add96.
// Needs: integers, exact, wide (.wgsl), the kernel's binding `table`. Signed numbers of 64 and 96 bits are two's
// complement, the lowest word first.

const INFORMATION_TABLE: u32 = 2048u; // its place in `table`
const OCTAVES_OF_NAT: u32 = 1549082005u; // Q30
const CERTAIN: u32 = 0x60000000u; // 24 nats, Q26: from there on information is ln 2

// The weight of a distance: mantissa · 2^-(31 + octaves).
struct Power {
    mantissa: u32,
    octaves: u32, // whole ones
}

// min(trunc(max · 2^24) - trunc(x · 2^24), 2^40), x not above the maximum. Where the larger magnitude is 2^37 or more the
// binary point is coarser, and what is lost by it lies further away than counts. -infinity is as far away.
fn distance_below(max_bits: u32, bits: u32) -> vec2<u32> {
    let most = vec2<u32>(0u, 256u);
    let point = min(binary_point(max_bits, bits), 24);
    let difference = difference64(fixed_wide(max_bits, point), fixed_wide(bits, point));
    let up = u32(min(24 - point, 40));
    let is_farthest = at_least64(difference, shift_right64(most, up)) || bits == BITS_NEG_INFINITY;
    return select(shift_left64(difference, up), most, is_farthest);
}

fn power_of(distance: vec2<u32>) -> Power {
    if distance.y > 0u || distance.x >= 0x40000000u { // 64 nats
        return Power(0u, 0u);
    }
    let octaves = mul_wide(distance.x << 2u, OCTAVES_OF_NAT); // Q56
    let rest = (octaves.y << 18u) | (octaves.x >> 14u);       // Q32 of a step of the table
    let linear = mul_high(rest, 2977044472u);                 // round(ln 2 · 2^32): Q42 of a nat
    let drop = linear - (mul_high(linear, linear) >> 11u);
    let entry = table[table_index(octaves.y)];
    return Power(entry - ((mul_high(entry, drop) + 0x200u) >> 10u), octaves.y >> 24u);
}

// The weight, Q50.
fn mass_of(power: Power) -> vec2<u32> {
    return shift_right64(vec2<u32>(power.mantissa << 19u, power.mantissa >> 13u), power.octaves);
}

// The weight times a signed difference of distances, Q45, towards zero: at most 2^61 in magnitude.
fn cross_of(power: Power, difference: vec2<u32>) -> vec2<u32> {
    let magnitude = shift_left64(magnitude64(difference), 22u);
    return signed64(mul_shift(magnitude, power.mantissa, 32u + power.octaves), is_negative64(difference));
}

// The weight times information, Q49.
fn information_of(power: Power, information: vec2<u32>) -> vec2<u32> {
    return mul_shift(information, power.mantissa, 32u + power.octaves);
}

// The mass of a tile at this distance, Q40.
fn tile_mass_of(power: Power, mass: vec2<u32>) -> vec2<u32> {
    return mul_shift(mass, power.mantissa, 41u + power.octaves);
}

// A tile's sum of weights times differences at this distance, Q45: its own, and its mass times the difference of the
// tile's distances. At most 2^74 in magnitude.
fn tile_cross_of(power: Power, cross: vec3<u32>, mass: vec2<u32>, difference: vec2<u32>) -> vec3<u32> {
    let product = mul64(mass, magnitude64(difference)); // below 2^103
    let shifted = (product.xyz >> vec3<u32>(28u)) | (product.yzw << vec3<u32>(4u));
    let sum = add96(add96(cross, cross), signed96(shifted, is_negative64(difference))); // Q46
    let is_negative = sum.z >= 0x80000000u;
    let magnitude = signed96(sum, is_negative);
    // Times the mantissa, but for the lowest of the four words.
    let low = mul_wide(magnitude.x, power.mantissa);
    let middle = add64(mul_wide(magnitude.y, power.mantissa), vec2<u32>(low.y, 0u));
    let high = add64(mul_wide(magnitude.z, power.mantissa), vec2<u32>(middle.y, 0u));
    return signed96(shift_right96(vec3<u32>(middle.x, high), power.octaves), is_negative);
}

// What a token says that is e^t times as probable in one of two distributions as in the other, Q50; t in units of 2^-26.
fn information(t: u32) -> vec2<u32> {
    if t >= CERTAIN {
        return vec2<u32>(0x5fdf473eu, 0x2c5c8u); // round(ln 2 · 2^50)
    }
    let place = INFORMATION_TABLE + (t >> 21u);
    let rest = t << 11u; // Q32
    let first = table[place];
    let step = first - table[place + 1u]; // it falls
    let bend = bitcast<i32>(step - (table[place + 1u] - table[place + 2u]));
    let below = mul_high(u32(abs(bend)), mul_high(rest, ~rest)) >> 1u;
    let straight = first - mul_high(step, rest);
    return mul_shift(mul_wide(t, t), select(straight - below, straight + below, bend < 0), 36u);
}

// t of a token: of the signed difference of its distances, and of the logarithms of both masses, Q26.
fn log_ratio(difference: vec2<u32>, ln_masses: vec2<u32>) -> u32 {
    let of_masses = difference64(vec2<u32>(ln_masses.y, 0u), vec2<u32>(ln_masses.x, 0u));
    let ratio = magnitude64(add64(shift_left64(difference, 2u), of_masses));
    return select(ratio.x, 0xffffffffu, ratio.y > 0u);
}

fn difference64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return add64(a, negate64(b));
}

fn is_negative64(a: vec2<u32>) -> bool {
    return a.y >= 0x80000000u;
}

// The number, or its negative.
fn signed64(a: vec2<u32>, is_negative: bool) -> vec2<u32> {
    return select(a, negate64(a), is_negative);
}

fn magnitude64(a: vec2<u32>) -> vec2<u32> {
    return signed64(a, is_negative64(a));
}

fn add96(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
    let low = add64(a.xy, b.xy);
    return vec3<u32>(low, a.z + b.z + u32(!at_least64(low, a.xy)));
}

fn signed96(a: vec3<u32>, is_negative: bool) -> vec3<u32> {
    return select(a, add96(~a, vec3<u32>(1u, 0u, 0u)), is_negative);
}

// A signed number of 64 bits.
fn widen96(a: vec2<u32>) -> vec3<u32> {
    return vec3<u32>(a, select(0u, 0xffffffffu, is_negative64(a)));
}

// For any `by` below 96.
fn shift_right96(value: vec3<u32>, by: u32) -> vec3<u32> {
    let part = vec3<u32>(by & 31u);
    let above = vec3<u32>(value.yz, 0u);
    let shifted = (value >> part) | ((above << vec3<u32>(1u)) << (vec3<u32>(31u) - part));
    let by_word = select(shifted, vec3<u32>(shifted.yz, 0u), by >= 32u);
    return select(by_word, vec3<u32>(by_word.yz, 0u), by >= 64u);
}

// Product of 128 bits, of a number below 2^63 and one below 2^63.
fn mul64(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    let low = mul_wide(a.x, b.x);
    let middle = add64(add64(mul_wide(a.x, b.y), mul_wide(a.y, b.x)), vec2<u32>(low.y, 0u));
    let high = add64(mul_wide(a.y, b.y), vec2<u32>(middle.y, 0u));
    return vec4<u32>(low.x, middle.x, high);
}
