// tile_stats: max-reduce and exp-sum of one tile in one read of the logits. Libraries: batch, logits, exact.
// One workgroup per tile of 4096 consecutive tokens of one row; four lanes share a subtile of 64.
// Dispatch (tiles, rows). All sums are integers, so any order of lanes gives the same bits.

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> logits: array<u32>;          // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> targets: array<u32>;         // [rows], NO_TOKEN where there is none
@group(0) @binding(3) var<storage, read> table: array<u32>;           // [1024]
@group(0) @binding(4) var<storage, read_write> stats: array<u32>;     // [rows][tiles][STATS_WORDS]
@group(0) @binding(5) var<storage, read_write> delegates: array<i32>; // [rows][tiles][64] keys

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

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.x;
    let row = group.y;
    let row_start = batch.element_base + row * batch.row_stride;
    // Four lanes read 16 consecutive tokens at a time, 4 each, and walk through their subtile in four steps.
    let first_token = tile * TILE + (lane >> 2u) * SUBTILE + (lane & 3u) * 4u;

    // 1. load: the only read of the logits; best and flags of this lane's tokens
    for (var i = lane; i < 1024u; i += LANES) {
        table_copy[i] = table[i];
    }
    var bits: array<u32, 16>;
    var best_key = KEY_NEG_INFINITY;
    var best_bits = 0u;
    for (var i = 0u; i < TOKENS_PER_LANE; i++) {
        let token = first_token + (i >> 2u) * 16u + (i & 3u);
        bits[i] = BITS_NEG_INFINITY; // a token past the vocabulary weighs nothing and is never returned
        if token < batch.vocab {
            bits[i] = logit_bits(row_start + token);
            best_key = max(best_key, key_of_bits(bits[i]));
            best_bits = max(best_bits, bits[i]);
        }
    }
    lane_key[lane] = best_key;
    lane_bits[lane] = best_bits;
    workgroupBarrier(); // every lane's best before the subtiles'

    // 2. subtile maxima: the delegates
    if lane < SUBTILES_PER_TILE {
        let four = lane * 4u;
        best_key = max(max(lane_key[four], lane_key[four + 1u]), max(lane_key[four + 2u], lane_key[four + 3u]));
        best_bits = max(max(lane_bits[four], lane_bits[four + 1u]), max(lane_bits[four + 2u], lane_bits[four + 3u]));
        delegates[(row * batch.tiles + tile) * SUBTILES_PER_TILE + lane] = best_key;
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

    // 3. weights relative to the tile's maximum, and the target's rank
    let max_bits = bits_of_key(tile_key);
    let sound = tile_key > KEY_NEG_INFINITY && tile_key < KEY_INFINITY;
    let target_token = targets[row];
    var target_key = 0;
    if target_token != NO_TOKEN {
        target_key = key_of_bits(logit_bits(row_start + target_token));
    }
    var mass = vec2<u32>(0u, 0u);
    var surprise = vec2<u32>(0u, 0u);
    var counts = vec2<u32>(0u, 0u);
    for (var i = 0u; i < TOKENS_PER_LANE; i++) {
        let octaves = octaves_below(max_bits, bits[i]);
        if sound && octaves != FAR {
            let m = mantissa(table_copy[table_index(octaves)], octaves);
            mass = add64(mass, weight(m, octaves));
            surprise = add64(surprise, surprisal(m, octaves));
        }
        let token = first_token + (i >> 2u) * 16u + (i & 3u);
        if target_token != NO_TOKEN && token < batch.vocab {
            let key = key_of_bits(bits[i]);
            counts += vec2<u32>(u32(key > target_key), u32(key == target_key));
        }
    }
    lane_sums[lane] = vec4<u32>(mass, surprise);
    lane_counts[lane] = counts;
    workgroupBarrier(); // every lane's sums before the sixteen partial sums

    // 4. across the workgroup: sixteen lanes, then one
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
        let out = (row * batch.tiles + tile) * STATS_WORDS;
        stats[out + STATS_MAX_KEY] = bitcast<u32>(tile_key);
        stats[out + STATS_MAX_BITS] = tile_bits;
        stats[out + STATS_MASS] = mass.x;
        stats[out + STATS_MASS + 1u] = mass.y;
        stats[out + STATS_SURPRISAL] = surprise.x;
        stats[out + STATS_SURPRISAL + 1u] = surprise.y;
        stats[out + STATS_N_GREATER] = counts.x;
        stats[out + STATS_N_EQUAL] = counts.y;
    }
}
