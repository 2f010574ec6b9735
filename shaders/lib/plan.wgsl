// plan: what comes next in the work on a row. One lane runs all of this, so there are no barriers.
// Provides: Plan, State, first_state, advance, write_header.
// Needs: batch, exact, request, numbers, list, merge, scan, filters, draw (.wgsl), the kernel's bindings.

// Words of a record; draws of DRAW_WORDS, then both lists of (token, bits) follow the header.
const SAMPLE_MAX_KEY: u32 = 0u;    // of the run
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

// Where a row is.
const AT_START: u32 = 0u;
const AT_FILTER: u32 = 1u;   // the request's steps, one after the other
const AT_KEPT: u32 = 2u;     // sums of what is kept
const AT_DRAW: u32 = 3u;     // the draws, one after the other
const AT_DESCRIBE: u32 = 4u; // what the view says of a drawn token
const AT_LIST: u32 = 5u;     // the most probable tokens of the view
const AT_RAW: u32 = 6u;      // the raw view begins
const AT_RAW_DRAW: u32 = 7u; // the drawn tokens again
const AT_END: u32 = 8u;

// What `main` does, in this order.
struct Plan {
    at_end: bool,
    merges: bool,            // the tiles of the view
    opens: u32,              // so many subtiles, those with the largest delegates; 0 for none
    opens_to: bool,          // or every subtile that can hold a token whose code is at least `bound`
    bound: vec2<u32>,
    task: Task,
    loads_tiles: bool,       // the tiles' masses, for draws without filters
    draws: bool,             // a token, by these numbers
    numbers: vec4<u32>,
    lists: bool,             // `listed` winners in `places` places
    listed: u32,
    places: u32,
    out: u32,
    // What every lane needs to know of the row.
    view: u32,
    run_first: vec2<u32>,
    run_last: vec2<u32>,
    max_bits: u32,           // of the run: what weighs one
    draft_of: vec2<u32>,
}

struct State {
    at: u32,
    round: u32,            // within the station
    step: u32,             // number of the filter
    number: u32,           // of the draw
    head: vec4<u32>,       // request, draft, position
    out: u32,              // the record
    out_token: u32,        // where the first token goes
    subtiles: u32,         // to be opened, while a selection widens
    stats: Merged,         // of the view
    is_raw: bool,
    view: u32,
    run_first: vec2<u32>,  // what is kept: the tokens whose codes lie between these, both included
    run_last: vec2<u32>,
    scale: Scale,          // in force
    is_full: bool,         // no filter has run yet
    sums: Sums,            // of the run, at the scale in force
    limit: vec2<u32>,
    drawn_at: DrawScale,
    weigh: u32,            // in a draw
    kept: Sums,
    kept_mass: vec2<u32>,
    all_mass: vec2<u32>,
    token: u32,            // drawn last
    is_accepted: bool,
    listed: u32,
    drawn: array<u32, 16>,
}

// What `main` has found since the last plan.
struct Found {
    scan: Outcome,
    token: u32,            // drawn
    merged: Merged,
    is_all: bool,          // every subtile is opened
    floor: vec2<u32>,      // every token whose code is at least this lies in an opened subtile
}

fn no_plan(state: State) -> Plan {
    return Plan(false, false, 0u, false, LOWEST,
        Task(NOTHING, OF_TOKENS, BY_ROW, false, vec2<u32>(0u, 0u), LOWEST, HIGHEST, 0, 0u, state.scale),
        false, false, vec4<u32>(0u, 0u, 0u, 0u), false, 0u, 0u, 0u,
        state.view, state.run_first, state.run_last, bits_of_key(key_of_first(state)), state.kept.mass);
}

fn same_scale(a: Scale, b: Scale) -> bool {
    return a.shift == b.shift && a.rate == b.rate;
}

