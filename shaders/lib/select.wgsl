// select: the largest items of a list, in a radix select on (key, complement of the place), 8 bits at a time (Knuth,
// TAOCP 3, 5.2.5). No two items are equal, so exactly as many remain as are wanted, and ties cost nothing extra.
// Provides: select_top, take.
// Needs: list.wgsl, and the kernel's `item(stage, i)`, a code that is larger where the item comes earlier.

var<workgroup> n_taken: atomic<u32>;
var<workgroup> group_counts: array<u32, 16>;
var<workgroup> bucket: vec3<u32>;                 // digit, still wanted below it, items in it

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
