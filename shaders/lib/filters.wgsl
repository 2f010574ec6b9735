// filters: what the filters of docs/sampling.md need beyond sums: thresholds of keys, selection by mass, moments.
// Provides: lowest_key, select_mass, sigma_distance, dynamic_scale.
// Needs: batch, exact, request, numbers, select, open (.wgsl), the kernel's bindings `table`, `requests`, its `request`.

// A quantity that never falls with the distance from the maximum, and its limit.
const BY_WEIGHT: u32 = 0u;   // row weight >= limit
const BY_OCTAVES: u32 = 1u;  // octaves <= limit.x
const BY_DISTANCE: u32 = 2u; // distance, Q20, <= limit.x

fn is_within(quantity: u32, limit: vec2<u32>, key: i32, scale: Scale, max_bits: u32) -> bool {
    let bits = bits_of_key(key);
    if quantity == BY_DISTANCE {
        return distance_q20(max_bits, bits) <= limit.x;
    }
    let octaves = octaves_below(max_bits, bits, scale);
    if octaves == FAR {
        return false;
    }
    if quantity == BY_OCTAVES {
        return octaves <= limit.x;
    }
    return at_least64(row_weight(mantissa(table[table_index(octaves)], octaves), octaves), limit);
}

// The lowest key within the limit; the maximum's where not even that is.
fn lowest_key(quantity: u32, limit: vec2<u32>, scale: Scale, max_bits: u32) -> i32 {
    var below = KEY_NEG_INFINITY; // never within
    var within = key_of_bits(max_bits);
    while u32(within - below) > 1u { // keys are apart by less than 2^32
        let middle = below + i32(u32(within - below) >> 1u);
        if is_within(quantity, limit, middle, scale, max_bits) {
            within = middle;
        } else {
            below = middle;
        }
    }
    return within;
}

// Distance below the maximum, Q20, at most 256: a masked logit of -10000 counts as 256 below.
fn distance_q20(max_bits: u32, bits: u32) -> u32 {
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, 20) - fixed(bits, 20);
    // Decides only "far" or "near": anything from 128 to 1900 gives the same.
    return select(1u << 28u, min(distance, 1u << 28u), half_distance < 1000.0);
}

// n times the standard deviation of the run's logits, as a distance, Q20; n is Q16.
fn sigma_distance(n_sigma: u32, max_bits: u32, lane: u32) -> u32 {
    var distances = vec2<u32>(0u, 0u); // Q20
    var squares = vec2<u32>(0u, 0u);   // Q28
    var count = 0u;
    let n = n_opened_tokens();
    for (var i = lane; i < n; i += LANES) {
        let code = item(OF_TOKENS, i);
        if at_least(code, LOWEST) {
            let distance = distance_q20(max_bits, bits_of_key(key_of_code(code)));
            let square = mul_wide(distance, distance);
            distances = add64(distances, vec2<u32>(distance, 0u));
            squares = add64(squares, shift_right64(square, 12u));
            count += 1u;
        }
    }
    reopened += n;
    let total = reduce_sum(Sum(distances, squares, count), lane);
    let mean = divide64(shift_left64(total.mass, 4u), total.count).x; // Q24
    let mean_square = shift_right64(mul_wide(mean, mean), 20u);       // Q28
    let square_mean = divide64(total.surprisal, total.count);         // Q28
    var variance = vec2<u32>(0u, 0u);
    if at_least64(square_mean, mean_square) {
        variance = subtract64(square_mean, mean_square);
    }
    let sigma = root64(shift_left64(variance, 12u)); // Q20
    let scaled = shift_right64(mul_wide(sigma, n_sigma), 16u);
    return select(min(scaled.x, 1u << 30u), 1u << 30u, scaled.y > 0u); // beyond every distance
}

// A selection by mass: whether the run has it, and where.
struct Found {
    code: vec2<u32>,
    is_there: bool,
}

var<workgroup> mass_bucket: vec4<u32>;          // digit, items in it, mass before it (low, high)
var<workgroup> group_masses: array<vec2<u32>, 16>;

// What orders the walk: the code itself, or how near the octaves are to the centre.
fn walk_code(code: vec2<u32>, by_deviation: bool, centre: u32, octaves: u32) -> vec2<u32> {
    if !by_deviation {
        return code;
    }
    return vec2<u32>(~(max(octaves, centre) - min(octaves, centre)), 0u);
}