// A sum of the run from a place on, all of whose subtiles are opened.
fn plan_sum(from_code: vec2<u32>, scale: Scale, state: State) -> Plan {
    var plan = no_plan(state);
    plan.opens_to = true;
    plan.bound = earlier_of(from_code, state.run_last);
    plan.task.kind = SUM;
    plan.task.scale = scale;
    plan.task.from_code = from_code;
    return plan;
}

// A selection. Of the whole row only the largest subtiles are opened; of a narrower run all.
fn plan_select(kind: u32, wanted: vec2<u32>, state: State) -> Plan {
    var plan = no_plan(state);
    plan.opens = select(0u, state.subtiles, state.is_full);
    plan.opens_to = !state.is_full;
    plan.bound = state.run_last;
    plan.task.kind = kind;
    plan.task.wanted = wanted;
    return plan;
}

fn key_of_first(state: State) -> i32 {
    return select(key_of_code(state.run_first), state.stats.max_key, all(state.run_first == HIGHEST));
}

// Q43 sums of the whole row, from pass 1.
fn sums_of(stats: Merged) -> Sums {
    return Sums(shift_left64(stats.mass, 3u), shift_left64(stats.surprisal, 3u), stats.n_greater);
}

fn end_filter(state: ptr<function, State>) {
    (*state).is_full = false;
    (*state).step += 1u;
    (*state).round = 0u;
}

