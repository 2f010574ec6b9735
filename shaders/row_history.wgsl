// row_history: what the tokens before a row change, of rows that run ahead of the host. Libraries: format, words, integers,
// exact, soft_float, numbers. One workgroup per row, dispatch (1, rows); a row without a history returns at once.
//
// A slot holds the tokens of a request, and by their distance from the end how far the tokens before a place equal the last
// ones. A step takes in the token that the step before drew, and leaves what the tokens change since the host last knew them
// in a table of changes, where pass 1 and pass 2 look first; changes.wgsl says how a table is looked up.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read_write> words: array<atomic<u32>>; // requests, heads, changes; then the tables
@group(0) @binding(2) var<storage, read_write> slots: array<u32>;         // [slots][slot words]
@group(0) @binding(3) var<storage, read> table: array<u32>;               // [1024]

const LANES: u32 = 256u;

// Words of a request, request.wgsl.
const REQUEST_FLAGS: u32 = 13u;
const REQUEST_HISTORY: u32 = 27u; // where the words below lie; 0 without a history
const REQUEST_CUTS: u32 = 32u;
const REQUEST_WORDS: u32 = REQUEST_CUTS + 4u * MAX_CUTS;

// What a row that runs ahead tells.
const AHEAD_FLAGS: u32 = 0u;      // HAS_*
const AHEAD_SLOT: u32 = 1u;       // its first word
const AHEAD_CAPACITY: u32 = 2u;   // tokens that it holds
const AHEAD_LENGTH: u32 = 3u;     // tokens before the row
const AHEAD_ACCEPTED: u32 = 4u;   // of which the kept changes know
const AHEAD_CALL: u32 = 5u;       // number of the call that drew the last one
const AHEAD_WINDOW: u32 = 6u;     // of penalties: the last tokens, so many; NO_TOKEN for the output
const AHEAD_FREQUENCY: u32 = 7u;  // bits of an f32
const AHEAD_PRESENCE: u32 = 8u;
const AHEAD_TABLE: u32 = 9u;      // first word, and buckets, a power of two or 0
const AHEAD_BUCKETS: u32 = 10u;
const AHEAD_KEPT: u32 = 11u;      // of the kept changes
const AHEAD_KEPT_BUCKETS: u32 = 12u;
const AHEAD_CUT: u32 = 13u;       // Mirostat's
const AHEAD_TAU: u32 = 14u;       // Q24
const AHEAD_ETA: u32 = 15u;       // Q31
const AHEAD_MU: u32 = 16u;        // Q24, low and high, where the history is fresh
const AHEAD_REACH: u32 = 18u;     // tokens behind the last breaker, where it is fresh
const AHEAD_DRY_LENGTH: u32 = 19u; // the shortest repeat that counts
const AHEAD_DRY_LAST: u32 = 20u;  // looks at the last tokens, so many
const AHEAD_PROMPT: u32 = 21u;    // tokens of the prompt
const AHEAD_PENALTIES: u32 = 22u; // of the lists behind these words: penalties of a repeat by its length,
const AHEAD_BREAKERS: u32 = 23u;  // breakers,
const AHEAD_BAD_WORDS: u32 = 24u; // ends of bad words, then their tokens,
const AHEAD_BAD_TOKENS: u32 = 25u;
const AHEAD_STOPS: u32 = 26u;     // tokens that end the request; then, where it is fresh, tokens and lengths by distance
const AHEAD_EXEMPT: u32 = 27u;    // tokens that penalties leave alone, behind the breakers
const AHEAD_NGRAM: u32 = 28u;     // size of the n-gram that must not come again, 0 for none
const AHEAD_NGRAM_LAST: u32 = 29u;
const AHEAD_WORDS: u32 = 32u;

