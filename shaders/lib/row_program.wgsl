// row_program: what comes next in the work on a row. One lane decides, and writes the records; what all have to know of it
// is in its orders. What it keeps in mind lies in the workgroup's memory while all lanes work, where it takes no registers of
// them, and no other lane looks at it: there are no barriers in here.
// Provides: Orders, progress, now, next, found, scanned, begin, begin_program, end_finished, advance, obey, the moves that several stations make, the
// header's writer.
// Needs: format, words, integers, exact, request, list, merge, scan, thresholds, cuts, draws, blocks, views (.wgsl), the
// kernel's bindings `requests`, `records`.

// Where a row is.
const AT_START: u32 = 0u;
const AT_CUT: u32 = 1u;      // the request's cuts, one after the other
const AT_KEPT: u32 = 2u;     // sums of what is kept
const AT_DRAW: u32 = 3u;     // the draws, one after the other
const AT_DESCRIBE: u32 = 4u; // what the view says of a drawn token
const AT_HEADER: u32 = 5u;
const AT_LIST: u32 = 6u;     // the most probable tokens of the view
const AT_RAW: u32 = 7u;      // the raw view begins
const AT_RAW_DRAW: u32 = 8u; // the drawn tokens again
const AT_END: u32 = 9u;

// What `main` does next, in this order.
const DOES_END: u32 = 1u;
const DOES_MERGE: u32 = 2u;      // the tiles of the view, at the task's scale
const DOES_LOAD_TILES: u32 = 4u; // the tiles' masses, for draws where nothing was cut
const DOES_SCAN: u32 = 8u;       // the task
const DOES_LIST: u32 = 16u;      // the winners
const DOES_RANK: u32 = 32u;      // of the code at hand, among what is opened
const DOES_FEW: u32 = 64u;       // the most probable tokens of a view of which nothing is cut
const DOES_CUT: u32 = 128u;      // nothing any more: the row takes too many rounds of loops

struct Move {
    does: u32,               // DOES_*; 0 if there is only a step to take to another station
    opens: u32,              // so many subtiles, those with the largest delegates; 0 for none
    opens_to: bool,          // or every subtile that can hold a token whose code is at least `bound`
    bound: vec2<u32>,
    task: Task,
    by_row_max: bool,        // weighs by the row's maximum, not the run's
    winners: u32,            // of the list: so many lie in `winners`, for so many places
    places: u32,
    out: u32,
}

// What nearly every step looks at: read once, and written back once.
struct Now {
    at: u32,
    round: u32,            // within the station
    cut: u32,              // number of the cut
    draw: u32,             // number of the draw
    out: u32,              // the record
    token: u32,            // drawn last, or a draft token that is tried; at first the head's
    weigh: u32,            // in a draw
    subtiles: u32,         // to be opened, while a selection widens
    listed: u32,
    is_full: bool,         // nothing is cut yet
    is_raw: bool,
    is_accepted: bool,
}

struct Progress {
    now: Now,
    head: Head,
    out_token: u32,        // where the first token goes
    stats: Merged,         // of the view
    scale: Scale,          // in force
    sums: Sums,            // of the run, at the scale in force
    limit: vec2<u32>,      // mass that a selection is to reach
    drawn_at: DrawScale,
    kept: Sums,
    kept_mass: vec2<u32>,
    all_mass: vec2<u32>,
    ends: vec3<u32>,       // of the run, where a filter acted: first token, last token, its key
    tried: u32,            // draft tokens that fell
    share: vec2<u32>,      // mass of which the draft's probabilities are shares, for the one at hand
    taken: vec2<u32>,      // ... for all that fell
    rest: u32,             // what their probabilities leave of one, Q31
    part: u32,             // of a block: what the tokens before the row leave of one, Q31
    first_token: u32,      // of the draws
    code: vec2<u32>,       // of that token, while it is tried or described; of one that XTC spares
    exempt: u32,           // number of that one
    survivor: vec2<u32>,   // the code that XTC would leave first
    numbers: vec4<u32>,    // random, for what the station does
    ends_block: bool,      // nothing is drawn from the row
    ranked: u32,           // bits of the draws whose raw ranks are written
}

