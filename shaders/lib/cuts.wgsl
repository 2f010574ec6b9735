// cuts: one function per filter; docs/sampling.md defines them. Each narrows the run, the part of the one total order
// that is kept, by moving its ends, `run_first` and `run_last`.
// Provides: advance_cut. A cut more is a CUT_ constant, a case here, and its function.
// Needs: words, exact, request, numbers, list, scan, thresholds, draws, row_program (.wgsl), the binding `requests`.
//
// A cut that needs to see tokens makes moves; each move is answered by the next call, in `scanned`. `round` counts them:
//   0   the cut begins; the move is to take the sums of the run, if it wants them and pass 1 has not left them
//   1   the cut's first own call: from here on `sums` are there
//   2.. what its last move, which has set the round, found; ROUND_ALONE is that of a threshold, ROUND_EXEMPT one of XTC
// It ends with end_cut. Most cuts come down to the lowest key within a limit, which is sought here for all of them.

const FIRST_OPENED: u32 = 64u; // subtiles; then four times as many, and in the end the row
const ROUND_ALONE: u32 = 8u;
const ROUND_EXEMPT: u32 = 9u; // of XTC: a token that it spares is looked up
const FIRST_WEIGHT: vec2<u32> = vec2<u32>(0u, 0x800u); // 2^43, of the run's first token

// What a cut seeks: the lowest key within this.
var<private> quantity: u32;
var<private> limit: vec2<u32>;
var<private> centre: u32;    // of typical-p: mean distance, octaves
var<private> deviation: u32; // from it, that is still within
// Of the run, for the kinds that look at its entropy.
var<private> mean_distance: u32; // octaves, Q24
var<private> log2_mass: u32;     // Q26

// One call of the cut at hand.
fn advance_cut() {
    // Bisections and bits of logarithms, roots and quotients; a token that XTC spares is looked up without.
    rounds += select(256u, 0u, now.round == ROUND_EXEMPT);
    let cut = requests[request].cuts[now.cut];
    let scale = progress.scale;
    if now.round == 0u {
        now.round = 1u;
        progress.sums = sums_of(progress.stats);
        let has_sums = now.is_full && same_scale(scale, requests[request].pass_scale);
        if !has_sums && wants_sums(cut.x) {
            move_to_sum(LOWEST, scale);
            return;
        }
    } else if now.round == 1u {
        progress.sums = sums_found();
    }
    if wants_entropy(cut.x) {
        mean_distance = mean_octaves(progress.sums);
        log2_mass = octaves_of(progress.sums.mass);
    }
    // Most limits are a share of a mass, one of an entropy.
    quantity = BY_WEIGHT;
    var mass = progress.sums.mass;
    if cut.x == CUT_MIN_P {
        mass = FIRST_WEIGHT;
    } else if cut.x == CUT_TOP_A {
        mass = first_squared(mass);
    } else if cut.x == CUT_TOP_H {
        mass = scanned.mass;
    }
    limit = ceil_ratio(mass, cut.y, cut.z);
    var seeks = true; // min-p, top-a, epsilon: the tokens with a share of this mass
    switch cut.x {
        case CUT_TEMPERATURE: {
            seeks = set_temperature();
        }
        case CUT_TOP_K: {
            seeks = cut_top_k(cut.y);
        }
        case CUT_TOP_P: {
            seeks = cut_top_p();
        }
        case CUT_TYPICAL_P: {
            seeks = cut_typical_p();
        }
        case CUT_TOP_N_SIGMA: {
            seeks = cut_top_n_sigma(cut.y);
        }
        case CUT_XTC: {
            seeks = cut_xtc(cut.w);
        }
        case CUT_P_LESS: {
            seeks = cut_p_less();
        }
        case CUT_TOP_H: {
            seeks = cut_top_h();
        }
        case CUT_ETA: {
            seeks = cut_eta(cut.w);
        }
        default: {
        }
    }
    if !seeks {
        return;
    }
    let lowest = code_of_lowest(lowest_key(scale));
    let is_any = at_least(code_of_lowest(key_of_bits(max_bits)), lowest);
    switch cut.x {
        case CUT_TYPICAL_P: {
            typical_p_found(lowest);
        }
        case CUT_XTC: {
            xtc_found(lowest, is_any);
        }
        default: {
            threshold_found(lowest, is_any);
        }
    }
}

