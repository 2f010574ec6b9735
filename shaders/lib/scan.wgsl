// scan: one walk over the subtiles of a row, or over the tokens of those that are opened: sums, a selection, a list.
// There is one instance of it in a kernel, so that compilers that copy every call have little to copy.
// Provides: Task, Outcome, scan, and the row at hand: what is kept, what is opened.
// Needs: format, words, logits, integers, exact, changes, numbers, list, radix (.wgsl), the kernel's bindings `logits`,
// `scratch`, `table`, `draft`.

// Kinds of tasks.
const NOTHING: u32 = 0u;
const SUM: u32 = 1u;              // masses, counts and ends of the run's tokens in a range
const SELECT_BY_COUNT: u32 = 2u;  // the place at which a count is reached
const SELECT_BY_MASS: u32 = 3u;   // the place at which a mass is reached
const SELECT_BY_NEARNESS: u32 = 4u; // the same, walking away from a centre; the nearness, in code.x
const TAKE: u32 = 5u;             // everything from a place on, in `chosen` or `winners`

// How a token counts in a sum.
const BY_TILE: u32 = 0u;     // relative to its tile's maximum, Q50; only draws.wgsl does
const BY_ROW: u32 = 1u;      // relative to the run's maximum, Q43
const BY_RESIDUAL: u32 = 2u; // the same, less what the draft gave it
const BY_SQUARE: u32 = 3u;   // distance below the maximum (Q20) and its square (Q28), for the standard deviation

struct Task {
    kind: u32,
    level: u32,         // OF_SUBTILES, OF_TOKENS
    weigh: u32,
    to_tiles: bool,     // leaves the masses by tile in `low` and `high`
    wanted: vec2<u32>,  // what a selection is to reach, at least 1
    from_code: vec2<u32>, // codes below do not count, nor are they taken
    floor: vec2<u32>,   // every token whose code is at least this lies in an opened subtile
    key: i32,           // whose rank is counted
    centre: u32,        // octaves
    scale: Scale,
}

struct Outcome {
    mass: vec2<u32>,
    surprisal: vec2<u32>,
    first: vec2<u32>,   // code, NO_ITEM if there is none
    last: vec2<u32>,
    count: u32,
    greater: u32,       // tokens with a larger key than the task's
    equal: u32,
    is_reached: bool,   // a selection reached what it was to
    code: vec2<u32>,    // ... at the last item that is at least this
}

const LOWEST: vec2<u32> = vec2<u32>(0x00800000u, 0u); // code of the last possible token: just above -infinity
const HIGHEST: vec2<u32> = vec2<u32>(0xffffffffu, 0xffffffffu);
const MOST_CHOSEN: u32 = 1024u; // subtiles that `chosen` can name

// The row at hand. Every lane holds the same.
var<private> row: u32;
var<private> request: u32;
var<private> view: u32;
var<private> max_bits: u32;        // of the run: what weighs one
var<private> draft_of: vec2<u32>;  // mass that the draft's probabilities are shares of
var<private> run_first: vec2<u32>; // what is kept: the tokens whose codes lie between these, both included
var<private> run_last: vec2<u32>;
var<private> opened: u32;          // subtiles
var<private> opened_all: bool;
var<private> reopened: u32;        // tokens read

var<workgroup> low: array<atomic<u32>, 256>;  // masses of 64 bits, by tile or by digit
var<workgroup> high: array<atomic<u32>, 256>;
var<workgroup> group_masses: array<vec2<u32>, 16>;
var<workgroup> counters: array<atomic<u32>, 3>; // taken or counted, greater, equal
var<workgroup> outcome: Outcome;
var<workgroup> digit_found: vec4<u32>;        // digit, 1 where it reaches, 2 where all of it is wanted; mass before it

fn n_subtiles() -> u32 {
    return (chunk.vocab + SUBTILE - 1u) / SUBTILE;
}

