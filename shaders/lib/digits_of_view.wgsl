// digits_of_view: a list of more than MOST_LISTED entries in a record of row_sample: of what is drawn from, or of the raw
// logits. Its codes are of the logits as f32, after masks, bias and penalties; what the filters left out is impossible.
// Provides: levels, is_idle, begin_row, code_of_token, bits_of_code, list_length, list_of, entries_of, and the bindings `requests`,
// `mask`.
// Needs: words, logits, rows, integers, exact, soft_float, request, changes (.wgsl), the kernel's bindings `logits`,
// `row_data`, `records`.

@group(0) @binding(5) var<storage, read> requests: array<Request>;
@group(0) @binding(6) var<storage, read> mask: array<u32>; // [rows][mask_words], bit set where allowed

// What is the same for all tokens of a row: begin_row.
var<private> first_element: u32;
var<private> own_request: u32;
var<private> is_changed: bool;
var<private> first_kept: vec2<u32>; // key and token, of the run
var<private> last_kept: vec2<u32>;

// Whether nobody asks for the list of a row.
fn is_idle(row: u32) -> bool {
    return finish_of(head_of(row).request) != 0u;
}

fn begin_row(row: u32) {
    first_element = start_of(row);
    own_request = head_of(row).request;
    is_changed = false;
    first_kept = vec2<u32>(0x7fffffffu, 0u); // every token
    last_kept = vec2<u32>(0x80000000u, NO_TOKEN);
    if chunk.raw_list == 0u {
        is_changed = is_row_changed(own_request);
        let run = behind_lists(record_of(row));
        first_kept = vec2<u32>(records[run + RUN_FIRST_KEY], records[run + RUN_FIRST_TOKEN]);
        last_kept = vec2<u32>(records[run + RUN_LAST_KEY], records[run + RUN_LAST_TOKEN]);
    }
}

fn levels() -> u32 {
    return 4u;
}

fn code_of_token(row: u32, token: u32) -> u32 {
    let element = first_element + token;
    var bits = widen(logits[word_of_element(element)], element);
    if is_changed {
        bits = changed_bits(row, own_request, token, bits);
    }
    let key = key_of_bits(bits);
    let first = bitcast<i32>(first_kept.x);
    let last = bitcast<i32>(last_kept.x);
    let is_before = key > first || (key == first && token < first_kept.y);
    let is_behind = key < last || (key == last && token > last_kept.y);
    return select(0x7fffffffu - bitcast<u32>(key), impossible_code(), is_before || is_behind);
}

fn bits_of_code(code: u32) -> u32 {
    return bits_of_key(bitcast<i32>(0x7fffffffu - code));
}

fn list_length() -> u32 {
    return select(chunk.listed, chunk.top_raw, chunk.raw_list == 1u);
}

// The first drawn tokens lie before the records.
fn record_of(row: u32) -> u32 {
    return chunk.rows + row * chunk.record_words;
}

fn list_of(row: u32) -> u32 {
    let lists = record_of(row) + SAMPLE_HEADER_WORDS + chunk.draws * DRAW_WORDS;
    return lists + select(0u, 2u * chunk.listed, chunk.raw_list == 1u);
}

// Entries that the row's own list may have: as many as its request asks for, none of a row that is no distribution.
fn entries_of(row: u32) -> u32 {
    let record = record_of(row);
    let request = head_of(row).request;
    if chunk.raw_list == 0u {
        return select(0u, requests[request].top_processed, records[record + SAMPLE_STATUS] == 0u);
    }
    let is_listed = (requests[request].flags & ASKS_RAW) != 0u && records[record + SAMPLE_RAW_STATUS] == 0u;
    return select(0u, requests[request].top_raw, is_listed);
}
