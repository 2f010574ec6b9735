// row_sample: truncates a row's distribution, draws tokens from what is kept, and says what was drawn. Libraries: batch,
// logits, exact, soft_float, request, changes, numbers, rng, select, merge, open, filters, draw.
// One workgroup per row, dispatch (1, rows). Every filter keeps a run of the one total order; docs/sampling.md defines
// them. Only the subtiles that can hold a token of the run are opened; where those are too many to name, the whole row.

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;    // heads (request, draft, position), changes, allowed sets
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;          // [rows][mask_words], bit set where allowed
@group(0) @binding(5) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(6) var<storage, read> scratch: array<u32>;       // [views][rows][tiles][TILE_WORDS]
@group(0) @binding(7) var<storage, read> draft: array<u32>;         // [rows][draft_stride] f32 probabilities
@group(0) @binding(8) var<storage, read_write> records: array<u32>; // [rows] first tokens, then [rows][record_words]

// Words of a record; draws of DRAW_WORDS, then both lists of (token, bits) follow the header.
const SAMPLE_MAX_KEY: u32 = 0u;
const SAMPLE_FLAGS: u32 = 1u;
const SAMPLE_MASS: u32 = 2u;       // Q43, of the run, at the scale that is drawn at
const SAMPLE_SURPRISAL: u32 = 4u;  // Q43
const SAMPLE_KEPT: u32 = 6u;       // tokens of the run
const SAMPLE_SHIFT: u32 = 7u;      // of the scale that is drawn at
const SAMPLE_UNIT: u32 = 8u;       // temperature · 2^shift
const SAMPLE_STEP: u32 = 9u;       // where RECORD_STEP is
const SAMPLE_KEPT_MASS: u32 = 10u; // Q43, of the run, at the scale of pass 1
const SAMPLE_ALL_MASS: u32 = 12u;  // Q43, of the row, at the scale of pass 1
const SAMPLE_REOPENED: u32 = 14u;  // logits that this pass read
const SAMPLE_ACCEPTED: u32 = 15u;  // 1 where the draft token stands
const SAMPLE_RAW_MAX_KEY: u32 = 16u;
const SAMPLE_RAW_FLAGS: u32 = 17u;
const SAMPLE_RAW_MASS: u32 = 18u;      // Q40
const SAMPLE_RAW_SURPRISAL: u32 = 20u; // Q40
const SAMPLE_HEADER_WORDS: u32 = 22u;

// Words of a draw.
const DRAW_TOKEN: u32 = 0u;
const DRAW_VIEWS: u32 = 1u; // bits, n_greater, n_equal of the processed view, then of the raw one
const DRAW_WORDS: u32 = 7u;

// Kinds of steps.
const STEP_TEMPERATURE: u32 = 1u;
const STEP_TOP_K: u32 = 2u;
const STEP_TOP_P: u32 = 3u;
const STEP_MIN_P: u32 = 4u;
const STEP_TYPICAL: u32 = 5u;
const STEP_TOP_N_SIGMA: u32 = 6u;
const STEP_EPSILON: u32 = 7u;
const STEP_XTC: u32 = 8u;

const FIRST_OPENED: u32 = 64u; // subtiles; then four times as many, and in the end the row

var<private> row: u32;
var<private> request: u32;
var<private> view: u32;
var<private> reopened: u32;

// What a step finds.
struct Now {
    stats: Merged,   // of the row, pass 1
    max_bits: u32,
    scale: Scale,    // in force
    is_full: bool,   // no filter has run yet
    pass_has: bool,  // pass 1 has the masses of the whole row at this scale
}

// Mass, surprisal and count of the run, from pass 1 where that has them; otherwise the run's subtiles are opened.
fn sum_now(now: Now, lane: u32) -> Sum {
    if now.is_full && now.pass_has {
        return Sum(shift_left64(now.stats.mass, 3u), shift_left64(now.stats.surprisal, 3u), now.stats.n_greater);
    }
    open_to(run_now().last, lane);
    return sum_run(now.scale, now.max_bits, lane);
}

