// open: the run of tokens that is kept, and the subtiles that are opened to see it.
// Provides: run, opened, item, open_top, open_to, sum_run, rank_in_run, ends_between, heaviest and exact first of the run.
// Needs: batch, exact, logits, changes, select, merge (.wgsl), the kernel's bindings `logits`, `scratch`, `table`, and its
// private `row`, `request`, `view`, `reopened`.

// A run of the total order: the codes of its first and last token, or bounds outside which there is none of it.
struct Run {
    first: vec2<u32>,
    last: vec2<u32>,
}

// Every token whose code is at least `floor` lies in an opened subtile.
struct Opened {
    floor: vec2<u32>,
    n_subtiles: u32,
    is_all: u32,
}

struct Sum {
    mass: vec2<u32>,      // Q43
    surprisal: vec2<u32>, // Q43
    count: u32,
}

// The tokens of a range of codes: how many, and the codes of the last and the first.
struct Ends {
    last: vec2<u32>,
    first: vec2<u32>,
    count: u32,
}

const LOWEST: vec2<u32> = vec2<u32>(0x00800000u, 0u); // code of the last possible token: just above -infinity
const HIGHEST: vec2<u32> = vec2<u32>(0xffffffffu, 0xffffffffu);
const MOST_CHOSEN: u32 = 1024u; // subtiles that `chosen` can name

var<workgroup> run: Run;
var<workgroup> opened: Opened;
var<workgroup> sum: Sum;
var<workgroup> ends: Ends;
var<workgroup> counts_found: vec2<u32>;
var<workgroup> low: array<atomic<u32>, 256>;  // masses of 64 bits, by tile or by digit
var<workgroup> high: array<atomic<u32>, 256>;

// Everything possible is kept, nothing is opened. The caller puts a barrier before and uses run_now after.
fn start_run(lane: u32) {
    if lane == 0u {
        run = Run(HIGHEST, LOWEST);
        opened = Opened(HIGHEST, 0u, 0u);
    }
    workgroupBarrier(); // the new run before it is read
}

fn run_now() -> Run {
    return workgroupUniformLoad(&run);
}

fn narrow(first: vec2<u32>, last: vec2<u32>, lane: u32) {
    workgroupBarrier(); // nobody reads the old run any more
    if lane == 0u {
        run = Run(first, last);
    }
    workgroupBarrier(); // the new run before it is read
}

fn code_of_token(token: u32) -> vec2<u32> {
    let element = batch.element_base + row * batch.row_stride + token;
    var bits = widen(logits[word_of_element(element)], element);
    if view == PROCESSED {
        bits = changed_bits(row, request, token, bits);
    }
    return code_of(key_of_bits(bits), token);
}

fn is_in_run(code: vec2<u32>) -> bool {
    return at_least(run.first, code) && at_least(code, run.last);
}

// Code of a subtile, or of an opened token; NO_ITEM for a token outside the run.
fn item(stage: u32, i: u32) -> vec2<u32> {
    if stage == OF_SUBTILES {
        let tile = tile_words(view, row, i / SUBTILES_PER_TILE);
        return code_of(bitcast<i32>(scratch[tile + TILE_DELEGATES + i % SUBTILES_PER_TILE]), i);
    }
    var token = i;
    if opened.is_all == 0u {
        token = chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    }
    if token >= batch.vocab {
        return NO_ITEM;
    }
    let code = code_of_token(token);
    return select(NO_ITEM, code, is_in_run(code));
}

fn n_subtiles() -> u32 {
    return (batch.vocab + SUBTILE - 1u) / SUBTILE;
}

fn n_opened_tokens() -> u32 {
    return workgroupUniformLoad(&opened).n_subtiles * SUBTILE;
}

fn set_opened(now: Opened, lane: u32) {
    workgroupBarrier(); // nobody reads the old state any more
    if lane == 0u {
        opened = now;
    }
    workgroupBarrier(); // the new state before it is read
}