// One round of the filter at hand. Round 0 asks for the sums of the run where the filter wants them; the later rounds
// are the filter's own.
fn advance_filter(state: ptr<function, State>, found: Found) -> Plan {
    let step = requests[request].steps[(*state).step];
    let wants_sums = step.x == STEP_TOP_P || step.x == STEP_TYPICAL || step.x == STEP_EPSILON || step.x == STEP_XTC
        || (step.x == STEP_TEMPERATURE && (requests[request].flags & FLAG_DYNAMIC) != 0u);
    if (*state).round == 0u {
        (*state).round = 1u;
        (*state).subtiles = FIRST_OPENED;
        if step.x == STEP_TOP_N_SIGMA {
            var plan = plan_sum(LOWEST, (*state).scale, *state);
            plan.task.weigh = BY_SQUARE;
            return plan;
        }
        if wants_sums {
            if !(*state).is_full || !same_scale((*state).scale, requests[request].pass_scale) {
                return plan_sum(LOWEST, (*state).scale, *state);
            }
            (*state).sums = sums_of((*state).stats);
        }
    } else if (*state).round == 1u {
        (*state).sums = Sums(found.scan.mass, found.scan.surprisal, found.scan.count);
    }

    if step.x == STEP_TEMPERATURE {
        if (requests[request].flags & FLAG_DYNAMIC) != 0u {
            (*state).drawn_at = dynamic_scale((*state).sums);
        }
        (*state).scale = (*state).drawn_at.scale;
        (*state).step += 1u;
        (*state).round = 0u;
        return no_plan(*state);
    }

    if step.x == STEP_TOP_K {
        if (*state).round == 1u {
            (*state).round = 2u;
            (*state).subtiles = step.y;
            return plan_select(SELECT_BY_COUNT, vec2<u32>(step.y, 0u), *state);
        }
        if found.scan.is_reached { // otherwise fewer are left
            (*state).run_last = earlier_of(found.scan.code, (*state).run_last);
        }
        end_filter(state);
        return no_plan(*state);
    }

    if step.x == STEP_TOP_P {
        if (*state).round == 1u {
            (*state).limit = ceil_ratio((*state).sums.mass, step.y, step.z);
            (*state).round = 2u;
            return plan_select(SELECT_BY_MASS, (*state).limit, *state);
        }
        if (*state).is_full && !found.is_all && !(found.scan.is_reached && at_least(found.scan.code, found.floor)) {
            (*state).subtiles *= 4u;
            return plan_select(SELECT_BY_MASS, (*state).limit, *state);
        }
        if found.scan.is_reached { // otherwise pass 1 has rounded the share up to more than there is
            (*state).run_last = earlier_of(found.scan.code, (*state).run_last);
        }
        end_filter(state);
        return no_plan(*state);
    }

    if step.x == STEP_TYPICAL {
        let centre = mean_octaves((*state).sums);
        if (*state).round == 3u { // the run's first token, exactly
            (*state).run_first = found.scan.first;
            end_filter(state);
            return no_plan(*state);
        }
        if (*state).round == 1u {
            (*state).limit = ceil_ratio((*state).sums.mass, step.y, step.z);
        }
        var is_settled = (*state).round == 2u;
        let deviation = ~found.scan.code.x;
        if is_settled && (*state).is_full && !found.is_all {
            // Everything as near the centre as this must lie above the floor.
            let at_floor = octaves_below(max_bits, bits_of_key(key_of_code(found.floor)), (*state).scale);
            is_settled = found.scan.is_reached && centre + deviation < at_floor;
            (*state).subtiles *= 4u;
        }
        if !is_settled {
            (*state).round = 2u;
            var plan = plan_select(SELECT_BY_NEARNESS, (*state).limit, *state);
            plan.task.centre = centre;
            return plan;
        }
        if !found.scan.is_reached {
            end_filter(state);
            return no_plan(*state);
        }
        let scale = (*state).scale;
        let lowest = lowest_key(BY_OCTAVES, vec2<u32>(centre + deviation, 0u), scale);
        (*state).run_last = earlier_of(code_of_lowest(lowest), (*state).run_last);
        if centre > deviation {
            let above = lowest_key(BY_OCTAVES, vec2<u32>(centre - deviation - 1u, 0u), scale);
            let below = code_of_lowest(above) - vec2<u32>(1u, 1u); // the last code of the next lower key
            (*state).run_first = select(below, (*state).run_first, at_least(below, (*state).run_first));
        }
        (*state).round = 3u;
        return plan_sum(LOWEST, scale, *state);
    }

    if step.x == STEP_XTC {
        if (*state).round == 1u {
            let limit = ceil_ratio((*state).sums.mass, step.y, step.z);
            let lowest = lowest_key(BY_WEIGHT, limit, (*state).scale);
            if is_within(BY_WEIGHT, limit, lowest, (*state).scale) && random((*state).head.zw, FOR_XTC).x <= step.w {
                (*state).round = 2u;
                return plan_sum(code_of_lowest(lowest), (*state).scale, *state);
            }
        } else if found.scan.count >= 2u {
            (*state).run_first = found.scan.last;
        }
        end_filter(state);
        return no_plan(*state);
    }

    // min-p, epsilon, top-n-sigma: a threshold of the key, so nothing is opened to find it.
    var quantity = BY_WEIGHT;
    let first = key_of_first(*state);
    let scale = (*state).scale;
    if (*state).round == 1u {
        if step.x == STEP_MIN_P {
            let octaves = octaves_below(max_bits, bits_of_key(first), scale);
            (*state).limit = ceil_ratio(row_weight(octaves), step.y, step.z);
        } else if step.x == STEP_EPSILON {
            (*state).limit = ceil_ratio((*state).sums.mass, step.y, step.z);
        } else {
            (*state).limit = vec2<u32>(distance_q20(bits_of_key(first)) + sigma_distance(step.y, (*state).sums), 0u);
        }
    }
    if step.x == STEP_TOP_N_SIGMA {
        quantity = BY_DISTANCE;
    }
    if (*state).round == 2u {
        (*state).run_last = earlier_of(found.scan.code, (*state).run_last);
    } else if is_within(quantity, (*state).limit, first, scale) {
        let lowest = lowest_key(quantity, (*state).limit, scale);
        (*state).run_last = earlier_of(code_of_lowest(lowest), (*state).run_last);
    } else {
        // Not even the first is enough: it stays alone.
        (*state).round = 2u;
        var plan = plan_select(SELECT_BY_COUNT, vec2<u32>(1u, 0u), *state);
        plan.opens = select(0u, 1u, all((*state).run_first == HIGHEST));
        plan.opens_to = plan.opens == 0u;
        return plan;
    }
    end_filter(state);
    return no_plan(*state);
}