fn keep_top_k(k: u32, now: Now, lane: u32) {
    let old = run_now();
    if now.is_full {
        open_top(k, lane);
    } else {
        open_to(old.last, lane);
    }
    let n = n_opened_tokens();
    let threshold = select_top(OF_TOKENS, n, min(k, n), lane); // NO_ITEM where fewer are left
    reopened += n;
    // The threshold may lie below the k-th token, but nothing that is not opened lies above the floor.
    let last = earlier_of(threshold, workgroupUniformLoad(&opened).floor);
    narrow(old.first, earlier_of(last, old.last), lane);
}

// top-p, and typical-p, which walks away from the entropy instead of down from the first token.
fn keep_mass(step: vec4<u32>, now: Now, lane: u32) {
    let by_deviation = step.x == STEP_TYPICAL;
    let old = run_now();
    let all = sum_now(now, lane);
    let wanted = ceil_ratio(all.mass, step.y, step.z);
    let centre = quotient_q24(shift_right64(all.surprisal, 8u), shift_right64(all.mass, 8u));
    var found = Found(NO_ITEM, false);
    var subtiles = FIRST_OPENED;
    loop {
        if now.is_full {
            open_top(select(NONE, subtiles, subtiles <= MOST_CHOSEN), lane);
        }
        found = select_mass(by_deviation, centre, wanted, now.scale, now.max_bits, lane);
        let floor = workgroupUniformLoad(&opened).floor;
        var is_settled = at_least(found.code, floor);
        if by_deviation {
            // Everything as near the centre as this lies above the floor.
            let at_floor = octaves_below(now.max_bits, bits_of_key(key_of_code(floor)), now.scale);
            is_settled = centre + ~found.code.x < at_floor;
        }
        if !now.is_full || (found.is_there && is_settled) || subtiles > MOST_CHOSEN {
            break;
        }
        subtiles *= 4u;
    }
    if !found.is_there {
        return; // the run weighs less than its share: pass 1 rounds otherwise
    }
    if !by_deviation {
        narrow(old.first, earlier_of(found.code, old.last), lane);
        return;
    }
    let deviation = ~found.code.x;
    let lowest = lowest_key(BY_OCTAVES, vec2<u32>(centre + deviation, 0u), now.scale, now.max_bits);
    let last = earlier_of(code_of_lowest(lowest), old.last);
    var first = old.first;
    if centre > deviation {
        let above = lowest_key(BY_OCTAVES, vec2<u32>(centre - deviation - 1u, 0u), now.scale, now.max_bits);
        let below = code_of_lowest(above) - vec2<u32>(1u, 1u); // the last code of the key below it
        first = select(below, first, at_least(below, first));
    }
    open_to(last, lane);
    narrow(ends_between(last, first, lane).first, last, lane);
}

// min-p, epsilon, top-n-sigma: a threshold of the key, so nothing is opened to find it.
fn keep_above(step: vec4<u32>, now: Now, lane: u32) {
    let old = run_now();
    var quantity = BY_WEIGHT;
    var limit = vec2<u32>(0u, 0u);
    let first = first_of_run(old, now.stats.max_key, lane);
    if step.x == STEP_MIN_P {
        let heaviest = weight_of_code(first, now.scale, now.max_bits);
        limit = ceil_ratio(heaviest, step.y, step.z);
    } else if step.x == STEP_EPSILON {
        limit = ceil_ratio(sum_now(now, lane).mass, step.y, step.z);
    } else {
        open_to(old.last, lane);
        quantity = BY_DISTANCE;
        let from_first = distance_q20(now.max_bits, bits_of_key(key_of_code(first)));
        limit.x = from_first + sigma_distance(step.y, now.max_bits, lane);
    }
    var bound = first; // at least one token stays
    if is_within(quantity, limit, key_of_code(first), now.scale, now.max_bits) {
        bound = code_of_lowest(lowest_key(quantity, limit, now.scale, now.max_bits));
    }
    narrow(old.first, earlier_of(bound, old.last), lane);
}

