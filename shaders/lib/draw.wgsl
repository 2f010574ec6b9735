// draw: a token at a random point of the run, in token order; docs/sampling.md, "Drawing".
// Provides: random, draw, accepts, residual_tiles.
// Needs: batch, exact, request, rng, numbers, select, open (.wgsl), the kernel's bindings `draft`, `requests`, `table`,
// `scratch`, its `row`, `request`, `view`.

// What the numbers of a position are for, in the upper half of the counter's last word.
const FOR_DRAW: u32 = 0u;
const FOR_XTC: u32 = 0x10000u;
const FOR_ACCEPT: u32 = 0x20000u;

// How a token is weighed.
const BY_TILE: u32 = 0u;     // relative to its tile's maximum, Q50: nothing is truncated
const BY_ROW: u32 = 1u;      // relative to the row's maximum, Q43
const BY_RESIDUAL: u32 = 2u; // the same, less what the draft gave it

// What is drawn from.
struct Source {
    scale: Scale,
    max_bits: u32,
    mass: vec2<u32>, // Q43, of the run
    mode: u32,
}

var<workgroup> picked: vec4<u32>; // what one lane found for all: tile, token, whether it is accepted

fn random(position: vec2<u32>, purpose: u32) -> vec4<u32> {
    return philox(vec4<u32>(position, requests[request].stream, purpose), requests[request].seed);
}

// Sum over the lanes before this one; `winners[255]` is the sum of all.
fn sum_before(value: vec2<u32>, lane: u32) -> vec2<u32> {
    workgroupBarrier(); // an earlier total is read before its place is reused
    winners[lane] = value;
    workgroupBarrier(); // every lane's value before the first step
    for (var by = 1u; by < LANES; by <<= 1u) {
        var before = vec2<u32>(0u, 0u);
        if lane >= by {
            before = winners[lane - by];
        }
        workgroupBarrier(); // all are read before they are written
        winners[lane] = add64(winners[lane], before);
        workgroupBarrier(); // this step before the next
    }
    return subtract64(winners[lane], value);
}

fn draw_weight(token: u32, source: Source) -> vec2<u32> {
    if token >= batch.vocab {
        return vec2<u32>(0u, 0u);
    }
    let code = code_of_token(token);
    if !is_in_run(code) {
        return vec2<u32>(0u, 0u);
    }
    if source.mode == BY_TILE {
        let tile_key = bitcast<i32>(scratch[tile_words(view, row, token / TILE) + TILE_MAX_KEY]);
        let octaves = octaves_below(bits_of_key(tile_key), bits_of_key(key_of_code(code)), source.scale);
        if octaves == FAR {
            return vec2<u32>(0u, 0u);
        }
        return weight(mantissa(table[table_index(octaves)], octaves), octaves);
    }
    let own = weight_of_code(code, source.scale, source.max_bits);
    if source.mode == BY_ROW {
        return own;
    }
    let taken = draft_mass(token, source.mass);
    if at_least64(taken, own) {
        return vec2<u32>(0u, 0u);
    }
    return subtract64(own, taken);
}

// What the draft's probability of a token is of the run's mass: ⌊probability · mass⌋, Q43.
fn draft_mass(token: u32, mass: vec2<u32>) -> vec2<u32> {
    let bits = draft[batch.draft_base + row * batch.draft_stride + token];
    if bits > 0x7f800000u { // negative or NaN: none
        return vec2<u32>(0u, 0u);
    }
    let exponent = bits >> 23u;
    if exponent >= 127u { // one or more
        return mass;
    }
    return mul_shift(mass, (bits << 8u) | 0x80000000u, 158u - exponent);
}

// Whether the draft token stands: with probability min(1, its own mass over the draft's).
fn accepts(token: u32, source: Source, position: vec2<u32>, lane: u32) -> bool {
    if lane == 0u {
        let own = draw_weight(token, source);
        let point = multiply_high64(random(position, FOR_ACCEPT).xy, draft_mass(token, source.mass));
        picked.z = u32(!at_least64(point, own));
    }
    return workgroupUniformLoad(&picked).z == 1u;
}

// Masses of the residual by tile, for a draw after a rejected draft token. The run's subtiles are opened.
fn residual_tiles(source: Source, lane: u32) {
    atomicStore(&low[lane], 0u);
    atomicStore(&high[lane], 0u);
    let n = n_opened_tokens(); // its barrier: empty masses before the adding
    for (var i = lane; i < n; i += LANES) {
        let code = item(OF_TOKENS, i);
        if at_least(code, LOWEST) {
            add_mass(place_of_code(code) / TILE, draw_weight(place_of_code(code), source));
        }
    }
    reopened += n;
    workgroupBarrier(); // every part before the masses are read
}

// The token at a point of the run: its tile by the masses in `low` and `high`, then the token by the weights within, both
// in token order; two numbers of 64 bits choose them. NO_TOKEN where there is no mass at all.
fn draw(numbers: vec4<u32>, source: Source, lane: u32) -> u32 {
    if lane == 0u {
        picked = vec4<u32>(0u, NO_TOKEN, 0u, 0u);
    }
    let mass = vec2<u32>(atomicLoad(&low[lane]), atomicLoad(&high[lane]));
    let tiles_before = sum_before(mass, lane);
    let tile_point = multiply_high64(numbers.xy, winners[255]);
    if at_least64(tile_point, tiles_before) && !at_least64(tile_point, add64(tiles_before, mass)) {
        picked.x = lane;
    }
    let first = workgroupUniformLoad(&picked).x * TILE + lane * 16u;
    var own = vec2<u32>(0u, 0u);
    for (var i = 0u; i < 16u; i++) {
        own = add64(own, draw_weight(first + i, source));
    }
    reopened += TILE;
    var before = sum_before(own, lane);
    let point = multiply_high64(numbers.zw, winners[255]);
    if at_least64(point, before) && !at_least64(point, add64(before, own)) {
        for (var i = 0u; i < 16u; i++) {
            before = add64(before, draw_weight(first + i, source));
            if !at_least64(point, before) {
                picked.y = first + i;
                break;
            }
        }
    }
    return workgroupUniformLoad(&picked).y;
}
