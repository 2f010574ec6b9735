// blocks: draft tokens that are verified as one block, docs/sampling.md, 7, in three dispatches: what a row says of its own draft
// token decides what the rows behind it try, and these decide what it draws.
// Provides: is_verified, has_part_in, advance_block, is_block_accepted, leave_weights, leave_trial, begin_block, end_block.
// Needs: words, integers, numbers, request, scan, draws, row_program (.wgsl), the kernel's bindings `requests`, `records`.

// Until it is found: the high word of a mass, or whether a row accepts.
const UNKNOWN: u32 = 0xffffffffu;

// Whether a draft has a say in what the row draws.
fn is_verified() -> bool {
    return progress.head.token != NO_TOKEN || block_place > 0u;
}

// Whether a row has something to do in the dispatch at hand.
fn has_part_in(head: Head) -> bool {
    let place = requests[head.request].block_place;
    return chunk.stage == STAGE_ALL || (chunk.stage == STAGE_WEIGH && place > 0u && head.token != NO_TOKEN)
        || (chunk.stage == STAGE_TRY && place > 1u);
}

// A row of a block that comes to its draw, with its draft token's weight and what the draft gives it: true where it draws that
// token, otherwise the next move is made.
fn advance_block(weight: vec2<u32>, drafted: vec2<u32>) -> bool {
    let out = now.out;
    switch chunk.stage {
        case STAGE_WEIGH: {
            leave_weights(weight, drafted);
            return false;
        }
        case STAGE_TRY: {
            progress.part = part_before();
            records[out + SAMPLE_MASS] = progress.part;
            if progress.ends_block { // what stands is all that is left
                scanned.mass = vec2<u32>(progress.part, 0u);
                now.round = 3u;
                return false;
            }
            if (asked & ASKS_GREEDY) != 0u && next.does == 0u {
                leave_trial(progress.part > 0u);
                return false;
            }
        }
        default: {
            now.is_accepted = true; // of the first row
            if is_outdone() {
                return true;
            }
            if block_place > 1u {
                progress.part = records[out + SAMPLE_MASS];
                if records[out + SAMPLE_ACCEPTED] == UNKNOWN {
                    next.does = DOES_CUT;
                }
            }
        }
    }
    if progress.head.token != NO_TOKEN {
        progress.taken = progress.kept.mass;
    }
    now.weigh = BY_RESIDUAL;
    now.round = 2u;
    return false;
}

// min(1, the product of the ratios of the draft tokens before the row), Q31.
fn part_before() -> u32 {
    let before = block_place - 1u;
    rounds += before * 80u;
    var part = ONE_Q31;
    for (var i = before; i > chunk.nothing; i--) {
        let record = now.out - i * chunk.record_words;
        let drafted = read64(drafted_of(record));
        if drafted.y == UNKNOWN {
            next.does = DOES_CUT;
        }
        part = ratio_of(part_of(read64(weight_of_draft(record)), part), drafted);
    }
    return part;
}

// min(1, own / drafted), Q31, of masses up to 2^63; 0 where there is no own.
fn ratio_of(own: vec2<u32>, drafted: vec2<u32>) -> u32 {
    if all(own == vec2<u32>(0u, 0u)) {
        return 0u;
    }
    if at_least64(own, drafted) {
        return ONE_Q31;
    }
    let by = 33u - min(33u, countLeadingZeros(drafted.y) + select(0u, countLeadingZeros(drafted.x), drafted.y == 0u)); // to 31 bits
    let high = shift_right64(own, by).x;
    return divide64(vec2<u32>(high << 31u, high >> 1u), shift_right64(drafted, by).x).x;
}

// Whether a row of the block behind this one stands.
fn is_outdone() -> bool {
    let behind = requests[request].block_behind;
    rounds += behind;
    var stands = false;
    for (var i = chunk.nothing; i < behind; i++) {
        let accepted = records[now.out + (i + 1u) * chunk.record_words + SAMPLE_ACCEPTED];
        if accepted == UNKNOWN {
            next.does = DOES_CUT;
        }
        stands |= accepted == 1u;
    }
    return stands;
}

// Whether the draft tokens before the row stand, where so much is left of its weights: of that and what they lack of one.
fn is_block_accepted(left: vec2<u32>) -> bool {
    let lacks = subtract64(progress.kept.mass, part_of(progress.kept.mass, progress.part));
    return is_hit(left, add64(left, lacks));
}

fn leave_weights(weight: vec2<u32>, drafted: vec2<u32>) {
    write64(weight_of_draft(now.out), weight);
    write64(drafted_of(now.out), drafted);
    now.at = AT_END;
}

fn leave_trial(is_accepted: bool) {
    records[now.out + SAMPLE_ACCEPTED] = u32(is_accepted);
    now.at = AT_END;
}

// Before a row has said something. What the dispatches before this one read again counts.
fn begin_block() {
    let out = now.out;
    let place = block_place;
    let is_weighed = requests[request].block_behind > 0u && chunk.stage != STAGE_WEIGH;
    if place > 0u && (is_weighed || (place > 1u && chunk.stage == STAGE_ALL)) {
        reopened = records[out + SAMPLE_REOPENED];
    }
    if chunk.stage != STAGE_ALL {
        records[select(out + SAMPLE_ACCEPTED, drafted_of(out) + 1u, chunk.stage == STAGE_WEIGH)] = UNKNOWN;
    }
}

// A row from which nothing is drawn: its block ends with it, whatever is behind it.
fn end_block() {
    if chunk.stage == STAGE_WEIGH {
        leave_weights(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u));
    } else {
        now.at = AT_DRAW;
        progress.kept.mass = vec2<u32>(ONE_Q31, 0u);
        progress.ends_block = true;
    }
}

// Between the dispatches a record has in place of its draw the weight of its draft token and what the draft gives it; in place of
// its mass `part_before`.
fn weight_of_draft(record: u32) -> u32 {
    return record + SAMPLE_HEADER_WORDS;
}

fn drafted_of(record: u32) -> u32 {
    return record + SAMPLE_HEADER_WORDS + 2u;
}

fn read64(at: u32) -> vec2<u32> {
    return vec2<u32>(records[at], records[at + 1u]);
}
