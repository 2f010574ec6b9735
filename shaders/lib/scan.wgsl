// scan: one walk over the subtiles of a row, or over the tokens of those that are opened: sums, a selection, a list, a draw.
// There is one instance of it in a kernel, so that compilers that copy every call have little to copy.
// Provides: Task, Outcome, scan, load_tiles, and the row at hand: what is kept, what is opened.
// Needs: format, words, logits, integers, exact, quads, changes, numbers, rng, list, radix, merge (.wgsl), row_program's
// `found`, the kernel's bindings `logits`, `scratch`, `table`, `draft`.

// Kinds of tasks.
const NOTHING: u32 = 0u;
const SUM: u32 = 1u;              // masses, counts and ends of the run's tokens in a range
const TAKE: u32 = 2u;             // everything from a place on, in `chosen` or `winners`
const DRAW: u32 = 3u;             // the token at a point of the run, in token order
const SELECT_BY_COUNT: u32 = 4u;  // the place at which a count is reached
const SELECT_BY_MASS: u32 = 5u;   // the place at which a mass is reached
const SELECT_BY_NEARNESS: u32 = 6u; // the same, walking away from a centre; the nearness, in code.x

// How a token counts in a sum.
const BY_TILE: u32 = 0u;     // relative to its tile's maximum, Q50; in draws
const BY_ROW: u32 = 1u;      // relative to the run's maximum, Q43
const BY_RESIDUAL: u32 = 2u; // `operand` (Q31) of the same, less what the draft gave it
const BY_SQUARE: u32 = 3u;   // distance below the maximum (Q20) and its square (Q28), for the standard deviation
const BY_ENTROPY: u32 = 5u;  // weight times octaves from the maximum and, in `operand` (Q26), from it to the mass: Q38
const BY_WEIGHT_SQUARE: u32 = 4u; // as by row, with the weight's square (Q43) beside it

struct Task {
    kind: u32,
    level: u32,         // OF_SUBTILES, OF_TOKENS; OF_NEIGHBOURS in draws
    weigh: u32,
    to_tiles: bool,     // leaves the masses by tile for draws
    wanted: vec2<u32>,  // what a selection is to reach, at least 1
    from_code: vec2<u32>, // codes below do not count, nor are they taken
    floor: vec2<u32>,   // every token whose code is at least this lies in an opened subtile
    operand: u32,       // of nearness, the centre in octaves; of an entropy, the logarithm of the mass; of a residual, the part
    scale: Scale,
    taken: vec2<u32>,   // of a residual: what the draft's probabilities are shares of
    numbers: vec4<u32>, // of a draw: two of 64 bits
}

struct Outcome {
    mass: vec2<u32>,
    surprisal: vec2<u32>,
    first: vec2<u32>,   // code, NO_ITEM if there is none
    last: vec2<u32>,
    count: u32,         // added to, or taken
    is_reached: bool,   // a selection reached what it was to
    code: vec2<u32>,    // ... at the last item that is at least this
    token: u32,         // drawn; NO_TOKEN where there is no mass at all
}

const LOWEST: vec2<u32> = vec2<u32>(0x00800000u, 0u); // code of the last possible token: just above -infinity
const HIGHEST: vec2<u32> = vec2<u32>(0xffffffffu, 0xffffffffu);
const ROUNDS_OF_DIGIT: u32 = 72u; // over sixteen lanes, digits and groups of them, twice
const MOST_CHOSEN: u32 = 1024u; // subtiles that `chosen` can name
const OF_NEIGHBOURS: u32 = 2u;  // the level of a run of tokens

// The row at hand. Every lane holds the same once it has obeyed, but for `own` and what it holds back.
var<private> row: u32;
var<private> row_start: u32;     // its first logit
var<private> request: u32;
var<private> asked: u32;         // ASKS_* of the request
var<private> block_place: u32;   // of the request
var<private> view: u32;
var<private> max_bits: u32;        // of the run: what weighs one
var<private> run_first: vec2<u32>; // what is kept: the tokens whose codes lie between these, both included
var<private> run_last: vec2<u32>;
var<private> opened: u32;          // subtiles
var<private> opened_all: bool;
var<private> reopened: u32;        // tokens read
var<private> rounds: u32;          // of loops, at most, in any lane; of the first lane, which decides, all of them
var<private> task: Task;
var<private> first_token: u32;    // where no subtiles are named
var<private> is_changed: bool;     // by masks, bias or penalties
var<private> own: Outcome;         // what this lane finds
var<private> held_place: u32;
var<private> held_mass: vec2<u32>;

