// tile_divergence: what one tile of two batches says of their divergence, in one read of both: maxima, masses, sums of
// weights times differences of distances, and whether a token is possible in one alone. Libraries: format, words, logits,
// integers, exact, wide, pair, divergence, sums. One workgroup per tile of 4096 tokens, dispatch (tiles, rows).

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> others: array<u32>;        // [rows][other_stride], those of the second batch
@group(0) @binding(3) var<storage, read> table: array<u32>;         // [1024], [1024], [770]
@group(0) @binding(4) var<storage, read_write> scratch: array<u32>; // [rows][tiles][DIVERGENCE_TILE_WORDS]

const LANES: u32 = 256u;

var<workgroup> tile_keys: array<atomic<i32>, 2>;

// The tokens of a lane: written out, so that every one has a register of its own.
struct Sixteen {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

// What a lane adds.
struct Sums {
    first_mass: vec2<u32>, // Q50
    second_mass: vec2<u32>,
    first_cross: vec3<u32>, // Q45
    second_cross: vec3<u32>,
    unmatched: u32,
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let token = group.x * TILE + lane;
    // 1. the only read of either batch before its normaliser is known, and the maxima
    var firsts = Sixteen(
        four_firsts(row, token), four_firsts(row, token + 4u * LANES),
        four_firsts(row, token + 8u * LANES), four_firsts(row, token + 12u * LANES));
    var seconds = Sixteen(
        four_seconds(row, token), four_seconds(row, token + 4u * LANES),
        four_seconds(row, token + 8u * LANES), four_seconds(row, token + 12u * LANES));
    if lane < 2u {
        atomicStore(&tile_keys[lane], KEY_NEG_INFINITY);
    }
    clear_sums(lane);
    workgroupBarrier(); // all is empty before the first is added
    atomicMax(&tile_keys[0], largest_key(firsts));
    atomicMax(&tile_keys[1], largest_key(seconds));
    workgroupBarrier(); // every lane's maxima before the tile's
    let keys = vec2<i32>(atomicLoad(&tile_keys[0]), atomicLoad(&tile_keys[1]));

    // 2. weights and differences of distances, token by token; one loop, so that the text is there once: each round looks
    // at the first and puts it last
    if all(keys < vec2<i32>(KEY_INFINITY)) { // else a row is no distribution
        let max_bits = vec2<u32>(bits_of_key(keys.x), bits_of_key(keys.y));
        var own = Sums(vec2<u32>(0u), vec2<u32>(0u), vec3<u32>(0u), vec3<u32>(0u), 0u);
        for (var i = 0u; i < 16u; i++) {
            own = with_token(own, max_bits, vec2<u32>(firsts.a.x, seconds.a.x));
            firsts = turned(firsts);
            seconds = turned(seconds);
        }
        add_to_sum64(0u, own.first_mass);
        add_to_sum64(2u, own.second_mass);
        add_to_sum96(4u, own.first_cross);
        add_to_sum96(7u, own.second_cross);
        atomicOr(&sums[10], own.unmatched);
    }
    workgroupBarrier(); // every lane's sums before the tile's are written

    // 3. a lane writes a word
    let out = (row * chunk.tiles + group.x) * DIVERGENCE_TILE_WORDS;
    if lane < 2u {
        scratch[out + DIVERGENCE_TILE_MAX_KEYS + lane] = bitcast<u32>(select(keys.x, keys.y, lane == 1u));
    }
    if lane < SUM_WORDS {
        scratch[out + DIVERGENCE_TILE_MASSES + lane] = atomicLoad(&sums[lane]); // crosses and flags follow
    }
}

// Adds a token with these logits.
fn with_token(own: Sums, max_bits: vec2<u32>, bits: vec2<u32>) -> Sums {
    let first_distance = distance_below(max_bits.x, bits.x);
    let second_distance = distance_below(max_bits.y, bits.y);
    let difference = difference64(second_distance, first_distance);
    let first_power = power_of(first_distance);
    let second_power = power_of(second_distance);
    let is_possible = bits != vec2<u32>(BITS_NEG_INFINITY);
    let flag = select(UNMATCHED_SECOND, UNMATCHED_FIRST, is_possible.x);
    return Sums(
        add64(own.first_mass, mass_of(first_power)),
        add64(own.second_mass, mass_of(second_power)),
        add96(own.first_cross, widen96(cross_of(first_power, difference))),
        add96(own.second_cross, widen96(cross_of(second_power, negate64(difference)))),
        own.unmatched | select(0u, flag, is_possible.x != is_possible.y));
}

// Four tokens of a lane; neighbouring lanes read neighbouring tokens.
fn four_firsts(row: u32, token: u32) -> vec4<u32> {
    return vec4<u32>(
        first_bits(row, token), first_bits(row, token + LANES),
        first_bits(row, token + 2u * LANES), first_bits(row, token + 3u * LANES));
}

fn four_seconds(row: u32, token: u32) -> vec4<u32> {
    return vec4<u32>(
        second_bits(row, token), second_bits(row, token + LANES),
        second_bits(row, token + 2u * LANES), second_bits(row, token + 3u * LANES));
}

fn largest_key(t: Sixteen) -> i32 {
    return max(max(largest_of(t.a), largest_of(t.b)), max(largest_of(t.c), largest_of(t.d)));
}

fn largest_of(bits: vec4<u32>) -> i32 {
    return max(max(key_or_nan(bits.x), key_or_nan(bits.y)), max(key_or_nan(bits.z), key_or_nan(bits.w)));
}

fn turned(t: Sixteen) -> Sixteen {
    return Sixteen(
        vec4<u32>(t.a.yzw, t.b.x), vec4<u32>(t.b.yzw, t.c.x), vec4<u32>(t.c.yzw, t.d.x), vec4<u32>(t.d.yzw, t.a.x));
}
