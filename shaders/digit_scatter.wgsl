// digit_scatter: moves the items of a block to where their digits belong, items with equal digits in their order.
// Libraries: format, words, logits, rows, integers, exact, digits_of_row, digits. Libraries of view_digit_scatter: format, words,
// logits, rows, integers, exact, soft_float, request, changes, digits_of_view, digits. One workgroup per block of 8192
// consecutive items of one row, dispatch (blocks, rows). Places depend on counts and on the items' order alone: atomics only
// raise flags.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // offsets of rows
@group(0) @binding(3) var<storage, read_write> records: array<u32>; // [rows][record_words]
@group(0) @binding(4) var<storage, read_write> scratch: array<u32>; // [rows] of digits.wgsl

const FLAG_WORDS: u32 = 8u; // one flag per lane

var<workgroup> flags: array<atomic<u32>, 2048>; // [FLAG_WORDS][DIGITS]: lanes whose item has the digit
var<workgroup> next_place: array<u32, 256>;     // by digit

var<private> own_entries: u32;

// Leaves an item at its place. The last stage leaves entries as they are returned.
fn put(stage: u32, row: u32, place: u32, one: vec2<u32>) {
    if place >= list_length() {
        return; // an item equal to the k-th best, but behind it
    }
    if !is_in_records(stage) {
        let pair = pair_of(row, place);
        scratch[pair] = one.y;
        scratch[pair + 1u] = one.x;
        return;
    }
    var token = one.y;
    var word = one.x;
    if stage == 2u * levels() {
        word = bits_of_code(one.x);
        if word >= BITS_NEG_INFINITY || place >= own_entries {
            token = NO_TOKEN; // impossible, or past the vocabulary, or not in the row's own list
            word = BITS_NEG_INFINITY;
        }
    }
    let entry = entry_of(row, place);
    records[entry] = token;
    records[entry + 1u] = word;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x;
    let row = group.y;
    let stage = chunk.stage;
    if is_idle(row) {
        return;
    }
    begin_row(row);
    own_entries = entries_of(row);
    let kth = scratch[kth_of(levels(), row)];

    // 1. where this block's first item of each digit goes: behind all smaller digits, and the same of earlier blocks
    let items = column(stage, row, block, lane);
    next_place[lane] = sum_before(items.y, lane) + items.x;
    for (var i = 0u; i < FLAG_WORDS; i++) {
        atomicStore(&flags[i * DIGITS + lane], 0u);
    }
    workgroupBarrier(); // lowered flags before the first is raised

    let end = min(block * BLOCK + BLOCK, items_of(stage));
    let own_word = (lane / 32u) * DIGITS;
    let own_flag = 1u << (lane % 32u);
    for (var first = block * BLOCK; first < end; first += LANES) {
        // 2. a flag per item, by its digit
        let i = first + lane;
        var one = vec2<u32>(0u, 0u);
        var digit = NO_DIGIT;
        if i < end {
            one = item(stage, row, i);
            digit = digit_of(stage, one.x, kth);
        }
        if digit != NO_DIGIT {
            atomicOr(&flags[own_word + digit], own_flag);
        }
        workgroupBarrier(); // every flag before they are counted

        // 3. its place: behind the items of its digit in lanes before it
        if digit != NO_DIGIT {
            var place = next_place[digit] + countOneBits(atomicLoad(&flags[own_word + digit]) & (own_flag - 1u));
            for (var word = 0u; word < own_word; word += DIGITS) {
                place += countOneBits(atomicLoad(&flags[word + digit]));
            }
            put(stage, row, place, one);
        }
        workgroupBarrier(); // all places are known before they move on

        // 4. a lane per digit: past these items
        var taken = 0u;
        for (var word = lane; word < FLAG_WORDS * DIGITS; word += DIGITS) {
            taken += countOneBits(atomicLoad(&flags[word]));
            atomicStore(&flags[word], 0u);
        }
        next_place[lane] += taken;
        workgroupBarrier(); // lowered flags before the next are raised
    }
}
