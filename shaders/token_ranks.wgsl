// token_ranks: what a row says of given tokens: bits, tokens with a larger logit and with an equal one, in one more walk over
// the row. Libraries: format, words, logits, rows, integers, exact, soft_float, request, changes. One workgroup per view of a row,
// dispatch (views, rows): what was drawn from, or the row of a record of logprobs; then the raw view. The keys of the given
// tokens are sorted in workgroup memory; each token of the row finds its place among them by a binary search, and is
// counted there. At most 1024 rounds over the row, each with 4 of changes and 10 of the search: with the sort about 15 400
// rounds of loops, below 32 768.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;         // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // a head per row, offsets, changes, allowed sets, given tokens
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;           // [rows][mask_words], bit set where allowed
@group(0) @binding(5) var<storage, read_write> records: array<u32>;  // [rows] first tokens of draws, [rows][record_words]

const LANES: u32 = 256u;

var<workgroup> keys: array<i32, 1024>;            // of the given tokens, ascending; KEY_NAN, which no row has here, at the end
var<workgroup> equal: array<atomic<u32>, 1024>;   // tokens of the row with this key, at the last of equal places
var<workgroup> above: array<atomic<u32>, 1024>;   // tokens between this key and the next larger one
var<workgroup> later: array<u32, 256>;            // both counts of a lane's four places; then of all places from there on
var<workgroup> bounds: vec4<u32>;                 // of the run, RUN_*
var<workgroup> run_counts: vec2<u32>;             // tokens of the run, and the others

var<private> row: u32;
var<private> row_start: u32;
var<private> request: u32;
var<private> is_changed: bool;

// Keys of four tokens of the view. What lies past the row has that of its last token.
fn keys_of(given: vec4<u32>) -> vec4<i32> {
    var tokens = min(given, vec4<u32>(chunk.vocab - 1u));
    let elements = vec4<u32>(row_start) + tokens;
    var bits = vec4<u32>(
        widen(logits[word_of_element(elements.x)], elements.x), widen(logits[word_of_element(elements.y)], elements.y),
        widen(logits[word_of_element(elements.z)], elements.z), widen(logits[word_of_element(elements.w)], elements.w));
    if is_changed {
        // One a round, which goes to the end of the four: the text is there once.
        for (var i = chunk.nothing; i < 4u; i++) {
            bits = vec4<u32>(bits.yzw, changed_bits(row, request, tokens.x, bits.x));
            tokens = tokens.yzwx;
        }
    }
    let raw = bitcast<vec4<i32>>(bits) ^ ((bitcast<vec4<i32>>(bits) >> vec4<u32>(31u)) & vec4<i32>(0x7fffffff));
    return select(raw, vec4<i32>(0), raw == vec4<i32>(-1)); // key_of_bits
}

// Which of four tokens are of the row, and of its run.
fn are_in_run(tokens: vec4<u32>, own: vec4<i32>) -> vec4<bool> {
    let run = bounds;
    let first = vec4<i32>(bitcast<i32>(run.x));
    let last = vec4<i32>(bitcast<i32>(run.z));
    let is_behind_first = (own < first) | ((own == first) & (tokens >= vec4<u32>(run.y)));
    let is_before_last = (own > last) | ((own == last) & (tokens <= vec4<u32>(run.w)));
    return (tokens < vec4<u32>(chunk.vocab)) & is_behind_first & is_before_last;
}

// How many of so many keys, a power of two, are not above these.
fn places_of(own: vec4<i32>, n: u32) -> vec4<u32> {
    var places = vec4<u32>(0u);
    for (var step = n >> 1u; step > 0u; step >>= 1u) {
        let tried = places + step;
        places = select(places, tried, keys_at(tried - 1u) <= own);
    }
    return places + select(vec4<u32>(0u), vec4<u32>(1u), keys_at(places) <= own);
}

fn keys_at(places: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(keys[places.x], keys[places.y], keys[places.z], keys[places.w]);
}

// Counts a token of the row that stands behind so many keys.
fn count(is_counted: bool, place: u32, key: i32) {
    if !is_counted || place == 0u {
        return; // below all
    }
    if keys[place - 1u] == key {
        atomicAdd(&equal[place - 1u], 1u);
    } else {
        atomicAdd(&above[place - 1u], 1u);
    }
}

// Sorts so many keys, a power of two: a bitonic network (Batcher 1968).
fn sort_keys(n: u32, lane: u32) {
    for (var size = 2u; size <= n; size <<= 1u) {
        for (var stride = size >> 1u; stride > 0u; stride >>= 1u) {
            workgroupBarrier(); // every key is where the last step put it
            for (var i = lane; i < n / 2u; i += LANES) {
                let lower = 2u * i - (i & (stride - 1u));
                let a = keys[lower];
                let b = keys[lower + stride];
                if (a > b) == ((lower & size) == 0u) {
                    keys[lower] = b;
                    keys[lower + stride] = a;
                }
            }
        }
    }
    workgroupBarrier(); // sorted before the first search
}

