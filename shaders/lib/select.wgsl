// select: the largest items of a list, by a radix select. No two items are equal, so exactly as many remain as are
// wanted, and ties cost nothing extra.
// Provides: select_top, take.
// Needs: list.wgsl, radix.wgsl, and the kernel's `item(level, i)`, a code that is larger where the item comes earlier.

var<workgroup> n_taken: atomic<u32>;
var<workgroup> group_counts: array<u32, 16>;
var<workgroup> bucket: vec3<u32>;                 // digit, still wanted below it, items in it

// The smallest item among the `wanted` largest of `count`: exactly `wanted` items are at least this. Zero takes all.
fn select_top(level: u32, count: u32, wanted: u32, lane: u32) -> vec2<u32> {
    var walk = ALL_CODES;
    if wanted >= count {
        return walk.first;
    }
    var still_wanted = wanted;
    for (var digit = 0u; digit < CODE_DIGITS; digit++) {
        atomicStore(&histogram[lane], 0u);
        workgroupBarrier(); // an empty histogram before the counting
        for (var i = lane; i < count; i += LANES) {
            let one = item(level, i);
            if is_in(walk, one) {
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
    return walk.first;
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
