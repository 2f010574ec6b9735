// tile_stats: max-reduce and exp-sum of one tile in one read of the logits. Libraries: format, words, logits, rows, integers,
// exact, soft_float, floats, lane, request, changes. One workgroup per tile of 4096 consecutive tokens of one row; four
// lanes share a subtile of 64. Dispatch (tiles, rows). The sixteen tokens of a lane are added in a fixed order, lanes
// as integers, in any.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;       // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> quads: array<vec4<u32>>;  // the same; read where rows begin at such a place
@group(0) @binding(3) var<storage, read> row_data: array<vec4<u32>>; // a head per row, offsets, changes, allowed sets
@group(0) @binding(4) var<storage, read> requests: array<Request>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;         // [rows][mask_words], bit set where allowed
@group(0) @binding(6) var<storage, read> table: array<u32>;        // [2][1024], for integers and for lanes
@group(0) @binding(7) var<storage, read_write> scratch: array<u32>; // [views][rows][tiles][TILE_WORDS]

const LANES: u32 = 256u;
const LANE_TABLE: u32 = 1024u; // its place in `table`

var<workgroup> lane_table: array<u32, 1024>;
var<workgroup> lane_key: array<i32, 256>;
var<workgroup> tile_max: atomic<i32>;
var<workgroup> mass_limbs: array<atomic<u32>, 3>; // of 24 bits, so that no sum of a tile's lanes has a carry
var<workgroup> surprisal_limbs: array<atomic<u32>, 3>;
var<workgroup> tile_counts: atomic<u32>; // greater than the target in the lower half, not less in the upper
var<workgroup> has_lowest: atomic<u32>; // whether a logit is -infinity, or a NaN with the sign set

// The i-th of the sixteen tokens of a lane: four lanes read 16 consecutive tokens at a time, 4 each, and walk through
// their subtile in four steps.
fn token_of(first_token: u32, i: u32) -> u32 {
    return first_token + (i >> 2u) * 16u + (i & 3u);
}

// A word of the binding, or its last one past its end, where nothing is looked at.
fn word_at(word: u32) -> u32 {
    return logits[min(word, arrayLength(&logits) - 1u)];
}

// Bits of four consecutive elements in two words.
fn widen4(words: vec2<u32>) -> vec4<u32> {
    if DTYPE == 2u {
        return vec4<u32>(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u);
    }
    return vec4<u32>(widen_pair(words.x), widen_pair(words.y));
}

// Bits of four consecutive elements, each word read once; -infinity for those past the vocabulary, which weighs nothing
// and is never returned.
fn four_logits(row_start: u32, token: u32) -> vec4<u32> {
    if token >= chunk.vocab {
        return vec4<u32>(BITS_NEG_INFINITY);
    }
    let element = row_start + token;
    let word = word_of_element(element);
    var low = logits[word];
    var high = word_at(word + 1u);
    var four: vec4<u32>;
    if DTYPE == 0u {
        four = vec4<u32>(low, high, word_at(word + 2u), word_at(word + 3u));
    } else {
        if (element & 1u) == 1u {
            low = (low >> 16u) | (high << 16u);
            high = (high >> 16u) | (word_at(word + 2u) << 16u);
        }
        four = widen4(vec2<u32>(low, high));
    }
    let is_inside = vec4<u32>(token, token + 1u, token + 2u, token + 3u) < vec4<u32>(chunk.vocab);
    return select(vec4<u32>(BITS_NEG_INFINITY), four, is_inside);
}

// The only read of the logits.
fn load(row_start: u32, tile: u32, first_token: u32) -> Sixteen {
    let start = row_start + first_token;
    // Rows that begin with a quad end their whole tiles with one: nothing is read past the binding.
    if (tile + 1u) * TILE <= chunk.vocab && (row_start & select(7u, 3u, DTYPE == 0u)) == 0u {
        if DTYPE == 0u {
            let quad = start >> 2u;
            return Sixteen(quads[quad], quads[quad + 4u], quads[quad + 8u], quads[quad + 12u]);
        }
        // Four tokens are half of a quad: the same half at every step.
        let quad = start >> 3u;
        let a = quads[quad];
        let b = quads[quad + 2u];
        let c = quads[quad + 4u];
        let d = quads[quad + 6u];
        let is_upper = (start & 4u) != 0u;
        return Sixteen(
            widen4(select(a.xy, a.zw, is_upper)), widen4(select(b.xy, b.zw, is_upper)),
            widen4(select(c.xy, c.zw, is_upper)), widen4(select(d.xy, d.zw, is_upper)));
    }
    return Sixteen(
        four_logits(row_start, first_token), four_logits(row_start, first_token + 16u),
        four_logits(row_start, first_token + 32u), four_logits(row_start, first_token + 48u));
}