const HAS_FRESH: u32 = 1u;        // a history that the host sent whole
const HAS_REPETITION: u32 = 2u;
const HAS_PENALTIES: u32 = 4u;
const HAS_DRY: u32 = 8u;
const HAS_MIROSTAT: u32 = 16u;
const HAS_LENGTHS: u32 = 32u;     // by distance, for DRY and n-grams
const HAS_TOKENS: u32 = 64u;      // something beside stop tokens that looks at tokens
const HAS_EARLY: u32 = 128u;      // stop tokens that come too early
const HAS_LENGTH: u32 = 256u;     // as many tokens before the row as the request may have

// Words of a slot. Lengths by distance follow the tokens.
const SLOT_MU: u32 = 0u;
const SLOT_REACH: u32 = 2u;
const SLOT_RECORD: u32 = 4u;      // of the last row: header and first draw
const SLOT_TOKENS: u32 = 36u;

const BUCKET_WORDS: u32 = 16u;    // words, biases, penalties and counts of four changes
const BUCKET_PENALTY: u32 = 8u;
const BUCKET_COUNT: u32 = 12u;
const NO_PLACE: u32 = 0xffffffffu;
const MOST_CROWDED: u32 = 256u;
const MOST_COUNTED: u32 = 0x1000000u; // counts that an f32 holds exactly
const WEIGHTLESS: u32 = 0x2c000000u;  // 44 octaves, more than a token of any weight is below the largest

// What is done to a token.
const DOES_PLACE: u32 = 0u;
const DOES_COUNT: u32 = 1u;
const DOES_REPEAT: u32 = 2u;
const DOES_BAN: u32 = 3u;

var<workgroup> first_word: u32;
var<workgroup> is_over: u32;
var<workgroup> is_broken: atomic<u32>;
var<workgroup> n_crowded: atomic<u32>;
var<workgroup> crowded: array<u32, MOST_CROWDED>;

var<private> row: u32;
var<private> first: u32;  // of the row's words
var<private> slot: u32;   // its first word
var<private> flags: u32;
var<private> n_tokens: u32;
var<private> placing: bool;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    row = group.y;
    if lane == 0u {
        first_word = atomicLoad(&words[row * REQUEST_WORDS + REQUEST_HISTORY]);
        is_over = 0u;
        atomicStore(&is_broken, 0u);
        atomicStore(&n_crowded, 0u);
    }
    let told = workgroupUniformLoad(&first_word);
    if told == 0u {
        return;
    }
    first = told;
    flags = asked(AHEAD_FLAGS);
    slot = asked(AHEAD_SLOT);
    n_tokens = asked(AHEAD_LENGTH);
    let buckets = asked(AHEAD_BUCKETS);
    // 1. the history, with the token that was drawn last
    if (flags & HAS_FRESH) != 0u {
        take_all(lane);
    } else if lane == 0u {
        is_over = u32(take_last());
    }
    if workgroupUniformLoad(&is_over) != 0u {
        return; // nobody looks at the row
    }
    for (var i = lane; i < buckets * BUCKET_WORDS; i += LANES) {
        let is_word = (i % BUCKET_WORDS) < 4u;
        atomicStore(&words[asked(AHEAD_TABLE) + i], select(0u, CHANGE_EMPTY, is_word));
    }
    storageBarrier(); // the last token is there, and the table is empty
    let reach_before = slots[slot + SLOT_REACH];
    if (flags & (HAS_LENGTHS | HAS_FRESH)) == HAS_LENGTHS {
        grow(lane);
    }
    // 2. a place for every token that changes
    workgroupBarrier(); // breakers are found, and the reach before is read by all
    storageBarrier();   // lengths have grown
    let reach = reach_of(reach_before);
    if lane == 0u {
        slots[slot + SLOT_REACH] = reach;
    }
    placing = true;
    visit(reach, lane);
    workgroupBarrier(); // the crowded ones are told
    storageBarrier();   // the others lie in their places
    if lane == 0u {
        make_room();
    }
    storageBarrier(); // so do these
    // 3. what happens to each
    placing = false;
    visit(reach, lane);
    storageBarrier(); // everything has happened
    for (var i = lane; i < buckets * 4u; i += LANES) {
        finish(asked(AHEAD_TABLE) + (i / 4u) * BUCKET_WORDS + i % 4u);
    }
    if lane == 0u && (flags & HAS_MIROSTAT) != 0u {
        limit();
    }
}