// XTC: of the tokens above a threshold only the last stays, if there are at least two and the coin says so.
fn exclude_top(step: vec4<u32>, now: Now, position: vec2<u32>, lane: u32) {
    let old = run_now();
    let limit = ceil_ratio(sum_now(now, lane).mass, step.y, step.z);
    let lowest = lowest_key(BY_WEIGHT, limit, now.scale, now.max_bits);
    let bound = earlier_of(code_of_lowest(lowest), old.last);
    open_to(bound, lane);
    let above = ends_between(bound, old.first, lane);
    if lane == 0u {
        let is_above = is_within(BY_WEIGHT, limit, lowest, now.scale, now.max_bits);
        let coin = random(position, FOR_XTC).x;
        picked.z = u32(is_above && above.count >= 2u && coin <= step.w);
    }
    if workgroupUniformLoad(&picked).z == 1u {
        narrow(above.last, old.last, lane);
    }
}

// Writes what the view says of a drawn token.
fn describe(token: u32, out: u32, lane: u32) {
    if lane == 0u {
        picked.w = bitcast<u32>(key_of_code(code_of_token(token)));
    }
    let key = bitcast<i32>(workgroupUniformLoad(&picked).w);
    open_to(code_of_lowest(key), lane);
    let rank = rank_in_run(key, lane);
    if lane == 0u {
        records[out] = bits_of_key(key);
        records[out + 1u] = rank.x;
        records[out + 2u] = rank.y;
    }
}

// Writes the most probable tokens of the run, all of whose first `count` are opened.
fn list(out: u32, count: u32, places: u32, lane: u32) {
    if count > 0u {
        let n = n_opened_tokens();
        _ = take(OF_TOKENS, n, count, lane);
        reopened += n;
    }
    write_entries(out, count, places, lane);
    workgroupBarrier(); // the winners are written before their places are used again
}

fn write64(out: u32, value: vec2<u32>) {
    records[out] = value.x;
    records[out + 1u] = value.y;
}

