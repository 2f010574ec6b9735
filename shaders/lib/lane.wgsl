// lane: sixteen tokens and their weights relative to their own maximum; docs/exact.md, 6 and 8, src/arithmetic/lane.rs.
// Provides: Sixteen, PER_LOGIT_ONE, max_of, sum_of_weights, sums_of_both, lane_mass, lane_surprisal.
// Needs: integers, exact, floats (.wgsl), the kernel's `lane_table`.

// The tokens of a lane, in order: written out, so that every one has a register of its own.
struct Sixteen {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

const CHORD: u32 = 0x3fb8ba3du; // slope of the chords between the entries of `lane_table`
const WHOLE_OCTAVES: u32 = 0x7f800000u; // of a distance: where the exponent of an f32 lies

// As bits of f32, in units of 2^-23 octaves.
const FARTHEST: u32 = 0x4df00000u; // 60 octaves
const NEAREST: u32 = 0x30800000u; // 2^-30: no whole unit, and keeps subnormals out of the surprisal
const PER_LOGIT_ONE: u32 = 0x4b38aa3cu; // a unit of the logits at temperature 1

// Bits of the largest value: as a signed number, or where all are negative the least as an unsigned one.
fn max_of(t: Sixteen) -> u32 {
    let largest = max(max(max(bitcast<vec4<i32>>(t.a), bitcast<vec4<i32>>(t.b)), bitcast<vec4<i32>>(t.c)), bitcast<vec4<i32>>(t.d));
    let least = min(min(min(t.a, t.b), t.c), t.d);
    let positive = max(max(max(largest.x, largest.y), largest.z), largest.w);
    let negative = min(min(min(least.x, least.y), least.z), least.w);
    return select(negative, bitcast<u32>(positive), positive >= 0);
}

// Distances below a maximum, in units of 2^-23 octaves: f32 bits.
fn distances(max_bits: u32, bits: vec4<u32>, per_logit: u32) -> vec4<u32> {
    // By the bits: those of -infinity's, and of what is no number, lie beyond the farthest.
    return min(multiply4(subtract4(vec4<u32>(max_bits), bits), vec4<u32>(per_logit)), vec4<u32>(FARTHEST));
}

// 2 to the minus the fraction of the octaves, f32 bits, of distances in whole units.
fn mantissas(units: vec4<u32>) -> vec4<u32> {
    let place = (units >> vec4<u32>(13u)) & vec4<u32>(0x3ffu);
    let entries = vec4<u32>(lane_table[place.x], lane_table[place.y], lane_table[place.z], lane_table[place.w]);
    return multiply4(entries, vec4<u32>(CHORD) - (units & vec4<u32>(0x1fffu)));
}

// Numbers times 2 to the minus the whole octaves.
fn lowered(numbers: vec4<u32>, units: vec4<u32>) -> vec4<u32> {
    return numbers - (units & vec4<u32>(WHOLE_OCTAVES));
}

fn weights(max_bits: u32, bits: vec4<u32>, per_logit: u32) -> vec4<u32> {
    let units = truncate4(distances(max_bits, bits, per_logit));
    return lowered(mantissas(units), units);
}

// Sum of sixteen numbers: first of those that stand four apart, then of neighbours.
fn sum_of(t: Sixteen) -> u32 {
    let four = add4(add4(t.a, t.b), add4(t.c, t.d));
    return add1(add1(four.x, four.y), add1(four.z, four.w));
}

fn sum_of_weights(max_bits: u32, t: Sixteen, per_logit: u32) -> u32 {
    return sum_of(Sixteen(
        weights(max_bits, t.a, per_logit), weights(max_bits, t.b, per_logit),
        weights(max_bits, t.c, per_logit), weights(max_bits, t.d, per_logit)));
}

struct Both4 {
    weights: vec4<u32>,
    surprisals: vec4<u32>, // weights times distances
}

fn both(max_bits: u32, bits: vec4<u32>, per_logit: u32) -> Both4 {
    let distance = distances(max_bits, bits, per_logit);
    let units = truncate4(distance);
    let mantissa = mantissas(units);
    return Both4(lowered(mantissa, units), lowered(multiply4(mantissa, max(distance, vec4<u32>(NEAREST))), units));
}

// Sums of weights and of surprisals.
fn sums_of_both(max_bits: u32, t: Sixteen, per_logit: u32) -> vec2<u32> {
    let a = both(max_bits, t.a, per_logit);
    let b = both(max_bits, t.b, per_logit);
    let c = both(max_bits, t.c, per_logit);
    let d = both(max_bits, t.d, per_logit);
    return vec2<u32>(
        sum_of(Sixteen(a.weights, b.weights, c.weights, d.weights)),
        sum_of(Sixteen(a.surprisals, b.surprisals, c.surprisals, d.surprisals)));
}

// Q50 mass of a lane with this sum of weights, so many octaves (Q24) below its tile's maximum.
fn lane_mass(sum: u32, mantissa: u32, octaves: u32) -> vec2<u32> {
    let whole = u32(bitcast<f32>(sum) * 8388608.0); // exact: at most 16
    return shift_right64(mul_wide(whole, mantissa), 4u + (octaves >> 24u));
}

// Q44 surprisal of a lane with this sum of surprisals and this mass.
fn lane_surprisal(sum: u32, mass: vec2<u32>, mantissa: u32, octaves: u32) -> vec2<u32> {
    let whole = u32(bitcast<f32>(sum) * 16.0); // exact: below 2^27
    // The lane's own distance counts for all its mass; where that is not zero, octaves are below 2^30.
    return add64(
        shift_right64(mul_wide(whole, mantissa), 14u + (octaves >> 24u)), mul_shift(mass, octaves << 2u, 32u));
}