// The first place, from the run's first token on, up to which the mass reaches `wanted` (at least 1). By deviation, the
// deviation up to which it does, complemented, in code.x. A radix walk like select_top's, with masses instead of counts.
fn select_mass(by_deviation: bool, centre: u32, wanted: vec2<u32>, scale: Scale, max_bits: u32, lane: u32) -> Found {
    var prefix = vec2<u32>(0u, 0u);
    var mask = vec2<u32>(0u, 0u);
    var before = vec2<u32>(0u, 0u);
    let n = n_opened_tokens();
    let n_digits = select(7u, 4u, by_deviation);
    for (var digit = 0u; digit < n_digits; digit++) {
        let in_key = digit < 4u;
        let shift = select(16u - 8u * (digit - 4u), 24u - 8u * digit, in_key);
        atomicStore(&histogram[lane], 0u);
        atomicStore(&low[lane], 0u);
        atomicStore(&high[lane], 0u);
        workgroupBarrier(); // empty histograms before the counting
        for (var i = lane; i < n; i += LANES) {
            let code = item(OF_TOKENS, i);
            if at_least(code, LOWEST) {
                let octaves = octaves_below(max_bits, bits_of_key(key_of_code(code)), scale);
                let place = walk_code(code, by_deviation, centre, octaves);
                if octaves != FAR && all((place & mask) == prefix) {
                    let value = (select(place.y, place.x, in_key) >> shift) & 0xffu;
                    atomicAdd(&histogram[value], 1u);
                    add_mass(value, row_weight(mantissa(table[table_index(octaves)], octaves), octaves));
                }
            }
        }
        reopened += n;
        workgroupBarrier(); // full histograms before the search
        if lane < 16u {
            var total = vec2<u32>(0u, 0u);
            for (var i = 0u; i < 16u; i++) {
                total = add64(total, mass_at(lane * 16u + i));
            }
            group_masses[lane] = total;
        }
        workgroupBarrier(); // masses of sixteen digits before one lane walks down from the largest
        if lane == 0u {
            var group = 15u;
            while group > 0u && !at_least64(add64(before, group_masses[group]), wanted) {
                before = add64(before, group_masses[group]);
                group -= 1u;
            }
            var value = group * 16u + 15u;
            while value > group * 16u && !at_least64(add64(before, mass_at(value)), wanted) {
                before = add64(before, mass_at(value));
                value -= 1u;
            }
            let reaches = at_least64(add64(before, mass_at(value)), wanted);
            mass_bucket = vec4<u32>(value, select(0u, atomicLoad(&histogram[value]), reaches), before);
        }
        let found = workgroupUniformLoad(&mass_bucket);
        if found.y == 0u {
            return Found(NO_ITEM, false); // what is opened of the run weighs less
        }
        before = found.zw;
        let in_word = select(vec2<u32>(0u, 1u), vec2<u32>(1u, 0u), in_key);
        prefix |= in_word * (found.x << shift);
        mask |= in_word * (0xffu << shift);
        if found.y == 1u && !by_deviation {
            // One token: its own code instead of the remaining digits.
            let rest = ~mask & vec2<u32>(0xffffffffu, 0xffffffu); // a place has three digits
            return Found(ends_between(prefix, prefix | rest, lane).first, true);
        }
    }
    return Found(prefix, true);
}

fn mass_at(digit: u32) -> vec2<u32> {
    return vec2<u32>(atomicLoad(&low[digit]), atomicLoad(&high[digit]));
}

const LOG2_E_LOW: u32 = 0x94ae0bf8u;  // log2 e · 2^54, rounded
const LOG2_E_HIGH: u32 = 0x5c551du;

struct DrawScale {
    scale: Scale,
    unit: u32, // temperature · 2^shift
}

// The temperature between its bounds: low + span · (entropy / log2 count)^power, of the run at temperature 1.
fn dynamic_scale(at_one: Sum) -> DrawScale {
    var raised = 0u; // Q31
    let most = log2_q26(vec2<u32>(max(at_one.count, 1u), 0u));
    if most > 0u {
        let spread = quotient_q24(shift_right64(at_one.surprisal, 8u), shift_right64(at_one.mass, 8u));
        // Q26 bits; a run of one heavy token among weightless ones may come out a hair below zero.
        let entropy = u32(max(bitcast<i32>(log2_q26(at_one.mass) - (43u << 26u) + (spread << 2u)), 0));
        raised = 0x80000000u;
        if entropy < most {
            let ratio = divide64(mul_wide(entropy, 0x80000000u), most).x; // Q31
            // (entropy / most)^power as a number of octaves below one
            let octaves = shift_right64(
                mul_wide((31u << 26u) - log2_q26(vec2<u32>(max(ratio, 1u), 0u)), requests[request].dynamic_power), 18u);
            raised = 0u;
            if octaves.y == 0u && octaves.x < (31u << 24u) {
                raised = mantissa(table[table_index(octaves.x)], octaves.x) >> (octaves.x >> 24u);
            }
        }
    }
    let temperature = requests[request].dynamic_low
        + shift_right64(mul_wide(requests[request].dynamic_span, raised), 31u).x; // Q22
    // temperature · 2^shift in (2^23, 2^24], docs/exact.md section 3
    let lead = countLeadingZeros(temperature);
    var unit = (temperature << lead) >> 8u;
    var shift = 14 + i32(lead);
    if unit == 0x800000u {
        unit = 0x1000000u;
        shift += 1;
    }
    let rate = divide64(add64(vec2<u32>(LOG2_E_LOW, LOG2_E_HIGH), vec2<u32>(unit >> 1u, 0u)), unit).x;
    // Any rounding of the window will do.
    return DrawScale(Scale(shift, rate, 24.0 * (f32(temperature) * 0x1p-22f)), unit);
}
