// thresholds: the lowest key within a limit, the standard deviation, the dynamic temperature; docs/sampling.md.
// Provides: Sums, lowest_key, sigma_distance, mean_octaves, octaves_of, entropy_q26, dynamic_scale.
// Needs: integers, exact, request, numbers, scan, cuts (.wgsl), the kernel's bindings `table`, `requests`.

// Sums of the run.
struct Sums {
    mass: vec2<u32>,      // Q43
    surprisal: vec2<u32>, // Q43
    count: u32,
}

// A quantity that never falls with the distance from the maximum, and its limit.
const BY_WEIGHT: u32 = 0u;   // row weight >= limit
const BY_OCTAVES: u32 = 1u;  // octaves <= limit.x
const BY_DISTANCE: u32 = 2u; // distance, Q20, <= limit.x

fn is_within(key: i32, scale: Scale) -> bool {
    let bits = bits_of_key(key);
    if quantity == BY_DISTANCE {
        return distance_q20(bits) <= limit.x;
    }
    let octaves = octaves_below(max_bits, bits, scale);
    if quantity == BY_OCTAVES {
        return octaves != FAR && octaves <= limit.x;
    }
    return at_least64(row_weight(octaves), limit);
}

// The lowest key within the limit of `quantity`; above the maximum's where not even that is.
fn lowest_key(scale: Scale) -> i32 {
    var below = KEY_NEG_INFINITY; // never within
    var within = key_of_bits(max_bits) + 1;
    while u32(within - below) > 1u { // keys are apart by less than 2^32
        let middle = below + i32(u32(within - below) >> 1u);
        if is_within(middle, scale) {
            within = middle;
        } else {
            below = middle;
        }
    }
    return within;
}

// n (Q16) times the standard deviation, Q20, from the sums of distances (Q20) and of their squares (Q28).
fn sigma_distance(n_sigma: u32, moments: Sums) -> u32 {
    let mean = divide64(shift_left64(moments.mass, 4u), moments.count).x; // Q24
    let mean_square = shift_right64(mul_wide(mean, mean), 20u);           // Q28
    let square_mean = divide64(moments.surprisal, moments.count);         // Q28
    var variance = vec2<u32>(0u, 0u);
    if at_least64(square_mean, mean_square) {
        variance = subtract64(square_mean, mean_square);
    }
    let sigma = root64(shift_left64(variance, 12u)); // Q20
    let scaled = shift_right64(mul_wide(sigma, n_sigma), 16u);
    return select(min(scaled.x, 1u << 30u), 1u << 30u, scaled.y > 0u); // beyond every distance
}

// Mean distance below the maximum, in octaves, Q24.
fn mean_octaves(sums: Sums) -> u32 {
    return quotient_q24(shift_right64(sums.surprisal, 8u), shift_right64(sums.mass, 8u));
}

// The logarithm of a mass, Q26: 0 of one token's, the largest.
fn octaves_of(mass: vec2<u32>) -> u32 {
    return log2_q26(mass) - (43u << 26u);
}

// Entropy of the run, bits in Q26; one heavy token among weightless ones may come out a hair below zero.
fn entropy_q26() -> u32 {
    return u32(max(bitcast<i32>(log2_mass + (mean_distance << 2u)), 0));
}

struct DrawScale {
    scale: Scale,
    unit: u32, // temperature · 2^shift
}

// The temperature between its bounds: low + span · (entropy / log2 count)^power, of the run at temperature 1.
fn dynamic_scale(count: u32) -> DrawScale {
    var raised = 0u; // Q31
    let most = log2_q26(vec2<u32>(max(count, 1u), 0u));
    if most > 0u {
        let entropy = entropy_q26();
        raised = 0x80000000u;
        if entropy < most {
            let ratio = divide64(mul_wide(entropy, 0x80000000u), most).x; // Q31
            // (entropy / most)^power as a number of octaves below one
            let octaves = shift_right64(
                mul_wide((31u << 26u) - log2_q26(vec2<u32>(max(ratio, 1u), 0u)), requests[request].dynamic_power), 26u);
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
    let rate = rate_of(unit);
    // Any rounding of the window will do.
    return DrawScale(Scale(shift, rate, 24.0 * (f32(temperature) * 0x1p-22f)), unit);
}
