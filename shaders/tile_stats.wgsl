// tile_stats: max-reduce and exp-sum of one tile in one read of the logits. Libraries: format, words, logits, integers,
// exact, soft_float, request, changes. One workgroup per tile of 4096 consecutive tokens of one row; four lanes share a
// subtile of 64. Dispatch (tiles, rows). All sums are integers, so any order of lanes gives the same bits.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;       // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // a head per row, changes, allowed sets
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;         // [rows][mask_words], bit set where allowed
@group(0) @binding(5) var<storage, read> table: array<u32>;        // [1024]
@group(0) @binding(6) var<storage, read_write> scratch: array<u32>; // [views][rows][tiles][TILE_WORDS]

const LANES: u32 = 256u;
const TOKENS_PER_LANE: u32 = 16u; // TILE / LANES

var<workgroup> table_copy: array<u32, 1024>;
var<workgroup> lane_key: array<i32, 256>;
var<workgroup> lane_bits: array<u32, 256>;
var<workgroup> lane_sums: array<vec4<u32>, 256>; // mass, surprisal
var<workgroup> lane_counts: array<vec2<u32>, 256>; // n_greater, n_equal

fn logit_bits(element: u32) -> u32 {
    return widen(logits[word_of_element(element)], element);
}

// The i-th of the sixteen tokens of a lane: four lanes read 16 consecutive tokens at a time, 4 each, and walk through
// their subtile in four steps.
fn token_of(first_token: u32, i: u32) -> u32 {
    return first_token + (i >> 2u) * 16u + (i & 3u);
}

// A word of the binding, or its last one past its end, where nothing is looked at.
fn word_at(word: u32) -> u32 {
    return logits[min(word, arrayLength(&logits) - 1u)];
}

// Bits of four consecutive elements, each word read once. Those past the row are anything.
fn four_logits(element: u32) -> vec4<u32> {
    let word = word_of_element(element);
    var low = logits[word];
    var high = word_at(word + 1u);
    if DTYPE == 0u {
        return vec4<u32>(low, high, word_at(word + 2u), word_at(word + 3u));
    }
    if (element & 1u) == 1u {
        low = (low >> 16u) | (high << 16u);
        high = (high >> 16u) | (word_at(word + 2u) << 16u);
    }
    return vec4<u32>(widen(low, 0u), widen(low, 1u), widen(high, 0u), widen(high, 1u));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.x;
    let row = group.y;
    let row_start = chunk.element_base + row * chunk.row_stride;
    let head = head_of(row);
    let request = head.request;
    let first_token = tile * TILE + (lane >> 2u) * SUBTILE + (lane & 3u) * 4u;

    // 1. load: the only read of the logits
    for (var i = lane; i < 1024u; i += LANES) {
        table_copy[i] = table[i];
    }
    var raw: array<u32, 16>;
    for (var i = 0u; i < TOKENS_PER_LANE; i += 4u) {
        let token = token_of(first_token, i);
        var four = vec4<u32>(BITS_NEG_INFINITY);
        if token < chunk.vocab {
            four = four_logits(row_start + token);
        }
        for (var j = 0u; j < 4u; j++) {
            // A token past the vocabulary weighs nothing and is never returned.
            raw[i + j] = select(BITS_NEG_INFINITY, four[j], token + j < chunk.vocab);
        }
    }
    let target_token = head.token; // of a row that is drawn from: a draft, whose rank nobody asks for
    // Without a target the count is that of the possible tokens.
    var target_bits = BITS_NEG_INFINITY;
    if target_token != NO_TOKEN && chunk.draws == 0u {
        target_bits = logit_bits(row_start + target_token);
    }
    let is_changed = chunk.mask_words > 0u || requests[request].n_changes > 0u
        || requests[request].first_allowed != NONE;

    for (var view = 0u; view < chunk.views; view++) {
        var bits = raw;
        var scale = SCALE_ONE;
        if view == PROCESSED {
            scale = requests[request].pass_scale;
            if is_changed {
                for (var i = 0u; i < TOKENS_PER_LANE; i++) {
                    let token = token_of(first_token, i);
                    if token < chunk.vocab {
                        bits[i] = changed_bits(row, request, token, raw[i]);
                    }
                }
            }
        }
        reduce(bits, key_of_bits(target_bits), scale, tile_words(view, row, tile), first_token, lane);
        workgroupBarrier(); // this view's sums are read before the next view's are written
    }
}

