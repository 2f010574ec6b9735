// loop_rounds: what comes of many rounds of loops in one invocation: some drivers cut them short without a word, Mesa's
// software ones before version 25 after 65 535 of all loops together. Libraries: format. `rows` times `vocab` steps of a
// generator, which no compiler can shorten. Dispatch (1).

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read_write> out: array<u32>; // [1] the state after the last step

@compute @workgroup_size(1)
fn main() {
    var state = chunk.call;
    for (var i = 0u; i < chunk.rows; i++) {
        for (var j = 0u; j < chunk.vocab; j++) {
            state = state * 1664525u + 1013904223u;
        }
    }
    out[0] = state;
}