var<workgroup> low: array<atomic<u32>, 256>;  // masses of 64 bits, by digit; by tile, the last one first
var<workgroup> high: array<atomic<u32>, 256>;
var<workgroup> group_masses: array<vec2<u32>, 16>;
var<workgroup> n_counted: atomic<u32>;        // or taken
// Digit; 0 where it does not reach, 2 where it is the last, 3 where the digits are those of the codes below; mass before it.
var<workgroup> digit_found: vec4<u32>;

fn n_subtiles() -> u32 {
    return (chunk.vocab + SUBTILE - 1u) / SUBTILE;
}

fn raw_bits(token: u32) -> u32 {
    let element = row_start + min(token, chunk.vocab - 1u);
    return widen(logits[word_of_element(element)], element);
}

// Bits of a token's logit in the view, of those of its raw one.
fn bits_in_view(token: u32, raw: u32) -> u32 {
    if view == PROCESSED && is_changed {
        return changed_bits(row, request, min(token, chunk.vocab - 1u), raw);
    }
    return raw;
}

fn code_of_token(token: u32) -> vec2<u32> {
    return code_of(key_of_bits(bits_in_view(token, raw_bits(token))), token);
}

// The i-th token of what is opened, or of the neighbours that a draw looks at.
fn token_at(level: u32, i: u32) -> u32 {
    if level == OF_TOKENS && !opened_all {
        return chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    }
    return first_token + i;
}

fn is_in_run(code: vec2<u32>) -> bool {
    return at_least(run_first, code) && at_least(code, run_last);
}

// What there is to be read of a subtile, its delegate's key, or of a token, the bits of its raw logit.
fn word_of_item(level: u32, i: u32) -> u32 {
    if level == OF_SUBTILES {
        let tile = tile_words(view, row, i / SUBTILES_PER_TILE);
        return scratch[tile + TILE_DELEGATES + i % SUBTILES_PER_TILE];
    }
    return raw_bits(token_at(level, i));
}

// Of four items, so many apart; past the last one of any.
fn words_of_four(level: u32, i: u32, apart: u32, n: u32) -> vec4<u32> {
    let inside = min(vec4<u32>(i, i + apart, i + 2u * apart, i + 3u * apart), vec4<u32>(max(n, 1u) - 1u));
    return vec4<u32>(word_of_item(level, inside.x), word_of_item(level, inside.y),
        word_of_item(level, inside.z), word_of_item(level, inside.w));
}

// Code of a subtile, or of a token; NO_ITEM for a token outside the run.
fn item(level: u32, i: u32) -> vec2<u32> {
    let word = word_of_item(level, i);
    if level == OF_SUBTILES {
        return code_of(bitcast<i32>(word), i);
    }
    let token = token_at(level, i);
    if token >= chunk.vocab {
        return NO_ITEM;
    }
    let code = code_of(key_of_bits(bits_in_view(token, word)), token);
    return select(NO_ITEM, code, is_in_run(code));
}

// Two atomics with a carry: the sum does not depend on the order.
fn add_mass(place: u32, mass: vec2<u32>) {
    let before = atomicAdd(&low[place], mass.x);
    let carry = u32(before + mass.x < before);
    atomicAdd(&high[place], mass.y + carry);
}

// The mass of a tile is held back until a lane comes to another tile, since all lanes add to the same few.
fn hold(place: u32, mass: vec2<u32>) {
    if place != held_place {
        let_go();
        held_place = place;
    }
    held_mass = add64(held_mass, mass);
}

fn let_go() {
    if any(held_mass != vec2<u32>(0u, 0u)) {
        add_mass(held_place, held_mass);
    }
    held_mass = vec2<u32>(0u, 0u);
}

fn mass_at(place: u32) -> vec2<u32> {
    return vec2<u32>(atomicLoad(&low[place]), atomicLoad(&high[place]));
}

// Q43, relative to the run's maximum: 2^20 weights of them fit 64 bits.
struct Weighed {
    mass: vec2<u32>,
    surprisal: vec2<u32>, // weight times octaves
}

fn row_weight(octaves: u32) -> vec2<u32> {
    if octaves == FAR {
        return vec2<u32>(0u, 0u);
    }
    return row_weight_of(octaves, mantissa(table[table_index(octaves)], octaves));
}