// Statistics and delegates of a tile whose logits lie sixteen in each lane.
fn reduce(bits: array<u32, 16>, target_key: i32, scale: Scale, out: u32, first_token: u32, lane: u32) {
    // 2. best key of this lane's tokens, and their largest bits, which tell a NaN
    var best_key = KEY_NEG_INFINITY;
    var best_bits = 0u;
    var counts = vec2<u32>(0u, 0u);
    for (var i = 0u; i < TOKENS_PER_LANE; i++) {
        let token = token_of(first_token, i);
        if token < chunk.vocab {
            let key = key_of_bits(bits[i]);
            best_key = max(best_key, key);
            best_bits = max(best_bits, bits[i]);
            counts += vec2<u32>(u32(key > target_key), u32(key == target_key));
        }
    }
    lane_key[lane] = best_key;
    lane_bits[lane] = best_bits;
    workgroupBarrier(); // every lane's best before the subtiles', and the table before its first use

    // 3. subtile maxima: the delegates
    if lane < SUBTILES_PER_TILE {
        let four = lane * 4u;
        best_key = max(max(lane_key[four], lane_key[four + 1u]), max(lane_key[four + 2u], lane_key[four + 3u]));
        best_bits = max(max(lane_bits[four], lane_bits[four + 1u]), max(lane_bits[four + 2u], lane_bits[four + 3u]));
        scratch[out + TILE_DELEGATES + lane] = bitcast<u32>(best_key);
    }
    workgroupBarrier(); // all fours are read before their places are reused
    if lane < SUBTILES_PER_TILE {
        lane_key[lane] = best_key;
        lane_bits[lane] = best_bits;
    }
    workgroupBarrier(); // the subtiles' best before the tile's
    if lane < 8u {
        for (var i = 1u; i < 8u; i++) {
            best_key = max(best_key, lane_key[lane + i * 8u]);
            best_bits = max(best_bits, lane_bits[lane + i * 8u]);
        }
        lane_key[64u + lane] = best_key;
        lane_bits[64u + lane] = best_bits;
    }
    workgroupBarrier(); // eight partial maxima before everybody merges them
    var tile_key = lane_key[64];
    var tile_bits = lane_bits[64];
    for (var i = 1u; i < 8u; i++) {
        tile_key = max(tile_key, lane_key[64u + i]);
        tile_bits = max(tile_bits, lane_bits[64u + i]);
    }

    // 4. weights relative to the tile's maximum
    let reference = reference_of(bits_of_key(tile_key), scale);
    var mass = vec2<u32>(0u, 0u);
    var surprise = vec2<u32>(0u, 0u);
    for (var i = 0u; i < TOKENS_PER_LANE; i++) {
        let octaves = octaves_from(reference, bits[i]);
        let m = mantissa(table_copy[table_index(octaves)], octaves);
        mass = add64(mass, weight(m, octaves));
        surprise = add64(surprise, surprisal(m, octaves));
    }
    if tile_key <= KEY_NEG_INFINITY || tile_key >= KEY_INFINITY {
        mass = vec2<u32>(0u, 0u); // no sound tile: its logits have no distances
        surprise = vec2<u32>(0u, 0u);
    }
    lane_sums[lane] = vec4<u32>(mass, surprise);
    lane_counts[lane] = counts;
    workgroupBarrier(); // every lane's sums before the sixteen partial sums

    // 5. across the workgroup: sixteen lanes, then one
    if lane < 16u {
        for (var i = 1u; i < 16u; i++) {
            let other = lane_sums[lane + i * 16u];
            mass = add64(mass, other.xy);
            surprise = add64(surprise, other.zw);
            counts += lane_counts[lane + i * 16u];
        }
        lane_sums[lane] = vec4<u32>(mass, surprise); // no lane reads another's place among the first sixteen
        lane_counts[lane] = counts;
    }
    workgroupBarrier(); // sixteen partial sums before the last
    if lane == 0u {
        for (var i = 1u; i < 16u; i++) {
            mass = add64(mass, lane_sums[i].xy);
            surprise = add64(surprise, lane_sums[i].zw);
            counts += lane_counts[i];
        }
        scratch[out + TILE_MAX_KEY] = bitcast<u32>(tile_key);
        scratch[out + TILE_MAX_BITS] = tile_bits;
        scratch[out + TILE_MASS] = mass.x;
        scratch[out + TILE_MASS + 1u] = mass.y;
        scratch[out + TILE_SURPRISAL] = surprise.x;
        scratch[out + TILE_SURPRISAL + 1u] = surprise.y;
        scratch[out + TILE_N_GREATER] = counts.x;
        scratch[out + TILE_N_EQUAL] = counts.y;
    }
}
