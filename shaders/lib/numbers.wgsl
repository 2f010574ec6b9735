// numbers: quotients and roots of integers, for the filters; docs/sampling.md, src/arithmetic/numbers.rs.
// Provides: ceil_ratio, quotient_q24, divide64, subtract64, root64, first_squared, share_q43, rate_of.
// Needs: integers.wgsl, and the kernel's uniform `chunk`, for loops that stay loops.

// ⌈value · factor / 2^by⌉ for by >= 31 and a result below 2^64.
fn ceil_ratio(value: vec2<u32>, factor: u32, by: u32) -> vec2<u32> {
    let low = mul_wide(value.x, factor);
    let upper = add64(mul_wide(value.y, factor), vec2<u32>(low.y, 0u)); // the product's upper 64 of 96 bits
    if by == 31u {
        let doubled = shift_left64(upper, 1u) | vec2<u32>(low.x >> 31u, 0u);
        return add64(doubled, vec2<u32>(u32((low.x << 1u) != 0u), 0u));
    }
    let amount = min(by - 32u, 63u);
    let floor = shift_right64(upper, amount);
    let is_exact = low.x == 0u && all(shift_left64(floor, amount) == upper);
    return add64(floor, vec2<u32>(u32(!is_exact), 0u));
}

// ⌊a · 2^24 / b⌋ for a < 128 b, b below 2^56, and b > 0.
fn quotient_q24(a: vec2<u32>, b: vec2<u32>) -> u32 {
    var rest = a;
    var quotient = 0u;
    for (var bit = chunk.nothing; bit < 31u; bit++) {
        let whole = bit < 7u;
        if !whole {
            rest = shift_left64(rest, 1u);
        }
        let divisor = shift_left64(b, select(0u, 6u - bit, whole));
        let fits = at_least64(rest, divisor);
        quotient = (quotient << 1u) | u32(fits);
        if fits {
            rest = subtract64(rest, divisor);
        }
    }
    return quotient;
}

fn subtract64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

// ⌊a / b⌋ for 0 < b < 2^31: the quotient moves in where the dividend moves out.
fn divide64(a: vec2<u32>, b: u32) -> vec2<u32> {
    var quotient = a;
    var rest = 0u;
    for (var i = chunk.nothing; i < 64u; i++) {
        rest = (rest << 1u) | (quotient.y >> 31u);
        let fits = u32(rest >= b);
        rest -= fits * b;
        quotient = vec2<u32>((quotient.x << 1u) | fits, (quotient.y << 1u) | (quotient.x >> 31u));
    }
    return quotient;
}

// ⌈part · 2^43 / whole⌉ for a part of at most the whole, which is at most 2^63 and not 0.
fn share_q43(part: vec2<u32>, whole: vec2<u32>) -> vec2<u32> {
    var rest = part;
    var quotient = vec2<u32>(0u, 0u);
    for (var bit = chunk.nothing; bit <= 43u; bit++) {
        rest = shift_left64(rest, min(bit, 1u));
        let fits = at_least64(rest, whole);
        quotient = vec2<u32>((quotient.x << 1u) | u32(fits), (quotient.y << 1u) | (quotient.x >> 31u));
        rest = select(rest, subtract64(rest, whole), fits);
    }
    return add64(quotient, vec2<u32>(u32(any(rest != vec2<u32>(0u, 0u))), 0u));
}

// ⌊√a⌋
fn root64(a: vec2<u32>) -> u32 {
    var root = 0u;
    for (var i = chunk.nothing; i < 32u; i++) {
        let tried = root | (0x80000000u >> i);
        if at_least64(a, mul_wide(tried, tried)) {
            root = tried;
        }
    }
    return root;
}

// ⌊2^86 / mass⌋ to 31 bits, for a mass of at least 2^43.
fn first_squared(mass: vec2<u32>) -> vec2<u32> {
    let lead = select(countLeadingZeros(mass.y), 32u + countLeadingZeros(mass.x), mass.y == 0u);
    let leading = shift_left64(mass, lead).y >> 1u; // 31 bits
    return shift_right64(shift_left64(divide64(vec2<u32>(0u, 1u << 30u), leading), lead), 9u);
}

const LOG2_E_LOW: u32 = 0x94ae0bf8u;  // log2 e · 2^54, rounded
const LOG2_E_HIGH: u32 = 0x5c551du;

// Octaves per unit of logits, Q54, at a temperature of so many units.
fn rate_of(unit: u32) -> u32 {
    return divide64(add64(vec2<u32>(LOG2_E_LOW, LOG2_E_HIGH), vec2<u32>(unit >> 1u, 0u)), unit).x;
}