fn code_of_token(token: u32) -> vec2<u32> {
    let element = chunk.element_base + row * chunk.row_stride + token;
    var bits = widen(logits[word_of_element(element)], element);
    if view == PROCESSED {
        bits = changed_bits(row, request, token, bits);
    }
    return code_of(key_of_bits(bits), token);
}

fn is_in_run(code: vec2<u32>) -> bool {
    return at_least(run_first, code) && at_least(code, run_last);
}

// Code of a subtile, or of an opened token; NO_ITEM for a token outside the run.
fn item(level: u32, i: u32) -> vec2<u32> {
    if level == OF_SUBTILES {
        let tile = tile_words(view, row, i / SUBTILES_PER_TILE);
        return code_of(bitcast<i32>(scratch[tile + TILE_DELEGATES + i % SUBTILES_PER_TILE]), i);
    }
    var token = i;
    if !opened_all {
        token = chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    }
    if token >= chunk.vocab {
        return NO_ITEM;
    }
    let code = code_of_token(token);
    return select(NO_ITEM, code, is_in_run(code));
}

// Two atomics with a carry: the sum does not depend on the order.
fn add_mass(place: u32, mass: vec2<u32>) {
    let before = atomicAdd(&low[place], mass.x);
    let carry = u32(before + mass.x < before);
    atomicAdd(&high[place], mass.y + carry);
}

fn mass_at(place: u32) -> vec2<u32> {
    return vec2<u32>(atomicLoad(&low[place]), atomicLoad(&high[place]));
}

// Q43 weight relative to the run's maximum: 2^20 of them fit 64 bits.
fn row_weight(octaves: u32) -> vec2<u32> {
    if octaves == FAR {
        return vec2<u32>(0u, 0u);
    }
    let m = mantissa(table[table_index(octaves)], octaves);
    return shift_right64(vec2<u32>(m << 12u, m >> 20u), octaves >> 24u);
}

// Q43 weight times octaves.
fn row_surprisal(octaves: u32) -> vec2<u32> {
    if octaves == FAR {
        return vec2<u32>(0u, 0u);
    }
    let product = mul_high(mantissa(table[table_index(octaves)], octaves), octaves << 1u); // Q24
    return shift_right64(vec2<u32>(product << 19u, product >> 13u), octaves >> 24u);
}

// What a draft's probability of a token is of the run's mass: ⌊probability · mass⌋, Q43.
fn draft_mass(token: u32) -> vec2<u32> {
    let bits = draft[chunk.draft_base + row * chunk.draft_stride + token];
    if bits > 0x7f800000u { // negative or NaN: none
        return vec2<u32>(0u, 0u);
    }
    let exponent = bits >> 23u;
    if exponent >= 127u { // one or more
        return draft_of;
    }
    return mul_shift(draft_of, (bits << 8u) | 0x80000000u, 158u - exponent);
}

// Distance below the maximum, Q20, at most 256: a logit of -10000 that masks a token counts as 256 below.
fn distance_q20(bits: u32) -> u32 {
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, 20) - fixed(bits, 20);
    // Decides only "far" or "near": anything from 128 to 1900 gives the same.
    return select(1u << 28u, min(distance, 1u << 28u), half_distance < 1000.0);
}

fn is_selection(kind: u32) -> bool {
    return kind == SELECT_BY_COUNT || kind == SELECT_BY_MASS || kind == SELECT_BY_NEARNESS;
}

