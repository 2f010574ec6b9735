// log_softmax: out[r][i] = x[r][i] - max - ln(mass), the nearest f32. Libraries: format, words, logits, integers,
// exact, wide. Second read of the logits and one write; the record of the row, out of row_logprobs, holds maximum and
// mass. Dispatch (tiles, rows). A row that is no distribution is NaN throughout.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;      // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> records: array<u32>;     // [rows][record_words]
@group(0) @binding(3) var<storage, read_write> out: array<u32>;   // [rows][vocab] bits of f32

const LANES: u32 = 256u;
const BITS_NAN: u32 = 0x7fc00000u;

var<workgroup> ln_mass: u32;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let record = row * chunk.record_words;
    // 1. one lane takes the logarithm
    let status = records[record + RECORD_STATUS];
    if lane == 0u {
        ln_mass = 0u;
        if status == 0u {
            ln_mass = ln_mass_fixed(vec2<u32>(records[record + RECORD_MASS], records[record + RECORD_MASS + 1u]));
        }
    }
    let ln = workgroupUniformLoad(&ln_mass);
    // 2. every lane its tokens; neighbouring lanes read neighbouring tokens
    let max_bits = bits_of_key(bitcast<i32>(records[record + RECORD_MAX_KEY]));
    let end = min((group.x + 1u) * TILE, chunk.vocab);
    for (var token = group.x * TILE + lane; token < end; token += LANES) {
        var bits = BITS_NAN;
        if status == 0u {
            let element = chunk.element_base + row * chunk.row_stride + token;
            bits = log_softmax_bits(max_bits, ln, widen(logits[word_of_element(element)], element));
        }
        out[chunk.out_base + row * chunk.vocab + token] = bits;
    }
}
