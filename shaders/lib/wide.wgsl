// wide: logarithm of a mass and correctly rounded f32 results, by integers alone; docs/exact.md section 10.
// Provides: MAX_POINT, ln_mass_fixed, ln_at, fixed_wide, log_softmax_bits, log_sum_exp_bits.
// Needs: exact.wgsl, integers.wgsl. A signed 64-bit number is two's complement in (low, high).

const MAX_POINT: i32 = 30; // finest binary point of a wide number

fn negate64(a: vec2<u32>) -> vec2<u32> {
    return add64(~a, vec2<u32>(1u, 0u));
}

// ln(mass / 2^40), Q26, of a mass of at least 2^40.
fn ln_mass_fixed(mass: vec2<u32>) -> u32 {
    return mul_high(log2_q26(mass) - (40u << 26u), 2977044472u); // round(ln 2 · 2^32)
}

// Binary point at which both values, and their difference, fit 63 bits.
fn binary_point(a: u32, b: u32) -> i32 {
    let exponent = i32(max((a >> 23u) & 0xffu, (b >> 23u) & 0xffu));
    return min(60 - (exponent - 127), MAX_POINT);
}

// A Q26 logarithm at another binary point; zero where it lies below the last bit.
fn ln_at(ln_mass: u32, point: i32) -> vec2<u32> {
    return shift_right64(vec2<u32>(ln_mass << 4u, ln_mass >> 28u), u32(MAX_POINT - point));
}

// trunc(x · 2^point) of a finite f32.
fn fixed_wide(bits: u32, point: i32) -> vec2<u32> {
    let mantissa = vec2<u32>((bits & 0x7fffffu) | 0x800000u, 0u);
    let left = i32((bits >> 23u) & 0xffu) - 150 + point;
    let up = shift_left64(mantissa, u32(clamp(left, 0, 63)));
    let down = shift_right64(mantissa, u32(clamp(-left, 0, 31)));
    let magnitude = select(down, up, left >= 0);
    return select(magnitude, negate64(magnitude), bits >= 0x80000000u);
}

// Bits of the f32 nearest to ± magnitude · 2^-point, ties to even; infinity past the largest.
fn float_bits(sign: u32, magnitude: vec2<u32>, point: i32) -> u32 {
    if magnitude.x == 0u && magnitude.y == 0u {
        return 0u;
    }
    let lead = select(countLeadingZeros(magnitude.y), 32u + countLeadingZeros(magnitude.x), magnitude.y == 0u);
    let aligned = shift_left64(magnitude, lead); // bit 63 set
    let kept = aligned.y >> 8u;                  // 24 bits
    let rest = aligned.y & 0xffu;
    let above_half = rest > 0x80u || (rest == 0x80u && aligned.x != 0u);
    let tie = rest == 0x80u && aligned.x == 0u;
    let round = u32(above_half || (tie && (kept & 1u) == 1u));
    let exponent = 63 - i32(lead) - point + 127;
    // A carry out of the mantissa moves into the exponent, as it should.
    return (sign << 31u) | min((u32(exponent - 1) << 23u) + kept + round, 0x7f800000u);
}

// Bits of the f32 nearest to x - max - ln(mass).
fn log_softmax_bits(max_bits: u32, ln_mass: u32, bits: u32) -> u32 {
    if bits == BITS_NEG_INFINITY {
        return bits;
    }
    let point = binary_point(max_bits, bits);
    let distance = add64(fixed_wide(max_bits, point), negate64(fixed_wide(bits, point)));
    if distance.x == 0u && distance.y == 0u {
        return float_bits(1u, ln_at(ln_mass, MAX_POINT), MAX_POINT);
    }
    return float_bits(1u, add64(distance, ln_at(ln_mass, point)), point);
}

// Bits of the f32 nearest to max + ln(mass).
fn log_sum_exp_bits(max_bits: u32, ln_mass: u32) -> u32 {
    let point = binary_point(max_bits, max_bits);
    let sum = add64(fixed_wide(max_bits, point), ln_at(ln_mass, point));
    let negative = sum.y >= 0x80000000u;
    return float_bits(u32(negative), select(sum, negate64(sum), negative), point);
}
