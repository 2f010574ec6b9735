// radix: the way of a radix select down a code, 8 bits at a time: four digits of the key, then three of the complement
// of the place, which has 20 bits (Knuth, TAOCP 3, 5.2.5). How the items of a digit are counted is the selection's own.
// Provides: CODE_DIGITS, KEY_DIGITS, Walk, ROOT, look_at, has_prefix, digit_in, narrow, largest_with.
// Needs: nothing.

const KEY_DIGITS: u32 = 4u;
const CODE_DIGITS: u32 = 7u;

// What is known of the code that is looked for, and the digit that comes next.
struct Walk {
    prefix: vec2<u32>, // zero where nothing is known
    mask: vec2<u32>,   // ones where it is known
    in_key: bool,      // the digit lies in the code's first word
    shift: u32,        // of the digit in its word
}

const ROOT: Walk = Walk(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), true, 24u);

fn look_at(walk: Walk, digit: u32) -> Walk {
    let in_key = digit < KEY_DIGITS;
    let shift = select(16u - 8u * (digit - KEY_DIGITS), 24u - 8u * digit, in_key);
    return Walk(walk.prefix, walk.mask, in_key, shift);
}

fn has_prefix(walk: Walk, code: vec2<u32>) -> bool {
    return all((code & walk.mask) == walk.prefix);
}

fn digit_in(walk: Walk, code: vec2<u32>) -> u32 {
    return (select(code.y, code.x, walk.in_key) >> walk.shift) & 0xffu;
}

// The digit is known: it has this value.
fn narrow(walk: Walk, value: u32) -> Walk {
    let in_word = select(vec2<u32>(0u, 1u), vec2<u32>(1u, 0u), walk.in_key);
    let prefix = walk.prefix | (in_word * (value << walk.shift));
    return Walk(prefix, walk.mask | (in_word * (0xffu << walk.shift)), walk.in_key, walk.shift);
}

// The largest code with the prefix; the prefix is the smallest.
fn largest_with(walk: Walk) -> vec2<u32> {
    return walk.prefix | (~walk.mask & vec2<u32>(0xffffffffu, 0xffffffu));
}