// Opens the `count` subtiles with the largest delegates, or the row where that is more than can be named.
fn open_top(count: u32, lane: u32) {
    let all = n_subtiles();
    if count >= all || count > MOST_CHOSEN {
        set_opened(Opened(NO_ITEM, all, 1u), lane);
        return;
    }
    let threshold = take(OF_SUBTILES, all, count, lane);
    // A subtile behind the threshold has smaller keys, or the same largest key and later tokens.
    let last_token = min(place_of_code(threshold) * SUBTILE + SUBTILE - 1u, LAST_TOKEN);
    set_opened(Opened(vec2<u32>(threshold.x, LAST_TOKEN - last_token), count, 0u), lane);
}

// Opens every subtile that can hold a token whose code is at least `bound`.
fn open_to(bound: vec2<u32>, lane: u32) {
    if at_least(bound, workgroupUniformLoad(&opened).floor) {
        return;
    }
    if lane == 0u {
        atomicStore(&n_taken, 0u);
    }
    workgroupBarrier(); // the counter is empty before the taking
    let all = n_subtiles();
    for (var i = lane; i < all; i += LANES) {
        if item(OF_SUBTILES, i).x >= bound.x {
            let place = atomicAdd(&n_taken, 1u);
            if place < MOST_CHOSEN {
                chosen[place] = i;
            }
        }
    }
    workgroupBarrier(); // everything is taken before it is counted
    if lane == 0u {
        let count = atomicLoad(&n_taken);
        opened = Opened(vec2<u32>(bound.x, 0u), count, 0u);
        if count > MOST_CHOSEN {
            opened = Opened(NO_ITEM, all, 1u);
        }
    }
    workgroupBarrier(); // the new state before it is read
}

// Q43 weight of a mantissa relative to the row's maximum: 2^20 of them fit 64 bits.
fn row_weight(mantissa: u32, octaves: u32) -> vec2<u32> {
    return shift_right64(vec2<u32>(mantissa << 12u, mantissa >> 20u), octaves >> 24u);
}

// Q43 weight times octaves.
fn row_surprisal(mantissa: u32, octaves: u32) -> vec2<u32> {
    let product = mul_high(mantissa, octaves << 1u); // Q24
    return shift_right64(vec2<u32>(product << 19u, product >> 13u), octaves >> 24u);
}

// Q43 weight of the token with this code.
fn weight_of_code(code: vec2<u32>, scale: Scale, max_bits: u32) -> vec2<u32> {
    let octaves = octaves_below(max_bits, bits_of_key(key_of_code(code)), scale);
    if octaves == FAR {
        return vec2<u32>(0u, 0u);
    }
    return row_weight(mantissa(table[table_index(octaves)], octaves), octaves);
}

// Two atomics with a carry: the sum does not depend on the order.
fn add_mass(place: u32, mass: vec2<u32>) {
    let before = atomicAdd(&low[place], mass.x);
    let carry = u32(before + mass.x < before);
    atomicAdd(&high[place], mass.y + carry);
}

// Mass, surprisal and count of the run, all of whose subtiles are opened; its masses by tile in `low` and `high`.
fn sum_run(scale: Scale, max_bits: u32, lane: u32) -> Sum {
    atomicStore(&low[lane], 0u);
    atomicStore(&high[lane], 0u);
    let n = n_opened_tokens(); // its barrier: empty masses before the adding
    var surprise = vec2<u32>(0u, 0u);
    var mass = vec2<u32>(0u, 0u);
    var count = 0u;
    for (var i = lane; i < n; i += LANES) {
        let code = item(OF_TOKENS, i);
        if at_least(code, LOWEST) {
            count += 1u;
            let octaves = octaves_below(max_bits, bits_of_key(key_of_code(code)), scale);
            if octaves != FAR {
                let m = mantissa(table[table_index(octaves)], octaves);
                let own = row_weight(m, octaves);
                mass = add64(mass, own);
                surprise = add64(surprise, row_surprisal(m, octaves));
                add_mass(place_of_code(code) / TILE, own);
            }
        }
    }
    reopened += n;
    return reduce_sum(Sum(mass, surprise, count), lane);
}

