// cuts: one function per filter; docs/sampling.md defines them. Each narrows the run, the part of the one total order
// that is kept, by moving its ends: `run_first` and `run_last` of Progress.
// Provides: advance_cut. A cut more is a CUT_ constant, a case here, and its function.
// Needs: words, exact, request, numbers, list, scan, thresholds, draws, row_program (.wgsl), the binding `requests`.
//
// A cut that needs to see tokens makes moves; each move is answered by the next call, in `found`. `round` counts them:
//   0   the cut begins; the move is to take the sums of the run, if it wants them and pass 1 has not left them
//   1   the cut's first own call: from here on `sums` are there
//   2.. what its last move, which has set the round, found; ROUND_ALONE is threshold_cut's
// It ends with end_cut.

const FIRST_OPENED: u32 = 64u; // subtiles; then four times as many, and in the end the row
const ROUND_ALONE: u32 = 8u;

// One call of the cut at hand. Those that ask for `has_sums` want the sums of the run first.
fn advance_cut(progress: ptr<function, Progress>, found: Found) -> Move {
    let cut = requests[request].cuts[(*progress).cut];
    var has_sums = true;
    if (*progress).round == 0u {
        (*progress).round = 1u;
        (*progress).sums = sums_of((*progress).stats);
        has_sums = (*progress).is_full && same_scale((*progress).scale, requests[request].pass_scale);
    } else if (*progress).round == 1u {
        (*progress).sums = Sums(found.scan.mass, found.scan.surprisal, found.scan.count);
    }
    switch cut.x {
        case CUT_TEMPERATURE: {
            if has_sums || (requests[request].flags & ASKS_DYNAMIC) == 0u {
                return set_temperature(progress);
            }
        }
        case CUT_TOP_K: {
            return cut_top_k(progress, found, cut.y);
        }
        case CUT_TOP_P: {
            if has_sums {
                return cut_top_p(progress, found, cut.yz);
            }
        }
        case CUT_MIN_P: {
            return cut_min_p(progress, found, cut.yz);
        }
        case CUT_TYPICAL_P: {
            if has_sums {
                return cut_typical_p(progress, found, cut.yz);
            }
        }
        case CUT_TOP_N_SIGMA: {
            return cut_top_n_sigma(progress, found, cut.y);
        }
        case CUT_EPSILON: {
            if has_sums {
                return cut_epsilon(progress, found, cut.yz);
            }
        }
        case CUT_XTC: {
            if has_sums {
                return cut_xtc(progress, found, cut.yz, cut.w);
            }
        }
        case CUT_TOP_A: {
            if has_sums {
                return cut_top_a(progress, found, cut.yz);
            }
        }
        case CUT_ETA: {
            if has_sums {
                return cut_eta(progress, found, cut.yz, cut.w);
            }
        }
        default: { // there are no other kinds
            return end_cut(progress);
        }
    }
    return move_to_sum(LOWEST, (*progress).scale, *progress);
}

fn end_cut(progress: ptr<function, Progress>) -> Move {
    (*progress).is_full = false;
    (*progress).cut += 1u;
    (*progress).round = 0u;
    return no_move(*progress);
}

// Nothing behind this code is kept.
fn keep_to(code: vec2<u32>, progress: ptr<function, Progress>) {
    (*progress).run_last = earlier_of(code, (*progress).run_last);
}

// The share (factor, by) of a mass, rounded up.
fn share_of(mass: vec2<u32>, share: vec2<u32>) -> vec2<u32> {
    return ceil_ratio(mass, share.x, share.y);
}

// Probabilities are those at the temperature from here on. A dynamic one depends on the sums of the run.
fn set_temperature(progress: ptr<function, Progress>) -> Move {
    if (requests[request].flags & ASKS_DYNAMIC) != 0u {
        (*progress).drawn_at = dynamic_scale((*progress).sums);
    }
    (*progress).scale = (*progress).drawn_at.scale;
    (*progress).cut += 1u;
    (*progress).round = 0u;
    return no_move(*progress);
}

// The first k tokens.
fn cut_top_k(progress: ptr<function, Progress>, found: Found, k: u32) -> Move {
    if (*progress).round == 1u {
        (*progress).round = 2u;
        (*progress).subtiles = k;
        return move_to_select(SELECT_BY_COUNT, vec2<u32>(k, 0u), *progress);
    }
    if found.scan.is_reached { // otherwise fewer are left
        keep_to(found.scan.code, progress);
    }
    return end_cut(progress);
}

// The first tokens whose mass reaches a share of the run's.
fn cut_top_p(progress: ptr<function, Progress>, found: Found, share: vec2<u32>) -> Move {
    let is_first = (*progress).round == 1u;
    if is_first {
        (*progress).round = 2u;
        (*progress).subtiles = FIRST_OPENED;
        (*progress).limit = share_of((*progress).sums.mass, share);
    }
    let is_settled = !(*progress).is_full || found.is_all
        || (found.scan.is_reached && at_least(found.scan.code, found.floor));
    if is_first || !is_settled {
        let next = move_to_select(SELECT_BY_MASS, (*progress).limit, *progress);
        (*progress).subtiles *= 4u; // should these not be enough
        return next;
    }
    if found.scan.is_reached { // otherwise pass 1 has rounded the share up to more than there is
        keep_to(found.scan.code, progress);
    }
    return end_cut(progress);
}

