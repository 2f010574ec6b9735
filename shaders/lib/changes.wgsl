// changes: a token's logit after masks, bias and penalties; docs/sampling.md, src/request/changes.rs.
// Provides: changed_bits, changed_bits_of_four, is_row_changed.
// Needs: words, exact, soft_float, request (.wgsl), the kernel's bindings `row_data`, `requests`, `mask`.

// The word of a set of allowed tokens that has this token's bit.
fn allowed_word(first: u32, token: u32) -> u32 {
    return row_data[first + (token >> 7u)][(token >> 5u) & 3u];
}

// A bucket that a token may lie in, by this factor.
fn bucket_of(token: u32, factor: u32, first: u32, buckets: u32) -> u32 {
    let spread = token * factor;
    return first + ((spread ^ (spread >> 15u)) & (buckets - 1u)) * 4u;
}

// Which of four words is this token's.
fn is_of_token(words: vec4<u32>, token: u32) -> vec4<bool> {
    return ((words & vec4<u32>(CHANGE_TOKEN)) == vec4<u32>(token)) & (words != vec4<u32>(CHANGE_EMPTY));
}

// The change of a token in a table of so many buckets, or an empty one: flags and token, bias, penalty, nothing. No loop:
// Mesa before 25 cuts short what loops for more than 65 535 rounds in all.
fn find_change(first: u32, buckets: u32, token: u32) -> vec4<u32> {
    if buckets == 0u {
        return vec4<u32>(CHANGE_EMPTY);
    }
    let here = bucket_of(token, CHANGE_FIRST, first, buckets);
    let there = bucket_of(token, CHANGE_SECOND, first, buckets);
    let is_here = is_of_token(row_data[here], token);
    let is_there = is_of_token(row_data[there], token);
    if !any(is_here | is_there) {
        return vec4<u32>(CHANGE_EMPTY);
    }
    let bucket = select(there, here, any(is_here));
    let found = select(is_there, is_here, vec4<bool>(any(is_here)));
    let place = select(select(select(3u, 2u, found.z), 1u, found.y), 0u, found.x);
    return vec4<u32>(row_data[bucket][place], row_data[bucket + 1u][place], row_data[bucket + 2u][place], 0u);
}

// Whether a request changes any logit.
fn is_row_changed(request: u32) -> bool {
    return chunk.mask_words > 0u || (requests[request].kept_buckets | requests[request].step_buckets) > 0u
        || requests[request].first_allowed != NONE;
}

// Whether an allowed set or a mask leaves a token out.
fn is_left_out(row: u32, request: u32, token: u32) -> bool {
    let first_allowed = requests[request].first_allowed;
    var word = 0xffffffffu;
    if first_allowed != NONE {
        word = allowed_word(first_allowed, token);
    }
    if chunk.mask_words > 0u {
        word &= mask[chunk.mask_base + row * chunk.mask_words + (token >> 5u)];
    }
    return ((word >> (token & 31u)) & 1u) == 0u;
}

// Bits of a token's logit after masks, bias and penalties: docs/sampling.md, "Changes of logits".
fn changed_bits(row: u32, request: u32, token: u32, bits: u32) -> u32 {
    if is_left_out(row, request, token) {
        return BITS_NEG_INFINITY;
    }
    var change = find_change(requests[request].first_step, requests[request].step_buckets, token);
    if change.x == CHANGE_EMPTY {
        change = find_change(requests[request].first_kept, requests[request].kept_buckets, token);
    }
    if change.x == CHANGE_EMPTY {
        return bits;
    }
    if (change.x & CHANGE_BANNED) != 0u {
        return BITS_NEG_INFINITY;
    }
    var x = add_float(bits, change.y);
    if (change.x & CHANGE_REPEATED) != 0u {
        let repetition = requests[request].repetition;
        // Positive logits are divided, the others multiplied: both move towards less probable.
        if key_of_bits(x) > 0 {
            x = divide_float(x, repetition);
        } else {
            x = multiply_float(x, repetition);
        }
    }
    return add_float(x, change.z ^ 0x80000000u);
}

// changed_bits() of four, two at a time: the text is there twice, and the reads of two are under way together.
fn changed_bits_of_four(row: u32, request: u32, tokens: vec4<u32>, bits: vec4<u32>) -> vec4<u32> {
    var token = min(tokens, vec4<u32>(chunk.vocab - 1u));
    var changed = bits;
    for (var pair = chunk.nothing; pair < 2u; pair++) {
        changed = vec4<u32>(changed.zw, changed_bits(row, request, token.x, changed.x),
            changed_bits(row, request, token.y, changed.y));
        token = token.zwxy;
    }
    return changed;
}