// One item.
fn visit(i: u32, n: u32, task: Task, walk: Walk, own: ptr<function, Outcome>) {
    if i >= n {
        return;
    }
    let code = item(task.level, i);
    if (task.level == OF_TOKENS && !at_least(code, LOWEST)) || !at_least(code, task.from_code) {
        return;
    }
    let key = key_of_code(code);
    if task.kind == TAKE {
        let place = atomicAdd(&counters[0], 1u);
        if place < MOST_CHOSEN {
            if task.level == OF_SUBTILES {
                chosen[place] = i;
            } else {
                winners[place] = code;
            }
        }
        return;
    }
    var octaves = 0u;
    if task.kind != SELECT_BY_COUNT {
        octaves = octaves_below(max_bits, bits_of_key(key), task.scale);
    }
    if is_selection(task.kind) {
        var place = code;
        if task.kind == SELECT_BY_NEARNESS {
            place = vec2<u32>(~(max(octaves, task.centre) - min(octaves, task.centre)), 0u);
        }
        // A token without weight counts as an item, so that a digit of one item has no others behind it; it is not
        // near to anything.
        let is_item = octaves != FAR || task.kind != SELECT_BY_NEARNESS;
        if is_item && has_prefix(walk, place) {
            let value = digit_in(walk, place);
            atomicAdd(&histogram[value], 1u);
            if task.kind != SELECT_BY_COUNT {
                add_mass(value, row_weight(octaves));
            }
        }
        return;
    }
    var mass = row_weight(octaves);
    var second = row_surprisal(octaves);
    if task.weigh == BY_SQUARE {
        let distance = distance_q20(bits_of_key(key));
        mass = vec2<u32>(distance, 0u);
        second = shift_right64(mul_wide(distance, distance), 12u);
    } else if task.weigh == BY_RESIDUAL {
        let taken = draft_mass(place_of_code(code));
        mass = subtract64(mass, select(taken, mass, at_least64(taken, mass)));
    }
    (*own).mass = add64((*own).mass, mass);
    (*own).surprisal = add64((*own).surprisal, second);
    (*own).first = select((*own).first, code, at_least(code, (*own).first));
    (*own).last = select((*own).last, code, at_least((*own).last, code));
    (*own).count += 1u;
    (*own).greater += u32(key > task.key);
    (*own).equal += u32(key == task.key);
    if task.to_tiles {
        add_mass(place_of_code(code) / TILE, mass);
    }
}

// Joins what another lane has found, which lies in `winners`.
fn join(own: ptr<function, Outcome>, lane: u32) {
    let first = winners[512u + lane];
    let last = winners[768u + lane];
    (*own).mass = add64((*own).mass, winners[lane]);
    (*own).surprisal = add64((*own).surprisal, winners[256u + lane]);
    (*own).first = select((*own).first, first, at_least(first, (*own).first));
    (*own).last = select((*own).last, last, at_least((*own).last, last));
}

// Leaves what this lane has found to others.
fn leave(own: Outcome, lane: u32) {
    winners[lane] = own.mass;
    winners[256u + lane] = own.surprisal;
    winners[512u + lane] = own.first;
    winners[768u + lane] = own.last;
}

// What the items of a digit count for in a selection.
fn digit_mass(value: u32, kind: u32) -> vec2<u32> {
    if kind == SELECT_BY_COUNT {
        return vec2<u32>(atomicLoad(&histogram[value]), 0u);
    }
    return mass_at(value);
}

// The digit with which a selection reaches what it is to, from the largest down: first by groups of sixteen digits.
fn descend(task: Task, mass_before: vec2<u32>) -> vec4<u32> {
    var before = mass_before;
    var group = 15u;
    while group > 0u && !at_least64(add64(before, group_masses[group]), task.wanted) {
        before = add64(before, group_masses[group]);
        group -= 1u;
    }
    var value = group * 16u + 15u;
    var mass = digit_mass(value, task.kind);
    while value > group * 16u && !at_least64(add64(before, mass), task.wanted) {
        before = add64(before, mass);
        value -= 1u;
        mass = digit_mass(value, task.kind);
    }
    let through = add64(before, mass);
    let is_all = (task.kind == SELECT_BY_MASS && atomicLoad(&histogram[value]) == 1u)
        || (task.kind == SELECT_BY_COUNT && all(through == task.wanted));
    return vec4<u32>(value, select(0u, select(1u, 2u, is_all), at_least64(through, task.wanted)), before);
}

