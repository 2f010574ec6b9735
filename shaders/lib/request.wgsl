// request: what a row's request asks, and the row's head; compared by a test with what the host writes.
// Provides: Request, Head, head_of, finish_of, NONE.
// Needs: exact.wgsl, words.wgsl, and the kernel's bindings `row_data`, `requests`.

struct Request {
    first_kept: u32,    // changes in `row_data`, a table of so many buckets of four quads
    kept_buckets: u32,  // a power of two, or 0
    first_step: u32,    // those that stand in place of the kept ones
    step_buckets: u32,
    repetition: u32,    // bits of an f32
    first_allowed: u32, // in `row_data`, 128 tokens each; NONE if every token is allowed
    pass_scale: Scale,  // of the view that is drawn from, in pass 1
    draw_scale: Scale,  // what is drawn at
    draw_unit: u32,     // temperature · 2^draw_scale.shift
    flags: u32,         // ASKS_*, and the status of its rows if it has finished
    seed: vec2<u32>,    // low, high
    stream: u32,
    n_draws: u32,
    top_processed: u32,
    top_raw: u32,
    dynamic_low: u32,   // lowest temperature, Q22
    dynamic_span: u32,  // highest minus lowest, Q22
    dynamic_power: u32, // Q24
    n_cuts: u32,
    per_logit: u32,     // of the view that is drawn from, in pass 1: bits of an f32, lane.wgsl
    first_xtc_exempt: u32, // tokens in `row_data`, four a quad
    n_xtc_exempt: u32,
    history: u32,       // where row_history finds what it is told; 0 without
    first_draft: u32,   // draft tokens in `row_data`, four a quad, where there are several
    n_drafts: u32,      // 0 where there is one, the head's, or none
    block_place: u32,   // place of the row in a block that is verified, from 1 on; 0 outside
    block_behind: u32,  // rows of the block behind it
    cuts: array<vec4<u32>, MAX_CUTS>, // CUT_*, then the kind's own words
}

const NONE: u32 = 0xffffffffu;

struct Head {
    request: u32,
    token: u32, // the target, or the draft's; NO_TOKEN without
    position: vec2<u32>, // low, high
}

// Heads come first in `row_data`.
fn head_of(row: u32) -> Head {
    let words = row_data[chunk.first_row + row];
    return Head(words.x, words.y, words.zw);
}

// The status of a row whose request has finished before it, of which no kernel says anything; 0 while the request goes on.
fn finish_of(request: u32) -> u32 {
    return requests[request].flags & (STATUS_STOP | STATUS_LENGTH);
}