// The tokens after masks, bias and penalties. One loop, so that the text is there once: each round changes the first
// and puts it last.
fn changed(row: u32, request: u32, first_token: u32, given: Sixteen) -> Sixteen {
    var t = given;
    for (var i = 0u; i < 16u; i++) {
        let token = token_of(first_token, i);
        var bits = t.a.x;
        if token < chunk.vocab {
            bits = changed_bits(row, request, token, bits);
        }
        t = Sixteen(
            vec4<u32>(t.a.yzw, t.b.x), vec4<u32>(t.b.yzw, t.c.x), vec4<u32>(t.c.yzw, t.d.x), vec4<u32>(t.d.yzw, bits));
    }
    return t;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let row_start = start_of(row);
    let head = head_of(row);
    let request = head.request;
    if finish_of(request) != 0u {
        return;
    }
    let first_token = group.x * TILE + (lane >> 2u) * SUBTILE + (lane & 3u) * 4u;

    lane_table[lane] = table[LANE_TABLE + lane];
    lane_table[LANES + lane] = table[LANE_TABLE + LANES + lane];
    lane_table[2u * LANES + lane] = table[LANE_TABLE + 2u * LANES + lane];
    lane_table[3u * LANES + lane] = table[LANE_TABLE + 3u * LANES + lane];
    var tokens = load(row_start, group.x, first_token);
    // Of a row that is drawn from, the head's token is a draft, whose rank nobody asks for. Without a target the count is
    // that of the possible tokens.
    var target_bits = BITS_NEG_INFINITY;
    if head.token != NO_TOKEN && chunk.draws == 0u {
        let element = row_start + head.token;
        target_bits = widen(logits[word_of_element(element)], element);
    }
    let is_changed = is_row_changed(request);

    // The raw view first: the changed tokens take the registers of those before.
    for (var views = chunk.views; views > 0u; views--) {
        let view = views - 1u;
        var scale = SCALE_ONE;
        var per_logit = PER_LOGIT_ONE;
        var asks = ASKS_RAW_SURPRISAL;
        if view == PROCESSED {
            asks = ASKS_SURPRISAL;
            scale = requests[request].pass_scale;
            per_logit = requests[request].per_logit;
            if is_changed {
                tokens = changed(row, request, first_token, tokens);
            }
        }
        let with_surprisal = (requests[request].flags & asks) != 0u;
        reduce(tokens, target_bits, scale, per_logit, with_surprisal, tile_words(view, row, group.x), group.x, lane);
    }
}

// Statistics and delegates of a tile whose logits lie sixteen in each lane.
fn reduce(
    t: Sixteen, target_bits: u32, scale: Scale, per_logit: u32, with_surprisal: bool, out: u32, tile: u32,
    lane: u32
) {
    if lane == 0u {
        atomicStore(&tile_max, KEY_NEG_INFINITY);
        atomicStore(&has_lowest, 0u);
        atomicStore(&tile_counts, 0u);
        for (var limb = 0u; limb < 3u; limb++) {
            atomicStore(&mass_limbs[limb], 0u);
            atomicStore(&surprisal_limbs[limb], 0u);
        }
    }
    workgroupBarrier(); // everything is empty before the adding, and the table before its first use

    // 1. the maximum of this lane's tokens, and their largest bits, which tell a NaN and -infinity
    let max_bits = max_of(t);
    let largest = max(max(max(t.a, t.b), t.c), t.d);
    let largest_bits = max(max(max(largest.x, largest.y), largest.z), largest.w);
    let max_key = select(key_or_nan(max_bits), KEY_NAN, largest_bits > BITS_NEG_INFINITY);
    lane_key[lane] = max_key;
    atomicMax(&tile_max, max_key);
    if largest_bits >= BITS_NEG_INFINITY {
        atomicStore(&has_lowest, 1u);
    }
    // 2. weights and surprisals relative to it
    var sums = vec2<u32>(0u, 0u);
    if with_surprisal {
        sums = sums_of_both(max_bits, t, per_logit);
    } else {
        sums.x = sum_of_weights(max_bits, t, per_logit);
    }
    workgroupBarrier(); // every lane's maximum before the tile's and the subtiles'

    // 3. subtile maxima: the delegates
    if lane < SUBTILES_PER_TILE {
        let four = lane * 4u;
        scratch[out + TILE_DELEGATES + lane] = bitcast<u32>(
            max(max(lane_key[four], lane_key[four + 1u]), max(lane_key[four + 2u], lane_key[four + 3u])));
    }

    // 4. relative to the tile's maximum, and across the workgroup
    let tile_key = atomicLoad(&tile_max);
    var mass = vec2<u32>(0u, 0u);
    var surprise = vec2<u32>(0u, 0u);
    if tile_key > KEY_NEG_INFINITY && tile_key < KEY_INFINITY { // else its logits have no distances
        let octaves = octaves_between(bits_of_key(tile_key), max_bits, scale);
        let factor = mantissa(table[table_index(octaves)], octaves);
        mass = lane_mass(sums.x, factor, octaves);
        if with_surprisal {
            surprise = lane_surprisal(sums.y, mass, factor, octaves);
        }
    }
    let limbs = limbs_of(mass);
    atomicAdd(&mass_limbs[0], limbs.x);
    atomicAdd(&mass_limbs[1], limbs.y);
    atomicAdd(&mass_limbs[2], limbs.z);
    if with_surprisal {
        let limbs = limbs_of(surprise);
        atomicAdd(&surprisal_limbs[0], limbs.x);
        atomicAdd(&surprisal_limbs[1], limbs.y);
        atomicAdd(&surprisal_limbs[2], limbs.z);
    }
    // Where nothing is as low as -infinity, all is above it.
    let counts_all = target_bits == BITS_NEG_INFINITY && atomicLoad(&has_lowest) == 0u;
    if !counts_all {
        let key = key_or_nan(target_bits);
        if max_key >= key { // most lanes have no token as probable as a target is
            atomicAdd(&tile_counts, counts_of(t, key));
        }
    }
    workgroupBarrier(); // every lane's sums before the tile's are read
    if lane == 0u {
        write_tile(out, tile_key, target_bits, counts_all, min(TILE, chunk.vocab - tile * TILE));
    }
}