// What the last moves have found.
struct Found {
    scan: Outcome,
    merged: Merged,
    greater: u32,          // tokens of the run with a larger key than the one at hand, and with an equal one
    equal: u32,
    few: u32,              // tokens among which the most probable ones are
    is_all: bool,          // every subtile is opened
    floor: vec2<u32>,      // every token whose code is at least this lies in an opened subtile
}

// What all lanes do, and what they have to know for it. (The kernel's workgroup memory is nearly WebGPU's 16 KiB.)
struct Orders {
    does: u32,             // DOES_*
    view: u32,
    max_bits: u32,
    run_first: vec2<u32>,
    run_last: vec2<u32>,
    opened: u32,
    opened_all: bool,
    task: Task,
    code: vec2<u32>,       // of a token that is to be ranked
    listed: u32,           // of the list: so many tokens, and what a Move says
    winners: u32,
    places: u32,
    out: u32,
}

// The first lane's own. Software drivers write an access to memory out for each lane, so what is looked at often is private
// while it decides; in between it takes no registers.
var<workgroup> progress: Progress;
var<workgroup> put_off: Move; // while subtiles are opened for it
var<workgroup> found: Found;
var<private> now: Now;
var<private> next: Move;
var<private> scanned: Outcome; // `found.scan`
var<workgroup> last_of_opened: vec2<u32>; // the run's end when the whole row was opened
var<workgroup> step: u32;

// The scans of a move.
const STEP_BOUND: u32 = 1u; // of the delegates: which are the largest
const STEP_OPEN: u32 = 2u;  // of the delegates: takes these
const STEP_OWN: u32 = 3u;   // its own

// The row at hand.
fn begin(own_row: u32) {
    row = own_row;
    row_start = start_of(row);
    request = head_of(row).request;
    is_changed = is_row_changed(request);
    asked = requests[request].flags;
    block_place = requests[request].block_place;
}

// The row before its first move: everything possible is kept. What is not set here its station sets before it counts; until
// then it may be anything, and is computed with, but not kept.
fn begin_program(finish: u32) {
    let head = head_of(row);
    now = Now();
    found.is_all = false;
    progress.kept = Sums(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), 0u);
    progress.kept_mass = vec2<u32>(0u, 0u);
    progress.all_mass = vec2<u32>(0u, 0u);
    progress.tried = 0u;
    progress.taken = vec2<u32>(0u, 0u);
    progress.ends_block = false;
    progress.ranked = 0u;
    progress.head = head;
    now.token = head.token;
    progress.first_token = NO_TOKEN;
    now.out = chunk.rows + row * chunk.record_words;
    progress.out_token = row;
    begin_block();
    progress.part = ONE_Q31;
    progress.ends = vec3<u32>(NO_TOKEN, NO_TOKEN, 0u);
    progress.scale = SCALE_ONE;
    now.is_full = true;
    progress.drawn_at = DrawScale(requests[request].draw_scale, requests[request].draw_unit);
    view = PROCESSED;
    run_first = HIGHEST;
    run_last = LOWEST;
    last_of_opened = LOWEST;
    found.floor = HIGHEST;
    step = STEP_OWN;
    if finish != 0u {
        end_finished(finish);
    }
    progress.now = now;
}

// A row whose request has finished before it: nothing but that.
fn end_finished(finish: u32) {
    let out = now.out;
    if chunk.stage != STAGE_ALL {
        end_block();
        return;
    }
    now.at = AT_END;
    records[out + SAMPLE_STATUS] = finish;
    records[out + SAMPLE_CALL] = chunk.call;
    records[progress.out_token] = NO_TOKEN;
    if block_place <= 1u {
        records[out + SAMPLE_ACCEPTED] = 0u;
    }
}

// What all lanes do next, by the first one.
fn advance() -> Orders {
    now = progress.now;
    scanned = found.scan;
    let does = next_does();
    progress.now = now;
    return Orders(does, view, max_bits, run_first, run_last, opened, opened_all, task, progress.code, now.listed,
        next.winners, next.places, next.out);
}

// By every lane.
fn obey(orders: Orders) {
    view = orders.view;
    max_bits = orders.max_bits;
    run_first = orders.run_first;
    run_last = orders.run_last;
    opened = orders.opened;
    opened_all = orders.opened_all;
    task = orders.task;
}