fn scan(task: Task, lane: u32) -> Outcome {
    let n = select(opened * SUBTILE, n_subtiles(), task.level == OF_SUBTILES);
    let selects = is_selection(task.kind);
    let n_digits = select(1u, select(CODE_DIGITS, KEY_DIGITS, task.kind == SELECT_BY_NEARNESS), selects);
    var walk = ROOT;
    var before = vec2<u32>(0u, 0u);
    // Apart from what a lane finds: these two are the same in every lane.
    var code_found = NO_ITEM;
    var is_reached = false;
    var own = Outcome(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), NO_ITEM, HIGHEST, 0u, 0u, 0u, false, NO_ITEM);
    workgroupBarrier(); // whoever reads the last scan's results has them
    for (var digit = 0u; digit < n_digits; digit++) {
        // 1. empty what is added to
        walk = look_at(walk, digit);
        atomicStore(&histogram[lane], 0u);
        if selects || task.to_tiles {
            atomicStore(&low[lane], 0u);
            atomicStore(&high[lane], 0u);
        }
        if lane < 3u {
            atomicStore(&counters[lane], 0u);
        }
        workgroupBarrier(); // everything is empty before the adding

        // 2. every item once
        // (Four a round: Mesa before 25 cuts short what loops for more than 65 535 rounds in all.)
        for (var i = lane; i < n; i += 4u * LANES) {
            visit(i, n, task, walk, &own);
            visit(i + LANES, n, task, walk, &own);
            visit(i + 2u * LANES, n, task, walk, &own);
            visit(i + 3u * LANES, n, task, walk, &own);
        }
        if task.level == OF_TOKENS {
            reopened += n;
        }
        if task.kind == SUM {
            atomicAdd(&counters[0], own.count);
            atomicAdd(&counters[1], own.greater);
            atomicAdd(&counters[2], own.equal);
            leave(own, lane);
        }
        workgroupBarrier(); // every item is added before anything is read

        // 3. sixteen lanes: sums of the lanes, or of sixteen digits
        if lane < 16u {
            if task.kind == SUM {
                for (var i = 1u + chunk.nothing; i < 16u; i++) {
                    join(&own, lane + i * 16u);
                }
                leave(own, lane);
            }
            if selects {
                var total = vec2<u32>(0u, 0u);
                for (var i = chunk.nothing; i < 16u; i++) {
                    total = add64(total, digit_mass(lane * 16u + i, task.kind));
                }
                group_masses[lane] = total;
            }
        }
        workgroupBarrier(); // sixteen partial sums before one lane's last step

        // 4. one lane: the last sums, or the digit
        if lane == 0u {
            if task.kind == SUM {
                for (var i = 1u + chunk.nothing; i < 16u; i++) {
                    join(&own, i);
                }
            }
            if selects {
                digit_found = descend(task, before);
            }
            own.count = atomicLoad(&counters[0]);
            own.greater = atomicLoad(&counters[1]);
            own.equal = atomicLoad(&counters[2]);
            outcome = own;
        }
        let found = workgroupUniformLoad(&digit_found);
        if !selects || found.y == 0u {
            break; // a single walk; or what there is does not reach what is wanted
        }
        before = found.zw;
        walk = narrow(walk, found.x);
        code_found = walk.prefix;
        is_reached = digit + 1u == n_digits;
        // All items of this digit are wanted, and the floor does not lie among them: no need to know the last exactly.
        let has_floor = task.level == OF_TOKENS && at_least(task.floor, walk.prefix)
            && at_least(largest_with(walk), task.floor);
        if found.y == 2u && !has_floor {
            is_reached = true;
            break;
        }
    }
    var result = workgroupUniformLoad(&outcome);
    result.code = code_found;
    result.is_reached = is_reached;
    return result;
}

// Behind every token with this key, before every one with a smaller key.
fn code_of_lowest(key: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, 0u);
}

fn earlier_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(b, a, at_least(a, b));
}
