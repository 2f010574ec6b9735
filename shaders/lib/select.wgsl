// select: the largest items of a list, by a radix select. No two items are equal, so exactly as many remain as are
// wanted, and ties cost nothing extra.
// Provides: select_top, take, take_few, MOST_FEW.
// Needs: list.wgsl, radix.wgsl, and the kernel's `item(level, i)`, a code that is larger where the item comes earlier.

var<workgroup> n_taken: atomic<u32>;
var<workgroup> group_counts: array<u32, 16>;
var<workgroup> bucket: vec3<u32>;                 // digit, still wanted below it, items in it

// The smallest item among the `wanted` largest of `count`: exactly `wanted` items are at least this. Zero takes all.
fn select_top(level: u32, count: u32, wanted: u32, lane: u32) -> vec2<u32> {
    var walk = ROOT;
    if wanted >= count {
        return walk.prefix;
    }
    var still_wanted = wanted;
    for (var digit = 0u; digit < CODE_DIGITS; digit++) {
        walk = look_at(walk, digit);
        atomicStore(&histogram[lane], 0u);
        workgroupBarrier(); // an empty histogram before the counting
        for (var i = lane; i < count; i += LANES) {
            let one = item(level, i);
            if has_prefix(walk, one) {
                atomicAdd(&histogram[digit_in(walk, one)], 1u);
            }
        }
        workgroupBarrier(); // a full histogram before the search
        if lane < 16u {
            var sum = 0u;
            for (var i = chunk.nothing; i < 16u; i++) {
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
        walk = narrow(walk, found.x);
        if found.z == found.y {
            break; // the whole bucket is wanted
        }
    }
    return walk.prefix;
}

// Fills `chosen` (subtiles) or `winners` (tokens) with the `wanted` largest of `count` items.
fn take(level: u32, count: u32, wanted: u32, lane: u32) {
    let threshold = select_top(level, count, wanted, lane);
    if lane == 0u {
        atomicStore(&n_taken, 0u);
    }
    workgroupBarrier(); // the counter is empty before the taking
    for (var i = lane; i < count; i += LANES) {
        let one = item(level, i);
        if at_least(one, threshold) {
            let place = atomicAdd(&n_taken, 1u);
            if level == OF_SUBTILES {
                chosen[place] = place_of_code(one);
            } else {
                winners[place] = one;
            }
        }
    }
    workgroupBarrier(); // everything is taken before it is used
}

const MOST_FEW: u32 = 32u; // items that take_few finds
const CHAMPIONS: u32 = 64u;

var<workgroup> threshold: vec2<u32>;
var<workgroup> few_counts: array<atomic<u32>, 2>; // subtiles in `chosen`, tokens in `winners`
var<workgroup> few_found: vec2<u32>;

// Fills `winners` with tokens among which the `wanted` largest of the row are, at most MOST_FEW, and returns how many;
// or more than there is room for, and then `winners` is of no use.
// Each champion is the largest of the subtiles in its share; at the `wanted`-th largest champion at least as many tokens
// are reached, the delegates of the champions before it. So no token behind it, by its logit and its subtile, is wanted, and
// few are not behind it: 24 where 20 are wanted and the largest are spread evenly over the shares.
fn take_few(n_subtiles: u32, wanted: u32, lane: u32) -> u32 {
    // 1. the largest subtile of each lane, then of each share
    var best = NO_ITEM;
    for (var i = lane; i < n_subtiles; i += LANES) {
        let one = item(OF_SUBTILES, i);
        best = select(best, one, at_least(one, best));
    }
    winners[lane] = best;
    if lane < 2u {
        atomicStore(&few_counts[lane], 0u);
    }
    if lane == 0u {
        threshold = NO_ITEM; // takes all, where there are fewer shares than are wanted
    }
    workgroupBarrier(); // every lane's largest before the champions
    var champion = best;
    if lane < CHAMPIONS {
        for (var i = lane + CHAMPIONS; i < LANES; i += CHAMPIONS) {
            let one = winners[i];
            champion = select(champion, one, at_least(one, champion));
        }
        winners[LANES + lane] = champion;
    }
    workgroupBarrier(); // every champion before they are ranked
    // 2. the champion that as many are before as it takes
    if lane < CHAMPIONS && any(champion != NO_ITEM) {
        var rank = 0u;
        for (var i = chunk.nothing; i < CHAMPIONS; i++) {
            rank += u32(at_least(winners[LANES + i], champion));
        }
        if rank == wanted { // itself included: all differ
            threshold = champion;
        }
    }
    workgroupBarrier(); // the threshold before it is used; the champions before `winners` are tokens
    // 3. the subtiles down to it, then their tokens
    let lowest = threshold;
    if at_least(best, lowest) {
        for (var i = lane; i < n_subtiles; i += LANES) {
            if at_least(item(OF_SUBTILES, i), lowest) {
                let place = atomicAdd(&few_counts[0], 1u);
                if place < MOST_LISTED {
                    chosen[place] = i;
                }
            }
        }
    }
    workgroupBarrier(); // every subtile before its tokens
    let n_chosen = atomicLoad(&few_counts[0]);
    for (var i = lane; i < min(n_chosen, MOST_LISTED) * SUBTILE; i += LANES) {
        let one = item(OF_TOKENS, i);
        if at_least(code_of(key_of_code(one), place_of_code(one) / SUBTILE), lowest) {
            let place = atomicAdd(&few_counts[1], 1u);
            if place < MOST_LISTED {
                winners[place] = one;
            }
        }
    }
    workgroupBarrier(); // every token is counted
    if lane == 0u {
        few_found = vec2<u32>(n_chosen, atomicLoad(&few_counts[1]));
    }
    let found = workgroupUniformLoad(&few_found);
    return max(select(0u, found.x, found.x > MOST_LISTED), found.y);
}
