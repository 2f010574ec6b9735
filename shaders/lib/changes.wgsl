// changes: a token's logit after masks, bias and penalties; docs/sampling.md, src/request/changes.rs.
// Provides: changed_bits, and the readers of changes and allowed sets.
// Needs: words, exact, soft_float, request (.wgsl), the kernel's bindings `row_data`, `requests`, `mask`.

// Flags and token, bias, penalty, nothing.
fn change_at(place: u32) -> vec4<u32> {
    return row_data[place];
}

fn changed_token(place: u32) -> u32 {
    return row_data[place].x & CHANGE_TOKEN;
}

// The word of a set of allowed tokens that has this token's bit.
fn allowed_word(first: u32, token: u32) -> u32 {
    return row_data[first + (token >> 7u)][(token >> 5u) & 3u];
}

// Place of the first change, among first..first + count, whose token is at least this. Four halvings a round: Mesa
// before 25 cuts short what loops for more than 65 535 rounds in all.
fn lower_bound(first: u32, count: u32, token: u32) -> u32 {
    var range = vec2<u32>(first, count);
    while range.y > 0u {
        range = halve(halve(halve(halve(range, token), token), token), token);
    }
    return range.x;
}

fn halve(range: vec2<u32>, token: u32) -> vec2<u32> {
    let half = range.y >> 1u;
    if range.y > 0u && changed_token(range.x + half) < token {
        return vec2<u32>(range.x + half + 1u, range.y - half - 1u);
    }
    return vec2<u32>(range.x, half);
}

// Bits of a token's logit after masks, bias and penalties: docs/sampling.md, "Changes of logits".
fn changed_bits(row: u32, request: u32, token: u32, bits: u32) -> u32 {
    let first_allowed = requests[request].first_allowed;
    if first_allowed != NONE {
        let word = allowed_word(first_allowed, token);
        if ((word >> (token & 31u)) & 1u) == 0u {
            return BITS_NEG_INFINITY;
        }
    }
    if chunk.mask_words > 0u {
        let word = mask[chunk.mask_base + row * chunk.mask_words + (token >> 5u)];
        if ((word >> (token & 31u)) & 1u) == 0u {
            return BITS_NEG_INFINITY;
        }
    }
    let first = requests[request].first_change;
    let count = requests[request].n_changes;
    if count == 0u {
        return bits;
    }
    let place = lower_bound(first, count, token);
    if place >= first + count {
        return bits;
    }
    let change = change_at(place);
    if (change.x & CHANGE_TOKEN) != token {
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
