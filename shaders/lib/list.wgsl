// list: codes, by which items compare, and the lists of those that were chosen.
// Provides: codes, write_entries, `chosen`, `winners`, `histogram`.
// Loops over sixteen lanes or digits begin at `chunk.nothing`, so that no compiler knows their number and writes them out:
// each access to memory is dozens of branches on Mesa's software drivers, which then took twice as long to compile.
// Needs: format.wgsl, exact.wgsl, and the kernel's binding `records`.

const LANES: u32 = 256u;
const OF_SUBTILES: u32 = 0u; // the two levels on which items are chosen
const OF_TOKENS: u32 = 1u;
const NO_ITEM: vec2<u32> = vec2<u32>(0u, 0u); // behind every item

var<workgroup> chosen: array<u32, 1024>;          // subtiles to open, in no order
var<workgroup> winners: array<vec2<u32>, 1024>;   // codes of the best tokens, in no order; at other times partial sums
var<workgroup> histogram: array<atomic<u32>, 256>; // items by digit

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

// Writes the first `listed` of the n_winners in `winners` as (token, bits) in order, then (NO_TOKEN, -infinity) in all
// places. Each winner counts the winners before it, which is its place: all differ.
fn write_entries(out: u32, n_winners: u32, listed: u32, places: u32, lane: u32) {
    for (var i = lane; i < max(places, n_winners); i += LANES) {
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
            if key > KEY_NEG_INFINITY && place < listed {
                token = place_of_code(one);
                bits = bits_of_key(key);
            }
        }
        if place < places {
            records[out + 2u * place] = token;
            records[out + 2u * place + 1u] = bits;
        }
    }
}
