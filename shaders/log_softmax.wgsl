// log_softmax: out[r][i] = x[r][i] - max - ln(mass), the nearest f32. Libraries: format, words, logits, rows, integers,
// exact, wide, near. Second read of the logits and one write; the record of the row, out of row_logprobs, holds maximum and
// mass. Dispatch (tiles, rows). A row that is no distribution is NaN throughout.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;      // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // offsets of rows
@group(0) @binding(3) var<storage, read> records: array<u32>;     // [rows][record_words]
@group(0) @binding(4) var<storage, read_write> out: array<u32>;   // [rows][vocab] bits of f32

const LANES: u32 = 256u;
const BITS_NAN: u32 = 0x7fc00000u;

struct RowTerms {
    ln_mass: u32,
    near: NearRow,
}

var<workgroup> row_terms: RowTerms;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let record = row * chunk.record_words;
    // 1. one lane takes the logarithm
    let status = records[record + RECORD_STATUS];
    let max_bits = bits_of_key(bitcast<i32>(records[record + RECORD_MAX_KEY]));
    if lane == 0u {
        var ln_mass = 0u;
        if status == 0u {
            ln_mass = ln_mass_fixed(vec2<u32>(records[record + RECORD_MASS], records[record + RECORD_MASS + 1u]));
        }
        row_terms = RowTerms(ln_mass, near_row(max_bits, ln_mass));
    }
    let terms = workgroupUniformLoad(&row_terms);
    // 2. every lane its tokens, four at a time; neighbouring lanes read neighbouring tokens
    let row_start = start_of(row);
    let row_out = chunk.out_base + row * chunk.vocab;
    let end = min((group.x + 1u) * TILE, chunk.vocab);
    for (var token = group.x * TILE + lane; token < end; token += 4u * LANES) {
        let tokens = vec4<u32>(token, token + LANES, token + 2u * LANES, token + 3u * LANES);
        let elements = min(tokens, vec4<u32>(end - 1u)) + vec4<u32>(row_start);
        var stored = vec4<u32>(
            element_at(elements.x), element_at(elements.y), element_at(elements.z), element_at(elements.w));
        var logprobs = vec4<u32>(BITS_NAN);
        if status == 0u {
            let a = near_logprob(terms.near, stored.x);
            let b = near_logprob(terms.near, stored.y);
            let c = near_logprob(terms.near, stored.z);
            let d = near_logprob(terms.near, stored.w);
            logprobs = vec4<u32>(a.bits, b.bits, c.bits, d.bits);
            if !(a.is_near && b.is_near && c.is_near && d.is_near) {
                for (var i = 0u; i < 4u; i++) {
                    let bits = widen(stored.x, 0u);
                    logprobs = vec4<u32>(logprobs.yzw, log_softmax_bits(max_bits, terms.ln_mass, bits));
                    stored = vec4<u32>(stored.yzw, stored.x);
                }
            }
        }
        write(row_out, tokens.x, end, logprobs.x);
        write(row_out, tokens.y, end, logprobs.y);
        write(row_out, tokens.z, end, logprobs.z);
        write(row_out, tokens.w, end, logprobs.w);
    }
}

// An element; of 16 bits in the lower half of the word, whose upper half is not cleared.
fn element_at(element: u32) -> u32 {
    let word = logits[word_of_element(element)];
    if DTYPE == 0u {
        return word;
    }
    return word >> ((element & 1u) * 16u);
}

fn write(row_out: u32, token: u32, end: u32, bits: u32) {
    if token < end {
        out[row_out + token] = bits;
    }
}
