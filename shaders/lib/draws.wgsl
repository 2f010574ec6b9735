// draws: sums of what is kept, then tokens at random points of the run, in token order; docs/sampling.md, "Drawing".
// Provides: advance_kept, advance_draw, advance_describe, words_of_draw, random.
// Needs: format, words, integers, exact, request, rng, numbers, list, scan, thresholds, row_program (.wgsl), the
// kernel's bindings `row_data`, `requests`, `records`.

// One, Q31.
const ONE_Q31: u32 = 0x80000000u;

// Of one, Q31: where a draft's probabilities leave less, their own rounding says too much of what is left.
const LEAST_REST: u32 = 0x80000u;

// Sums of what is kept, at the scale of pass 1 and at the one that is drawn at.
fn advance_kept() {
    let pass_scale = requests[request].pass_scale;
    let scale = progress.drawn_at.scale;
    progress.scale = scale;
    if now.round == 0u {
        progress.kept = sums_of(progress.stats);
        progress.kept_mass = progress.kept.mass;
        progress.all_mass = progress.kept.mass;
        let has_draft = is_verified() && (asked & ASKS_GREEDY) == 0u;
        now.weigh = BY_TILE;
        if !now.is_full || (asked & ASKS_DYNAMIC) != 0u || has_draft {
            now.weigh = BY_ROW;
            now.round = 1u;
            move_to_sum(LOWEST, pass_scale);
            next.task.to_tiles = true;
            next.by_row_max = true; // beside the mass of the row
            return;
        }
    } else {
        progress.kept = sums_found();
        if now.round == 1u {
            progress.kept_mass = scanned.mass;
            if !now.is_full {
                progress.ends = vec3<u32>(place_of_code(scanned.first), place_of_code(scanned.last),
                    bitcast<u32>(key_of_code(scanned.last)));
            }
            if !same_scale(scale, pass_scale) || any(run_first != HIGHEST) {
                now.round = 2u;
                move_to_sum(LOWEST, scale);
                next.task.to_tiles = true;
                return;
            }
        }
    }
    progress.share = progress.kept.mass;
    progress.rest = ONE_Q31;
    now.at = AT_DRAW;
    now.round = 0u;
    if now.weigh == BY_TILE {
        next.does = DOES_LOAD_TILES;
        next.task.scale = scale;
    }
}

// One draw; then AT_DESCRIBE, or AT_HEADER after the last. Its rounds say what the last move was:
//   0  none yet        1  the run's first token, of a greedy request        4  a draw
//   2  none since a draft token was rejected, a row of a block was to draw, or the residual was found to have no mass
//   3  the sum that leaves the masses of the tiles
fn advance_draw() {
    if now.draw >= requests[request].n_draws {
        now.at = AT_HEADER;
        now.round = 0u;
        return;
    }
    switch now.round {
        case 0u: {
            if (asked & ASKS_GREEDY) != 0u && chunk.stage != STAGE_TRY {
                now.round = 1u;
                move_to_sum(LOWEST, progress.scale);
                next.opens_to = false;
                next.opens = 1u; // the delegates' order is that of the tokens: it holds the first
                return;
            }
            if !is_verified() {
                move_to_draw();
                return;
            }
            let weight = weight_of(now.token);
            let drafted = draft_mass(min(now.token, chunk.vocab - 1u), progress.share);
            if block_place > 0u {
                if !advance_block(weight, drafted) {
                    return;
                }
            } else {
                // It stands with probability min(1, its mass in what is left over the draft's).
                now.is_accepted = is_hit(residual(weight, now.token, progress.taken), drafted);
                if !now.is_accepted {
                    reject(now.token);
                    now.weigh = BY_RESIDUAL;
                    now.round = 2u;
                    return;
                }
            }
        }
        case 1u: {
            now.token = place_of_code(scanned.first);
            now.is_accepted = now.token == progress.head.token;
            if chunk.stage == STAGE_WEIGH {
                leave_weights(vec2<u32>(u32(now.is_accepted), 0u), vec2<u32>(1u, 0u));
                return;
            }
            now.is_accepted |= block_place > 0u;
            rounds += requests[request].n_drafts;
            for (var i = 1u; i < requests[request].n_drafts; i++) {
                now.is_accepted |= now.token == draft_token(i);
            }
        }
        case 2u: {
            now.round = 3u;
            move_to_sum(LOWEST, progress.scale);
            next.task.weigh = now.weigh;
            next.task.to_tiles = true;
            return;
        }
        case 3u: {
            if chunk.stage == STAGE_TRY {
                leave_trial(is_block_accepted(scanned.mass));
                return;
            }
            if now.weigh == BY_RESIDUAL && progress.tried < requests[request].n_drafts {
                progress.share = share_of(scanned.mass);
                if any(progress.share != vec2<u32>(0u, 0u)) {
                    now.token = draft_token(progress.tried);
                    now.round = 0u;
                    return;
                }
            }
            move_to_draw();
            return;
        }
        default: {
            now.token = scanned.token;
            if now.weigh == BY_RESIDUAL && now.token == NO_TOKEN {
                // The draft leaves nothing: its probabilities sum to more than one.
                now.weigh = BY_ROW;
                now.round = 2u;
                return;
            }
        }
    }
    if now.draw == 0u {
        progress.first_token = now.token;
    }
    now.at = AT_DESCRIBE;
    now.round = 0u;
}

