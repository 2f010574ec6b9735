// few: the largest items of a row, a few of them, in one go: no digits, seven barriers.
// Provides: take_few, MOST_FEW.
// Needs: list.wgsl, and the kernel's `item(level, i)`, a code that is larger where the item comes earlier.

const MOST_FEW: u32 = 32u; // the most that may be wanted of take_few; fewer than there are champions
const CHAMPIONS: u32 = 64u;

var<workgroup> threshold: vec2<u32>;
var<workgroup> few_counts: array<atomic<u32>, 2>; // subtiles in `chosen`, tokens in `winners`
var<workgroup> few_found: vec2<u32>;

// Fills `winners` with tokens among which the `wanted` largest of the row are, at most MOST_FEW of them, and returns how
// many; or more than MOST_LISTED, for which there is no room, and then `winners` is of no use.
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
        let is_item = any(one != NO_ITEM);
        if is_item && at_least(code_of(key_of_code(one), place_of_code(one) / SUBTILE), lowest) {
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
