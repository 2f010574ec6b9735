// row_logprobs: merges the tiles of a row, selects its top k, looks up its target. Libraries: format, words,
// logits, rows, integers, exact, status, request, merge, list, radix, select, few. One workgroup per row, dispatch
// (1, rows). Opens only the subtiles that can hold one of the top k: the k largest tokens lie in the k subtiles with the largest delegates,
// because subtiles are runs of consecutive tokens and both orders are value descending, then token ascending.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // a head per row, offsets
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(5) var<storage, read> scratch: array<u32>;       // [1][rows][tiles][TILE_WORDS]
@group(0) @binding(6) var<storage, read_write> records: array<u32>; // [rows][record_words]

var<private> row: u32;
var<private> row_start: u32;

fn logit_bits(token: u32) -> u32 {
    let element = row_start + token;
    return widen(logits[word_of_element(element)], element);
}

fn item(level: u32, i: u32) -> vec2<u32> {
    if level == OF_SUBTILES {
        let tile = tile_words(PROCESSED, row, i / SUBTILES_PER_TILE);
        return code_of(bitcast<i32>(scratch[tile + TILE_DELEGATES + i % SUBTILES_PER_TILE]), i);
    }
    let token = chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    var key = KEY_NEG_INFINITY; // past the vocabulary: behind every possible token
    if token < chunk.vocab {
        key = key_of_bits(logit_bits(token));
    }
    return code_of(key, token);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    row = group.y;
    row_start = start_of(row);
    let record = group.y * chunk.record_words;
    let head = head_of(group.y);
    let stats = merge_tiles(PROCESSED, group.y, requests[head.request].pass_scale, lane);

    if lane == 0u {
        var target_bits = 0u;
        if head.token != NO_TOKEN && stats.status == 0u {
            target_bits = bits_of_key(key_of_bits(logit_bits(head.token))); // through the key, so that -0 becomes +0
        }
        records[record + RECORD_MAX_KEY] = select(0u, bitcast<u32>(stats.max_key), stats.status == 0u);
        records[record + RECORD_STATUS] = stats.status;
        records[record + RECORD_MASS] = stats.mass.x;
        records[record + RECORD_MASS + 1u] = stats.mass.y;
        records[record + RECORD_SURPRISAL] = stats.surprisal.x;
        records[record + RECORD_SURPRISAL + 1u] = stats.surprisal.y;
        records[record + RECORD_N_GREATER] = stats.n_greater;
        records[record + RECORD_N_EQUAL] = stats.n_equal;
        records[record + RECORD_TARGET_BITS] = target_bits;
        records[record + RECORD_CALL] = chunk.call;
    }

    if chunk.listed > MOST_LISTED {
        return; // digit_scatter writes the entries
    }

    // Top k: subtiles by their delegates, then the tokens of those subtiles. Of a row that is no distribution in vain, so
    // that all lanes are known to go the same way.
    var n_winners = 0u;
    if chunk.listed > 0u {
        let n_subtiles = (chunk.vocab + SUBTILE - 1u) / SUBTILE;
        if chunk.listed <= MOST_FEW {
            n_winners = take_few(n_subtiles, chunk.listed, lane);
        }
        if chunk.listed > MOST_FEW || n_winners > MOST_LISTED {
            let n_chosen = min(chunk.listed, n_subtiles);
            take(OF_SUBTILES, n_subtiles, n_chosen, lane);
            n_winners = min(chunk.listed, n_chosen * SUBTILE);
            take(OF_TOKENS, n_chosen * SUBTILE, n_winners, lane);
        }
    }
    n_winners = select(0u, n_winners, stats.status == 0u);
    write_entries(record + RECORD_HEADER_WORDS, n_winners, chunk.listed, chunk.listed, lane);
}