// One or more of DOES_*. A scan of tokens may need other subtiles than those that are open: two more scans come before it.
fn next_does() -> u32 {
    if step != STEP_OWN {
        next = put_off;
    }
    if step == STEP_BOUND {
        step = STEP_OPEN;
        task.kind = TAKE;
        task.from_code = scanned.code;
        return DOES_SCAN;
    }
    if step == STEP_OPEN {
        opened = scanned.count;
        found.is_all = opened > MOST_CHOSEN;
        found.floor = floor_of(task.from_code, next.opens_to);
        if found.is_all {
            open_all();
        }
    } else {
        while !decide() {
        }
        if found.is_all && any(run_last != last_of_opened) {
            // A narrower run may need fewer subtiles than the whole row.
            found.is_all = false;
            found.floor = HIGHEST;
        }
        if (next.does & (DOES_MERGE | DOES_FEW)) != 0u { // nothing of the view is opened yet, or any more
            found.is_all = false;
            found.floor = HIGHEST;
        }
        if next.opens >= n_subtiles() || next.opens > MOST_CHOSEN {
            found.is_all = true;
            open_all();
        } else if next.opens > 0u || (next.opens_to && !at_least(next.bound, found.floor)) {
            step = select(STEP_BOUND, STEP_OPEN, next.opens_to);
            put_off = next;
            task = next.task;
            task.level = OF_SUBTILES;
            task.kind = select(SELECT_BY_COUNT, TAKE, next.opens_to);
            task.wanted = vec2<u32>(next.opens, 0u);
            task.from_code = select(NO_ITEM, vec2<u32>(next.bound.x, 0u), next.opens_to);
            return DOES_SCAN;
        }
    }
    step = STEP_OWN;
    task = next.task;
    opened_all = found.is_all;
    task.floor = found.floor;
    return next.does;
}

fn open_all() {
    opened = n_subtiles();
    found.floor = NO_ITEM;
    last_of_opened = run_last;
}

// A subtile behind the threshold has smaller keys, or the same largest key and later tokens.
fn floor_of(threshold: vec2<u32>, is_bound: bool) -> vec2<u32> {
    let last_token = min(place_of_code(threshold) * SUBTILE + SUBTILE - 1u, LAST_TOKEN);
    return vec2<u32>(threshold.x, select(LAST_TOKEN - last_token, 0u, is_bound));
}

// One step of the station at hand: the next move, if there is something to do, which it says.
fn decide() -> bool {
    rounds += 16u; // random numbers, and this one
    next = Move();
    next.task = Task(NOTHING, OF_TOKENS, BY_ROW, false, vec2<u32>(0u, 0u), LOWEST, HIGHEST, progress.part, progress.scale,
        progress.taken, vec4<u32>(0u, 0u, 0u, 0u));
    if now.at == AT_CUT && now.cut >= requests[request].n_cuts {
        now.at = AT_KEPT;
    }
    look_up();
    switch now.at {
        case AT_START: {
            advance_start();
        }
        case AT_CUT: {
            advance_cut();
        }
        case AT_KEPT: {
            advance_kept();
        }
        case AT_DRAW: {
            advance_draw();
        }
        case AT_DESCRIBE: {
            advance_describe();
        }
        case AT_HEADER: {
            write_header();
            now.at = AT_LIST;
        }
        case AT_LIST: {
            advance_list();
        }
        case AT_RAW: {
            advance_raw();
        }
        case AT_RAW_DRAW: {
            advance_raw_draw();
        }
        default: {
            next.does = DOES_END;
        }
    }
    max_bits = bits_of_key(select(key_of_first(), progress.stats.max_key, next.by_row_max));
    return next.does != 0u;
}

