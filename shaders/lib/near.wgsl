// near: log-softmax of almost all logits by words of 32 bits; the bits of log_softmax_bits in wide.wgsl.
// Provides: NearRow, near_row, NearLogprobs, near_logprobs.
// Needs: exact, integers, logits, wide (.wgsl).
//
// All numbers are integers at MAX_POINT, cut into two words at bit n, where n is the least from 6 on for which the row's
// max + ln(mass) has 30 bits from there on, and a sign. Such a row has |max + ln(mass)| < 2^n.

struct NearRow {
    upper: u32,      // of max + ln(mass): its bits from n on, modulo 2^32
    lower: u32,      // its bits below n, at the top of the word; bit 0 is set besides: -x is ~x + 1
    lower_mask: u32, // the places of those bits
    exponent: u32,   // 127 + n; 0 where the maximum is 2^21 or more, and no logit is near
}

fn near_row(max_bits: u32, ln_mass: u32) -> NearRow {
    if ((max_bits >> 23u) & 0xffu) >= 127u + 21u {
        return NearRow(0u, 0u, 0u, 0u);
    }
    let sum = add64(fixed_wide(max_bits, MAX_POINT), ln_at(ln_mass, MAX_POINT));
    let high = select(sum.y, ~sum.y, sum.y >= 0x80000000u);
    let n = 2u + max(32u - countLeadingZeros(high), 4u); // at most 22
    let left = 32u - n;
    return NearRow((sum.x >> n) | (sum.y << left), (sum.x << left) | 1u, 0xffffffffu << left, 127u + n);
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
    // Below 2^-MAX_POINT is zero, as fixed_wide has it.
    let is_zero = exponents < vec4<u32>(u32(127 - MAX_POINT));
    return Parts(
        select(mantissas, vec4<u32>(0u), is_zero), select(exponents, vec4<u32>(127u), is_zero),
        (bits >> vec4<u32>(31u)) - one);
}

struct NearLogprobs {
    bits: vec4<u32>,
    is_near: vec4<bool>, // else the bits mean nothing
}

// Near are -infinity, and logits that are zero or of a magnitude from 2^(n - 31) to 2^(n + 1), where the logprob is -2^(n - 5)
// or less. With n = 6 that leaves out what is likelier than e^-2, and logits closer to 0 than 2^-25.
fn near_logprobs(row: NearRow, stored: vec4<u32>) -> NearLogprobs {
    let one = vec4<u32>(1u);
    // 1. how far they lie below max + ln(mass): a positive one is subtracted, by its complement and one. Nothing stands
    // between the lower bits and bit 0, so that no carry is lost.
    let logits = parts_of(stored);
    let right = vec4<u32>(row.exponent) - logits.exponents; // 0 to 31 of those that are near
    let upper = logits.mantissas >> (right & vec4<u32>(31u));
    let lower = ((logits.mantissas << one) << ((vec4<u32>(31u) - right) & vec4<u32>(31u))) & vec4<u32>(row.lower_mask);
    let lower_sum = vec4<u32>(row.lower) + (lower ^ logits.flips);
    let carry = select(vec4<u32>(0u), one, lower_sum < vec4<u32>(row.lower));
    let behind = select(vec4<u32>(0u), one, (lower_sum & vec4<u32>(row.lower_mask)) != vec4<u32>(0u));
    let sum = (vec4<u32>(row.upper) + (upper ^ logits.flips) + carry) | behind;
    // 2. to its first 24 bits, ties to even: the highest goes to bit 30. At least two bits fall away, so that what lies behind
    // the word may stand in the last of them.
    let left = countLeadingZeros(sum) - one;
    let aligned = sum << (left & vec4<u32>(31u));
    let rounded = (aligned + vec4<u32>(0x3fu) + ((aligned >> vec4<u32>(7u)) & one)) >> vec4<u32>(7u);
    let signed_exponents = vec4<u32>(256u + row.exponent - 1u) - left;
    let is_lowest = is_lowest_of(stored);
    let bits = select((signed_exponents << vec4<u32>(23u)) + rounded, vec4<u32>(BITS_NEG_INFINITY), is_lowest);
    return NearLogprobs(bits, ((right < vec4<u32>(32u)) & (left < vec4<u32>(6u))) | is_lowest);
}

// Whether elements are -infinity.
fn is_lowest_of(stored: vec4<u32>) -> vec4<bool> {
    if DTYPE == 0u {
        return stored == vec4<u32>(BITS_NEG_INFINITY);
    }
    return (stored << vec4<u32>(16u)) == vec4<u32>(select(0xff800000u, 0xfc000000u, DTYPE == 1u));
}
