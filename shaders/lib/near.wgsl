// near: log-softmax of almost all logits without a 64-bit number per token; the bits of log_softmax_bits in wide.wgsl.
// Provides: NearRow, near_row, near_logprobs.
// Needs: exact, integers, logits, wide (.wgsl).

// The row's part: max + ln(mass) in two words, around the finest point that leaves 30 bits before it and the sign. Where the
// maximum is 2^21 or more no logit is near.
struct NearRow {
    upper: u32,      // the bits before that point, modulo 2^32
    lower: u32,      // those from there to MAX_POINT, uppermost; below them a one, which a complement lacks
    lower_mask: u32, // where they are
    exponent: u32,   // biased, of the power of two above the sum: near logits lie below it
}

fn near_row(max_bits: u32, ln_mass: u32) -> NearRow {
    if ((max_bits >> 23u) & 0xffu) >= 127u + 21u {
        return NearRow(0u, 0u, 0u, 0u);
    }
    let sum = add64(fixed_wide(max_bits, MAX_POINT), ln_at(ln_mass, MAX_POINT));
    let high = select(sum.y, ~sum.y, sum.y >= 0x80000000u);
    let n_lower = 2u + max(32u - countLeadingZeros(high), 4u); // 6 for a sum below 64
    let up = 32u - n_lower;
    return NearRow((sum.x >> n_lower) | (sum.y << up), (sum.x << up) | 1u, 0xffffffffu << up, 127u + n_lower);
}

// Four logits as ± mantissa · 2^(exponent - 157).
struct Parts {
    mantissas: vec4<u32>, // the highest bit of a normal number is bit 30
    exponents: vec4<u32>,
    flips: vec4<u32>,     // all bits of a positive one, none of a negative one
}

// Of elements in the lower halves of words, or in words where they are f32.
fn parts_of(stored: vec4<u32>) -> Parts {
    let one = vec4<u32>(1u);
    let hidden = vec4<u32>(0x40000000u);
    if DTYPE == 1u {
        let exponents = (stored >> vec4<u32>(10u)) & vec4<u32>(31u);
        let mantissas = ((stored << vec4<u32>(20u)) & vec4<u32>(0x3ff00000u))
            | select(hidden, vec4<u32>(0u), exponents == vec4<u32>(0u));
        return Parts(mantissas, max(exponents, one) + vec4<u32>(127u - 15u), ((stored >> vec4<u32>(15u)) & one) - one);
    }
    var bits = stored;
    if DTYPE == 2u {
        bits = stored << vec4<u32>(16u);
    }
    let exponents = (bits >> vec4<u32>(23u)) & vec4<u32>(0xffu);
    let mantissas = ((bits << vec4<u32>(7u)) & vec4<u32>(0x3fffff80u)) | hidden;
    // What has no bit before MAX_POINT is zero.
    let is_zero = exponents < vec4<u32>(u32(127 - MAX_POINT));
    return Parts(
        select(mantissas, vec4<u32>(0u), is_zero), select(exponents, vec4<u32>(127u), is_zero),
        (bits >> vec4<u32>(31u)) - one);
}

struct NearLogprobs {
    bits: vec4<u32>,
    is_near: vec4<bool>, // else the bits mean nothing
}

// Near are -infinity and all logits below the row's exponent whose results have 26 bits before its point: all but a few of
// the likeliest, those within 2^-26 of zero, and those as large as no other.
fn near_logprobs(row: NearRow, stored: vec4<u32>) -> NearLogprobs {
    let one = vec4<u32>(1u);
    // 1. what lies below the sum: a positive logit is subtracted, by its complement and one
    let logits = parts_of(stored);
    let down = vec4<u32>(row.exponent) - logits.exponents;
    let upper = logits.mantissas >> (down & vec4<u32>(31u));
    let lower = (logits.mantissas << ((vec4<u32>(0u) - down) & vec4<u32>(31u))) & vec4<u32>(row.lower_mask);
    let lower_sum = vec4<u32>(row.lower) + (lower ^ logits.flips);
    let carry = select(vec4<u32>(0u), one, lower_sum < vec4<u32>(row.lower));
    let behind = select(vec4<u32>(0u), one, (lower_sum & vec4<u32>(row.lower_mask)) != vec4<u32>(0u));
    let sum = (vec4<u32>(row.upper) + (upper ^ logits.flips) + carry) | behind;
    // 2. to its first 24 bits, ties to even: the highest goes to bit 30
    let up = countLeadingZeros(sum) - one;
    let aligned = sum << (up & vec4<u32>(31u));
    let rounded = (aligned + vec4<u32>(0x3fu) + ((aligned >> vec4<u32>(7u)) & one)) >> vec4<u32>(7u);
    let signed_exponents = vec4<u32>(256u + row.exponent - 1u) - up;
    let is_lowest = is_lowest_of(stored);
    let bits = select((signed_exponents << vec4<u32>(23u)) + rounded, vec4<u32>(BITS_NEG_INFINITY), is_lowest);
    return NearLogprobs(bits, (((down - one) < vec4<u32>(31u)) & (up < vec4<u32>(6u))) | is_lowest);
}

// Whether elements are -infinity.
fn is_lowest_of(stored: vec4<u32>) -> vec4<bool> {
    if DTYPE == 0u {
        return stored == vec4<u32>(BITS_NEG_INFINITY);
    }
    return (stored << vec4<u32>(16u)) == vec4<u32>(select(0xff800000u, 0xfc000000u, DTYPE == 1u));
}