fn row_weight_of(octaves: u32, mantissa: u32) -> vec2<u32> {
    return shift_right64(vec2<u32>(mantissa << 12u, mantissa >> 20u), octaves >> 24u);
}

// What a token of these octaves and this mantissa counts for, as the task weighs.
fn weighed(bits: u32, token: u32, octaves: u32, mantissa: u32) -> Weighed {
    var own = Weighed(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u));
    if task.weigh == BY_SQUARE {
        let distance = distance_q20(bits);
        own.mass.x = distance;
        own.surprisal = shift_right64(mul_wide(distance, distance), 12u);
        return own;
    }
    if octaves != FAR {
        if task.weigh == BY_TILE {
            own.mass = weight(mantissa, octaves);
        } else {
            own.mass = row_weight_of(octaves, mantissa);
        }
        if task.kind == SUM || task.weigh == BY_ENTROPY {
            let product = mul_high(mantissa, octaves << 1u); // Q24
            own.surprisal = shift_right64(vec2<u32>(product << 19u, product >> 13u), octaves >> 24u);
        }
    }
    if task.weigh == BY_ENTROPY {
        let of_mass = mul_wide(shift_right64(own.mass, 12u).x, task.operand);
        own.mass = add64(shift_right64(own.surprisal, 5u), shift_right64(of_mass, 19u));
    } else if task.weigh == BY_WEIGHT_SQUARE {
        let short = shift_right64(own.mass, 12u).x; // Q31
        own.surprisal = shift_right64(mul_wide(short, short), 19u);
    } else if task.weigh == BY_RESIDUAL {
        own.mass = residual(part_of(own.mass, task.operand), token, task.taken);
    }
    return own;
}

// What a draft's probability of a token is of a mass: ⌊probability · mass⌋.
fn draft_mass(token: u32, mass: vec2<u32>) -> vec2<u32> {
    if chunk.other_stride == 0u { // no draft is bound
        return vec2<u32>(0u, 0u);
    }
    let bits = draft[chunk.other_base + row * chunk.other_stride + token];
    if bits > 0x7f800000u { // negative or NaN: none
        return vec2<u32>(0u, 0u);
    }
    let exponent = bits >> 23u;
    if exponent >= 127u { // one or more
        return mass;
    }
    return mul_shift(mass, (bits << 8u) | 0x80000000u, 158u - exponent);
}

// Distance below the maximum, Q20, at most 256: a logit of -10000 that masks a token counts as 256 below.
fn distance_q20(bits: u32) -> u32 {
    let half_distance = bitcast<f32>(max_bits) * 0.5 - bitcast<f32>(bits) * 0.5;
    let distance = fixed(max_bits, 20) - fixed(bits, 20);
    // Decides only "far" or "near": anything from 128 to 1900 gives the same.
    return select(1u << 28u, min(distance, 1u << 28u), half_distance < 1000.0);
}

// A part, Q31, of a mass.
fn part_of(mass: vec2<u32>, part: u32) -> vec2<u32> {
    return select(mul_shift(mass, part << 1u, 32u), mass, part == 0x80000000u);
}

// What is left of a token's mass when the draft has had its share of this one.
fn residual(mass: vec2<u32>, token: u32, whole: vec2<u32>) -> vec2<u32> {
    let taken = draft_mass(token, whole);
    return subtract64(mass, select(taken, mass, at_least64(taken, mass)));
}

// Words of the codes of four keys, or of the keys of four tokens by their bits in the view.
fn code_words(level: u32, words: vec4<u32>) -> vec4<u32> {
    return select(bitcast<vec4<u32>>(keys_of_four(words)), words, vec4<bool>(level == OF_SUBTILES)) ^ vec4<u32>(0x80000000u);
}

// The least and the largest of these words that any item of the walk can have.
fn code_words_wanted(walk: Walk) -> vec2<u32> {
    if task.level == OF_SUBTILES {
        return vec2<u32>(task.from_code.x, 0xffffffffu);
    }
    let run = vec2<u32>(max(max(run_last.x, LOWEST.x), task.from_code.x), run_first.x);
    if task.kind == SELECT_BY_COUNT || task.kind == SELECT_BY_MASS {
        return vec2<u32>(max(run.x, walk.first.x), min(run.y, largest_in(walk).x));
    }
    return run;
}

