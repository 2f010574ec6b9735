// merge: a row's statistics from its tiles', docs/exact.md section 8.
// Provides: Merged, merge_tiles, tile_mass.
// Needs: words, integers, exact, status (.wgsl), the kernel's bindings `scratch`, `table`.

struct Merged {
    max_key: i32,
    status: u32,          // 0 or a STATUS_*
    mass: vec2<u32>,      // Q40
    surprisal: vec2<u32>, // Q40
    n_greater: u32,
    n_equal: u32,
}

var<workgroup> row_max_key: atomic<i32>;
var<workgroup> row_sums: array<atomic<u32>, 6>; // mass and surprisal, low and high, both counts

// Of a tile: its Q40 mass relative to the row's maximum (low, high), its distance in octaves, or FAR, and its factor.
fn tile_mass(tile: u32, row_max_bits: u32, scale: Scale) -> vec4<u32> {
    let octaves = octaves_below(row_max_bits, bits_of_key(bitcast<i32>(scratch[tile + TILE_MAX_KEY])), scale);
    if octaves == FAR {
        return vec4<u32>(0u, 0u, FAR, 0u);
    }
    let factor = mantissa(table[table_index(octaves)], octaves);
    let mass = vec2<u32>(scratch[tile + TILE_MASS], scratch[tile + TILE_MASS + 1u]);
    return vec4<u32>(mul_shift(mass, factor, 41u + (octaves >> 24u)), octaves, factor);
}

// Two atomics with a carry: the sum does not depend on the order.
fn add_to_row(place: u32, value: vec2<u32>) {
    let before = atomicAdd(&row_sums[place], value.x);
    atomicAdd(&row_sums[place + 1u], value.y + u32(before + value.x < before));
}

fn row_sum(place: u32) -> vec2<u32> {
    return vec2<u32>(atomicLoad(&row_sums[place]), atomicLoad(&row_sums[place + 1u]));
}

// Statistics of a row, the same in every lane. There are at most 256 tiles, so one lane each. Who calls it twice has a
// barrier between.
fn merge_tiles(view: u32, row: u32, scale: Scale, lane: u32) -> Merged {
    // 1. maximum and status
    let tile = tile_words(view, row, lane);
    let has_tile = lane < chunk.tiles;
    if lane == 0u {
        atomicStore(&row_max_key, KEY_NEG_INFINITY);
    }
    if lane < 6u {
        atomicStore(&row_sums[lane], 0u);
    }
    workgroupBarrier(); // the row's sums are empty before the adding
    if has_tile {
        atomicMax(&row_max_key, bitcast<i32>(scratch[tile + TILE_MAX_KEY]));
    }
    workgroupBarrier(); // every tile's maximum before the row's
    let max_key = atomicLoad(&row_max_key);
    let status = status_of(max_key);

    // 2. mass and surprisal of the tiles, brought to the row's maximum
    if has_tile && status == 0u {
        atomicAdd(&row_sums[4], scratch[tile + TILE_N_GREATER]);
        atomicAdd(&row_sums[5], scratch[tile + TILE_N_EQUAL]);
        let brought = tile_mass(tile, bits_of_key(max_key), scale);
        let octaves = brought.z;
        if octaves != FAR {
            let mass = brought.xy;
            let own = vec2<u32>(scratch[tile + TILE_SURPRISAL], scratch[tile + TILE_SURPRISAL + 1u]);
            add_to_row(0u, mass);
            // The tile's own distance counts for all its mass; Q24, so the shift by 24 is a shift by 56 less 32.
            add_to_row(2u, add64(
                mul_shift(own, brought.w, 35u + (octaves >> 24u)),
                mul_shift(vec2<u32>(mass.x << 8u, (mass.y << 8u) | (mass.x >> 24u)), octaves, 32u)));
        }
    }
    workgroupBarrier(); // every tile's part before the sums
    let counts = row_sum(4u);
    return Merged(max_key, status, row_sum(0u), row_sum(2u), counts.x, counts.y);
}