// Sums of what is kept, at the scale of pass 1 and at the one that is drawn at.
fn advance_kept(state: ptr<function, State>, found: Found) -> Plan {
    let flags = requests[request].flags;
    let pass_scale = requests[request].pass_scale;
    let scale = (*state).drawn_at.scale;
    (*state).scale = scale;
    if (*state).round == 0u {
        (*state).kept = sums_of((*state).stats);
        (*state).kept_mass = (*state).kept.mass;
        (*state).all_mass = (*state).kept.mass;
        let has_draft = (*state).head.y != NO_TOKEN && (flags & FLAG_GREEDY) == 0u;
        if !(*state).is_full || (flags & FLAG_DYNAMIC) != 0u || has_draft {
            (*state).weigh = BY_ROW;
            (*state).round = 1u;
            var plan = plan_sum(LOWEST, pass_scale, *state);
            plan.task.to_tiles = true;
            plan.max_bits = bits_of_key((*state).stats.max_key); // beside the mass of the row
            return plan;
        }
        (*state).weigh = BY_TILE;
    } else {
        (*state).kept = Sums(found.scan.mass, found.scan.surprisal, found.scan.count);
        if (*state).round == 1u {
            (*state).kept_mass = found.scan.mass;
            if !same_scale(scale, pass_scale) || any((*state).run_first != HIGHEST) {
                (*state).round = 2u;
                var plan = plan_sum(LOWEST, scale, *state);
                plan.task.to_tiles = true;
                return plan;
            }
        }
    }
    (*state).at = AT_DRAW;
    (*state).round = 0u;
    var plan = no_plan(*state);
    plan.loads_tiles = (*state).weigh == BY_TILE;
    return plan;
}

fn plan_draw(state: State) -> Plan {
    var plan = no_plan(state);
    plan.draws = true;
    plan.numbers = random(state.head.zw, FOR_DRAW + state.number);
    plan.task.weigh = state.weigh;
    return plan;
}

// The draw after a rejected draft token, after a sum that leaves the masses of the tiles.
fn plan_sum_and_draw(state: State) -> Plan {
    var plan = plan_draw(state);
    plan.numbers = random(state.head.zw, FOR_RESIDUAL); // whoever drafted may have used the numbers of the draw
    plan.opens_to = true;
    plan.bound = state.run_last;
    plan.task.kind = SUM;
    plan.task.to_tiles = true;
    return plan;
}

// One draw; then AT_DESCRIBE, or AT_LIST after the last.
fn advance_draw(state: ptr<function, State>, found: Found) -> Plan {
    let draft_token = (*state).head.y;
    if (*state).number >= requests[request].n_draws {
        write_header(*state);
        (*state).at = AT_LIST;
        (*state).round = 0u;
        return no_plan(*state);
    }
    if (*state).round == 0u {
        if (requests[request].flags & FLAG_GREEDY) != 0u {
            (*state).round = 1u;
            var plan = plan_sum(LOWEST, (*state).scale, *state);
            plan.opens_to = false;
            plan.opens = 1u; // the delegates' order is that of the tokens: it holds the first
            return plan;
        }
        if draft_token == NO_TOKEN {
            (*state).round = 3u;
            return plan_draw(*state);
        }
        (*state).is_accepted = accepts(draft_token, (*state).scale, (*state).head.zw);
        if !(*state).is_accepted {
            (*state).weigh = BY_RESIDUAL;
            (*state).round = 2u;
            return plan_sum_and_draw(*state);
        }
        (*state).token = draft_token;
    } else if (*state).round == 1u {
        (*state).token = place_of_code(found.scan.first);
        (*state).is_accepted = (*state).token == draft_token;
    } else {
        (*state).token = found.token;
        if (*state).round == 2u && found.token == NO_TOKEN {
            // The draft leaves nothing: its probabilities sum to more than one.
            (*state).weigh = BY_ROW;
            (*state).round = 3u;
            return plan_sum_and_draw(*state);
        }
    }
    (*state).drawn[(*state).number] = (*state).token;
    (*state).at = AT_DESCRIBE;
    (*state).round = 0u;
    return no_plan(*state);
}

