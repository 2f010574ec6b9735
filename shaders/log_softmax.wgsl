// log_softmax: out[r][i] = x[r][i] - max - ln(mass), the nearest f32. Libraries: format, words, logits, rows, integers,
// exact, wide. Second read of the logits and one write; the record of the row, out of row_logprobs, holds maximum and
// mass. Dispatch (tiles, rows). A row that is no distribution is NaN throughout.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;      // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // offsets of rows
@group(0) @binding(3) var<storage, read> records: array<u32>;     // [rows][record_words]
@group(0) @binding(4) var<storage, read_write> out: array<u32>;   // [rows][vocab] bits of f32

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
    // 2. every lane its tokens, four at a time; neighbouring lanes read neighbouring tokens
    let max_bits = bits_of_key(bitcast<i32>(records[record + RECORD_MAX_KEY]));
    let base = fine_base(max_bits, ln);
    let row_start = start_of(row);
    let end = min((group.x + 1u) * TILE, chunk.vocab);
    for (var token = group.x * TILE + lane; token < end; token += 4u * LANES) {
        let tokens = vec4<u32>(token, token + LANES, token + 2u * LANES, token + 3u * LANES);
        let elements = min(tokens, vec4<u32>(end - 1u)) + vec4<u32>(row_start);
        var bits = vec4<u32>(
            logit_bits(elements.x), logit_bits(elements.y), logit_bits(elements.z), logit_bits(elements.w));
        var logprobs = vec4<u32>(BITS_NAN);
        if status == 0u {
            logprobs = log_softmax_of_four(base, bits);
            if !all(is_fine(vec4<u32>(max_bits)) & is_fine(bits)) {
                for (var i = 0u; i < 4u; i++) {
                    logprobs = vec4<u32>(logprobs.yzw, log_softmax_bits(max_bits, ln, bits.x));
                    bits = vec4<u32>(bits.yzw, bits.x);
                }
            }
        }
        let place = chunk.out_base + row * chunk.vocab;
        write(place, tokens.x, end, logprobs.x);
        write(place, tokens.y, end, logprobs.y);
        write(place, tokens.z, end, logprobs.z);
        write(place, tokens.w, end, logprobs.w);
    }
}

fn logit_bits(element: u32) -> u32 {
    return widen(logits[word_of_element(element)], element);
}

fn write(row_out: u32, token: u32, end: u32, bits: u32) {
    if token < end {
        out[row_out + token] = bits;
    }
}
