// near: log-softmax of almost all logits by words of 32 bits; the bits of log_softmax_bits in wide.wgsl.
// Provides: NearRow, near_row, NearLogprob, near_logprob.
// Needs: exact, integers, logits, wide (.wgsl).
//
// All numbers are integers at MAX_POINT, cut into two words at bit n, where n is the least from 6 on for which the row's
// max + ln(mass) has 30 bits from there on, and a sign. Such a row has |max + ln(mass)| < 2^n.

struct NearRow {
    upper: u32,      // of max + ln(mass): its bits from n on, modulo 2^32
    lower: u32,      // its bits below n, at the top of the word; and in bit 0 the one of -x = ~x + 1
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

// A logit as ± mantissa · 2^(exponent - 157).
struct Parts {
    mantissa: u32, // the highest bit of a normal number is bit 30
    exponent: u32,
    flip: u32,     // all bits of a positive one, none of a negative one
}

// Of an element in the lower half of a word, or in a word where it is an f32.
fn parts_of(stored: u32) -> Parts {
    if DTYPE == 1u {
        let exponent = (stored >> 10u) & 31u;
        let mantissa = ((stored << 20u) & 0x3ff00000u) | select(0x40000000u, 0u, exponent == 0u);
        return Parts(mantissa, max(exponent, 1u) + 127u - 15u, ((stored >> 15u) & 1u) - 1u);
    }
    let bits = select(stored, stored << 16u, DTYPE == 2u);
    let exponent = (bits >> 23u) & 0xffu;
    let mantissa = ((bits << 7u) & 0x3fffff80u) | 0x40000000u;
    // Below 2^-MAX_POINT is zero, as fixed_wide has it.
    let is_zero = exponent < u32(127 - MAX_POINT);
    return Parts(select(mantissa, 0u, is_zero), select(exponent, 127u, is_zero), (bits >> 31u) - 1u);
}

struct NearLogprob {
    bits: u32,
    is_near: bool, // else the bits mean nothing
}

// Near are -infinity, and logits that are zero or of a magnitude from 2^(n - 31) to 2^(n + 1), where the logprob is -2^(n - 5)
// or less. With n = 6 that leaves out what is likelier than e^-2, and logits closer to 0 than 2^-25.
fn near_logprob(row: NearRow, stored: u32) -> NearLogprob {
    // 1. how far it lies below max + ln(mass): a positive one is subtracted, by its complement and one. Nothing stands between
    // the lower bits and bit 0, so that no carry is lost.
    let logit = parts_of(stored);
    let right = row.exponent - logit.exponent; // 0 to 31 of one that is near
    let lower = ((logit.mantissa << 1u) << ((31u - right) & 31u)) & row.lower_mask;
    let lower_sum = row.lower + (lower ^ logit.flip);
    let behind = u32((lower_sum & row.lower_mask) != 0u);
    let upper = (logit.mantissa >> (right & 31u)) ^ logit.flip;
    let sum = (row.upper + upper + u32(lower_sum < row.lower)) | behind;
    // 2. to its first 24 bits, ties to even: the highest goes to bit 30. At least two bits fall away, so that what lies behind
    // the word may stand in the last of them.
    let left = countLeadingZeros(sum) - 1u;
    let aligned = sum << (left & 31u);
    let rounded = (aligned + 0x3fu + ((aligned >> 7u) & 1u)) >> 7u;
    let bits = ((256u + row.exponent - 1u - left) << 23u) + rounded;
    let is_lowest = is_lowest_of(stored);
    return NearLogprob(select(bits, BITS_NEG_INFINITY, is_lowest), (right < 32u && left < 6u) || is_lowest);
}

// Whether an element is -infinity.
fn is_lowest_of(stored: u32) -> bool {
    if DTYPE == 0u {
        return stored == BITS_NEG_INFINITY;
    }
    return (stored << 16u) == select(0xff800000u, 0xfc000000u, DTYPE == 1u);
}
