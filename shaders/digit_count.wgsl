// digit_count: how many items of a block have each digit. Libraries: format, words, logits, rows, integers, exact,
// digits_of_row, digits. Libraries of view_digit_count: format, words, logits, rows, integers, exact, soft_float, request,
// changes, digits_of_view, digits.
// One workgroup per block of 8192 consecutive items of one row, dispatch (blocks, rows). A selecting stage first takes
// from the counts of the stage before which digit the k-th best code has there.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // offsets of rows
@group(0) @binding(3) var<storage, read> records: array<u32>;       // [rows][record_words]
@group(0) @binding(4) var<storage, read_write> scratch: array<u32>; // [rows] of digits.wgsl

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> found: vec2<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x;
    let row = group.y;
    let stage = chunk.stage;
    if is_idle(row) {
        return;
    }
    begin_row(row);

    // 1. one digit more of the k-th best code: the one with which the count reaches what is wanted
    var kth = vec2<u32>(0u, list_length());
    if stage > 0u && stage <= levels() {
        let known = kth_of(stage - 1u, row);
        let wanted = scratch[known + 1u];
        let count = column(stage - 1u, row, block, lane).y;
        let before = sum_before(count, lane);
        if before < wanted && wanted <= before + count {
            found = vec2<u32>(scratch[known] | (lane << select_shift(stage - 1u)), wanted - before);
        }
        kth = workgroupUniformLoad(&found);
    }
    if stage <= levels() && block == 0u && lane == 0u {
        scratch[kth_of(stage, row)] = kth.x;
        scratch[kth_of(stage, row) + 1u] = kth.y;
    }

    // 2. count: sums of integers, in any order
    atomicStore(&histogram[lane], 0u);
    workgroupBarrier(); // an empty histogram before the counting
    let end = min(block * BLOCK + BLOCK, items_of(stage));
    for (var i = block * BLOCK + lane; i < end; i += LANES) {
        let digit = digit_of(stage, item(stage, row, i).x, kth.x);
        if digit != NO_DIGIT {
            atomicAdd(&histogram[digit], 1u);
        }
    }
    workgroupBarrier(); // a full histogram before it is kept
    scratch[counts_of(stage, row, block) + lane] = atomicLoad(&histogram[lane]);
}