fn write_tile(out: u32, tile_key: i32, target_bits: u32, counts_all: bool, n_tokens: u32) {
    var counts = n_tokens | (n_tokens << 16u);
    if !counts_all {
        counts = atomicLoad(&tile_counts);
        if target_bits == BITS_NEG_INFINITY {
            counts -= (TILE - n_tokens) << 16u; // those past the vocabulary
        }
    }
    if tile_key > KEY_INFINITY {
        counts = 0u; // a NaN is no less and no greater
    }
    scratch[out + TILE_MAX_KEY] = bitcast<u32>(tile_key);
    let mass = sum_of_limbs(atomicLoad(&mass_limbs[0]), atomicLoad(&mass_limbs[1]), atomicLoad(&mass_limbs[2]));
    let surprisal = sum_of_limbs(
        atomicLoad(&surprisal_limbs[0]), atomicLoad(&surprisal_limbs[1]), atomicLoad(&surprisal_limbs[2]));
    scratch[out + TILE_MASS] = mass.x;
    scratch[out + TILE_MASS + 1u] = mass.y;
    scratch[out + TILE_SURPRISAL] = surprisal.x;
    scratch[out + TILE_SURPRISAL + 1u] = surprisal.y;
    scratch[out + TILE_N_GREATER] = counts & 0xffffu;
    scratch[out + TILE_N_EQUAL] = (counts >> 16u) - (counts & 0xffffu);
}

// A number below 2^56 in limbs of 24 bits, the lowest first: 256 of them add up without a carry.
fn limbs_of(a: vec2<u32>) -> vec3<u32> {
    return vec3<u32>(a.x & 0xffffffu, ((a.x >> 24u) | (a.y << 8u)) & 0xffffffu, a.y >> 16u);
}

fn sum_of_limbs(first: u32, second: u32, third: u32) -> vec2<u32> {
    return add64(vec2<u32>(first, third << 16u), vec2<u32>(second << 24u, second >> 8u));
}

// Tokens of a lane above a key in the lower half of the word, not below it in the upper one. On the key's side of zero one
// exclusive or puts bits in the order of the keys, and what lies on the other side where it belongs; what is not below
// zero includes -0, which is on the other side.
fn counts_of(t: Sixteen, key: i32) -> u32 {
    let not_below = select(key, -1, key == 0);
    let limits = vec2<i32>(key, not_below);
    let flips = select(vec2<u32>(0u), vec2<u32>(0x7fffffffu), limits < vec2<i32>(0));
    let counts = (counts4(t.a, limits, flips) + counts4(t.b, limits, flips))
        + (counts4(t.c, limits, flips) + counts4(t.d, limits, flips));
    return (counts.x + counts.y) + (counts.z + counts.w);
}

fn counts4(bits: vec4<u32>, limits: vec2<i32>, flips: vec2<u32>) -> vec4<u32> {
    let is_above = bitcast<vec4<i32>>(bits ^ vec4<u32>(flips.x)) > vec4<i32>(limits.x);
    let is_not_below = bitcast<vec4<i32>>(bits ^ vec4<u32>(flips.y)) >= vec4<i32>(limits.y);
    return select(vec4<u32>(0u), vec4<u32>(1u), is_above) + select(vec4<u32>(0u), vec4<u32>(0x10000u), is_not_below);
}
