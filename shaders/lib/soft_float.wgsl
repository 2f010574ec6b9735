// soft_float: binary32 sum, product and quotient by integers, rounded to nearest, ties to even, subnormals included
// (IEEE 754, 5.4.1), because WGSL leaves rounding and subnormals of its own operators open. An operand a that is
// infinite or NaN is returned as it is; b is finite.
// Provides: add_float, multiply_float, divide_float.
// Needs: integers.wgsl.

fn is_finite(bits: u32) -> bool {
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// Biased exponent, 1 for a subnormal.
fn exponent_of(bits: u32) -> i32 {
    return max(i32((bits >> 23u) & 0xffu), 1);
}

// Significand with its hidden bit.
fn significand_of(bits: u32) -> u32 {
    return (bits & 0x7fffffu) | select(0u, 0x800000u, (bits & 0x7f800000u) != 0u);
}

// The float nearest to significand · 2^(exponent − 127 − 31); bit 0 stands for everything below it.
fn pack_float(sign: u32, exponent: i32, significand: u32) -> u32 {
    if significand == 0u {
        return sign;
    }
    let lead = countLeadingZeros(significand);
    var aligned = significand << lead;
    var biased = exponent - i32(lead);
    if biased < 1 { // subnormal
        let down = u32(min(1 - biased, 31));
        let lost = aligned & ((1u << down) - 1u);
        aligned = (aligned >> down) | u32(lost != 0u);
        biased = 1;
    }
    let kept = aligned >> 8u;
    let rest = aligned & 0xffu;
    let up = u32(rest > 0x80u || (rest == 0x80u && (kept & 1u) == 1u));
    // The hidden bit raises the exponent by one, and so does a carry.
    return sign | min((u32(biased - 1) << 23u) + kept + up, 0x7f800000u);
}

fn add_float(a: u32, b: u32) -> u32 {
    if !is_finite(a) {
        return a;
    }
    let a_is_larger = (a & 0x7fffffffu) >= (b & 0x7fffffffu);
    let large = select(b, a, a_is_larger);
    let small = select(a, b, a_is_larger);
    let exponent = exponent_of(large);
    let apart = u32(min(exponent - exponent_of(small), 31));
    let x = significand_of(large) << 7u; // bit 30 is the hidden one
    let wide = significand_of(small) << 7u;
    let y = (wide >> apart) | u32((wide & ((1u << apart) - 1u)) != 0u);
    let sum = select(x - y, x + y, ((a ^ b) & 0x80000000u) == 0u);
    if sum == 0u {
        return 0u;
    }
    return pack_float(large & 0x80000000u, exponent + 1, sum);
}

// b is normal.
fn multiply_float(a: u32, b: u32) -> u32 {
    if !is_finite(a) || (a & 0x7fffffffu) == 0u {
        return a;
    }
    let lead = countLeadingZeros(significand_of(a));
    let product = mul_wide(significand_of(a) << lead, significand_of(b) << 8u); // both Q31
    let exponent = exponent_of(a) - (i32(lead) - 8) + exponent_of(b) - 126;
    return pack_float((a ^ b) & 0x80000000u, exponent, product.y | u32(product.x != 0u));
}

// b is normal.
fn divide_float(a: u32, b: u32) -> u32 {
    if !is_finite(a) || (a & 0x7fffffffu) == 0u {
        return a;
    }
    let lead = countLeadingZeros(significand_of(a)) - 8u;
    let divisor = significand_of(b); // 24 bits, so that eight more of a quotient fit a word
    var quotient = more_of_quotient(vec2<u32>(0u, significand_of(a) << lead), divisor, 0u);
    quotient = more_of_quotient(quotient, divisor, 8u);
    quotient = more_of_quotient(quotient, divisor, 8u);
    quotient = more_of_quotient(quotient, divisor, 8u);
    quotient = more_of_quotient(quotient, divisor, 2u); // Q26
    let exponent = exponent_of(a) - i32(lead) - exponent_of(b) + 127;
    return pack_float((a ^ b) & 0x80000000u, exponent, (quotient.x << 5u) | u32(quotient.y != 0u));
}

// So many bits more of a quotient, of which the rest is left.
fn more_of_quotient(quotient_and_rest: vec2<u32>, divisor: u32, bits: u32) -> vec2<u32> {
    let rest = quotient_and_rest.y << bits;
    let digit = rest / divisor;
    return vec2<u32>((quotient_and_rest.x << bits) | digit, rest - digit * divisor);
}