// A word of what the row tells.
fn asked(word: u32) -> u32 {
    return atomicLoad(&words[first + word]);
}

// A word of the lists behind it.
fn listed(place: u32) -> u32 {
    return atomicLoad(&words[first + AHEAD_WORDS + place]);
}

fn token_at(place: u32) -> u32 {
    return slots[slot + SLOT_TOKENS + place];
}

// Where the length of a distance is.
fn length_at(distance: u32) -> u32 {
    return slot + SLOT_TOKENS + asked(AHEAD_CAPACITY) + distance;
}

fn breakers_at() -> u32 {
    return asked(AHEAD_PENALTIES);
}

fn exempt_at() -> u32 {
    return breakers_at() + asked(AHEAD_BREAKERS);
}

fn bad_words_at() -> u32 {
    return exempt_at() + asked(AHEAD_EXEMPT);
}

fn stops_at() -> u32 {
    return bad_words_at() + asked(AHEAD_BAD_WORDS) + asked(AHEAD_BAD_TOKENS);
}

// The whole history, as the host knows it.
fn take_all(lane: u32) {
    let begin = stops_at() + asked(AHEAD_STOPS);
    let held = select(0u, n_tokens, (flags & HAS_TOKENS) != 0u);
    for (var i = lane; i < held; i += LANES) {
        slots[slot + SLOT_TOKENS + i] = listed(begin + i);
        if (flags & HAS_LENGTHS) != 0u {
            slots[length_at(i)] = listed(begin + n_tokens + i);
        }
    }
    if lane == 0u {
        slots[slot + SLOT_MU] = asked(AHEAD_MU);
        slots[slot + SLOT_MU + 1u] = asked(AHEAD_MU + 1u);
        slots[slot + SLOT_REACH] = asked(AHEAD_REACH);
    }
}

// Takes in the token that the step before drew, and says whether the request has finished with it, or before.
fn take_last() -> bool {
    let record = slot + SLOT_RECORD;
    if slots[record + SAMPLE_CALL] != asked(AHEAD_CALL) {
        lose();
        return false;
    }
    let status = slots[record + SAMPLE_STATUS];
    let is_drawn = status == 0u;
    let draw = record + SAMPLE_HEADER_WORDS;
    let token = select(NO_TOKEN, slots[draw + DRAW_TOKEN], is_drawn);
    var finish = status & (STATUS_STOP | STATUS_LENGTH);
    if finish == 0u && is_listed(stops_at(), asked(AHEAD_STOPS), token) {
        finish = STATUS_STOP;
    } else if finish == 0u && (flags & HAS_LENGTH) != 0u {
        finish = STATUS_LENGTH;
    }
    if finish != 0u {
        atomicOr(&words[row * REQUEST_WORDS + REQUEST_FLAGS], finish);
        return true;
    }
    if (flags & HAS_TOKENS) != 0u {
        slots[slot + SLOT_TOKENS + n_tokens - 1u] = token;
    }
    if is_drawn && (flags & HAS_MIROSTAT) != 0u {
        let mu = vec2<u32>(slots[slot + SLOT_MU], slots[slot + SLOT_MU + 1u]);
        let surprise = surprise_of(record, slots[draw + DRAW_VIEWS]);
        let tau = asked(AHEAD_TAU);
        let is_above = surprise > tau;
        let apart = select(tau - surprise, surprise - tau, is_above);
        let by = vec2<u32>(shift_right64(mul_wide(apart, asked(AHEAD_ETA)), 31u).x, 0u);
        let moved = select(add64(mu, by), subtract64(mu, by), vec2<bool>(is_above));
        slots[slot + SLOT_MU] = moved.x;
        slots[slot + SLOT_MU + 1u] = moved.y;
    }
    return false;
}

