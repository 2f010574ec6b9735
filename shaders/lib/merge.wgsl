// merge: a row's statistics from its tiles', docs/exact.md section 8.
// Provides: Merged, merge_tiles, tile_mass.
// Needs: words, integers, exact, list (.wgsl; `winners` holds partial sums), the kernel's bindings `scratch`, `table`.

struct Merged {
    max_key: i32,
    status: u32,          // 0 or a STATUS_*
    mass: vec2<u32>,      // Q40
    surprisal: vec2<u32>, // Q40
    n_greater: u32,
    n_equal: u32,
}

var<workgroup> merged: Merged;

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

// Statistics of a row, the same in every lane. There are at most 256 tiles, so one lane each.
fn merge_tiles(view: u32, row: u32, scale: Scale, lane: u32) -> Merged {
    // 1. maximum and status
    let tile = tile_words(view, row, lane);
    let has_tile = lane < chunk.tiles;
    var best_key = KEY_NEG_INFINITY;
    if has_tile {
        best_key = bitcast<i32>(scratch[tile + TILE_MAX_KEY]);
    }
    winners[lane].x = bitcast<u32>(best_key);
    workgroupBarrier(); // every tile's maximum before the row's
    if lane < 16u {
        for (var i = 1u + chunk.nothing; i < 16u; i++) {
            best_key = max(best_key, bitcast<i32>(winners[lane + i * 16u].x));
        }
        winners[lane].x = bitcast<u32>(best_key);
    }
    workgroupBarrier(); // sixteen partial maxima before the last
    if lane == 0u {
        for (var i = 1u + chunk.nothing; i < 16u; i++) {
            best_key = max(best_key, bitcast<i32>(winners[i].x));
        }
        merged.max_key = best_key;
        merged.status = 0u;
        if best_key > KEY_INFINITY {
            merged.status = STATUS_NAN;
        } else if best_key == KEY_INFINITY {
            merged.status = STATUS_INFINITY;
        } else if best_key <= KEY_NEG_INFINITY {
            merged.status = STATUS_EMPTY;
        }
    }
    workgroupBarrier(); // the row's maximum before the masses relative to it

    // 2. mass and surprisal of the tiles, brought to the row's maximum
    var mass = vec2<u32>(0u, 0u);
    var surprise = vec2<u32>(0u, 0u);
    var counts = vec2<u32>(0u, 0u);
    if has_tile && merged.status == 0u {
        counts = vec2<u32>(scratch[tile + TILE_N_GREATER], scratch[tile + TILE_N_EQUAL]);
        let brought = tile_mass(tile, bits_of_key(merged.max_key), scale);
        let octaves = brought.z;
        if octaves != FAR {
            mass = brought.xy;
            let own = vec2<u32>(scratch[tile + TILE_SURPRISAL], scratch[tile + TILE_SURPRISAL + 1u]);
            // The tile's own distance counts for all its mass; Q24, so the shift by 24 is a shift by 56 less 32.
            surprise = add64(
                mul_shift(own, brought.w, 35u + (octaves >> 24u)),
                mul_shift(vec2<u32>(mass.x << 8u, (mass.y << 8u) | (mass.x >> 24u)), octaves, 32u));
        }
    }
    winners[lane] = mass;
    winners[256u + lane] = surprise;
    winners[512u + lane] = counts;
    workgroupBarrier(); // every tile's part before the sixteen partial sums
    if lane < 16u {
        for (var i = 1u + chunk.nothing; i < 16u; i++) {
            mass = add64(mass, winners[lane + i * 16u]);
            surprise = add64(surprise, winners[256u + lane + i * 16u]);
            counts += winners[512u + lane + i * 16u];
        }
        winners[lane] = mass;
        winners[256u + lane] = surprise;
        winners[512u + lane] = counts;
    }
    workgroupBarrier(); // sixteen partial sums before the last
    if lane == 0u {
        for (var i = 1u + chunk.nothing; i < 16u; i++) {
            mass = add64(mass, winners[i]);
            surprise = add64(surprise, winners[256u + i]);
            counts += winners[512u + i];
        }
        merged.mass = mass;
        merged.surprisal = surprise;
        merged.n_greater = counts.x;
        merged.n_equal = counts.y;
    }
    return workgroupUniformLoad(&merged); // its barrier also frees `winners`
}