// What stations look up, here once for all of them.
fn look_up() {
    let is_tried = now.at == AT_DRAW && now.round == 0u;
    // (A cut whose sums are there already goes from its round 0 to 1 at once.)
    let is_tossed = now.at == AT_CUT && now.round <= 1u && requests[request].cuts[now.cut].x == CUT_XTC;
    if is_tried || is_tossed || (now.at == AT_DRAW && now.round == 3u) {
        var purpose = FOR_XTC;
        var position = progress.head.position;
        if !is_tossed {
            purpose = FOR_DRAW + now.draw;
            if is_verified() {
                // Whoever drafted may have used the numbers of the draw.
                purpose = select(FOR_RESIDUAL, FOR_ACCEPT + progress.tried, is_tried);
            }
            if chunk.stage == STAGE_TRY {
                // That rows behind the last one that stands do not is heard: a later block has other numbers.
                let place = block_place - 1u;
                purpose = FOR_ACCEPT + place;
                position = head_of(row - place).position;
            }
        }
        progress.numbers = random(position, purpose);
    }
    let is_exempt = now.at == AT_CUT && now.round == ROUND_EXEMPT;
    var token = now.token;
    if is_exempt {
        token = row_data[requests[request].first_xtc_exempt + progress.exempt / 4u][progress.exempt % 4u];
    }
    if (is_tried || is_exempt || now.at == AT_DESCRIBE) && token < chunk.vocab {
        progress.code = code_of_token(token);
    }
}

fn advance_start() {
    if now.round == 0u {
        now.round = 1u;
        next.does = DOES_MERGE;
        next.task.scale = requests[request].pass_scale;
        return;
    }
    progress.stats = found.merged;
    now.round = 0u;
    now.at = AT_CUT;
    if found.merged.status != 0u { // nothing to draw from
        now.at = AT_HEADER;
        if chunk.stage != STAGE_ALL {
            end_block();
        }
    }
}

// A sum of the run from a place on, all of whose subtiles are opened.
fn move_to_sum(from_code: vec2<u32>, scale: Scale) {
    next.does = DOES_SCAN;
    next.opens_to = true;
    next.bound = earlier_of(from_code, run_last);
    next.task.kind = SUM;
    next.task.scale = scale;
    next.task.from_code = from_code;
}

// A selection. Of the whole row only the largest subtiles are opened; of a narrower run all.
fn move_to_select(kind: u32, wanted: vec2<u32>) {
    next.does = DOES_SCAN;
    next.opens = select(0u, now.subtiles, now.is_full);
    next.opens_to = !now.is_full;
    next.bound = run_last;
    next.task.kind = kind;
    next.task.wanted = wanted;
}

fn key_of_first() -> i32 {
    return select(key_of_code(run_first), progress.stats.max_key, all(run_first == HIGHEST));
}

// Q43 sums of the whole row, from pass 1.
fn sums_of(stats: Merged) -> Sums {
    return Sums(shift_left64(stats.mass, 3u), shift_left64(stats.surprisal, 3u), stats.n_greater);
}

fn same_scale(a: Scale, b: Scale) -> bool {
    return a.shift == b.shift && a.rate == b.rate;
}

// The header, and the first token, but for the raw view's words.
fn write_header() {
    let out = now.out;
    records[progress.out_token] = progress.first_token;
    records[out + SAMPLE_MAX_KEY] = bitcast<u32>(key_of_first());
    records[out + SAMPLE_STATUS] = progress.stats.status;
    write64(out + SAMPLE_MASS, progress.kept.mass);
    write64(out + SAMPLE_SURPRISAL, progress.kept.surprisal);
    records[out + SAMPLE_KEPT] = progress.kept.count;
    records[out + SAMPLE_SHIFT] = bitcast<u32>(progress.drawn_at.scale.shift);
    records[out + SAMPLE_UNIT] = progress.drawn_at.unit;
    records[out + SAMPLE_CALL] = chunk.call;
    write64(out + SAMPLE_KEPT_MASS, progress.kept_mass);
    write64(out + SAMPLE_ALL_MASS, progress.all_mass);
    if block_place <= 1u { // others look at those of a block
        records[out + SAMPLE_ACCEPTED] = u32(now.is_accepted);
    }
    records[out + SAMPLE_FIRST_TOKEN] = progress.ends.x;
    records[out + SAMPLE_LAST_TOKEN] = progress.ends.y;
    records[out + SAMPLE_LAST_KEY] = progress.ends.z;
    if has_run() {
        let run = behind_lists(out);
        records[run + RUN_FIRST_KEY] = bitcast<u32>(key_of_code(run_first));
        records[run + RUN_FIRST_TOKEN] = place_of_code(run_first);
        records[run + RUN_LAST_KEY] = bitcast<u32>(key_of_code(run_last));
        records[run + RUN_LAST_TOKEN] = place_of_code(run_last);
    }
}

fn write64(out: u32, value: vec2<u32>) {
    records[out] = value.x;
    records[out + 1u] = value.y;
}