// The surprise of a drawn token within what was kept, Q24 bits.
fn surprise_of(record: u32, bits: u32) -> u32 {
    let shift = bitcast<i32>(slots[record + SAMPLE_SHIFT]);
    let unit = slots[record + SAMPLE_UNIT];
    let half_window = 24.0 * (f32(unit) * bitcast<f32>(u32(127 - shift) << 23u)); // any rounding will do
    let max_bits = bits_of_key(bitcast<i32>(slots[record + SAMPLE_MAX_KEY]));
    let octaves = octaves_below(max_bits, bits, Scale(shift, rate_of(unit), half_window));
    let mass = vec2<u32>(slots[record + SAMPLE_MASS], slots[record + SAMPLE_MASS + 1u]);
    return min(octaves, WEIGHTLESS) + ((log2_q26(mass) - (43u << 26u)) >> 2u);
}

// One more token: what equals the last ones goes on, or is over.
fn grow(lane: u32) {
    let last = token_at(n_tokens - 1u);
    for (var distance = 1u + lane; distance < n_tokens; distance += LANES) {
        let place = length_at(distance);
        let before = select(slots[place], 0u, distance + 1u == n_tokens); // a distance that was not there before
        slots[place] = select(0u, before + 1u, token_at(n_tokens - 1u - distance) == last && last != NO_TOKEN);
    }
    for (var i = lane; i < asked(AHEAD_BREAKERS); i += LANES) {
        if listed(breakers_at() + i) == last {
            atomicStore(&is_broken, 1u);
        }
    }
}

// Tokens behind the last breaker.
fn reach_of(before: u32) -> u32 {
    if (flags & HAS_FRESH) != 0u {
        return before;
    }
    return select(before + 1u, 0u, atomicLoad(&is_broken) != 0u);
}

// All that tokens do.
fn visit(reach: u32, lane: u32) {
    if (flags & HAS_PENALTIES) != 0u {
        let window = asked(AHEAD_WINDOW);
        for (var place = asked(AHEAD_ACCEPTED) + lane; place < n_tokens; place += LANES) {
            punish(token_at(place), DOES_COUNT, 1u);
            if place >= window {
                punish(token_at(place - window), DOES_COUNT, 0xffffffffu);
            }
        }
    }
    if (flags & HAS_DRY) != 0u {
        repeats(reach, lane);
    }
    if asked(AHEAD_NGRAM) > 0u {
        ngrams(lane);
    }
    let tokens = bad_words_at() + asked(AHEAD_BAD_WORDS);
    for (var i = lane; i < asked(AHEAD_BAD_WORDS); i += LANES) {
        var begin = 0u;
        if i > 0u {
            begin = listed(bad_words_at() + i - 1u);
        }
        let end = listed(bad_words_at() + i);
        if output_ends_with(tokens + begin, end - begin - 1u) {
            touch(listed(tokens + end - 1u), DOES_BAN, 0u);
        }
    }
    let early = select(0u, asked(AHEAD_STOPS), (flags & HAS_EARLY) != 0u);
    for (var i = lane; i < early; i += LANES) {
        touch(listed(stops_at() + i), DOES_BAN, 0u);
    }
}

// DRY: tokens that would go on with a repeat.
fn repeats(reach: u32, lane: u32) {
    let least = asked(AHEAD_DRY_LENGTH);
    let first_place = first_of(asked(AHEAD_DRY_LAST));
    for (var distance = 1u + lane; distance < n_tokens; distance += LANES) {
        let place = n_tokens - distance;
        let repeat = min(min(slots[length_at(distance)], reach), place - min(first_place, place));
        if place > first_place && repeat >= least && !is_breaker(token_at(place)) {
            punish(token_at(place), DOES_REPEAT, 1u + min(repeat - least, asked(AHEAD_PENALTIES) - 1u));
        }
    }
}

