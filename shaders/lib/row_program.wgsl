// row_program: what comes next in the work on a row. One lane runs all of this, so there are no barriers.
// Provides: Move, Progress, Found, first_progress, advance, the moves that several stations make, the header's writer.
// Needs: format, words, integers, exact, request, list, merge, scan, thresholds, cuts, draws, views (.wgsl), the
// kernel's bindings `requests`, `records`.

// Where a row is.
const AT_START: u32 = 0u;
const AT_CUT: u32 = 1u;      // the request's cuts, one after the other
const AT_KEPT: u32 = 2u;     // sums of what is kept
const AT_DRAW: u32 = 3u;     // the draws, one after the other
const AT_DESCRIBE: u32 = 4u; // what the view says of a drawn token
const AT_LIST: u32 = 5u;     // the most probable tokens of the view
const AT_RAW: u32 = 6u;      // the raw view begins
const AT_RAW_DRAW: u32 = 7u; // the drawn tokens again
const AT_END: u32 = 8u;

// What `main` does next, in this order.
struct Move {
    at_end: bool,
    merges: bool,            // the tiles of the view
    opens: u32,              // so many subtiles, those with the largest delegates; 0 for none
    opens_to: bool,          // or every subtile that can hold a token whose code is at least `bound`
    bound: vec2<u32>,
    task: Task,
    loads_tiles: bool,       // the tiles' masses, for draws where nothing was cut
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

struct Progress {
    at: u32,
    round: u32,            // within the station
    cut: u32,              // number of the cut
    draw: u32,             // number of the draw
    head: Head,
    out: u32,              // the record
    out_token: u32,        // where the first token goes
    subtiles: u32,         // to be opened, while a selection widens
    stats: Merged,         // of the view
    is_raw: bool,
    view: u32,
    run_first: vec2<u32>,  // what is kept: the tokens whose codes lie between these, both included
    run_last: vec2<u32>,
    scale: Scale,          // in force
    is_full: bool,         // nothing is cut yet
    sums: Sums,            // of the run, at the scale in force
    limit: vec2<u32>,      // mass that a selection is to reach
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

// What `main` has found since the last move.
struct Found {
    scan: Outcome,
    token: u32,            // drawn
    merged: Merged,
    is_all: bool,          // every subtile is opened
    floor: vec2<u32>,      // every token whose code is at least this lies in an opened subtile
}

// The row before its first move: everything possible is kept.
fn first_progress(head: Head, out: u32, out_token: u32) -> Progress {
    var progress: Progress;
    progress.head = head;
    progress.out = out;
    progress.out_token = out_token;
    progress.view = PROCESSED;
    progress.run_first = HIGHEST;
    progress.run_last = LOWEST;
    progress.scale = SCALE_ONE;
    progress.is_full = true;
    progress.drawn_at = DrawScale(requests[request].draw_scale, requests[request].draw_unit);
    progress.drawn[0] = NO_TOKEN;
    return progress;
}

// What comes next.
fn advance(progress: ptr<function, Progress>, found: Found) -> Move {
    if (*progress).at == AT_CUT && (*progress).cut >= requests[request].n_cuts {
        (*progress).at = AT_KEPT;
    }
    switch (*progress).at {
        case AT_START: {
            return advance_start(progress, found);
        }
        case AT_CUT: {
            return advance_cut(progress, found);
        }
        case AT_KEPT: {
            return advance_kept(progress, found);
        }
        case AT_DRAW: {
            return advance_draw(progress, found);
        }
        case AT_DESCRIBE: {
            return advance_describe(progress, found);
        }
        case AT_LIST: {
            return advance_list(progress, found);
        }
        case AT_RAW: {
            return advance_raw(progress, found);
        }
        case AT_RAW_DRAW: {
            return advance_raw_draw(progress);
        }
        default: {
            var next = no_move(*progress);
            next.at_end = true;
            return next;
        }
    }
}

fn advance_start(progress: ptr<function, Progress>, found: Found) -> Move {
    if (*progress).round == 0u {
        (*progress).round = 1u;
        var next = no_move(*progress);
        next.merges = true;
        next.task.scale = requests[request].pass_scale;
        return next;
    }
    (*progress).stats = found.merged;
    (*progress).round = 0u;
    (*progress).at = AT_CUT;
    if found.merged.status != 0u { // nothing to draw from
        write_header(*progress);
        (*progress).at = AT_LIST;
    }
    return no_move(*progress);
}

// What every lane needs to know, and nothing to do.
fn no_move(progress: Progress) -> Move {
    return Move(false, false, 0u, false, LOWEST,
        Task(NOTHING, OF_TOKENS, BY_ROW, false, vec2<u32>(0u, 0u), LOWEST, HIGHEST, 0, 0u, progress.scale),
        false, false, vec4<u32>(0u, 0u, 0u, 0u), false, 0u, 0u, 0u,
        progress.view, progress.run_first, progress.run_last, bits_of_key(key_of_first(progress)), progress.kept.mass);
}

// A sum of the run from a place on, all of whose subtiles are opened.
fn move_to_sum(from_code: vec2<u32>, scale: Scale, progress: Progress) -> Move {
    var next = no_move(progress);
    next.opens_to = true;
    next.bound = earlier_of(from_code, progress.run_last);
    next.task.kind = SUM;
    next.task.scale = scale;
    next.task.from_code = from_code;
    return next;
}

// A selection. Of the whole row only the largest subtiles are opened; of a narrower run all.
fn move_to_select(kind: u32, wanted: vec2<u32>, progress: Progress) -> Move {
    var next = no_move(progress);
    next.opens = select(0u, progress.subtiles, progress.is_full);
    next.opens_to = !progress.is_full;
    next.bound = progress.run_last;
    next.task.kind = kind;
    next.task.wanted = wanted;
    return next;
}

fn key_of_first(progress: Progress) -> i32 {
    return select(key_of_code(progress.run_first), progress.stats.max_key, all(progress.run_first == HIGHEST));
}

// Q43 sums of the whole row, from pass 1.
fn sums_of(stats: Merged) -> Sums {
    return Sums(shift_left64(stats.mass, 3u), shift_left64(stats.surprisal, 3u), stats.n_greater);
}

fn same_scale(a: Scale, b: Scale) -> bool {
    return a.shift == b.shift && a.rate == b.rate;
}

// The header, and the first token; the raw view's words are zero until that view writes them.
fn write_header(progress: Progress) {
    let out = progress.out;
    records[progress.out_token] = progress.drawn[0];
    records[out + SAMPLE_MAX_KEY] = bitcast<u32>(key_of_first(progress));
    records[out + SAMPLE_STATUS] = progress.stats.status;
    write64(out + SAMPLE_MASS, progress.kept.mass);
    write64(out + SAMPLE_SURPRISAL, progress.kept.surprisal);
    records[out + SAMPLE_KEPT] = progress.kept.count;
    records[out + SAMPLE_SHIFT] = bitcast<u32>(progress.drawn_at.scale.shift);
    records[out + SAMPLE_UNIT] = progress.drawn_at.unit;
    records[out + SAMPLE_CALL] = chunk.call;
    write64(out + SAMPLE_KEPT_MASS, progress.kept_mass);
    write64(out + SAMPLE_ALL_MASS, progress.all_mass);
    records[out + SAMPLE_REOPENED] = 0u; // main writes it at the end
    records[out + SAMPLE_ACCEPTED] = u32(progress.is_accepted);
    records[out + SAMPLE_RAW_MAX_KEY] = 0u;
    records[out + SAMPLE_RAW_STATUS] = 0u;
    write64(out + SAMPLE_RAW_MASS, vec2<u32>(0u, 0u));
    write64(out + SAMPLE_RAW_SURPRISAL, vec2<u32>(0u, 0u));
}

fn write64(out: u32, value: vec2<u32>) {
    records[out] = value.x;
    records[out + 1u] = value.y;
}
