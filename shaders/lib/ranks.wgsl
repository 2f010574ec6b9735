// ranks: how many tokens of the run are more probable than one of it, and how many as probable. Nothing is weighed, and
// eight tokens are on their way to a lane while it looks at eight others.
// Provides: count_ranks, with which the first lane leaves both in `found`.
// Needs: words, logits, exact, quads, changes, list, scan (.wgsl), row_program's `found`, the kernel's binding `logits`.

var<workgroup> rank_counts: array<atomic<u32>, 2>; // greater, equal

// Tokens of what is opened, LANES apart; NO_TOKEN past its end.
fn four_tokens(i: u32, n: u32) -> vec4<u32> {
    let places = vec4<u32>(i, i + LANES, i + 2u * LANES, i + 3u * LANES);
    let inside = min(places, vec4<u32>(n - 1u));
    let tokens = vec4<u32>(
        token_at(OF_TOKENS, inside.x), token_at(OF_TOKENS, inside.y),
        token_at(OF_TOKENS, inside.z), token_at(OF_TOKENS, inside.w));
    return select(vec4<u32>(NO_TOKEN), tokens, (places < vec4<u32>(n)) & (tokens < vec4<u32>(chunk.vocab)));
}

fn four_raw(tokens: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(raw_bits(tokens.x), raw_bits(tokens.y), raw_bits(tokens.z), raw_bits(tokens.w));
}

// Of four tokens those with a larger key in the lower half of the word, those with this one in the upper half.
fn ranks_among(bits: vec4<u32>, tokens: vec4<u32>, key: i32) -> vec4<u32> {
    let keys = keys_of_four(bits);
    let first = vec4<i32>(key_of_code(run_first));
    let is_behind_first = (keys < first) | ((keys == first) & (tokens >= vec4<u32>(place_of_code(run_first))));
    let is_counted = is_behind_first & (tokens != vec4<u32>(NO_TOKEN));
    // The run's last token may have equals behind it.
    let end = select(LAST_TOKEN, place_of_code(run_last), key_of_code(run_last) == key);
    let is_greater = is_counted & (keys > vec4<i32>(key));
    let is_equal = is_counted & (keys == vec4<i32>(key)) & (tokens <= vec4<u32>(end));
    return select(vec4<u32>(0u), vec4<u32>(1u), is_greater) + select(vec4<u32>(0u), vec4<u32>(0x10000u), is_equal);
}

fn count_ranks(code: vec2<u32>, lane: u32) {
    let key = key_of_code(code);
    let n = opened * SUBTILE;
    first_token = 0u;
    if lane < 2u {
        atomicStore(&rank_counts[lane], 0u);
    }
    workgroupBarrier(); // both are empty before the adding
    rounds += (n / (8u * LANES) + 2u) * select(1u, 10u, is_changed && view == PROCESSED);
    var counts = vec4<u32>(0u); // a lane has at most 4096 tokens
    // Each round looks at the eight tokens of the one before, which were under way meanwhile; the first at none.
    var a = vec4<u32>(NO_TOKEN);
    var b = a;
    var bits_a = vec4<u32>(0u);
    var bits_b = bits_a;
    for (var i = lane; i < n + 8u * LANES; i += 8u * LANES) {
        let next_a = four_tokens(i, n);
        let next_b = four_tokens(i + 4u * LANES, n);
        let next_bits_a = four_raw(next_a);
        let next_bits_b = four_raw(next_b);
        if i != lane && view == PROCESSED && is_changed {
            for (var half = chunk.nothing; half < 2u; half++) {
                let changed = changed_bits_of_four(row, request, a, bits_a);
                let other = a;
                a = b;
                b = other;
                bits_a = bits_b;
                bits_b = changed;
            }
        }
        counts += ranks_among(bits_a, a, key) + ranks_among(bits_b, b, key);
        a = next_a;
        b = next_b;
        bits_a = next_bits_a;
        bits_b = next_bits_b;
    }
    let own = (counts.x + counts.y) + (counts.z + counts.w);
    atomicAdd(&rank_counts[0], own & 0xffffu);
    atomicAdd(&rank_counts[1], own >> 16u);
    reopened += n;
    workgroupBarrier(); // every lane's counts before they are read
    if lane == 0u {
        found.greater = atomicLoad(&rank_counts[0]);
        found.equal = atomicLoad(&rank_counts[1]);
    }
}
