// changes: a token's logit after masks, bias and penalties; docs/sampling.md, src/request/changes.rs.
// Provides: changed_bits.
// Needs: words, exact, soft_float, request (.wgsl), the kernel's bindings `row_data`, `requests`, `mask`.

// The word of a set of allowed tokens that has this token's bit.
fn allowed_word(first: u32, token: u32) -> u32 {
    return row_data[first + (token >> 7u)][(token >> 5u) & 3u];
}

// The change of a token in a table of so many places, or an empty one: flags and token, bias, penalty, nothing. Tokens
// that the same place is for lie behind each other; at least half of the places are empty.
fn find_change(first: u32, places: u32, token: u32) -> vec4<u32> {
    if places == 0u {
        return vec4<u32>(CHANGE_EMPTY);
    }
    let spread = token * CHANGE_SPREAD;
    var place = (spread ^ (spread >> 15u)) & (places - 1u);
    var change = row_data[first + place];
    while change.x != CHANGE_EMPTY && (change.x & CHANGE_TOKEN) != token {
        place = (place + 1u) & (places - 1u);
        change = row_data[first + place];
    }
    return change;
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
    var change = find_change(requests[request].first_step, requests[request].step_places, token);
    if change.x == CHANGE_EMPTY {
        change = find_change(requests[request].first_kept, requests[request].kept_places, token);
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