var<workgroup> drawn: array<u32, 16>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = rows[batch.first_row + group.y];
    row = group.y;
    request = head.x;
    view = PROCESSED;
    reopened = 0u;
    let out = batch.rows + group.y * batch.record_words;
    let out_draws = out + SAMPLE_HEADER_WORDS;
    let out_processed = out_draws + batch.draws * DRAW_WORDS;
    let out_raw = out_processed + 2u * batch.top_k;
    let flags = requests[head.x].flags;
    let n_draws = requests[head.x].n_draws;
    let pass_scale = requests[head.x].pass_scale;

    let stats = merge_tiles(PROCESSED, group.y, pass_scale, lane);
    start_run(lane);
    var now = Now(stats, bits_of_key(stats.max_key), SCALE_ONE, true, false);
    var drawn_at = DrawScale(requests[head.x].draw_scale, requests[head.x].draw_unit);
    var kept = Sum(shift_left64(stats.mass, 3u), shift_left64(stats.surprisal, 3u), stats.n_greater);
    var kept_mass = kept.mass;
    var is_accepted = false;
    var n_processed = 0u;
    let is_sound = stats.flags == 0u;
    if is_sound {
        // 1. the filters, in the request's order
        for (var i = 0u; i < requests[head.x].n_steps; i++) {
            let step = requests[head.x].steps[i];
            now.pass_has = now.scale.shift == pass_scale.shift && now.scale.rate == pass_scale.rate;
            switch step.x {
                case STEP_TEMPERATURE: {
                    if (flags & FLAG_DYNAMIC) != 0u {
                        drawn_at = dynamic_scale(sum_now(now, lane));
                    }
                    now.scale = drawn_at.scale;
                }
                case STEP_TOP_K: {
                    keep_top_k(step.y, now, lane);
                }
                case STEP_TOP_P, STEP_TYPICAL: {
                    keep_mass(step, now, lane);
                }
                case STEP_XTC: {
                    exclude_top(step, now, head.zw, lane);
                }
                default: {
                    keep_above(step, now, lane);
                }
            }
            now.is_full = now.is_full && step.x == STEP_TEMPERATURE;
        }

        // 2. what is kept, at the scale that is drawn at
        var source = Source(drawn_at.scale, now.max_bits, kept.mass, BY_TILE);
        let is_greedy = (flags & FLAG_GREEDY) != 0u;
        let has_draft = head.y != NO_TOKEN;
        if now.is_full && (flags & FLAG_DYNAMIC) == 0u && !(has_draft && !is_greedy) {
            var mass = vec2<u32>(0u, 0u);
            if lane < batch.tiles {
                mass = tile_mass(tile_words(PROCESSED, group.y, lane), now.max_bits, drawn_at.scale).xy;
            }
            atomicStore(&low[lane], mass.x);
            atomicStore(&high[lane], mass.y);
        } else {
            source.mode = BY_ROW;
            open_to(run_now().last, lane);
            kept = sum_run(pass_scale, now.max_bits, lane);
            kept_mass = kept.mass;
            if drawn_at.scale.shift != pass_scale.shift || drawn_at.scale.rate != pass_scale.rate {
                kept = sum_run(drawn_at.scale, now.max_bits, lane);
            }
            source.mass = kept.mass;
        }

        // 3. the draws
        for (var i = 0u; i < n_draws; i++) {
            var token = head.y;
            if is_greedy {
                token = place_of_code(first_of_run(run_now(), stats.max_key, lane));
                is_accepted = token == head.y;
            } else {
                if has_draft {
                    is_accepted = accepts(head.y, source, head.zw, lane);
                    if !is_accepted {
                        source.mode = BY_RESIDUAL;
                        residual_tiles(source, lane);
                    }
                }
                if !is_accepted {
                    token = draw(random(head.zw, FOR_DRAW + i), source, lane);
                    if token == NO_TOKEN { // the draft leaves nothing: its probabilities sum to more than one
                        source.mode = BY_ROW;
                        kept = sum_run(source.scale, source.max_bits, lane);
                        token = draw(random(head.zw, FOR_DRAW + i), source, lane);
                    }
                }
            }
            if lane == 0u {
                drawn[i] = token;
                records[out_draws + i * DRAW_WORDS + DRAW_TOKEN] = token;
            }
            describe(token, out_draws + i * DRAW_WORDS + DRAW_VIEWS, lane);
        }

        // 4. the most probable tokens of the run
        n_processed = min(requests[head.x].top_processed, kept.count);
        if source.mode == BY_TILE && n_processed > 0u {
            open_top(n_processed, lane);
        }
    }
    list(out_processed, n_processed, batch.top_k, lane);

    // 5. the raw view
    var n_raw = 0u;
    var raw = Merged(0, 0u, vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), 0u, 0u);
    if (flags & FLAG_WANTS_RAW) != 0u {
        view = batch.views - 1u;
        start_run(lane);
        raw = merge_tiles(batch.views - 1u, group.y, SCALE_ONE, lane);
        if raw.flags == 0u {
            for (var i = 0u; i < select(0u, n_draws, is_sound); i++) {
                describe(drawn[i], out_draws + i * DRAW_WORDS + DRAW_VIEWS + 3u, lane);
            }
            n_raw = min(requests[head.x].top_raw, raw.n_greater);
            if n_raw > 0u {
                open_top(n_raw, lane);
            }
        }
    }
    list(out_raw, n_raw, batch.top_raw, lane);

    // 6. the header
    if lane == 0u {
        records[group.y] = select(NO_TOKEN, drawn[0], is_sound && n_draws > 0u);
        records[out + SAMPLE_MAX_KEY] = bitcast<u32>(stats.max_key);
        records[out + SAMPLE_FLAGS] = stats.flags;
        write64(out + SAMPLE_MASS, kept.mass);
        write64(out + SAMPLE_SURPRISAL, kept.surprisal);
        records[out + SAMPLE_KEPT] = kept.count;
        records[out + SAMPLE_SHIFT] = bitcast<u32>(drawn_at.scale.shift);
        records[out + SAMPLE_UNIT] = drawn_at.unit;
        records[out + SAMPLE_STEP] = batch.step;
        write64(out + SAMPLE_KEPT_MASS, kept_mass);
        write64(out + SAMPLE_ALL_MASS, shift_left64(stats.mass, 3u));
        records[out + SAMPLE_REOPENED] = reopened;
        records[out + SAMPLE_ACCEPTED] = u32(is_accepted);
        records[out + SAMPLE_RAW_MAX_KEY] = bitcast<u32>(raw.max_key);
        records[out + SAMPLE_RAW_FLAGS] = raw.flags;
        write64(out + SAMPLE_RAW_MASS, raw.mass);
        write64(out + SAMPLE_RAW_SURPRISAL, raw.surprisal);
    }
}