// Tokens that would complete a sequence which is there already.
fn ngrams(lane: u32) {
    let least = asked(AHEAD_NGRAM) - 1u;
    let first_place = first_of(asked(AHEAD_NGRAM_LAST));
    for (var place = first_place + lane; place < n_tokens; place += LANES) {
        // Of a single token nothing needs to stand before it.
        if least == 0u || min(slots[length_at(n_tokens - place)], place - first_place) >= least {
            punish(token_at(place), DOES_BAN, 0u);
        }
    }
}

// The first place of the last tokens, so many.
fn first_of(last: u32) -> u32 {
    return select(n_tokens - last, 0u, last >= n_tokens);
}

fn is_breaker(token: u32) -> bool {
    return is_listed(breakers_at(), asked(AHEAD_BREAKERS), token);
}

// Whether a token is in a list, whose tokens are in the order of signed numbers.
fn is_listed(begin: u32, count: u32, token: u32) -> bool {
    var low = 0u;
    var high = count;
    while low < high {
        let middle = (low + high) / 2u;
        if bitcast<i32>(listed(begin + middle)) < bitcast<i32>(token) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low < count && listed(begin + low) == token;
}

// Does something to a token, unless penalties leave it alone.
fn punish(token: u32, does: u32, by: u32) {
    if !is_listed(exempt_at(), asked(AHEAD_EXEMPT), token) {
        touch(token, does, by);
    }
}

// Whether the output ends with so many tokens, which lie there in the lists.
fn output_ends_with(begin: u32, count: u32) -> bool {
    if n_tokens - asked(AHEAD_PROMPT) < count {
        return false;
    }
    for (var i = 0u; i < count; i++) {
        if listed(begin + i) != token_at(n_tokens - count + i) {
            return false;
        }
    }
    return true;
}

// Gives a token its place, or does something to it there.
fn touch(token: u32, does: u32, by: u32) {
    if token > CHANGE_TOKEN { // past the largest vocabulary, or none
        return;
    }
    if placing {
        if !claim(token) {
            let place = atomicAdd(&n_crowded, 1u);
            if place < MOST_CROWDED {
                crowded[place] = token;
            }
        }
        return;
    }
    let at = find(asked(AHEAD_TABLE), asked(AHEAD_BUCKETS), token);
    if at == NO_PLACE { // the row is lost
        return;
    }
    switch does {
        case DOES_COUNT: {
            atomicAdd(&words[at + BUCKET_COUNT], by);
        }
        case DOES_REPEAT: {
            atomicMax(&words[at + BUCKET_PENALTY], by);
        }
        default: {
            atomicOr(&words[at], CHANGE_BANNED);
        }
    }
}

// One of the eight places that a token may have.
fn place_of(table_first: u32, buckets: u32, token: u32, number: u32) -> u32 {
    let spread = token * select(CHANGE_SECOND, CHANGE_FIRST, number < 4u);
    return table_first + ((spread ^ (spread >> 15u)) & (buckets - 1u)) * BUCKET_WORDS + (number & 3u);
}

// Where a token is.
fn find(table_first: u32, buckets: u32, token: u32) -> u32 {
    if buckets == 0u {
        return NO_PLACE;
    }
    for (var number = 0u; number < 8u; number++) {
        let at = place_of(table_first, buckets, token, number);
        let word = atomicLoad(&words[at]);
        if (word & CHANGE_TOKEN) == token && word != CHANGE_EMPTY {
            return at;
        }
    }
    return NO_PLACE;
}

// Takes the first free place of a token, unless it has one. No place becomes free again, so that lanes which want the
// same token meet at the same place.
fn claim(token: u32) -> bool {
    for (var number = 0u; number < 8u; number++) {
        let at = place_of(asked(AHEAD_TABLE), asked(AHEAD_BUCKETS), token, number);
        var word = atomicLoad(&words[at]);
        while word == CHANGE_EMPTY {
            let outcome = atomicCompareExchangeWeak(&words[at], CHANGE_EMPTY, token);
            word = select(outcome.old_value, token, outcome.exchanged); // a weak one may fail for nothing
        }
        if word == token {
            return true;
        }
    }
    return false;
}

// Moves one of the tokens that lie where a crowded one wants to.
fn make_room() {
    let count = atomicLoad(&n_crowded);
    if count > MOST_CROWDED {
        lose();
    }
    for (var i = 0u; i < min(count, MOST_CROWDED); i++) {
        if !claim(crowded[i]) && !move_another(crowded[i]) {
            lose();
        }
    }
}

fn move_another(token: u32) -> bool {
    if find(asked(AHEAD_TABLE), asked(AHEAD_BUCKETS), token) != NO_PLACE {
        return true;
    }
    for (var number = 0u; number < 64u; number++) {
        let at = place_of(asked(AHEAD_TABLE), asked(AHEAD_BUCKETS), token, number / 8u);
        let moved = atomicLoad(&words[at]);
        let free = place_of(asked(AHEAD_TABLE), asked(AHEAD_BUCKETS), moved, number % 8u);
        if atomicLoad(&words[free]) == CHANGE_EMPTY {
            atomicStore(&words[free], moved);
            atomicStore(&words[at], token);
            return true;
        }
    }
    return false;
}

// Makes of a place what pass 1 and pass 2 read: what the host keeps of the token, and what was done to it since.
fn finish(at: u32) {
    let own = atomicLoad(&words[at]);
    if own == CHANGE_EMPTY {
        return;
    }
    let seen = atomicLoad(&words[at + BUCKET_COUNT]);
    let further = atomicLoad(&words[at + BUCKET_PENALTY]);
    let kept = find(asked(AHEAD_KEPT), asked(AHEAD_KEPT_BUCKETS), own & CHANGE_TOKEN);
    var word = own;
    var bias = 0u;
    var count = seen;
    if kept != NO_PLACE {
        word |= atomicLoad(&words[kept]);
        bias = atomicLoad(&words[kept + 4u]);
        count += atomicLoad(&words[kept + BUCKET_COUNT]);
    }
    if (flags & HAS_PENALTIES) != 0u {
        // Over the output a token stays repeated; in a window it is as long as it is seen.
        let is_repeated = (flags & HAS_REPETITION) != 0u && count > 0u;
        let is_kept = (word & CHANGE_REPEATED) != 0u && asked(AHEAD_WINDOW) == NO_TOKEN;
        word = select(word & ~CHANGE_REPEATED, word | CHANGE_REPEATED, is_repeated || is_kept);
    }
    var penalty = 0u;
    if count > 0u {
        let times = pack_float(0u, 158, min(count, MOST_COUNTED)); // count as an f32
        penalty = add_float(multiply_float(asked(AHEAD_FREQUENCY), times), asked(AHEAD_PRESENCE));
    }
    if further > 0u {
        penalty = add_float(penalty, listed(further - 1u));
    }
    atomicStore(&words[at], word);
    atomicStore(&words[at + 4u], bias);
    atomicStore(&words[at + BUCKET_PENALTY], penalty);
}

// Mirostat's limit, where its cut reads it: 2^-mu as a ratio.
fn limit() {
    let mu = vec2<u32>(slots[slot + SLOT_MU], slots[slot + SLOT_MU + 1u]);
    var octaves = select(63u << 24u, min(mu.x, 63u << 24u), mu.y == 0u);
    if mu.y >= 0x80000000u {
        octaves = 0u;
    }
    let cut = row * REQUEST_WORDS + REQUEST_CUTS + 4u * asked(AHEAD_CUT);
    atomicStore(&words[cut + 1u], mantissa(table[table_index(octaves)], octaves));
    atomicStore(&words[cut + 2u], 31u + (octaves >> 24u));
}

// The row cannot be drawn: the step before it never ran, or its tokens find no place.
fn lose() {
    atomicOr(&words[row * REQUEST_WORDS + REQUEST_FLAGS], ASKS_LOST);
}