fn reduce_sum(own: Sum, lane: u32) -> Sum {
    var total = own;
    winners[lane] = total.mass;
    winners[256u + lane] = total.surprisal;
    winners[512u + lane] = vec2<u32>(total.count, 0u);
    workgroupBarrier(); // every lane's sums before the sixteen partial sums
    if lane < 16u {
        for (var i = 1u; i < 16u; i++) {
            total.mass = add64(total.mass, winners[lane + i * 16u]);
            total.surprisal = add64(total.surprisal, winners[256u + lane + i * 16u]);
            total.count += winners[512u + lane + i * 16u].x;
        }
        winners[lane] = total.mass;
        winners[256u + lane] = total.surprisal;
        winners[512u + lane] = vec2<u32>(total.count, 0u);
    }
    workgroupBarrier(); // sixteen partial sums before the last
    if lane == 0u {
        for (var i = 1u; i < 16u; i++) {
            total.mass = add64(total.mass, winners[i]);
            total.surprisal = add64(total.surprisal, winners[256u + i]);
            total.count += winners[512u + i].x;
        }
        sum = total;
    }
    return workgroupUniformLoad(&sum);
}

// Tokens of the run with a larger key, and with this key. Their subtiles are opened.
fn rank_in_run(key: i32, lane: u32) -> vec2<u32> {
    let n = n_opened_tokens();
    var greater = 0u;
    var equal = 0u;
    for (var i = lane; i < n; i += LANES) {
        let code = item(OF_TOKENS, i);
        if at_least(code, LOWEST) {
            greater += u32(key_of_code(code) > key);
            equal += u32(key_of_code(code) == key);
        }
    }
    reopened += n;
    let total = reduce_sum(Sum(vec2<u32>(greater, 0u), vec2<u32>(equal, 0u), 0u), lane);
    return vec2<u32>(total.mass.x, total.surprisal.x);
}

// The tokens of the run whose code lies in [last, first]. Their subtiles are opened.
fn ends_between(last: vec2<u32>, first: vec2<u32>, lane: u32) -> Ends {
    var found = Ends(HIGHEST, NO_ITEM, 0u);
    let n = n_opened_tokens();
    for (var i = lane; i < n; i += LANES) {
        let code = item(OF_TOKENS, i);
        if at_least(code, LOWEST) && at_least(first, code) && at_least(code, last) {
            found = join_ends(found, Ends(code, code, 1u));
        }
    }
    reopened += n;
    winners[lane] = found.last;
    winners[256u + lane] = found.first;
    winners[512u + lane] = vec2<u32>(found.count, 0u);
    workgroupBarrier(); // every lane's ends before the sixteen partial ones
    if lane < 16u {
        for (var i = 1u; i < 16u; i++) {
            let other = lane + i * 16u;
            found = join_ends(found, Ends(winners[other], winners[256u + other], winners[512u + other].x));
        }
        winners[lane] = found.last;
        winners[256u + lane] = found.first;
        winners[512u + lane] = vec2<u32>(found.count, 0u);
    }
    workgroupBarrier(); // sixteen partial ends before the last
    if lane == 0u {
        for (var i = 1u; i < 16u; i++) {
            found = join_ends(found, Ends(winners[i], winners[256u + i], winners[512u + i].x));
        }
        ends = found;
    }
    return workgroupUniformLoad(&ends);
}

fn join_ends(a: Ends, b: Ends) -> Ends {
    return Ends(select(a.last, b.last, at_least(a.last, b.last)), select(a.first, b.first, at_least(b.first, a.first)),
        a.count + b.count);
}

// Code of the first token of the run. `first` is exact unless the run still starts at the top of the row.
fn first_of_run(now: Run, max_key: i32, lane: u32) -> vec2<u32> {
    if all(now.first == HIGHEST) {
        open_top(1u, lane); // the delegates' order is that of the tokens: it holds the first
        return ends_between(code_of_lowest(max_key), HIGHEST, lane).first;
    }
    return now.first;
}

// Behind every token with this key, before every one with a smaller key.
fn code_of_lowest(key: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, 0u);
}

fn earlier_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(b, a, at_least(a, b));
}