// Whether a kind of cut asks for the sums of the run.
fn wants_sums(kind: u32) -> bool {
    switch kind {
        case CUT_TOP_K, CUT_MIN_P, CUT_TOP_N_SIGMA, CUT_P_LESS: {
            return false;
        }
        case CUT_TEMPERATURE: {
            return (asked & ASKS_DYNAMIC) != 0u;
        }
        default: {
            return true;
        }
    }
}

fn wants_entropy(kind: u32) -> bool {
    return kind == CUT_TYPICAL_P || kind == CUT_TOP_H || kind == CUT_ETA
        || (kind == CUT_TEMPERATURE && (asked & ASKS_DYNAMIC) != 0u);
}

fn sums_found() -> Sums {
    return Sums(scanned.mass, scanned.surprisal, scanned.count);
}

fn end_cut() {
    now.is_full = false;
    now.cut += 1u;
    now.round = 0u;
}

// Nothing behind this code is kept.
fn keep_to(code: vec2<u32>) {
    run_last = earlier_of(code, run_last);
}

// Probabilities are those at the temperature from here on. A dynamic one depends on the sums of the run.
fn set_temperature() -> bool {
    if (asked & ASKS_DYNAMIC) != 0u {
        progress.drawn_at = dynamic_scale(progress.sums.count);
    }
    progress.scale = progress.drawn_at.scale;
    now.cut += 1u;
    now.round = 0u;
    return false;
}

// The first k tokens.
fn cut_top_k(k: u32) -> bool {
    if now.round == 1u {
        now.round = 2u;
        now.subtiles = k;
        move_to_select(SELECT_BY_COUNT, vec2<u32>(k, 0u));
        return false;
    }
    if scanned.is_reached { // otherwise fewer are left
        keep_to(scanned.code);
    }
    end_cut();
    return false;
}

// Whether what a selection has found holds for the whole run: nothing that was not opened comes before it.
fn is_settled() -> bool {
    return !now.is_full || found.is_all
        || (scanned.is_reached && at_least(scanned.code, found.floor));
}

// The first tokens whose mass reaches a share of the run's.
fn cut_top_p() -> bool {
    let is_first = now.round == 1u;
    if is_first {
        now.round = 2u;
        now.subtiles = FIRST_OPENED;
        progress.limit = limit;
    }
    if is_first || !is_settled() {
        move_to_select(SELECT_BY_MASS, progress.limit);
        now.subtiles *= 4u; // should these not be enough
        return false;
    }
    if scanned.is_reached { // otherwise pass 1 has rounded the share up to more than there is
        keep_to(scanned.code);
    }
    end_cut();
    return false;
}

// The tokens nearest to the mean distance from the maximum whose mass reaches a share of the run's. They are a run:
// what lies between the two places, above and below the mean, at which the deviation is still within what is reached.
// Its rounds: 2 a selection, 3 the lower place is found, 4 the upper one too.
fn cut_typical_p() -> bool {
    if now.round == 4u { // the run's first token, exactly
        run_first = scanned.first;
        end_cut();
        return false;
    }
    centre = mean_distance;
    deviation = ~scanned.code.x;
    quantity = BY_OCTAVES;
    if now.round == 3u {
        limit = vec2<u32>(centre - deviation - 1u, 0u);
        return true;
    }
    let is_first = now.round == 1u;
    if is_first {
        now.round = 2u;
        now.subtiles = FIRST_OPENED;
        progress.limit = limit;
    }
    var is_settled = !is_first;
    if is_settled && now.is_full && !found.is_all {
        // Everything as near the centre as this must lie above the floor.
        let at_floor = octaves_below(max_bits, bits_of_key(key_of_code(found.floor)), progress.scale);
        is_settled = scanned.is_reached && centre + deviation < at_floor;
    }
    if !is_settled {
        move_to_select(SELECT_BY_NEARNESS, progress.limit);
        next.task.operand = centre;
        now.subtiles *= 4u; // should these not be enough
        return false;
    }
    if !scanned.is_reached {
        end_cut();
        return false;
    }
    limit = vec2<u32>(centre + deviation, 0u);
    return true;
}

fn typical_p_found(lowest: vec2<u32>) {
    if now.round == 2u {
        keep_to(lowest);
        if centre > deviation {
            now.round = 3u;
            return;
        }
    } else {
        let below = lowest - vec2<u32>(1u, 1u); // the last code of the next lower key
        run_first = select(below, run_first, at_least(below, run_first));
    }
    now.round = 4u;
    move_to_sum(LOWEST, progress.scale);
}

