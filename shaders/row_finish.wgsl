// row_finish: merges the tiles of a row, selects its top k, looks up its target. Libraries: batch, logits, exact.
// One workgroup per row, dispatch (1, rows). Opens only the subtiles that can hold one of the top k: the k largest
// tokens lie in the k subtiles with the largest delegates, because subtiles are runs of consecutive tokens and both
// orders are value descending, then token ascending. Selection is a radix select on (key, complement of the token),
// 8 bits at a time (Knuth, TAOCP 3, 5.2.5): no two items are equal, so exactly k remain and ties cost nothing extra.

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> targets: array<u32>;       // [rows], NO_TOKEN where there is none
@group(0) @binding(3) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(4) var<storage, read> stats: array<u32>;         // [rows][tiles][STATS_WORDS]
@group(0) @binding(5) var<storage, read> delegates: array<i32>;     // [rows][tiles][64] keys
@group(0) @binding(6) var<storage, read_write> records: array<u32>; // [rows][record_words]

const LANES: u32 = 256u;
const LAST_TOKEN: u32 = 0xfffffu; // MAX_VOCAB - 1
const OF_SUBTILES: u32 = 0u;      // what select_top chooses from
const OF_TOKENS: u32 = 1u;

var<workgroup> chosen: array<u32, 1024>;          // subtiles to open, in no order
var<workgroup> winners: array<vec2<u32>, 1024>;   // items (ordered key, complement of the token); before that, partial sums
var<workgroup> n_taken: atomic<u32>;
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> group_counts: array<u32, 16>;
var<workgroup> bucket: vec3<u32>;                 // digit, still wanted below it, items in it
var<workgroup> row_head: vec2<u32>;               // key and largest bits of the row

fn logit_bits(element: u32) -> u32 {
    return widen(logits[word_of_element(element)], element);
}

// Item i of a stage as a pair that orders like (value descending, token ascending), largest first.
fn item(stage: u32, i: u32, row: u32) -> vec2<u32> {
    if stage == OF_SUBTILES {
        let key = delegates[row * batch.tiles * SUBTILES_PER_TILE + i];
        return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, LAST_TOKEN - i);
    }
    let token = chosen[i / SUBTILE] * SUBTILE + i % SUBTILE;
    var key = KEY_NEG_INFINITY; // past the vocabulary: behind every possible token
    if token < batch.vocab {
        key = key_of_bits(logit_bits(batch.element_base + row * batch.row_stride + token));
    }
    return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, (LAST_TOKEN - token) & LAST_TOKEN);
}

fn at_least(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y >= b.y);
}

