// row_divergence: merges the tiles of two rows into the record of their divergence. Libraries: format, words, integers,
// exact, status, wide, divergence, sums. One workgroup per row, dispatch (1, rows); there are at most 256 tiles, so one
// lane each.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> table: array<u32>;         // [1024], [1024], [770]
@group(0) @binding(2) var<storage, read> scratch: array<u32>;       // [rows][tiles][DIVERGENCE_TILE_WORDS]
@group(0) @binding(3) var<storage, read_write> records: array<u32>; // [rows][DIVERGENCE_WORDS]

var<workgroup> row_keys: array<atomic<i32>, 2>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let has_tile = lane < chunk.tiles;
    let tile = (group.y * chunk.tiles + lane) * DIVERGENCE_TILE_WORDS;
    // 1. maxima and statuses
    if lane < 2u {
        atomicStore(&row_keys[lane], KEY_NEG_INFINITY);
    }
    clear_sums(lane);
    workgroupBarrier(); // all is empty before the first is added
    if has_tile {
        atomicMax(&row_keys[0], tile_key(tile, 0u));
        atomicMax(&row_keys[1], tile_key(tile, 1u));
    }
    workgroupBarrier(); // every tile's maxima before the row's
    let keys = vec2<i32>(atomicLoad(&row_keys[0]), atomicLoad(&row_keys[1]));
    let statuses = vec2<u32>(status_of(keys.x), status_of(keys.y));
    let are_sound = all(statuses == vec2<u32>(0u));

    // 2. masses and sums of the tiles, brought to the maxima of the rows
    if has_tile && are_sound {
        let first_distance = distance_below(bits_of_key(keys.x), bits_of_key(tile_key(tile, 0u)));
        let second_distance = distance_below(bits_of_key(keys.y), bits_of_key(tile_key(tile, 1u)));
        let difference = difference64(second_distance, first_distance);
        add_tile(tile, 0u, first_distance, difference);
        add_tile(tile, 1u, second_distance, negate64(difference));
        atomicOr(&sums[10], scratch[tile + DIVERGENCE_TILE_UNMATCHED]);
    }
    workgroupBarrier(); // every tile's part before the record

    // 3. one lane writes
    if lane == 0u {
        let record = group.y * chunk.record_words;
        for (var i = 0u; i < 2u; i++) {
            records[record + DIVERGENCE_STATUSES + i] = statuses[i];
            records[record + DIVERGENCE_MAX_KEYS + i] = select(0u, bitcast<u32>(keys[i]), are_sound);
        }
        for (var i = 0u; i < 4u; i++) {
            records[record + DIVERGENCE_MASSES + i] = atomicLoad(&sums[i]);
            records[record + DIVERGENCE_INFORMATIONS + i] = 0u; // tile_information adds to them
        }
        for (var i = 0u; i < 6u; i++) {
            records[record + DIVERGENCE_CROSSES + i] = atomicLoad(&sums[4u + i]);
        }
        records[record + DIVERGENCE_UNMATCHED] = atomicLoad(&sums[10]);
        records[record + DIVERGENCE_CALL] = chunk.call;
    }
}

fn tile_key(tile: u32, side: u32) -> i32 {
    return bitcast<i32>(scratch[tile + DIVERGENCE_TILE_MAX_KEYS + side]);
}

// Adds what a tile says of one of the rows, so far below its maximum; of the other it is further by the difference.
fn add_tile(tile: u32, side: u32, distance: vec2<u32>, difference: vec2<u32>) {
    let power = power_of(distance);
    let masses = tile + DIVERGENCE_TILE_MASSES + 2u * side;
    let crosses = tile + DIVERGENCE_TILE_CROSSES + 3u * side;
    let mass = vec2<u32>(scratch[masses], scratch[masses + 1u]);
    let cross = vec3<u32>(scratch[crosses], scratch[crosses + 1u], scratch[crosses + 2u]);
    add_to_sum64(2u * side, tile_mass_of(power, mass));
    add_to_sum96(4u + 3u * side, tile_cross_of(power, cross, mass, difference));
}