fn move_to_draw() {
    now.round = 4u;
    next.does = DOES_SCAN;
    next.task.kind = DRAW;
    next.task.level = OF_NEIGHBOURS;
    next.task.weigh = now.weigh;
    next.task.numbers = progress.numbers;
}

// Bits and rank of a drawn token in the view; the bits alone where nobody asks.
fn advance_describe() {
    let key = key_of_code(progress.code);
    let is_ranked = (asked & ASKS_TOKEN_ALONE) == 0u;
    if is_ranked && now.round == 0u {
        now.round = 1u;
        next.does = DOES_RANK;
        next.opens_to = true;
        next.bound = earlier_of(code_of_lowest(key), run_last);
        return;
    }
    let out = words_of_draw();
    records[out + DRAW_TOKEN] = now.token;
    let out_view = out + DRAW_VIEWS + select(0u, 3u, now.is_raw);
    records[out_view] = bits_of_key(key);
    if is_ranked {
        records[out_view + 1u] = found.greater;
        records[out_view + 2u] = found.equal;
    }
    // A run that begins with the row's first token and ends behind all equals of this one ranks it as the row does.
    let is_raw_too = !now.is_raw && !is_changed && (asked & ASKS_RAW) != 0u
        && all(run_first == HIGHEST) && key > key_of_code(run_last);
    if is_raw_too {
        records[out_view + 3u] = bits_of_key(key);
        records[out_view + 4u] = found.greater;
        records[out_view + 5u] = found.equal;
        progress.ranked |= 1u << now.draw;
    }
    now.draw += 1u;
    now.round = 0u;
    now.at = select(AT_DRAW, AT_RAW_DRAW, now.is_raw);
}

// Where the words of the draw at hand begin.
fn words_of_draw() -> u32 {
    return now.out + SAMPLE_HEADER_WORDS + now.draw * DRAW_WORDS;
}

fn random(position: vec2<u32>, purpose: u32) -> vec4<u32> {
    return philox(vec4<u32>(position, requests[request].stream, purpose), requests[request].seed);
}

// A draft token of several.
fn draft_token(number: u32) -> u32 {
    return row_data[requests[request].first_draft + number / 4u][number % 4u];
}

// Weight in the run of the token whose code is at hand.
fn weight_of(token: u32) -> vec2<u32> {
    if token >= chunk.vocab || !is_in_run(progress.code) {
        return vec2<u32>(0u, 0u);
    }
    return row_weight(octaves_below(max_bits, bits_of_key(key_of_code(progress.code)), progress.scale));
}

// Whether the random point of a mass lies in so much of it.
fn is_hit(own: vec2<u32>, mass: vec2<u32>) -> bool {
    return !at_least64(multiply_high64(progress.numbers.xy, mass), own);
}

// What is left is less than before a draft token fell.
fn reject(token: u32) {
    progress.taken = add64(progress.taken, progress.share);
    progress.rest -= min(progress.rest, draft_mass(token, vec2<u32>(ONE_Q31, 0u)).x);
    progress.tried += 1u;
}

// The mass of which the draft's probabilities are shares, where this mass is left: its quotient and what they leave of one,
// of 31 bits or more. 0 where no further draft token is tried: nothing is left, or too little to say what the draft would
// have drawn next.
fn share_of(left: vec2<u32>) -> vec2<u32> {
    let by = 32u - countLeadingZeros(left.y);
    let high = shift_right64(left, by).x;
    var quotient = vec2<u32>(high, 0u);
    if progress.rest < ONE_Q31 { // a divisor of 31 bits
        rounds += 64u;
        quotient = divide64(vec2<u32>(high << 31u, high >> 1u), max(progress.rest, 1u));
    }
    let share = shift_left64(quotient, by);
    let fits = all(shift_right64(quotient, 63u - by) == vec2<u32>(0u, 0u))
        && add64(progress.taken, share).y < 0x80000000u;
    return select(vec2<u32>(0u, 0u), share, fits && progress.rest >= LEAST_REST);
}
