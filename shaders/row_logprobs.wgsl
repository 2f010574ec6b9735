// row_logprobs: merges the tiles of a row, selects its top k, looks up its target. Libraries: batch, logits, integers, exact, request,
// merge, list, select. One workgroup per row, dispatch (1, rows). Opens only the subtiles that can hold one of the top k: the k largest
// tokens lie in the k subtiles with the largest delegates, because subtiles are runs of consecutive tokens and both
// orders are value descending, then token ascending.

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;    // heads: request, target, position
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(5) var<storage, read> scratch: array<u32>;       // [1][rows][tiles][TILE_WORDS]
@group(0) @binding(6) var<storage, read_write> records: array<u32>; // [rows][record_words]

var<private> row: u32;

fn logit_bits(token: u32) -> u32 {
    let element = batch.element_base + row * batch.row_stride + token;
    return widen(logits[word_of_element(element)], element);
}

fn item(stage: u32, i: u32) -> vec2<u32> {
    if stage == OF_SUBTILES {
        let tile = tile_words(PROCESSED, row, i / SUBTILES_PER_TILE);
        return code_of(bitcast<i32>(scratch[tile + TILE_DELEGATES + i % SUBTILES_PER_TILE]), i);
    }
    let token = chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    var key = KEY_NEG_INFINITY; // past the vocabulary: behind every possible token
    if token < batch.vocab {
        key = key_of_bits(logit_bits(token));
    }
    return code_of(key, token);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    row = group.y;
    let record = group.y * batch.record_words;
    let head = rows[batch.first_row + group.y];
    let stats = merge_tiles(PROCESSED, group.y, requests[head.x].pass_scale, lane);

    if lane == 0u {
        var target_bits = 0u;
        if head.y != NO_TOKEN && stats.flags == 0u {
            target_bits = bits_of_key(key_of_bits(logit_bits(head.y))); // through the key, so that -0 becomes +0
        }
        records[record + RECORD_MAX_KEY] = select(0u, bitcast<u32>(stats.max_key), stats.flags == 0u);
        records[record + RECORD_FLAGS] = stats.flags;
        records[record + RECORD_MASS] = stats.mass.x;
        records[record + RECORD_MASS + 1u] = stats.mass.y;
        records[record + RECORD_SURPRISAL] = stats.surprisal.x;
        records[record + RECORD_SURPRISAL + 1u] = stats.surprisal.y;
        records[record + RECORD_N_GREATER] = stats.n_greater;
        records[record + RECORD_N_EQUAL] = stats.n_equal;
        records[record + RECORD_TARGET_BITS] = target_bits;
        records[record + RECORD_STEP] = batch.step;
    }

    if batch.top_k > MOST_LISTED {
        return; // digit_scatter writes the entries
    }

    // Top k: subtiles by their delegates, then the tokens of those subtiles.
    var n_winners = 0u;
    if stats.flags == 0u && batch.top_k > 0u {
        let n_subtiles = (batch.vocab + SUBTILE - 1u) / SUBTILE;
        let n_chosen = min(batch.top_k, n_subtiles);
        _ = take(OF_SUBTILES, n_subtiles, n_chosen, lane);
        n_winners = min(batch.top_k, n_chosen * SUBTILE);
        _ = take(OF_TOKENS, n_chosen * SUBTILE, n_winners, lane);
    }
    write_entries(record + RECORD_HEADER_WORDS, n_winners, batch.top_k, lane);
}
