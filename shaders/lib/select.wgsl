// select: the largest items of a list, in a radix select on (key, complement of the place), 8 bits at a time (Knuth,
// TAOCP 3, 5.2.5). No two items are equal, so exactly as many remain as are wanted, and ties cost nothing extra.
// Provides: codes, select_top, take, write_entries, and the lists `chosen` and `winners`.
// Needs: batch.wgsl, exact.wgsl, and the kernel's `records` and `item(stage, i)`, a code that is larger where the item comes earlier.

const LANES: u32 = 256u;
const OF_SUBTILES: u32 = 0u; // what is chosen from
const OF_TOKENS: u32 = 1u;
const NO_ITEM: vec2<u32> = vec2<u32>(0u, 0u); // behind every item

var<workgroup> chosen: array<u32, 1024>;          // subtiles to open, in no order
var<workgroup> winners: array<vec2<u32>, 1024>;   // codes of the best tokens, in no order; at other times partial sums
var<workgroup> n_taken: atomic<u32>;
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> group_counts: array<u32, 16>;
var<workgroup> bucket: vec3<u32>;                 // digit, still wanted below it, items in it

// Code of a key and a place: larger for a larger key, then for a smaller place.
fn code_of(key: i32, place: u32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, (LAST_TOKEN - place) & LAST_TOKEN);
}

fn key_of_code(code: vec2<u32>) -> i32 {
    return bitcast<i32>(code.x ^ 0x80000000u);
}

fn place_of_code(code: vec2<u32>) -> u32 {
    return LAST_TOKEN - code.y;
}

fn at_least(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y >= b.y);
}

// The smallest item among the `wanted` largest of `count`: exactly `wanted` items are at least this. Zero takes all.
fn select_top(stage: u32, count: u32, wanted: u32, lane: u32) -> vec2<u32> {
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
            let one = item(stage, i);
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

// Fills `chosen` (subtiles) or `winners` (tokens) with the `wanted` largest of `count` items, all of which are at least
// what is returned.
fn take(stage: u32, count: u32, wanted: u32, lane: u32) -> vec2<u32> {
    let threshold = select_top(stage, count, wanted, lane);
    if lane == 0u {
        atomicStore(&n_taken, 0u);
    }
    workgroupBarrier(); // the counter is empty before the taking
    for (var i = lane; i < count; i += LANES) {
        let one = item(stage, i);
        if at_least(one, threshold) {
            let place = atomicAdd(&n_taken, 1u);
            if stage == OF_SUBTILES {
                chosen[place] = place_of_code(one);
            } else {
                winners[place] = one;
            }
        }
    }
    workgroupBarrier(); // everything is taken before it is used
    return threshold;
}

// Writes the first n_winners of `winners` as (token, bits) in order, then (NO_TOKEN, -infinity) up to `count`. Each winner
// counts the winners before it, which is its place: all differ.
fn write_entries(out: u32, n_winners: u32, count: u32, lane: u32) {
    for (var i = lane; i < count; i += LANES) {
        var place = i;
        var token = NO_TOKEN;
        var bits = BITS_NEG_INFINITY;
        if i < n_winners {
            let one = winners[i];
            place = 0u;
            // Four a round: Mesa before 25 cuts short what loops for more than 65 535 rounds in all.
            for (var j = 0u; j < n_winners; j += 4u) {
                place += u32(at_least(winners[j], one))
                    + u32(j + 1u < n_winners && at_least(winners[j + 1u], one))
                    + u32(j + 2u < n_winners && at_least(winners[j + 2u], one))
                    + u32(j + 3u < n_winners && at_least(winners[j + 3u], one));
            }
            place -= 1u; // itself
            let key = key_of_code(one);
            if key > KEY_NEG_INFINITY {
                token = place_of_code(one);
                bits = bits_of_key(key);
            }
        }
        records[out + 2u * place] = token;
        records[out + 2u * place + 1u] = bits;
    }
}