// The smallest item among the `wanted` largest of `count`: exactly `wanted` items are at least this. Zero takes all.
fn select_top(stage: u32, count: u32, wanted: u32, row: u32, lane: u32) -> vec2<u32> {
    var prefix = vec2<u32>(0u, 0u);
    if wanted >= count {
        return prefix;
    }
    var mask = vec2<u32>(0u, 0u);
    var still_wanted = wanted;
    // Four digits of the key, then three of the token's complement, which has 20 bits.
    for (var digit = 0u; digit < 7u; digit++) {
        let in_key = digit < 4u;
        let shift = select(16u - 8u * (digit - 4u), 24u - 8u * digit, in_key);
        atomicStore(&histogram[lane], 0u);
        workgroupBarrier(); // an empty histogram before the counting
        for (var i = lane; i < count; i += LANES) {
            let one = item(stage, i, row);
            if all((one & mask) == prefix) {
                atomicAdd(&histogram[(select(one.y, one.x, in_key) >> shift) & 0xffu], 1u);
            }
        }
        workgroupBarrier(); // a full histogram before the search
        if lane < 16u {
            var sum = 0u;
            for (var i = 0u; i < 16u; i++) {
                sum += atomicLoad(&histogram[lane * 16u + i]);
            }
            group_counts[lane] = sum;
        }
        workgroupBarrier(); // sums of sixteen digits before one lane walks down from the largest
        if lane == 0u {
            var group = 15u;
            while group > 0u && group_counts[group] < still_wanted {
                still_wanted -= group_counts[group];
                group -= 1u;
            }
            var value = group * 16u + 15u;
            while value > group * 16u && atomicLoad(&histogram[value]) < still_wanted {
                still_wanted -= atomicLoad(&histogram[value]);
                value -= 1u;
            }
            bucket = vec3<u32>(value, still_wanted, atomicLoad(&histogram[value]));
        }
        let found = workgroupUniformLoad(&bucket);
        still_wanted = found.y;
        let in_word = select(vec2<u32>(0u, 1u), vec2<u32>(1u, 0u), in_key);
        prefix |= in_word * (found.x << shift);
        mask |= in_word * (0xffu << shift);
        if found.z == found.y {
            break; // the whole bucket is wanted
        }
    }
    return prefix;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y;
    let record = row * batch.record_words;

    // 1. maximum and flags: one lane per tile, of which there are at most 256
    let tile = (row * batch.tiles + lane) * STATS_WORDS;
    let has_tile = lane < batch.tiles;
    var tile_key = KEY_NEG_INFINITY;
    var tile_bits = 0u;
    if has_tile {
        tile_key = bitcast<i32>(stats[tile + STATS_MAX_KEY]);
        tile_bits = stats[tile + STATS_MAX_BITS];
    }
    winners[lane] = vec2<u32>(bitcast<u32>(tile_key), tile_bits);
    workgroupBarrier(); // every tile's maximum before the row's
    if lane < 16u {
        var best_key = tile_key;
        var best_bits = tile_bits;
        for (var i = 1u; i < 16u; i++) {
            best_key = max(best_key, bitcast<i32>(winners[lane + i * 16u].x));
            best_bits = max(best_bits, winners[lane + i * 16u].y);
        }
        winners[lane] = vec2<u32>(bitcast<u32>(best_key), best_bits);
    }
    workgroupBarrier(); // sixteen partial maxima before the last
    if lane == 0u {
        var best_key = KEY_NEG_INFINITY;
        var best_bits = 0u;
        for (var i = 0u; i < 16u; i++) {
            best_key = max(best_key, bitcast<i32>(winners[i].x));
            best_bits = max(best_bits, winners[i].y);
        }
        row_head = vec2<u32>(bitcast<u32>(best_key), best_bits);
    }
    let head = workgroupUniformLoad(&row_head);
    let row_key = bitcast<i32>(head.x);
    var flags = 0u;
    if row_key > KEY_INFINITY || head.y > BITS_NEG_INFINITY {
        flags = FLAG_NAN;
    } else if row_key == KEY_INFINITY {
        flags = FLAG_INFINITY;
    } else if row_key <= KEY_NEG_INFINITY {
        flags = FLAG_EMPTY;
    }

    // 2. mass and surprisal of the tiles, brought to the row's maximum
    var mass = vec2<u32>(0u, 0u);
    var surprise = vec2<u32>(0u, 0u);
    var counts = vec2<u32>(0u, 0u);
    if has_tile && flags == 0u {
        counts = vec2<u32>(stats[tile + STATS_N_GREATER], stats[tile + STATS_N_EQUAL]);
        let octaves = octaves_below(bits_of_key(row_key), bits_of_key(tile_key));
        if octaves != FAR {
            let factor = mantissa(table[table_index(octaves)], octaves);
            let down = octaves >> 24u;
            mass = mul_shift(vec2<u32>(stats[tile + STATS_MASS], stats[tile + STATS_MASS + 1u]), factor, 41u + down);
            surprise = mul_shift(
                vec2<u32>(stats[tile + STATS_SURPRISAL], stats[tile + STATS_SURPRISAL + 1u]), factor, 35u + down);
            // mass · octaves >> 24, as (mass · 2^8) · octaves >> 32: the mass of a tile is below 2^53.
            let mass_256 = vec2<u32>(mass.x << 8u, (mass.y << 8u) | (mass.x >> 24u));
            surprise = add64(surprise, mul_shift(mass_256, octaves, 32u));
        }
    }
    winners[lane] = mass;
    winners[256u + lane] = surprise;
    winners[512u + lane] = counts;
    workgroupBarrier(); // every tile's sums before the partial ones
    if lane < 16u {
        for (var i = 1u; i < 16u; i++) {
            mass = add64(mass, winners[lane + i * 16u]);
            surprise = add64(surprise, winners[256u + lane + i * 16u]);
            counts += winners[512u + lane + i * 16u];
        }
        winners[lane] = mass;
        winners[256u + lane] = surprise;
        winners[512u + lane] = counts;
    }
    workgroupBarrier(); // sixteen partial sums before the last
    if lane == 0u {
        for (var i = 1u; i < 16u; i++) {
            mass = add64(mass, winners[i]);
            surprise = add64(surprise, winners[256u + i]);
            counts += winners[512u + i];
        }
        var target_bits = 0u;
        if targets[row] != NO_TOKEN && flags == 0u {
            // Through the key, so that -0 becomes +0.
            target_bits = bits_of_key(key_of_bits(
                logit_bits(batch.element_base + row * batch.row_stride + targets[row])));
        }
        records[record + RECORD_MAX_KEY] = select(0u, head.x, flags == 0u);
        records[record + RECORD_FLAGS] = flags;
        records[record + RECORD_MASS] = mass.x;
        records[record + RECORD_MASS + 1u] = mass.y;
        records[record + RECORD_SURPRISAL] = surprise.x;
        records[record + RECORD_SURPRISAL + 1u] = surprise.y;
        records[record + RECORD_N_GREATER] = counts.x;
        records[record + RECORD_N_EQUAL] = counts.y;
        records[record + RECORD_TARGET_BITS] = target_bits;
        records[record + RECORD_STEP] = batch.step;
    }
    workgroupBarrier(); // the partial sums are read before their places hold winners

    // 3. top k: subtiles by their delegates, then the tokens of those subtiles
    var n_winners = 0u;
    if flags == 0u && batch.top_k > 0u {
        let n_subtiles = (batch.vocab + SUBTILE - 1u) / SUBTILE;
        let n_chosen = min(batch.top_k, n_subtiles);
        take(OF_SUBTILES, n_subtiles, n_chosen, row, lane);
        n_winners = min(batch.top_k, n_chosen * SUBTILE);
        take(OF_TOKENS, n_chosen * SUBTILE, n_winners, row, lane);
    }

    // 4. each winner counts the winners before it, which is its place: all items differ
    let entries = record + RECORD_HEADER_WORDS;
    for (var i = lane; i < batch.top_k; i += LANES) {
        var place = i;
        var token = NO_TOKEN;
        var bits = BITS_NEG_INFINITY;
        if i < n_winners {
            let one = winners[i];
            place = 0u;
            for (var j = 0u; j < n_winners; j++) {
                place += u32(j != i && at_least(winners[j], one));
            }
            let key = bitcast<i32>(one.x ^ 0x80000000u);
            if key > KEY_NEG_INFINITY {
                token = LAST_TOKEN - one.y;
                bits = bits_of_key(key);
            }
        }
        records[entries + 2u * place] = token;
        records[entries + 2u * place + 1u] = bits;
    }
}

// Fills `chosen` (subtiles) or `winners` (tokens) with the `wanted` largest of `count` items.
fn take(stage: u32, count: u32, wanted: u32, row: u32, lane: u32) {
    let threshold = select_top(stage, count, wanted, row, lane);
    if lane == 0u {
        atomicStore(&n_taken, 0u);
    }
    workgroupBarrier(); // the counter is empty before the taking
    for (var i = lane; i < count; i += LANES) {
        let one = item(stage, i, row);
        if at_least(one, threshold) {
            let place = atomicAdd(&n_taken, 1u);
            if stage == OF_SUBTILES {
                chosen[place] = LAST_TOKEN - one.y;
            } else {
                winners[place] = one;
            }
        }
    }
    workgroupBarrier(); // everything is taken before it is used
}
