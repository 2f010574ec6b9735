// radix: the way of a radix select from a range of codes down to one of them, 8 bits at a time (Knuth, TAOCP 3, 5.2.5):
// four digits of the key, from the largest ones or from all, then three of the complement of the place, which has 20 bits. How the items of a digit are counted
// is the selection's own.
// Provides: CODE_DIGITS, Walk, ALL_CODES, top_codes, codes_below, is_top, is_in, digit_in, narrow, is_key, is_one, largest_in.
// Needs: format.wgsl.

const CODE_DIGITS: u32 = 7u;
const PLACE_BITS: u32 = 20u;
const TOP_BITS: u32 = 26u;

// Codes whose keys lie side by side, or the places of one key.
struct Walk {
    first: vec2<u32>, // the smallest
    last: u32,        // the largest key's word
    in_key: bool,     // of several keys
    bits: u32,        // 2^bits of them, or of the places; by `last` fewer
}

const ALL_CODES: Walk = Walk(vec2<u32>(0u, 0u), 0xffffffffu, true, 32u);

// The 2^26 keys down from the largest: eight halvings of a logit of one sign. Their first digits differ, where those of all
// codes are exponents, of which a row has few: then all lanes would add to the same.
fn top_codes(largest: u32) -> Walk {
    return Walk(vec2<u32>(largest - min(largest, (1u << TOP_BITS) - 1u), 0u), 0xffffffffu, true, TOP_BITS);
}

// Whether there are others below.
fn is_top(walk: Walk) -> bool {
    return walk.bits == TOP_BITS && walk.first.x > 0u;
}

fn codes_below(walk: Walk) -> Walk {
    return Walk(vec2<u32>(0u, 0u), walk.first.x - 1u, true, 32u);
}

fn shift_of(walk: Walk) -> u32 {
    return max(walk.bits, 8u) - 8u;
}

// (What is smaller than the first differs from it by 2^bits and more, without sign.)
fn is_in(walk: Walk, code: vec2<u32>) -> bool {
    if code.x > walk.last {
        return false;
    }
    let n_digits = 1u << min(walk.bits, 8u);
    if walk.in_key {
        return ((code.x - walk.first.x) >> shift_of(walk)) < n_digits;
    }
    return code.x == walk.first.x && ((code.y - walk.first.y) >> shift_of(walk)) < n_digits;
}

// Of a code in the range.
fn digit_in(walk: Walk, code: vec2<u32>) -> u32 {
    return select(code.y - walk.first.y, code.x - walk.first.x, walk.in_key) >> shift_of(walk);
}

// The codes with this digit.
fn narrow(walk: Walk, value: u32) -> Walk {
    let shift = shift_of(walk);
    let by = select(vec2<u32>(0u, value << shift), vec2<u32>(value << shift, 0u), walk.in_key);
    let is_key = walk.in_key && shift == 0u;
    return Walk(walk.first + by, walk.last, walk.in_key && !is_key, select(shift, PLACE_BITS, is_key));
}

// Whether one key is left, all of its places.
fn is_key(walk: Walk) -> bool {
    return !walk.in_key;
}

// Whether one code is left.
fn is_one(walk: Walk) -> bool {
    return !walk.in_key && walk.bits == 0u;
}

fn largest_in(walk: Walk) -> vec2<u32> {
    let span = 0xffffffffu >> (32u - max(walk.bits, 1u));
    if walk.in_key {
        return vec2<u32>(min(walk.first.x + span, walk.last), LAST_TOKEN);
    }
    return walk.first + vec2<u32>(0u, select(span, 0u, walk.bits == 0u));
}
