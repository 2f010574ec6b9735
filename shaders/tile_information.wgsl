// tile_information: what the tokens of one tile say about which of two distributions they come from, added to the record
// of row_divergence. Libraries: format, words, logits, integers, exact, wide, pair, divergence, sums. The second read of
// both batches. One workgroup per tile of 4096 tokens, dispatch (tiles, rows).

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;                // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> others: array<u32>;                // [rows][other_stride], of the second batch
@group(0) @binding(3) var<storage, read> table: array<u32>;                 // [1024], [1024], [770]
@group(0) @binding(4) var<storage, read_write> records: array<atomic<u32>>; // [rows][DIVERGENCE_WORDS]

const LANES: u32 = 256u;

var<workgroup> ln_masses: array<u32, 2>; // Q26

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let record = row * chunk.record_words;
    let are_sound = (word(record + DIVERGENCE_STATUSES) | word(record + DIVERGENCE_STATUSES + 1u)) == 0u;
    // 1. a lane takes the logarithm of each mass
    if lane < 2u {
        let mass = record + DIVERGENCE_MASSES + 2u * lane;
        ln_masses[lane] = 0u;
        if are_sound {
            ln_masses[lane] = ln_mass_fixed(vec2<u32>(word(mass), word(mass + 1u)));
        }
    }
    clear_sums(lane);
    workgroupBarrier(); // both logarithms are there, and all is empty before the first is added

    // 2. every lane its tokens; neighbouring lanes read neighbouring tokens
    if are_sound {
        let max_bits = vec2<u32>(
            bits_of_key(bitcast<i32>(word(record + DIVERGENCE_MAX_KEYS))),
            bits_of_key(bitcast<i32>(word(record + DIVERGENCE_MAX_KEYS + 1u))));
        let lns = vec2<u32>(ln_masses[0], ln_masses[1]);
        var own = vec4<u32>(0u); // two of 64 bits, Q49
        let end = min((group.x + 1u) * TILE, chunk.vocab);
        for (var token = group.x * TILE + lane; token < end; token += LANES) {
            let both = of_token(max_bits, vec2<u32>(first_bits(row, token), second_bits(row, token)), lns);
            own = vec4<u32>(add64(own.xy, both.xy), add64(own.zw, both.zw));
        }
        add_to_sum64(0u, own.xy);
        add_to_sum64(2u, own.zw);
    }
    workgroupBarrier(); // every lane's sums before the tile's

    // 3. to the row's, which other tiles add to at the same time: words with a carry, in any order the same
    if lane < 2u && are_sound {
        let sum = shift_right64(sum64(2u * lane), 6u); // Q43
        let place = record + DIVERGENCE_INFORMATIONS + 2u * lane;
        let before = atomicAdd(&records[place], sum.x);
        atomicAdd(&records[place + 1u], sum.y + u32(before + sum.x < before));
    }
}

fn word(place: u32) -> u32 {
    return atomicLoad(&records[place]);
}

// Weights times information, Q49, of the token in both distributions.
fn of_token(max_bits: vec2<u32>, bits: vec2<u32>, lns: vec2<u32>) -> vec4<u32> {
    let first_distance = distance_below(max_bits.x, bits.x);
    let second_distance = distance_below(max_bits.y, bits.y);
    let said = information(log_ratio(difference64(second_distance, first_distance), lns));
    return vec4<u32>(
        information_of(power_of(first_distance), said), information_of(power_of(second_distance), said));
}
