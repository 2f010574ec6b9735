// request: what a row's request asks; mirrored by src/request/words.rs, compared with it by a test.
// Provides: Request.
// Needs: exact.wgsl.

struct Request {
    first_change: u32,   // in `rows`, sorted by token
    n_changes: u32,
    repetition: u32,     // bits of an f32
    first_allowed: u32,  // in `rows`, 128 tokens each; NONE if every token is allowed
    pass_scale: Scale,         // of the view that is drawn from, in pass 1
    draw_scale: Scale,         // what is drawn from
    draw_unit: u32,      // temperature · 2^draw_scale.shift
    flags: u32,
    seed: vec2<u32>,     // low, high
    stream: u32,
    n_draws: u32,
    top_processed: u32,
    top_raw: u32,
    dynamic_low: u32,    // lowest temperature, Q22
    dynamic_span: u32,   // highest minus lowest, Q22
    dynamic_power: u32,  // Q16
    n_steps: u32,
    steps: array<vec4<u32>, 10>, // kind, factor, by, coin
}

const NONE: u32 = 0xffffffffu;

const FLAG_GREEDY: u32 = 1u;
const FLAG_DYNAMIC: u32 = 2u;      // the temperature depends on the entropy
const FLAG_WANTS_RAW: u32 = 4u;
