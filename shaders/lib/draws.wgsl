// draws: sums of what is kept, then tokens at random points of the run, in token order; docs/sampling.md, "Drawing".
// Provides: advance_kept, advance_draw, advance_describe, random, draw.
// Needs: format, words, integers, exact, request, rng, numbers, list, scan, thresholds, row_program (.wgsl), the
// kernel's bindings `requests`, `table`, `scratch`, `records`.

// Sums of what is kept, at the scale of pass 1 and at the one that is drawn at.
fn advance_kept(progress: ptr<function, Progress>, found: Found) -> Move {
    let flags = requests[request].flags;
    let pass_scale = requests[request].pass_scale;
    let scale = (*progress).drawn_at.scale;
    (*progress).scale = scale;
    if (*progress).round == 0u {
        (*progress).kept = sums_of((*progress).stats);
        (*progress).kept_mass = (*progress).kept.mass;
        (*progress).all_mass = (*progress).kept.mass;
        let has_draft = (*progress).head.token != NO_TOKEN && (flags & ASKS_GREEDY) == 0u;
        if !(*progress).is_full || (flags & ASKS_DYNAMIC) != 0u || has_draft {
            (*progress).weigh = BY_ROW;
            (*progress).round = 1u;
            var next = move_to_sum(LOWEST, pass_scale, *progress);
            next.task.to_tiles = true;
            next.max_bits = bits_of_key((*progress).stats.max_key); // beside the mass of the row
            return next;
        }
        (*progress).weigh = BY_TILE;
    } else {
        (*progress).kept = Sums(found.scan.mass, found.scan.surprisal, found.scan.count);
        if (*progress).round == 1u {
            (*progress).kept_mass = found.scan.mass;
            if !same_scale(scale, pass_scale) || any((*progress).run_first != HIGHEST) {
                (*progress).round = 2u;
                var next = move_to_sum(LOWEST, scale, *progress);
                next.task.to_tiles = true;
                return next;
            }
        }
    }
    (*progress).at = AT_DRAW;
    (*progress).round = 0u;
    var next = no_move(*progress);
    next.loads_tiles = (*progress).weigh == BY_TILE;
    return next;
}

// One draw; then AT_DESCRIBE, or AT_LIST after the last. Its rounds say what the last move was:
//   0  none yet            1  the run's first token, of a greedy request
//   2  a draw of what the rejected draft has left over       3  a draw of the run
fn advance_draw(progress: ptr<function, Progress>, found: Found) -> Move {
    let draft_token = (*progress).head.token;
    if (*progress).draw >= requests[request].n_draws {
        write_header(*progress);
        (*progress).at = AT_LIST;
        (*progress).round = 0u;
        return no_move(*progress);
    }
    if (*progress).round == 0u {
        if (requests[request].flags & ASKS_GREEDY) != 0u {
            (*progress).round = 1u;
            var next = move_to_sum(LOWEST, (*progress).scale, *progress);
            next.opens_to = false;
            next.opens = 1u; // the delegates' order is that of the tokens: it holds the first
            return next;
        }
        if draft_token == NO_TOKEN {
            (*progress).round = 3u;
            return move_to_draw(*progress);
        }
        (*progress).is_accepted = accepts(draft_token, (*progress).scale, (*progress).head.position);
        if !(*progress).is_accepted {
            (*progress).weigh = BY_RESIDUAL;
            (*progress).round = 2u;
            return move_to_sum_and_draw(*progress);
        }
        (*progress).token = draft_token;
    } else if (*progress).round == 1u {
        (*progress).token = place_of_code(found.scan.first);
        (*progress).is_accepted = (*progress).token == draft_token;
    } else {
        (*progress).token = found.token;
        if (*progress).round == 2u && found.token == NO_TOKEN {
            // The draft leaves nothing: its probabilities sum to more than one.
            (*progress).weigh = BY_ROW;
            (*progress).round = 3u;
            return move_to_sum_and_draw(*progress);
        }
    }
    (*progress).drawn[(*progress).draw] = (*progress).token;
    (*progress).at = AT_DESCRIBE;
    (*progress).round = 0u;
    return no_move(*progress);
}

fn move_to_draw(progress: Progress) -> Move {
    var next = no_move(progress);
    next.draws = true;
    next.numbers = random(progress.head.position, FOR_DRAW + progress.draw);
    next.task.weigh = progress.weigh;
    return next;
}

// The draw after a rejected draft token, after a sum that leaves the masses of the tiles.
fn move_to_sum_and_draw(progress: Progress) -> Move {
    var next = move_to_draw(progress);
    // Whoever drafted may have used the numbers of the draw.
    next.numbers = random(progress.head.position, FOR_RESIDUAL);
    next.opens_to = true;
    next.bound = progress.run_last;
    next.task.kind = SUM;
    next.task.to_tiles = true;
    return next;
}

// Bits and rank of a drawn token in the view.
fn advance_describe(progress: ptr<function, Progress>, found: Found) -> Move {
    let key = key_of_code(code_of_token((*progress).token));
    if (*progress).round == 0u {
        (*progress).round = 1u;
        var next = move_to_sum(LOWEST, (*progress).scale, *progress);
        next.bound = earlier_of(code_of_lowest(key), (*progress).run_last);
        next.task.key = key;
        return next;
    }
    let out = (*progress).out + SAMPLE_HEADER_WORDS + (*progress).draw * DRAW_WORDS;
    records[out + DRAW_TOKEN] = (*progress).token;
    let out_view = out + DRAW_VIEWS + select(0u, 3u, (*progress).is_raw);
    records[out_view] = bits_of_key(key);
    records[out_view + 1u] = found.scan.greater;
    records[out_view + 2u] = found.scan.equal;
    (*progress).draw += 1u;
    (*progress).round = 0u;
    (*progress).at = select(AT_DRAW, AT_RAW_DRAW, (*progress).is_raw);
    return no_move(*progress);
}

fn random(position: vec2<u32>, purpose: u32) -> vec4<u32> {
    return philox(vec4<u32>(position, requests[request].stream, purpose), requests[request].seed);
}

fn draw_weight(token: u32, weigh: u32, scale: Scale) -> vec2<u32> {
    if token >= chunk.vocab {
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

var<workgroup> picked: vec2<u32>; // tile and token

// The token at a point of the run: its tile by the masses in `low` and `high`, then the token by the weights within,
// both in token order; two numbers of 64 bits choose them. NO_TOKEN where there is no mass at all.
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
            for (var i = chunk.nothing; i < 16u; i++) {
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
                for (var i = chunk.nothing; i < 16u; i++) {
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
