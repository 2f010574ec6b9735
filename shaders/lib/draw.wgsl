// draw: a token at a random point of the run, in token order; docs/sampling.md, "Drawing".
// Provides: random, draw, accepts.
// Needs: batch, exact, request, rng, numbers, list, scan (.wgsl), the kernel's bindings `requests`, `table`, `scratch`.

// What the numbers of a position are for, in the upper half of the counter's last word.
const FOR_DRAW: u32 = 0u;
const FOR_XTC: u32 = 0x10000u;
const FOR_ACCEPT: u32 = 0x20000u;
const FOR_RESIDUAL: u32 = 0x30000u;

var<workgroup> picked: vec2<u32>; // tile and token

fn random(position: vec2<u32>, purpose: u32) -> vec4<u32> {
    return philox(vec4<u32>(position, requests[request].stream, purpose), requests[request].seed);
}

fn draw_weight(token: u32, weigh: u32, scale: Scale) -> vec2<u32> {
    if token >= batch.vocab {
        return vec2<u32>(0u, 0u);
    }
    let code = code_of_token(token);
    if !is_in_run(code) {
        return vec2<u32>(0u, 0u);
    }
    var reference = max_bits;
    if weigh == BY_TILE {
        reference = bits_of_key(bitcast<i32>(scratch[tile_words(view, row, token / TILE) + TILE_MAX_KEY]));
    }
    let octaves = octaves_below(reference, bits_of_key(key_of_code(code)), scale);
    if weigh == BY_TILE {
        if octaves == FAR {
            return vec2<u32>(0u, 0u);
        }
        return weight(mantissa(table[table_index(octaves)], octaves), octaves);
    }
    let own = row_weight(octaves);
    if weigh == BY_ROW {
        return own;
    }
    let taken = draft_mass(token);
    return subtract64(own, select(taken, own, at_least64(taken, own)));
}

// Whether the draft token stands: with probability min(1, its own mass over the draft's). The same in every lane.
fn accepts(token: u32, scale: Scale, position: vec2<u32>) -> bool {
    let own = draw_weight(token, BY_ROW, scale);
    return !at_least64(multiply_high64(random(position, FOR_ACCEPT).xy, draft_mass(token)), own);
}

// The token at a point of the run: its tile by the masses in `low` and `high`, then the token by the weights within, both
// in token order; two numbers of 64 bits choose them. NO_TOKEN where there is no mass at all.
fn draw(numbers: vec4<u32>, weigh: u32, scale: Scale, lane: u32) -> u32 {
    if lane == 0u {
        picked = vec2<u32>(0u, NO_TOKEN);
    }
    var first = 0u;
    for (var round = 0u; round < 2u; round++) {
        // 1. the mass of this lane's tile; then that of its sixteen tokens
        var own = mass_at(lane);
        if round == 1u {
            first = workgroupUniformLoad(&picked).x * TILE + lane * 16u;
            own = vec2<u32>(0u, 0u);
            for (var i = 0u; i < 16u; i++) {
                own = add64(own, draw_weight(first + i, weigh, scale));
            }
        }
        // 2. sums over the lanes up to this one (Hillis, Steele 1986)
        winners[lane] = own;
        workgroupBarrier(); // every lane's mass before the first step
        for (var by = 1u; by < LANES; by <<= 1u) {
            var before = vec2<u32>(0u, 0u);
            if lane >= by {
                before = winners[lane - by];
            }
            workgroupBarrier(); // all are read before they are written
            winners[lane] = add64(winners[lane], before);
            workgroupBarrier(); // this step before the next
        }
        // 3. the lane that has the point says so
        let point = multiply_high64(select(numbers.xy, numbers.zw, round == 1u), winners[255]);
        var before = subtract64(winners[lane], own);
        if at_least64(point, before) && !at_least64(point, winners[lane]) {
            if round == 0u {
                picked.x = lane;
            } else {
                for (var i = 0u; i < 16u; i++) {
                    before = add64(before, draw_weight(first + i, weigh, scale));
                    if !at_least64(point, before) {
                        picked.y = first + i;
                        break;
                    }
                }
            }
        }
        workgroupBarrier(); // the point is found before its sums make room
    }
    reopened += TILE;
    return workgroupUniformLoad(&picked).y;
}