// Bits and rank of a drawn token in the view.
fn advance_describe(state: ptr<function, State>, found: Found) -> Plan {
    let key = key_of_code(code_of_token((*state).token));
    if (*state).round == 0u {
        (*state).round = 1u;
        var plan = plan_sum(LOWEST, (*state).scale, *state);
        plan.bound = earlier_of(code_of_lowest(key), (*state).run_last);
        plan.task.key = key;
        return plan;
    }
    let out = (*state).out + SAMPLE_HEADER_WORDS + (*state).number * DRAW_WORDS;
    records[out + DRAW_TOKEN] = (*state).token;
    let out_view = out + DRAW_VIEWS + select(0u, 3u, (*state).is_raw);
    records[out_view] = bits_of_key(key);
    records[out_view + 1u] = found.scan.greater;
    records[out_view + 2u] = found.scan.equal;
    (*state).number += 1u;
    (*state).round = 0u;
    (*state).at = select(AT_DRAW, AT_RAW_DRAW, (*state).is_raw);
    return no_plan(*state);
}

// The most probable tokens of the view.
fn advance_list(state: ptr<function, State>, found: Found) -> Plan {
    if (*state).round == 0u {
        let wanted = select(requests[request].top_processed, requests[request].top_raw, (*state).is_raw);
        let there = select((*state).kept.count, (*state).stats.n_greater, (*state).is_raw);
        (*state).listed = select(0u, min(wanted, there), (*state).stats.flags == 0u);
        if (*state).listed > 0u {
            (*state).round = 1u;
            (*state).subtiles = (*state).listed;
            return plan_select(SELECT_BY_COUNT, vec2<u32>((*state).listed, 0u), *state);
        }
    } else if (*state).round == 1u {
        (*state).round = 2u;
        var plan = no_plan(*state);
        plan.task.kind = TAKE;
        plan.task.from_code = found.scan.code;
        return plan;
    }
    var plan = no_plan(*state);
    plan.lists = true;
    plan.listed = (*state).listed;
    plan.places = select(batch.top_k, batch.top_raw, (*state).is_raw);
    plan.out = (*state).out + SAMPLE_HEADER_WORDS + batch.draws * DRAW_WORDS + select(0u, 2u * batch.top_k, (*state).is_raw);
    (*state).at = select(AT_RAW, AT_END, (*state).is_raw);
    (*state).round = 0u;
    return plan;
}

// The raw view: the row as it is, at temperature 1.
fn advance_raw(state: ptr<function, State>, found: Found) -> Plan {
    if (*state).round == 0u {
        (*state).is_raw = true;
        (*state).listed = 0u;
        if (requests[request].flags & FLAG_WANTS_RAW) == 0u {
            (*state).stats.flags = FLAG_EMPTY; // an empty list
            (*state).at = AT_LIST;
            return no_plan(*state);
        }
        (*state).view = batch.views - 1u;
        (*state).run_first = HIGHEST;
        (*state).run_last = LOWEST;
        (*state).is_full = true;
        (*state).scale = SCALE_ONE;
        (*state).round = 1u;
        var plan = no_plan(*state);
        plan.merges = true;
        return plan;
    }
    let is_sound = (*state).stats.flags == 0u; // the processed view's, until here
    (*state).stats = found.merged;
    records[(*state).out + SAMPLE_RAW_MAX_KEY] = bitcast<u32>(found.merged.max_key);
    records[(*state).out + SAMPLE_RAW_FLAGS] = found.merged.flags;
    write64((*state).out + SAMPLE_RAW_MASS, found.merged.mass);
    write64((*state).out + SAMPLE_RAW_SURPRISAL, found.merged.surprisal);
    (*state).round = 0u;
    (*state).number = 0u;
    (*state).at = select(AT_LIST, AT_RAW_DRAW, is_sound && found.merged.flags == 0u);
    return no_plan(*state);
}