// Where at least two tokens have a share of the run's mass and the coin says so, only the last of these and what
// follows; but all, where one that is spared comes before it.
fn cut_xtc(coin: u32) -> bool {
    if now.round == 1u && progress.numbers.x <= coin {
        return true;
    }
    var acts = now.round == 2u && scanned.count >= 2u;
    if acts {
        progress.survivor = scanned.last;
        progress.exempt = 0u;
    } else if now.round == ROUND_EXEMPT {
        acts = !is_in_run(progress.code) || at_least(progress.survivor, progress.code);
        progress.exempt += 1u;
    }
    if acts && progress.exempt < requests[request].n_xtc_exempt {
        now.round = ROUND_EXEMPT; // the next one's code is looked up
        return false;
    }
    if acts {
        run_first = progress.survivor;
    }
    end_cut();
    return false;
}

fn xtc_found(lowest: vec2<u32>, is_any: bool) {
    if is_any {
        now.round = 2u;
        move_to_sum(lowest, progress.scale);
    } else {
        end_cut();
    }
}

// The tokens with a share of the run's mass, or with 2^-(so many octaves, Q24, and its entropy) of it where that is less.
fn cut_eta(half_octaves: u32) -> bool {
    let octaves = half_octaves + (entropy_q26() >> 2u);
    let lowered = ceil_ratio(
        progress.sums.mass, mantissa(table[table_index(octaves)], octaves), 31u + (octaves >> 24u));
    limit = select(limit, lowered, at_least64(limit, lowered));
    return true;
}

// The first tokens whose entropy is at most a share of the run's. Its rounds: 2 the sum of all entropies, 3 a selection of
// the first token that is too much, 4 that one's own code.
fn cut_top_h() -> bool {
    if now.round == 1u {
        now.round = 2u;
        move_to_sum(LOWEST, progress.scale);
        next.task.weigh = BY_ENTROPY;
        next.task.operand = log2_mass;
        return false;
    }
    if now.round == 4u {
        // Alone, it is the run's first, which stays.
        let last = scanned.last;
        let before = select(vec2<u32>(last.x, last.y + 1u), vec2<u32>(last.x + 1u, 0u), last.y == LAST_TOKEN);
        keep_to(select(before, last, scanned.count == 1u));
        end_cut();
        return false;
    }
    let is_first = now.round == 2u;
    if is_first {
        now.round = 3u;
        now.subtiles = FIRST_OPENED;
        progress.limit = add64(limit, vec2<u32>(1u, 0u));
    }
    if is_first || !is_settled() {
        move_to_select(SELECT_BY_MASS, progress.limit);
        next.task.weigh = BY_ENTROPY;
        next.task.operand = log2_mass;
        now.subtiles *= 4u; // should these not be enough
        return false;
    }
    if scanned.is_reached { // otherwise there is no entropy to speak of
        now.round = 4u;
        move_to_sum(scanned.code, progress.scale);
    } else {
        end_cut();
    }
    return false;
}

// The tokens of at least the probability that two draws agree. Its sums are those of weights and of their squares.
fn cut_p_less() -> bool {
    if now.round == 1u {
        now.round = 2u;
        move_to_sum(LOWEST, progress.scale);
        next.task.weigh = BY_WEIGHT_SQUARE;
        return false;
    }
    limit = share_q43(scanned.surprisal, scanned.mass);
    return true;
}

// The tokens within so many standard deviations (Q16) of the first one. Its sums are those of distances and their
// squares.
fn cut_top_n_sigma(n_sigma: u32) -> bool {
    if now.round == 1u {
        now.round = 2u;
        move_to_sum(LOWEST, progress.scale);
        next.task.weigh = BY_SQUARE;
        return false;
    }
    if now.round == 2u {
        progress.sums = sums_found();
    }
    quantity = BY_DISTANCE;
    limit = vec2<u32>(sigma_distance(n_sigma, progress.sums), 0u);
    return true;
}

// The tokens within a limit of a quantity, which is a threshold of the key: nothing is opened to find it.
fn threshold_found(lowest: vec2<u32>, is_any: bool) {
    if now.round == ROUND_ALONE {
        keep_to(scanned.code);
    } else if is_any {
        keep_to(lowest);
    } else {
        // Not even the first is enough: it stays alone.
        now.round = ROUND_ALONE;
        move_to_select(SELECT_BY_COUNT, vec2<u32>(1u, 0u));
        next.opens = select(0u, 1u, all(run_first == HIGHEST));
        next.opens_to = next.opens == 0u;
        return;
    }
    end_cut();
}