// One item, with its code's first word; of a token also its bits in the view and, where it is weighed, octaves and mantissa.
fn visit(i: u32, code_word: u32, bits: u32, octaves: u32, mantissa: u32, walk: Walk) {
    var token = i; // or subtile
    if task.level != OF_SUBTILES {
        token = token_at(task.level, i);
    }
    let code = vec2<u32>(code_word, (LAST_TOKEN - token) & LAST_TOKEN);
    if (task.level != OF_SUBTILES && (token >= chunk.vocab || !is_in_run(code))) || !at_least(code, task.from_code) {
        return;
    }
    if task.kind == TAKE {
        let place = atomicAdd(&n_counted, 1u);
        if place < MOST_CHOSEN {
            if task.level == OF_SUBTILES {
                chosen[place] = i;
            } else {
                winners[place] = code;
            }
        }
        return;
    }
    if task.kind >= SELECT_BY_COUNT {
        var along = code;
        if task.kind == SELECT_BY_NEARNESS {
            along = vec2<u32>(~(max(octaves, task.operand) - min(octaves, task.operand)), 0u);
        }
        // A token without weight counts as an item, so that a digit of one item has no others behind it; it is not
        // near to anything.
        let is_item = octaves != FAR || task.kind != SELECT_BY_NEARNESS;
        if !is_item || !is_in(walk, along) {
            return; // and is not weighed
        }
        let place = digit_in(walk, along);
        atomicAdd(&histogram[place], 1u);
        if task.kind != SELECT_BY_COUNT {
            add_mass(place, weighed(bits, token, octaves, mantissa).mass);
        }
        return;
    }
    let counts = weighed(bits, token, octaves, mantissa);
    own.mass = add64(own.mass, counts.mass);
    own.surprisal = add64(own.surprisal, counts.surprisal);
    own.first = select(own.first, code, at_least(code, own.first));
    own.last = select(own.last, code, at_least(own.last, code));
    own.count += 1u;
    if task.to_tiles {
        hold(255u - token / TILE, counts.mass);
    }
}

// Joins what another lane has found, which lies in `winners`.
fn join(lane: u32) {
    let first = winners[512u + lane];
    let last = winners[768u + lane];
    own.mass = add64(own.mass, winners[lane]);
    own.surprisal = add64(own.surprisal, winners[256u + lane]);
    own.first = select(own.first, first, at_least(first, own.first));
    own.last = select(own.last, last, at_least(own.last, last));
}

// Leaves what this lane has found to others.
fn leave(lane: u32) {
    winners[lane] = own.mass;
    winners[256u + lane] = own.surprisal;
    winners[512u + lane] = own.first;
    winners[768u + lane] = own.last;
}

// The masses of the tiles, where pass 1 has left them, for draws.
fn load_tiles(lane: u32) {
    var mass = vec2<u32>(0u, 0u);
    if lane < chunk.tiles {
        mass = tile_mass(tile_words(view, row, lane), max_bits, task.scale).xy;
    }
    atomicStore(&low[255u - lane], mass.x);
    atomicStore(&high[255u - lane], mass.y);
}

// What the items of a digit count for in a selection.
fn digit_mass(value: u32, digit: u32) -> vec2<u32> {
    if task.kind == SELECT_BY_COUNT {
        return vec2<u32>(atomicLoad(&histogram[value]), 0u);
    }
    if task.kind == DRAW && digit > 0u {
        return winners[value];
    }
    return mass_at(value);
}

// The digit with which a selection reaches what it is to, from the largest down: first by groups of sixteen digits.
fn descend(wanted: vec2<u32>, mass_before: vec2<u32>, digit: u32, walk: Walk) -> vec4<u32> {
    var before = mass_before;
    var group = 15u;
    while group > 0u && !at_least64(add64(before, group_masses[group]), wanted) {
        before = add64(before, group_masses[group]);
        group -= 1u;
    }
    var value = group * 16u + 15u;
    var mass = digit_mass(value, digit);
    while value > group * 16u && !at_least64(add64(before, mass), wanted) {
        before = add64(before, mass);
        value -= 1u;
        mass = digit_mass(value, digit);
    }
    let through = add64(before, mass);
    let is_all = (task.kind == SELECT_BY_MASS && atomicLoad(&histogram[value]) == 1u)
        || (task.kind == SELECT_BY_COUNT && all(through == wanted));
    // All items of this digit are wanted, and the floor does not lie among them: no need to know the last exactly.
    let narrowed = narrow(walk, value);
    let has_floor = task.level == OF_TOKENS && at_least(task.floor, narrowed.first)
        && at_least(largest_in(narrowed), task.floor);
    var is_end = is_one(narrowed);
    if task.kind == SELECT_BY_NEARNESS {
        is_end = is_key(narrowed);
    } else if task.kind == DRAW {
        is_end = digit + 1u == DRAW_DIGITS;
    }
    if !at_least64(through, wanted) {
        return vec4<u32>(value, 0u, through);
    }
    return vec4<u32>(value, select(1u, 2u, is_end || (is_all && !has_floor)), before);
}