// The tokens nearest to the mean distance from the maximum whose mass reaches a share of the run's. They are a run:
// what lies between the two places, above and below the mean, at which the deviation is still within what is reached.
fn cut_typical_p(progress: ptr<function, Progress>, found: Found, share: vec2<u32>) -> Move {
    if (*progress).round == 3u { // the run's first token, exactly
        (*progress).run_first = found.scan.first;
        return end_cut(progress);
    }
    let centre = mean_octaves((*progress).sums);
    let deviation = ~found.scan.code.x;
    let scale = (*progress).scale;
    let is_first = (*progress).round == 1u;
    if is_first {
        (*progress).round = 2u;
        (*progress).subtiles = FIRST_OPENED;
        (*progress).limit = share_of((*progress).sums.mass, share);
    }
    var is_settled = !is_first;
    if is_settled && (*progress).is_full && !found.is_all {
        // Everything as near the centre as this must lie above the floor.
        let at_floor = octaves_below(max_bits, bits_of_key(key_of_code(found.floor)), scale);
        is_settled = found.scan.is_reached && centre + deviation < at_floor;
    }
    if !is_settled {
        var next = move_to_select(SELECT_BY_NEARNESS, (*progress).limit, *progress);
        next.task.centre = centre;
        (*progress).subtiles *= 4u; // should these not be enough
        return next;
    }
    if !found.scan.is_reached {
        return end_cut(progress);
    }
    keep_to(code_of_lowest(lowest_key(BY_OCTAVES, vec2<u32>(centre + deviation, 0u), scale)), progress);
    if centre > deviation {
        let above = lowest_key(BY_OCTAVES, vec2<u32>(centre - deviation - 1u, 0u), scale);
        let below = code_of_lowest(above) - vec2<u32>(1u, 1u); // the last code of the next lower key
        (*progress).run_first = select(below, (*progress).run_first, at_least(below, (*progress).run_first));
    }
    (*progress).round = 3u;
    return move_to_sum(LOWEST, scale, *progress);
}

// Where at least two tokens have a share of the run's mass and the coin says so, only the last of these and what
// follows.
fn cut_xtc(progress: ptr<function, Progress>, found: Found, share: vec2<u32>, coin: u32) -> Move {
    if (*progress).round == 1u {
        let limit = share_of((*progress).sums.mass, share);
        let lowest = lowest_key(BY_WEIGHT, limit, (*progress).scale);
        if is_within(BY_WEIGHT, limit, lowest, (*progress).scale)
            && random((*progress).head.position, FOR_XTC).x <= coin {
            (*progress).round = 2u;
            return move_to_sum(code_of_lowest(lowest), (*progress).scale, *progress);
        }
    } else if found.scan.count >= 2u {
        (*progress).run_first = found.scan.last;
    }
    return end_cut(progress);
}

// The tokens with a share of the first one's weight.
fn cut_min_p(progress: ptr<function, Progress>, found: Found, share: vec2<u32>) -> Move {
    let octaves = octaves_below(max_bits, bits_of_key(key_of_first(*progress)), (*progress).scale);
    return threshold_cut(progress, found, BY_WEIGHT, share_of(row_weight(octaves), share));
}

// The tokens with a share of the run's mass.
fn cut_epsilon(progress: ptr<function, Progress>, found: Found, share: vec2<u32>) -> Move {
    return threshold_cut(progress, found, BY_WEIGHT, share_of((*progress).sums.mass, share));
}

// The tokens with a share of the first one's weight times its probability.
fn cut_top_a(progress: ptr<function, Progress>, found: Found, share: vec2<u32>) -> Move {
    return threshold_cut(progress, found, BY_WEIGHT, share_of(first_squared((*progress).sums.mass), share));
}

// The tokens with a share of the run's mass, or with 2^-(so many octaves, Q24, and its entropy) of it where that is less.
fn cut_eta(progress: ptr<function, Progress>, found: Found, share: vec2<u32>, half_octaves: u32) -> Move {
    let sums = (*progress).sums;
    let octaves = half_octaves + (entropy_q26(sums) >> 2u);
    let lowered = ceil_ratio(sums.mass, mantissa(table[table_index(octaves)], octaves), 31u + (octaves >> 24u));
    let limit = share_of(sums.mass, share);
    return threshold_cut(progress, found, BY_WEIGHT, select(limit, lowered, at_least64(limit, lowered)));
}

// The tokens within so many standard deviations (Q16) of the first one. Its sums are those of distances and their
// squares.
fn cut_top_n_sigma(progress: ptr<function, Progress>, found: Found, n_sigma: u32) -> Move {
    if (*progress).round == 1u {
        (*progress).round = 2u;
        var next = move_to_sum(LOWEST, (*progress).scale, *progress);
        next.task.weigh = BY_SQUARE;
        return next;
    }
    if (*progress).round == 2u {
        (*progress).sums = Sums(found.scan.mass, found.scan.surprisal, found.scan.count);
    }
    let first = distance_q20(bits_of_key(key_of_first(*progress)));
    let limit = first + sigma_distance(n_sigma, (*progress).sums);
    return threshold_cut(progress, found, BY_DISTANCE, vec2<u32>(limit, 0u));
}

// The tokens within a limit of a quantity, which is a threshold of the key: nothing is opened to find it.
fn threshold_cut(progress: ptr<function, Progress>, found: Found, quantity: u32, limit: vec2<u32>) -> Move {
    let scale = (*progress).scale;
    if (*progress).round == ROUND_ALONE {
        keep_to(found.scan.code, progress);
    } else if is_within(quantity, limit, key_of_first(*progress), scale) {
        keep_to(code_of_lowest(lowest_key(quantity, limit, scale)), progress);
    } else {
        // Not even the first is enough: it stays alone.
        (*progress).round = ROUND_ALONE;
        var next = move_to_select(SELECT_BY_COUNT, vec2<u32>(1u, 0u), *progress);
        next.opens = select(0u, 1u, all((*progress).run_first == HIGHEST));
        next.opens_to = next.opens == 0u;
        return next;
    }
    return end_cut(progress);
}
