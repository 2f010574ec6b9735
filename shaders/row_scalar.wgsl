// row_scalar: one f32 per row out of its record, the maximum or the log-sum-exp. Libraries: format, words, integers,
// exact, wide. One lane per row, dispatch (rows / 64). NaN where the row has one; infinities as they are.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> records: array<u32>;   // [rows][record_words]
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // [rows] bits of f32

override LOG_SUM_EXP: bool = false;

const BITS_NAN: u32 = 0x7fc00000u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= chunk.rows {
        return;
    }
    let record = id.x * chunk.record_words;
    let status = records[record + RECORD_STATUS];
    var bits = bits_of_key(bitcast<i32>(records[record + RECORD_MAX_KEY]));
    if status == STATUS_NAN {
        bits = BITS_NAN;
    } else if status == STATUS_INFINITY {
        bits = 0x7f800000u;
    } else if status == STATUS_EMPTY {
        bits = BITS_NEG_INFINITY;
    } else if LOG_SUM_EXP {
        let mass = vec2<u32>(records[record + RECORD_MASS], records[record + RECORD_MASS + 1u]);
        bits = log_sum_exp_bits(bits, ln_mass_fixed(mass));
    }
    out[chunk.out_base + id.x] = bits;
}