// Whether a selection that the top of its codes does not reach goes on below. Where the largest subtiles are opened first,
// and their mass is not enough, more of them come next.
fn goes_below(walk: Walk) -> bool {
    let is_part = task.kind != SELECT_BY_COUNT && at_least(task.floor, run_last) && any(task.floor != run_last);
    return task.kind != DRAW && task.level == OF_TOKENS && is_top(walk) && !is_part;
}

// A draw walks down digits too, those of the token's place: the tile, sixteen tokens of it, one of these. Its masses lie
// in the order of tokens, the first as the largest digit; those of the tiles are in `low` and `high` already.
const DRAW_DIGITS: u32 = 3u;

// Where one of the two numbers falls in the mass of all digits: the mass that is to be reached.
fn wanted_of_draw(numbers: vec2<u32>) -> vec2<u32> {
    var total = vec2<u32>(0u, 0u);
    for (var group = chunk.nothing; group < 16u; group++) {
        total = add64(total, group_masses[group]);
    }
    return add64(multiply_high64(numbers, total), vec2<u32>(1u, 0u));
}

// Does the task; the first lane leaves what came out in `found.scan`.
fn scan(lane: u32) {
    let draws = task.kind == DRAW;
    let selects = task.kind >= DRAW;
    // Items of a lane: every 256th, or in a draw so many neighbours.
    var n = select(opened * SUBTILE, n_subtiles(), task.level == OF_SUBTILES);
    var neighbours = 0u;
    var walk = ALL_CODES;
    if selects && task.level == OF_TOKENS {
        walk = top_codes(select(code_of(key_of_bits(max_bits), 0u).x, 0xffffffffu, task.kind == SELECT_BY_NEARNESS));
    }
    var before = vec2<u32>(0u, 0u);
    var wanted = task.wanted;
    var is_reached = false;
    first_token = 0u;
    // One walk over the top of the codes that may not reach, then one for each digit.
    for (var digit = 0u; digit <= CODE_DIGITS; digit++) {
        // 1. empty what is added to
        own = Outcome(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), NO_ITEM, HIGHEST, 0u, false, NO_ITEM, NO_TOKEN);
        atomicStore(&histogram[lane], 0u);
        if (selects && !draws) || task.to_tiles {
            atomicStore(&low[lane], 0u);
            atomicStore(&high[lane], 0u);
        }
        if lane == 0u {
            atomicStore(&n_counted, 0u);
        }
        workgroupBarrier(); // everything is empty before the adding

        // 2. every item once
        var stride = LANES;
        var i = lane;
        if draws {
            stride = 1u;
            i = lane * neighbours;
            n = i + neighbours;
        }
        // Each round looks at the four items of the one before, which were under way meanwhile; the first at none. (Mesa
        // before 25 cuts short what loops for more than 65 535 rounds in all.)
        let weighs = task.level != OF_SUBTILES && task.kind != TAKE && task.kind != SELECT_BY_COUNT;
        var reference = max_bits;
        if task.weigh == BY_TILE { // of a draw, whose neighbours lie in one tile
            reference = bits_of_key(bitcast<i32>(scratch[tile_words(view, row, first_token / TILE) + TILE_MAX_KEY]));
        }
        let is_changing = is_changed && view == PROCESSED && task.level != OF_SUBTILES;
        let each = select(4u, 7u, is_changing); // a loop's last look, which ends it, counts
        rounds += (select(n / (4u * LANES), neighbours / 4u, draws) + 2u) * each + ROUNDS_OF_DIGIT;
        let wanted_words = code_words_wanted(walk);
        let steps = vec4<u32>(0u, stride, 2u * stride, 3u * stride);
        let first = i;
        var ahead = vec4<u32>(0u);
        for (; i < n + 4u * stride; i += 4u * stride) {
            var words = ahead;
            ahead = words_of_four(task.level, i, stride, n);
            if i == first {
                continue;
            }
            let here = i - 4u * stride;
            if is_changing {
                let inside = min(vec4<u32>(here) + steps, vec4<u32>(n - 1u));
                let tokens = vec4<u32>(token_at(task.level, inside.x), token_at(task.level, inside.y),
                    token_at(task.level, inside.z), token_at(task.level, inside.w));
                words = changed_bits_of_four(row, request, tokens, words);
            }
            var codes = code_words(task.level, words);
            var is_wanted = (codes >= vec4<u32>(wanted_words.x)) & (codes <= vec4<u32>(wanted_words.y))
                & (vec4<u32>(here) + steps < vec4<u32>(n));
            if !any(is_wanted) {
                continue;
            }
            var octaves = vec4<u32>(0u);
            var mantissas = vec4<u32>(0u);
            if weighs {
                octaves = octaves_of_four(reference, words, task.scale);
                mantissas = mantissas_of_four(octaves);
            }
            // Two a round, for the text and what it keeps in registers; more rounds would cost more on Mesa before 25.
            for (var pair = chunk.nothing; pair < 2u; pair++) {
                let at = here + 2u * pair * stride;
                if is_wanted.x {
                    visit(at, codes.x, words.x, octaves.x, mantissas.x, walk);
                }
                if is_wanted.y {
                    visit(at + stride, codes.y, words.y, octaves.y, mantissas.y, walk);
                }
                is_wanted = is_wanted.zwzw;
                codes = codes.zwzw;
                words = words.zwzw;
                octaves = octaves.zwzw;
                mantissas = mantissas.zwzw;
            }
        }
        let_go();
        if task.level != OF_SUBTILES {
            reopened += select(n, neighbours * LANES, draws);
        }
        if task.kind == SUM {
            atomicAdd(&n_counted, own.count);
        }
        if task.kind == SUM || draws {
            leave(select(lane, 255u - lane, draws));
        }

        // 3. sums of sixteen lanes, or of sixteen digits, and of these
        for (var lanes = 16u + chunk.nothing; lanes > 0u; lanes >>= 4u) {
            workgroupBarrier(); // every item is added before sixteen lanes read, and these before one does
            if lane < lanes && task.kind == SUM {
                for (var i = 1u + chunk.nothing; i < 16u; i++) {
                    join(lane + i * lanes);
                }
                leave(lane);
            }
            if lane < lanes && selects && lanes > 1u {
                var total = vec2<u32>(0u, 0u);
                for (var i = chunk.nothing; i < 16u; i++) {
                    total = add64(total, digit_mass(lane * 16u + i, digit));
                }
                group_masses[lane] = total;
            }
        }

        // 4. one lane: the digit
        if lane == 0u {
            digit_found = vec4<u32>(0u, 0u, 0u, 0u);
            if selects {
                if draws && digit < 2u {
                    wanted = wanted_of_draw(select(task.numbers.xy, task.numbers.zw, digit == 1u));
                }
                digit_found = descend(wanted, before, digit, walk);
                if digit_found.y == 0u && goes_below(walk) {
                    digit_found.y = 3u;
                }
            }
        }
        let one = workgroupUniformLoad(&digit_found);
        if one.y == 0u {
            break; // a single walk; or what there is does not reach what is wanted
        }
        if one.y == 3u {
            walk = codes_below(walk);
            before = one.zw;
            continue;
        }
        walk = narrow(walk, one.x);
        before = one.zw;
        if draws {
            // The digit stands for a tile, for sixteen tokens of it, for one.
            neighbours = select(1u, 16u, digit == 0u);
            first_token += (255u - one.x) * select(select(1u, 16u, digit == 1u), TILE, digit == 0u);
            if digit == 0u {
                before = vec2<u32>(0u, 0u); // the second number
            }
        }
        if one.y == 2u {
            is_reached = true;
            break;
        }
    }
    if lane == 0u {
        found.scan = Outcome(winners[0], winners[256], winners[512], winners[768], atomicLoad(&n_counted), is_reached,
            walk.first, select(NO_TOKEN, first_token, is_reached));
    }
}

// Behind every token with this key, before every one with a smaller key.
fn code_of_lowest(key: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, 0u);
}

fn earlier_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(b, a, at_least(a, b));
}