fn advance_raw_draw(state: ptr<function, State>) -> Plan {
    (*state).round = 0u;
    if (*state).number < requests[request].n_draws {
        (*state).token = (*state).drawn[(*state).number];
        (*state).at = AT_DESCRIBE;
    } else {
        (*state).at = AT_LIST;
    }
    return no_plan(*state);
}

fn advance_start(state: ptr<function, State>, found: Found) -> Plan {
    if (*state).round == 0u {
        (*state).round = 1u;
        var plan = no_plan(*state);
        plan.merges = true;
        plan.task.scale = requests[request].pass_scale;
        return plan;
    }
    (*state).stats = found.merged;
    (*state).round = 0u;
    (*state).at = AT_FILTER;
    if found.merged.flags != 0u { // nothing to draw from
        write_header(*state);
        (*state).at = AT_LIST;
    }
    return no_plan(*state);
}

// The row's first state: everything possible is kept.
fn first_state(head: vec4<u32>, out: u32, out_token: u32) -> State {
    var state: State;
    state.head = head;
    state.out = out;
    state.out_token = out_token;
    state.view = PROCESSED;
    state.run_first = HIGHEST;
    state.run_last = LOWEST;
    state.scale = SCALE_ONE;
    state.is_full = true;
    state.drawn_at = DrawScale(requests[request].draw_scale, requests[request].draw_unit);
    state.drawn[0] = NO_TOKEN;
    return state;
}

// What comes next.
fn advance(state: ptr<function, State>, found: Found) -> Plan {
    switch (*state).at {
        case AT_START: {
            return advance_start(state, found);
        }
        case AT_FILTER: {
            if (*state).step < requests[request].n_steps {
                return advance_filter(state, found);
            }
            (*state).at = AT_KEPT;
            return advance_kept(state, found);
        }
        case AT_KEPT: {
            return advance_kept(state, found);
        }
        case AT_DRAW: {
            return advance_draw(state, found);
        }
        case AT_DESCRIBE: {
            return advance_describe(state, found);
        }
        case AT_LIST: {
            return advance_list(state, found);
        }
        case AT_RAW: {
            return advance_raw(state, found);
        }
        case AT_RAW_DRAW: {
            return advance_raw_draw(state);
        }
        default: {
            var plan = no_plan(*state);
            plan.at_end = true;
            return plan;
        }
    }
}

// The header, and the first token; the raw view's words are zero until that view writes them.
fn write_header(state: State) {
    let out = state.out;
    records[state.out_token] = state.drawn[0];
    records[out + SAMPLE_MAX_KEY] = bitcast<u32>(key_of_first(state));
    records[out + SAMPLE_FLAGS] = state.stats.flags;
    write64(out + SAMPLE_MASS, state.kept.mass);
    write64(out + SAMPLE_SURPRISAL, state.kept.surprisal);
    records[out + SAMPLE_KEPT] = state.kept.count;
    records[out + SAMPLE_SHIFT] = bitcast<u32>(state.drawn_at.scale.shift);
    records[out + SAMPLE_UNIT] = state.drawn_at.unit;
    records[out + SAMPLE_STEP] = batch.step;
    write64(out + SAMPLE_KEPT_MASS, state.kept_mass);
    write64(out + SAMPLE_ALL_MASS, state.all_mass);
    records[out + SAMPLE_REOPENED] = 0u; // main writes it at the end
    records[out + SAMPLE_ACCEPTED] = u32(state.is_accepted);
    records[out + SAMPLE_RAW_MAX_KEY] = 0u;
    records[out + SAMPLE_RAW_FLAGS] = 0u;
    write64(out + SAMPLE_RAW_MASS, vec2<u32>(0u, 0u));
    write64(out + SAMPLE_RAW_SURPRISAL, vec2<u32>(0u, 0u));
}

fn write64(out: u32, value: vec2<u32>) {
    records[out] = value.x;
    records[out + 1u] = value.y;
}