// Tokens of the row above the key of this place, the last of equal ones.
fn n_above(place: u32) -> u32 {
    var sum = atomicLoad(&above[place]);
    for (var i = place + 1u; i < (place | 3u) + 1u; i++) {
        sum += atomicLoad(&equal[i]) + atomicLoad(&above[i]);
    }
    let next = place / 4u + 1u;
    return sum + select(0u, later[min(next, LANES - 1u)], next < LANES);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    row = group.y;
    row_start = start_of(row);
    let draws = chunk.draws > 0u;
    let is_raw = group.x > 0u;
    let record = select(0u, chunk.rows, draws) + row * chunk.record_words;
    let behind = behind_lists(record);
    let out = select(behind, behind + RUN_WORDS, draws) + group.x * chunk.token_ids * GIVEN_WORDS;
    let quads = (chunk.token_ids + 3u) / 4u;
    // By the group's own number, of which a compiler knows that it is one for all lanes.
    let first_quad = chunk.first_given + (chunk.first_row + group.y) * quads;
    let own_request = head_of(group.y).request;
    request = own_request;
    let is_asked = !is_raw || (requests[own_request].flags & ASKS_RAW) != 0u;
    if row_data[first_quad].x == NO_TOKEN || !is_asked || finish_of(own_request) != 0u {
        if lane == 0u {
            records[out + GIVEN_TOKEN] = NO_TOKEN;
        }
        return;
    }
    is_changed = !is_raw && is_row_changed(request);

    // 1. the run, and the keys of the given tokens
    if lane == 0u {
        bounds = vec4<u32>(0x7fffffffu, 0u, 0x80000000u, NO_TOKEN); // every token of the row
        run_counts = vec2<u32>(chunk.vocab, 0u);
        if draws && !is_raw {
            bounds = vec4<u32>(records[behind + RUN_FIRST_KEY], records[behind + RUN_FIRST_TOKEN],
                records[behind + RUN_LAST_KEY], records[behind + RUN_LAST_TOKEN]);
            let kept = records[record + SAMPLE_KEPT];
            run_counts = vec2<u32>(kept, chunk.vocab - kept);
        }
    }
    var n = 4u; // keys
    while n < chunk.token_ids {
        n <<= 1u;
    }
    var tokens = vec4<u32>(NO_TOKEN);
    if lane < quads {
        tokens = row_data[first_quad + lane];
    }
    workgroupBarrier(); // the bounds before they are used
    let own = keys_of(tokens);
    let is_kept = are_in_run(tokens, own);
    for (var i = 0u; i < 4u; i++) {
        let place = lane * 4u + i;
        keys[place] = select(KEY_NAN, own[i], is_kept[i]);
        atomicStore(&equal[place], 0u);
        atomicStore(&above[place], 0u);
    }
    sort_keys(n, lane);

    // 2. every token of the row, four a round
    let least = keys[0];
    for (var i = lane; i < chunk.vocab; i += 4u * LANES) {
        let walked = vec4<u32>(i, i + LANES, i + 2u * LANES, i + 3u * LANES);
        let walked_keys = keys_of(walked);
        let is_counted = are_in_run(walked, walked_keys) & (walked_keys >= vec4<i32>(least));
        if any(is_counted) {
            let places = places_of(walked_keys, n);
            count(is_counted.x, places.x, walked_keys.x);
            count(is_counted.y, places.y, walked_keys.y);
            count(is_counted.z, places.z, walked_keys.z);
            count(is_counted.w, places.w, walked_keys.w);
        }
    }
    workgroupBarrier(); // every token is counted before the counts are added up

    // 3. sums of the counts from each lane's places on
    var sum = 0u;
    for (var i = lane * 4u; i < lane * 4u + 4u; i++) {
        sum += atomicLoad(&equal[i]) + atomicLoad(&above[i]);
    }
    later[lane] = sum;
    for (var stride = 1u; stride < LANES; stride <<= 1u) {
        workgroupBarrier(); // every lane's sum before it is read
        let more = select(0u, later[min(lane + stride, LANES - 1u)], lane + stride < LANES);
        workgroupBarrier(); // every sum is read before it grows
        later[lane] += more;
    }
    workgroupBarrier(); // the sums before the first is looked up

    // 4. the given tokens
    let places = places_of(own, n);
    for (var i = 0u; i < 4u; i++) {
        let number = lane * 4u + i;
        if number < chunk.token_ids {
            let given = out + number * GIVEN_WORDS;
            records[given + GIVEN_TOKEN] = tokens[i];
            if is_kept[i] {
                records[given + GIVEN_BITS] = bits_of_key(own[i]);
                records[given + GIVEN_N_GREATER] = n_above(places[i] - 1u);
                records[given + GIVEN_N_EQUAL] = atomicLoad(&equal[places[i] - 1u]);
            } else { // impossible, behind all that is kept
                records[given + GIVEN_BITS] = BITS_NEG_INFINITY;
                records[given + GIVEN_N_GREATER] = run_counts.x;
                records[given + GIVEN_N_EQUAL] = run_counts.y;
            }
        }
    }
}
