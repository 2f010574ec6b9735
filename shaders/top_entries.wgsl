// top_entries: the top-k part of the records as two arrays, logits and tokens. Libraries: format, words.
// One lane per entry, dispatch (listed / 64, rows). Past the last possible token: -infinity and NO_TOKEN.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> records: array<u32>;          // [rows][record_words]
@group(0) @binding(2) var<storage, read_write> out_logits: array<u32>; // [rows][listed] bits of f32
@group(0) @binding(3) var<storage, read_write> out_tokens: array<u32>; // [rows][listed]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= chunk.listed {
        return;
    }
    let entry = id.y * chunk.record_words + RECORD_HEADER_WORDS + 2u * id.x;
    let place = chunk.out_base + id.y * chunk.listed + id.x;
    out_tokens[place] = records[entry];
    out_logits[place] = records[entry + 1u];
}
