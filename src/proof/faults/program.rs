//! The faults of the kernel that draws: its program, its cuts, its scan.

use super::Fault;

pub(super) const ROW_SAMPLE: &[Fault] = faults! {
    "what has finished goes on": "begin_program(finish_of(head.request));" => "begin_program(0u);";
    "a stop is a length": "SAMPLE_STATUS] = finish;" => "SAMPLE_STATUS] = finish ^ 192u;";
    // row_program
    "a cut behind the last":
        "now.cut >= requests[request].n_cuts" => "now.cut > requests[request].n_cuts";
    "half the surprisal of pass 1":
        "shift_left64(stats.surprisal, 3u)" => "shift_left64(stats.surprisal, 2u)";
    "one unit makes one scale":
        "a.shift == b.shift && a.rate == b.rate" => "a.shift == b.shift || a.rate == b.rate";
    "no draft is accepted": "= u32(now.is_accepted)" => "= 0u";
    "the kept mass is that at the draw's scale":
        "SAMPLE_KEPT_MASS, progress.kept_mass" => "SAMPLE_KEPT_MASS, progress.kept.mass";
    "a narrower run is not opened": "next.opens_to = !now.is_full;" => "next.opens_to = false;";
    "the row's mass is what is kept of it":
        "write64(out + SAMPLE_ALL_MASS, progress.all_mass)"
            => "write64(out + SAMPLE_ALL_MASS, progress.kept_mass)";
    "the bound is behind the floor":
        "at_least(next.bound, found.floor)" => "at_least(found.floor, next.bound)";
    "a bound's floor is a count's": "select(LAST_TOKEN - last_token, 0u, is_bound)" => "0u";
    "once the row is open, it stays open": "any(run_last != last_of_opened)" => "false", equivalent:
        "only more is read than need be, which nobody compares";
    "more subtiles than there is room for": "|| next.opens > MOST_CHOSEN" => "", equivalent:
        "the take counts them all the same, and the row is opened whole";
    "more subtiles are taken than there is room for":
        "found.is_all = opened > MOST_CHOSEN" => "found.is_all = false";
    "the run ends with the row": "= place_of_code(run_last);" => "= LAST_TOKEN;";
    "the run begins with the row": "= place_of_code(run_first);" => "= 0u;";
    "the last end is the first": "place_of_code(scanned.last)," => "place_of_code(scanned.first),";
    "ends of what nothing cut": "if !now.is_full {\n                progress.ends" => "if true {\n                progress.ends";
    // cuts
    "a later cut widens the run":
        "run_last = earlier_of(code, run_last)" => "run_last = code";
    "cut off below the floor":
        "at_least(scanned.code, found.floor)" => "at_least(found.floor, scanned.code)";
    "xtc wants three tokens": "scanned.count >= 2u" => "scanned.count > 2u";
    "xtc leaves the first":
        "survivor = scanned.last" => "survivor = scanned.first";
    "xtc spares its survivor alone":
        "at_least(progress.survivor, progress.code)" => "any(progress.survivor != progress.code)";
    "xtc spares what is not in the run": "!is_in_run(progress.code) ||" => "";
    "xtc spares the first token of a quad": "[progress.exempt % 4u]" => "[0u]";
    "xtc spares one token": "progress.exempt < requests[request].n_xtc_exempt" => "progress.exempt < min(requests[request].n_xtc_exempt, 1u)";
    "xtc's coin falls the other way": "progress.numbers.x <= coin" => "progress.numbers.x >= coin";
    "a token too near the mean":
        "vec2<u32>(centre - deviation - 1u, 0u)" => "vec2<u32>(centre - deviation, 0u)";
    "a mean as far as the deviation": "centre > deviation" => "centre >= deviation";
    "a deviation that reaches the floor":
        "centre + deviation < at_floor" => "centre + deviation <= at_floor", equivalent:
        "what is not opened lies at the floor or behind it, so deviates by no less than what already reaches the share";
    "typical_p settles with what is opened": "centre + deviation < at_floor" => "centre < at_floor";
    "a dynamic temperature of the whole row":
        "return (asked & ASKS_DYNAMIC) != 0u" => "return false";
    "sums of pass 1 at any scale":
        "has_sums = now.is_full &&" => "has_sums = now.is_full ||";
    "top_k keeps all it reaches":
        "if scanned.is_reached { // otherwise fewer are left" => "if !scanned.is_reached {";
    "a first that is not enough stays with the second":
        "move_to_select(SELECT_BY_COUNT, vec2<u32>(1u, 0u)"
            => "move_to_select(SELECT_BY_COUNT, vec2<u32>(2u, 0u)";
    "min_p of a token one octave down":
        "vec2<u32>(0u, 0x800u)" => "vec2<u32>(0u, 0x400u)";
    "top_h keeps what is too much":
        "select(before, last, scanned.count == 1u)" => "last";
    "top_h drops a first that is too much":
        "select(before, last, scanned.count == 1u)" => "before";
    "top_h keeps what is all it may": "progress.limit = add64(limit, vec2<u32>(1u, 0u));" => "progress.limit = limit;";
    "top_h's share is the mass's": "CUT_TOP_H {\n        mass = scanned.mass;" => "CUT_TOP_H {\n        mass = progress.sums.mass;";
    "an entropy within the run's maximum": "shift_right64(of_mass, 19u)" => "shift_right64(of_mass, 20u)";
    "an entropy of half the octaves": "shift_right64(own.surprisal, 5u)" => "shift_right64(own.surprisal, 6u)";
    "p_less by the weights themselves":
        "share_q43(scanned.surprisal, scanned.mass)" => "share_q43(scanned.mass, scanned.mass)";
    "a square of half the bits": "shift_right64(mul_wide(short, short), 19u)" => "shift_right64(mul_wide(short, short), 20u)";
    "a share rounded down": "u32(any(rest != vec2<u32>(0u, 0u)))" => "0u";
    "a share of one bit less": "bit <= 43u" => "bit < 43u";
    // thresholds
    "a limit is outside": "distance_q20(bits) <= limit.x" => "distance_q20(bits) < limit.x";
    "a threshold one key too high": "u32(within - below) > 1u" => "u32(within - below) > 2u";
    "a weight above its limit only":
        "return at_least64(row_weight(octaves), limit)" => "return !at_least64(limit, row_weight(octaves))";
    "a variance of one bit less": "shift_left64(variance, 12u)" => "shift_left64(variance, 11u)";
    "a mean of twice the octaves": "shift_right64(sums.mass, 8u)" => "shift_right64(sums.mass, 9u)";
    "an entropy of one bit more": "(43u << 26u)" => "(42u << 26u)";
    "a temperature that is a power of two": "unit == 0x800000u" => "unit == 0x800001u";
    "an entropy of all there can be": "entropy < most" => "entropy <= most", equivalent:
        "the ratio is 1 then, its power no octave below one, and the table's entry of none the same 2^31";
    // draws
    "a greedy draft is never right":
        "now.is_accepted = now.token == progress.head.token" => "now.is_accepted = false";
    "a greedy sibling is never right":
        "now.is_accepted |= now.token == draft_token(i)" => "now.is_accepted |= false";
    "the last sibling is not tried":
        "progress.tried < requests[request].n_drafts" => "progress.tried + 1u < requests[request].n_drafts";
    "siblings are tried with one number": "FOR_ACCEPT + progress.tried" => "FOR_ACCEPT";
    "a sibling is tried on the whole run":
        "is_hit(residual(weight, now.token, progress.taken)" => "is_hit(weight";
    "a sibling's share is the run's": "progress.share = share_of(scanned.mass)" => "progress.share = progress.kept.mass";
    "what fell stays in the draft": "progress.rest -= min(progress.rest," => "progress.rest -= min(0u,";
    "the residual of the last sibling alone":
        "progress.taken = add64(progress.taken, progress.share)" => "progress.taken = progress.share";
    "a share without its shift": "let share = shift_left64(quotient, by)" => "let share = quotient";
    "a share loses its highest bits":
        "let fits = all(shift_right64(quotient, 63u - by) == vec2<u32>(0u, 0u))\n        && " => "let fits = ";
    "a sure draft's siblings are tried": "fits && progress.rest >= LEAST_REST" => "fits";
    "the two numbers of a draw change places":
        "select(task.numbers.xy, task.numbers.zw, digit == 1u)"
            => "select(task.numbers.zw, task.numbers.xy, digit == 1u)";
    "a draft stands where it should fall":
        "return !at_least64(multiply_high64" => "return at_least64(multiply_high64";
    "raw words over processed ones":
        "select(0u, 3u, now.is_raw)" => "select(3u, 0u, now.is_raw)";
    "a draft that leaves nothing": "now.weigh == BY_RESIDUAL && now.token == NO_TOKEN" => "false";
    "a rejected draft's draw takes numbers of the first":
        "select(FOR_RESIDUAL, FOR_ACCEPT" => "select(FOR_DRAW, FOR_ACCEPT";
    "the kept mass is a surprisal":
        "progress.kept_mass = scanned.mass;" => "progress.kept_mass = progress.kept.surprisal;";
    "a rank among equals that are cut off is the row's":
        "&& all(run_first == HIGHEST) && key > key_of_code(run_last)" => "&& all(run_first == HIGHEST)";
    "a rank behind a run's later beginning is the row's":
        "&& all(run_first == HIGHEST) && key > key_of_code(run_last)" => "&& key > key_of_code(run_last)";
    "a rank among changed logits is the row's": "!now.is_raw && !is_changed &&" => "!now.is_raw &&";
    "all draws of a row are the first": "FOR_DRAW + now.draw" => "FOR_DRAW";
    "a residual below nothing":
        "subtract64(mass, select(taken, mass, at_least64(taken, mass)))" => "subtract64(mass, taken)";
    // blocks
    "a block's second row is not tried": "STAGE_TRY && place > 1u" => "STAGE_TRY && place > 2u";
    "the rows of a block are tried with one number": "purpose = FOR_ACCEPT + place" => "purpose = FOR_ACCEPT";
    "a block is tried with the numbers of each row's position":
        "position = head_of(row - place).position" => "position = progress.head.position";
    "the token right before a row of a block stands": "i > chunk.nothing; i--" => "i > 1u; i--";
    "a token makes nothing good": "part_of(read64(weight_of_draft(record)), part)" => "read64(weight_of_draft(record))";
    "a ratio above one": "if at_least64(own, drafted) {" => "if false {";
    "a ratio of one bit less": "let by = 33u - min(33u," => "let by = 32u - min(32u,";
    "an impossible token makes a block": "if all(own == vec2<u32>(0u, 0u)) {" => "if false {";
    "the last row of a block decides alone": "stands |= accepted == 1u" => "stands = accepted == 1u";
    "a block that stands too often": "add64(left, lacks)" => "left";
    "a block is tried on the whole run":
        "part_of(own.mass, task.operand)" => "own.mass";
    "the draft has a share of the last row":
        "if progress.head.token != NO_TOKEN {\n        progress.taken" => "if true {\n        progress.taken";
    "a greedy block always stands": "leave_trial(progress.part > 0u)" => "leave_trial(true)";
    "a greedy draft token is of no weight":
        "leave_weights(vec2<u32>(u32(now.is_accepted), 0u)" => "leave_weights(vec2<u32>(0u, 0u)";
    "a block that ends with a stop always stands":
        "scanned.mass = vec2<u32>(progress.part, 0u)" => "scanned.mass = vec2<u32>(ONE_Q31, 0u)";
    "a block goes on behind nothing":
        "leave_weights(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u))" => "leave_weights(vec2<u32>(1u, 0u), vec2<u32>(0u, 0u))";
    "what the dispatches before read again is forgotten":
        "reopened = records[out + SAMPLE_REOPENED];" => "reopened = 0u;", equivalent:
        "work, and no part of an answer";
    "a block's draw is from all of the weights":
        "progress.part = records[out + SAMPLE_MASS]" => "progress.part = ONE_Q31";
    "what a block's row found is written over":
        "if block_place <= 1u { // others" => "if true { // others";
    // scan, as a draw walks down it
    "the point of sixteen tokens is that of their tile":
        "if draws && digit < 2u {" => "if draws && digit < 1u {";
    "the tiles before count as tokens before": "if digit == 0u {\n                before" => "if digit == 9u {\n                before";
    "tokens of a tile in their opposite order":
        "leave(select(lane, 255u - lane, draws))" => "leave(lane)";
    "a mass of the tiles one place off": "hold(255u - token / TILE" => "hold(254u - token / TILE";
    "what was held back for a tile is dropped": "        let_go();\n        held_place" => "        held_place";
    // views
    "a list of as many as are kept":
        "select(progress.kept.count, progress.stats.n_greater, is_raw)" => "progress.kept.count";
    "the raw list over the processed one":
        "select(0u, 2u * chunk.listed, is_raw)" => "select(0u, chunk.listed, is_raw)";
    "the raw view is always the second": "view = chunk.views - 1u" => "view = 1u";
    "the raw view keeps the run's end":
        "run_last = LOWEST;\n            now.is_full" => "now.is_full";
    "the last draw has no raw words":
        "now.draw < requests[request].n_draws" => "now.draw + 1u < requests[request].n_draws";
    // scan
    "a sum of masses without its carry": "u32(before + mass.x < before)" => "0u";
    "weights of a run one bit too low": "vec2<u32>(mantissa << 12u, mantissa >> 20u)" => "vec2<u32>(mantissa << 12u, mantissa >> 21u)";
    "a draft's probability of one": "if exponent >= 127u {" => "if exponent > 127u {";
    "distances beyond 256": "half_distance < 1000.0" => "half_distance > -1.0";
    "a digit that is not whole is":
        "atomicLoad(&histogram[value]) == 1u" => "atomicLoad(&histogram[value]) >= 1u";
    "a count of less than there are":
        "task.kind == SELECT_BY_COUNT && all(through == wanted)"
            => "task.kind == SELECT_BY_COUNT && any(through == wanted)";
    "the floor is not looked at": "is_all && !has_floor" => "is_all";
    "a few of a row that is cut": "if now.is_full && now.listed > 0u &&" => "if now.listed > 0u &&";
    "no run for the long lists": "max(chunk.listed, chunk.top_raw) > MOST_LISTED" => "false";
    "more than a few are taken for them": "&& found.few <= MOST_LISTED" => "";
    "a few are listed, and not as many as are asked for":
        "&& place < listed" => "";
    // ranks
    "counts of equal logits from the draw before":
        "atomicStore(&rank_counts[lane], 0u)" => "atomicStore(&rank_counts[0], 0u)";
    "a rank counts equal logits as greater": "(keys > vec4<i32>(key))" => "(keys >= vec4<i32>(key))";
    "a rank counts the logits before the run": "(keys < first) | " => "(keys <= first) | ";
    "a rank counts equal logits behind the run": "(tokens <= vec4<u32>(end))" => "(tokens <= vec4<u32>(LAST_TOKEN))";
    "a rank counts past the row": "(tokens != vec4<u32>(NO_TOKEN))" => "(tokens == tokens)";
    "a rank leaves out the changes of a lane's second half": "half < 2u" => "half < 1u";
    "two of four go unchanged": "pair < 2u; pair++) {\n        changed" => "pair < 1u; pair++) {\n        changed";
    "the last four are not looked at": "i < n + 4u * stride" => "i < n";
    "the last eight are not looked at": "i < n + 8u * LANES" => "i < n";
    "what is put off is lost": "put_off = next;" => "";
    "a rank's tokens are its first four": "ranks_among(bits_b, b, key)" => "ranks_among(bits_b, a, key)";
    "a -0 is less than +0 among four": "raw == vec4<i32>(-1)" => "raw == vec4<i32>(-2)";
    "the last of a run is its first":
        "select(own.last, last, at_least(own.last, last))" => "select(own.last, last, at_least(last, own.last))";
    "fewer lanes are joined": "join(lane + i * lanes)" => "join(lane + i * (lanes >> 1u))";
    "a group of digits too many":
        "!at_least64(add64(before, group_masses[group]), wanted)"
            => "at_least64(wanted, add64(before, group_masses[group]))";
    "a lane's sums are read before they are there":
        "workgroupBarrier(); // every item is added before sixteen" => "// every item is added before sixteen";
    "nothing waits for an empty histogram":
        "workgroupBarrier(); // everything is empty before the adding"
            => "// everything is empty before the adding";
    "the codes behind the lowest of a key":
        "vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, 0u)" => "vec2<u32>(bitcast<u32>(key) ^ 0x80000000u, 1u)";
    "what is taken begins behind its place":
        "|| !at_least(code, task.from_code)" => "|| at_least(task.from_code, code)";
    "a token without weight is near": "octaves != FAR || task.kind != SELECT_BY_NEARNESS" => "true", equivalent:
        "it adds no mass, so no share is reached at it";
    // radix, list, merge
    "the largest of a range": "min(walk.first.x + span, walk.last), LAST_TOKEN)" => "min(walk.first.x + span, walk.last), 0u)";
    "what lies far below the largest is not looked at": "is_top(walk) && !is_part" => "false";
    "what is opened first is looked at to its end": "is_top(walk) && !is_part" => "is_top(walk)", equivalent:
        "only more is read than need be, which nobody compares";
    "codes above what is left are in it": "if code.x > walk.last {" => "if false {";
    "xtc tosses no coin": "now.round <= 1u && requests" => "now.round == 1u && requests";
    "four logits without their signs":
        "select(magnitude, vec4<u32>(0u) - magnitude, bits >= vec4<u32>(0x80000000u))" => "magnitude";
    "four octaves of half the distance": "distance << vec4<u32>(2u)" => "distance << vec4<u32>(1u)";
    "four mantissas are cut": "* vec4<u32>(181643u) + vec4<u32>(0x8000u)" => "* vec4<u32>(181643u)";
    "status of an infinite row": "max_key == KEY_INFINITY" => "max_key >= KEY_INFINITY + 1";
    // changes, soft_float
    "a change in its second bucket is not found": "!any(is_here | is_there)" => "!any(is_here)";
    "tokens are looked for elsewhere": "(spread ^ (spread >> 15u))" => "(spread ^ (spread >> 16u))";
    "kept changes come first":
        "find_change(requests[request].first_step, requests[request].step_buckets, token)"
            => "find_change(requests[request].first_kept, requests[request].kept_buckets, token)";
    "who is penalised gains": "key_of_bits(x) > 0" => "key_of_bits(x) < 0";
    "a quotient without its sticky bit": "(quotient.x << 5u) | u32(quotient.y != 0u)" => "(quotient.x << 5u)";
    "a product of half the size": "exponent_of(b) - 126" => "exponent_of(b) - 127";
    "subnormals are one binade too high": "biased < 1 {" => "biased < 0 {";
    // numbers
    "a part is rounded down": "vec2<u32>(u32(!is_exact), 0u)" => "vec2<u32>(0u, 0u)";
    "a part of one": "if by == 31u {" => "if by == 30u {";
    "a quotient's first digits": "let whole = bit < 7u" => "let whole = bit < 8u";
    "a difference without its carry": "a.y - b.y - u32(a.x < b.x)" => "a.y - b.y";
    "a root above its number":
        "if at_least64(a, mul_wide(tried, tried)) {" => "if at_least64(mul_wide(tried, tried), a) {";
    // rng
    "nine rounds": "round < 10u" => "round < 9u";
    "a point of the lower words":
        "add64(mul_wide(a.y, b.y), vec2<u32>(middle.y" => "add64(mul_wide(a.x, b.y), vec2<u32>(middle.y";
};
