//! The faults of all kernels but the one that draws (long: a line or two each).

use super::{Fault, Faults, draws, draws_long_lists, every, history, lists_at_length, program, runs_ahead};
use crate::kernels::{
    digit_count, digit_scatter, log_softmax, row_divergence, row_history, row_logprobs, row_sample,
    row_scalar, tile_divergence, tile_information, tile_stats, token_ranks, top_entries,
};

pub(super) const FAULTS: &[Faults] = &[
    Faults {
        kernel: tile_stats::KERNEL,
        operations: &["tile_stats", "sample"],
        reaches: every,
        list: TILE_STATS,
    },
    Faults { kernel: row_logprobs::KERNEL, operations: &["logprobs"], reaches: every, list: ROW_LOGPROBS },
    Faults {
        kernel: digit_count::KERNEL,
        operations: &["logprobs", "top_k"],
        reaches: lists_at_length,
        list: DIGIT_COUNT,
    },
    Faults {
        kernel: digit_scatter::KERNEL,
        operations: &["logprobs", "top_k"],
        reaches: lists_at_length,
        list: DIGIT_SCATTER,
    },
    Faults {
        kernel: digit_count::OF_VIEW,
        operations: &["sample"],
        reaches: draws_long_lists,
        list: VIEW_DIGIT_COUNT,
    },
    Faults {
        kernel: digit_scatter::OF_VIEW,
        operations: &["sample"],
        reaches: draws_long_lists,
        list: VIEW_DIGIT_SCATTER,
    },
    Faults {
        kernel: token_ranks::KERNEL,
        operations: &["logprobs", "sample"],
        reaches: every,
        list: TOKEN_RANKS,
    },
    Faults { kernel: row_sample::KERNEL, operations: &["sample"], reaches: draws, list: program::ROW_SAMPLE },
    Faults {
        kernel: row_history::KERNEL,
        operations: &["histories"],
        reaches: runs_ahead,
        list: history::ROW_HISTORY,
    },
    Faults { kernel: log_softmax::KERNEL, operations: &["log_softmax"], reaches: every, list: LOG_SOFTMAX },
    Faults {
        kernel: row_scalar::KERNEL,
        operations: &["row_max", "log_sum_exp"],
        reaches: every,
        list: ROW_SCALAR,
    },
    Faults { kernel: top_entries::KERNEL, operations: &["top_k"], reaches: every, list: TOP_ENTRIES },
    Faults {
        kernel: tile_divergence::KERNEL,
        operations: &["divergence"],
        reaches: every,
        list: TILE_DIVERGENCE,
    },
    Faults {
        kernel: row_divergence::KERNEL,
        operations: &["divergence"],
        reaches: every,
        list: ROW_DIVERGENCE,
    },
    Faults {
        kernel: tile_information::KERNEL,
        operations: &["divergence"],
        reaches: every,
        list: TILE_INFORMATION,
    },
];

const TILE_STATS: &[Fault] = faults! {
    "the offset of another quad's row": "chunk.element_base + (place >> 2u)" => "chunk.element_base + (place >> 3u)";
    "an offset of the row before": "[place & 3u]" => "[place & 2u]";
    "a surprisal's upper word is the lower one":
        "atomicLoad(&surprisal_limbs[2]))" => "atomicLoad(&surprisal_limbs[1]))";
    "a limb without the upper word": "((a.x >> 24u) | (a.y << 8u))" => "(a.x >> 24u)";
    "a lane whose largest token is the target does not count": "if max_key >= key {" => "if max_key > key {";
    "the raw view is what was changed": "let view = views - 1u;" => "let view = chunk.views - views;";
    "a NaN with the sign set in a lane's last tokens alone":
        "max(max(max(t.a, t.b), t.c), t.d);\n    let largest_bits" => "t.d;\n    let largest_bits";
    "lanes walk over each other's tokens": "quads[quad + 8u]" => "quads[quad + 9u]";
    "changed lanes walk over each other's tokens": "(i >> 2u) * 16u" => "(i >> 2u) * 12u";
    "the changed tokens one place too far": "vec4<u32>(t.d.yzw, bits));" => "vec4<u32>(t.d.zyw, bits));";
    "the token behind the last counts": "< vec4<u32>(chunk.vocab)" => "<= vec4<u32>(chunk.vocab)";
    "16-bit rows that begin odd": "(element & 1u) == 1u" => "(element & 1u) == 0u";
    "the other half of a quad": "(start & 4u) != 0u" => "(start & 4u) == 0u";
    "quads of a row that begins within one": "(row_start & select(7u, 3u, DTYPE == 0u)) == 0u" => "(row_start & 1u) == 0u";
    "a rank counts equal logits as greater": "> vec4<i32>(limits.x)" => ">= vec4<i32>(limits.x)";
    "-0 is below 0": "select(key, -1, key == 0)" => "key";
    "no subtile waits for its lanes":
        "workgroupBarrier(); // every lane's maximum before" => "// every lane's maximum before";
    "a lane of every subtile is left out":
        "max(lane_key[four + 2u], lane_key[four + 3u])" => "lane_key[four + 2u]";
    "impossible tokens count as possible": "atomicLoad(&has_lowest) == 0u" => "true";
    "what is past the vocabulary counts": "counts -= (TILE - n_tokens) << 16u;" => "counts -= 0u;";
    "a lane of negative logits has its least for a maximum":
        "select(negative, bitcast<u32>(positive), positive >= 0)" => "bitcast<u32>(positive)";
    "a lane's sums in another order":
        "add4(add4(t.a, t.b), add4(t.c, t.d))" => "add4(add4(add4(t.a, t.b), t.c), t.d)";
    "neighbours in another order":
        "add1(add1(four.x, four.y), add1(four.z, four.w))" => "add1(add1(four.x, four.z), add1(four.y, four.w))";
    "half of a chord": "units & vec4<u32>(0x1fffu)" => "units & vec4<u32>(0xfffu)";
    "half of the lanes' table": "& vec4<u32>(0x3ffu)" => "& vec4<u32>(0x1ffu)";
    "distances without a limit":
        "min(multiply4(subtract4(vec4<u32>(max_bits), bits), vec4<u32>(per_logit)), vec4<u32>(FARTHEST))"
            => "multiply4(subtract4(vec4<u32>(max_bits), bits), vec4<u32>(per_logit))";
    "a surprisal is not lowered":
        "lowered(multiply4(mantissa, max(distance, vec4<u32>(NEAREST))), units)"
            => "multiply4(mantissa, max(distance, vec4<u32>(NEAREST)))";
    "a lane's mass at half of it": "mantissa), 4u + (octaves >> 24u)" => "mantissa), 5u + (octaves >> 24u)";
    "a lane's surprisal at half of it": "14u + (octaves >> 24u)" => "15u + (octaves >> 24u)";
    "a lane's own distance counts half": "mul_shift(mass, octaves << 2u, 32u)" => "mul_shift(mass, octaves << 1u, 32u)";
    "products that are sums":
        "bitcast<vec4<f32>>(a) * bitcast<vec4<f32>>(b)" => "bitcast<vec4<f32>>(a) + bitcast<vec4<f32>>(b)";
    "a difference by integers without its sign": "b ^ vec4<u32>(0x80000000u)" => "b";
    "distances over 2^24 by integers": "exponent > 0);" => "exponent > 1);";
    "a sum without its carry": "a.y + b.y + u32(low < a.x)" => "a.y + b.y";
    "a product without its carry": "(middle >> 16u) + (cross >> 16u)" => "(middle >> 16u)";
    "infinities of f16": "magnitude >= 0x7c00u" => "magnitude > 0x7c00u";
    "the smallest normal f16 as a subnormal": "magnitude < 0x400u" => "magnitude <= 0x400u", equivalent:
        "0x400 is 2^-14 either way: 1024 units of 2^-24";
    "the weight of a negative logit":
        "select(magnitude, 0u - magnitude, bits >= 0x80000000u)" => "magnitude";
    "a table's entry too far": "(octaves >> 14u) & 0x3ffu" => "(octaves >> 14u) & 0x1ffu";
    "-0 below +0": "select(raw, 0, raw == -1)" => "raw";
    "half of an allowed set's words": "(token >> 5u) & 3u" => "(token >> 5u) & 1u";
    "twice as many words of an allowed set": "(token >> 7u)" => "(token >> 6u)";
    "a grammar mask without its bits":
        "mask[chunk.mask_base + row * chunk.mask_words + (token >> 5u)]"
            => "mask[chunk.mask_base + row * chunk.mask_words + (token >> 6u)]";
    "the last place of a bucket is the one before": "select(3u, 2u, found.z)" => "2u";
    "no ban": "if (change.x & CHANGE_BANNED) != 0u {" => "if false {";
    "a penalty is a bias": "change.z ^ 0x80000000u" => "change.z";
    "a zero is divided by the penalty": "key_of_bits(x) > 0" => "key_of_bits(x) >= 0", equivalent:
        "a zero over the penalty and a zero times the penalty are that zero, sign included";
    "ties of a sum round up": "rest > 0x80u || (rest == 0x80u && (kept & 1u) == 1u)" => "rest >= 0x80u";
    "a sum without its sticky bit":
        "(wide >> apart) | u32((wide & ((1u << apart) - 1u)) != 0u)" => "(wide >> apart)";
    "a difference with a sum's sign": "pack_float(large & 0x80000000u" => "pack_float(small & 0x80000000u";
    "a quotient's exponent is one too large": "exponent_of(b) + 127" => "exponent_of(b) + 128";
};

const ROW_LOGPROBS: &[Fault] = faults! {
    "ties have one place more": "place -= 1u; // itself" => "place -= 0u;";
    "the last subtile is left out": "(chunk.vocab + SUBTILE - 1u) / SUBTILE" => "chunk.vocab / SUBTILE";
    "a token behind the last": "if token < chunk.vocab {" => "if token <= chunk.vocab {";
    "as many winners as subtiles": "min(chunk.listed, n_chosen * SUBTILE)" => "min(chunk.listed, n_chosen)";
    "a target keeps its -0": "bits_of_key(key_of_bits(logit_bits(head.token)))" => "logit_bits(head.token)";
    "a row of nothing but -inf is sound": "max_key <= KEY_NEG_INFINITY" => "max_key < KEY_NEG_INFINITY";
    "a row with +inf has a NaN": "if max_key > KEY_INFINITY {" => "if max_key >= KEY_INFINITY {";
    "a tile's mass at half its distance": "41u + (octaves >> 24u)" => "41u + (octaves >> 25u)";
    "a tile's surprisal twice": "35u + (octaves >> 24u)" => "34u + (octaves >> 24u)";
    "a mass without its carry": "(mass.y << 8u) | (mass.x >> 24u)" => "(mass.y << 8u)";
    "a row's sum without its carry": "value.y + u32(before + value.x < before)" => "value.y";
    "surprisals on top of masses": "add_to_row(2u, add64(" => "add_to_row(0u, add64(";
    "counts that are not equal are": "scratch[tile + TILE_N_EQUAL]" => "scratch[tile + TILE_N_GREATER]";
    "no lane waits for the maxima of the tiles":
        "workgroupBarrier(); // every tile's maximum before the row's"
            => "// every tile's maximum before the row's";
    "an impossible token is listed": "key > KEY_NEG_INFINITY &&" => "key >= KEY_NEG_INFINITY &&";
    "places of a list count what lies behind it": "j + 3u < n_winners" => "j < n_winners";
    "a digit too many is walked down":
        "group_counts[group] < still_wanted" => "group_counts[group] <= still_wanted";
    "a bucket of too many is taken whole": "found.z == found.y" => "found.z >= found.y";
    "what is taken begins behind the threshold": "at_least(one, threshold)" => "!at_least(threshold, one)";
    "as many as there are, selected the long way": "wanted >= count" => "wanted > count", equivalent:
        "the select then finds the last of them, and all are at least that";
    "a champion too few": "if rank == wanted {" => "if rank + 1u == wanted {";
    "one champion of two lanes": "i < LANES; i += CHAMPIONS" => "i < 2u * CHAMPIONS; i += CHAMPIONS", equivalent:
        "the threshold only falls";
    "a champion's lane keeps its own to itself": "if at_least(best, lowest) {" => "if at_least(lowest, best) {";
    "candidates without their subtile": "place_of_code(one) / SUBTILE), lowest)" => "place_of_code(one)), lowest)";
    "tokens where there is no room": "n_winners > MOST_LISTED {" => "n_winners > 2u * MOST_LISTED {";
    "the last place of a list is nobody's": "if place < places {" => "if place + 1u < places {";
    "no lane waits for the champions":
        "workgroupBarrier(); // every champion before" => "// every champion before";
    "a place of twelve bits":
        "select(shift, PLACE_BITS, is_key)" => "select(shift, 12u, is_key)";
};

const TOKEN_RANKS: &[Fault] = faults! {
    "ties with a given token are above it": "if keys[place - 1u] == key {" => "if keys[place - 1u] > key {";
    "a given token's own place counts as above": "var sum = atomicLoad(&above[place]);" => "var sum = 0u;";
    "the counts of a lane's last place": "i < (place | 3u) + 1u" => "i < (place | 3u)";
    "sums of the lanes too near": "let next = place / 4u + 1u;" => "let next = place / 4u + 2u;";
    "half of the lanes are added up": "stride < LANES; stride <<= 1u" => "stride < LANES / 2u; stride <<= 1u";
    "keys in another order": "(lower & size) == 0u" => "(lower & stride) == 0u";
    "pairs that overlap": "2u * i - (i & (stride - 1u))" => "2u * i";
    "as many keys as there are, less one": "while n < chunk.token_ids {" => "while n + 1u < chunk.token_ids {";
    "a search that ends a step too soon": "keys_at(places) <= own);" => "keys_at(places) < own);";
    "a search without its last step": "step > 0u; step >>= 1u" => "step > 1u; step >>= 1u";
    "tokens past the row": "(tokens < vec4<u32>(chunk.vocab)) &" => "(tokens < vec4<u32>(chunk.vocab + 1u)) &";
    "the run's first is not of it": "(tokens >= vec4<u32>(run.y))" => "(tokens > vec4<u32>(run.y))";
    "ties behind the run": "(tokens <= vec4<u32>(run.w))" => "(tokens <= vec4<u32>(NO_TOKEN))";
    "no run": "if draws && !is_raw {" => "if draws && is_raw {";
    "the raw view is changed": "is_changed = !is_raw &&" => "is_changed =";
    "the changed tokens one place too far": "tokens = tokens.yzwx;" => "tokens = tokens.zwxy;";
    "a -0 is less than +0": "raw == vec4<i32>(-1)" => "raw == vec4<i32>(-2)";
    "the raw counts over the processed ones": "group.x * chunk.token_ids * GIVEN_WORDS" => "0u * chunk.token_ids * GIVEN_WORDS";
    "given tokens of the row before": "(chunk.first_row + group.y) * quads" => "max(chunk.first_row + group.y, 1u) * quads - quads";
    "what is not kept has its own logit": "records[given + GIVEN_BITS] = BITS_NEG_INFINITY;" => "records[given + GIVEN_BITS] = bits_of_key(own[i]);";
    "all others are equal to what is not kept": "chunk.vocab - kept);" => "chunk.vocab);";
    "nothing waits for the counts":
        "workgroupBarrier(); // every token is counted before" => "// every token is counted before";
    "a row without given tokens has those of an earlier call":
        "records[out + GIVEN_TOKEN] = NO_TOKEN;" => "records[out + GIVEN_TOKEN] = chunk.nothing;";
};

const DIGIT_COUNT: &[Fault] = faults! {
    "a digit that just suffices does not": "wanted <= before + count" => "wanted < before + count";
    "what is wanted of a digit is what is wanted of all": "wanted - before)" => "wanted)";
    "the last digit of the k-th is unknown":
        "stage > 0u && stage <= levels()" => "stage > 0u && stage < levels()";
    "counting begins in a full histogram":
        "workgroupBarrier(); // an empty histogram before" => "// an empty histogram before";
    "the last item of a block does not count":
        "block * BLOCK + BLOCK, items_of" => "block * BLOCK + BLOCK - 1u, items_of";
    "digits from the lowest": "8u * (levels() - 1u - stage)" => "8u * stage";
    "no item behind the vocabulary": "max(chunk.vocab, list_length())" => "chunk.vocab";
    "-0 behind everything": "if stored == zero_code() + 1u {" => "if stored == zero_code() + 2u {";
    "the lanes of a group count themselves":
        "var i = lane & 0xf0u; i < lane" => "var i = lane & 0xf0u; i <= lane";
    "an item's own block is before it": "i < block)" => "i <= block)", equivalent:
        "here only the second of the two sums is read";
};

const DIGIT_SCATTER: &[Fault] = faults! {
    "ties in no order": "& (own_flag - 1u)" => "& ~(own_flag | (own_flag - 1u))";
    "one entry too few": "place >= list_length()" => "place + 1u >= list_length()";
    "ties with the last before better ones": "0u, code < kth)" => "0u, code <= kth)";
    "a block behind itself": "i < block)" => "i <= block)";
    "a flag of two lanes": "lane % 32u" => "lane % 31u";
    "flags of its own word twice": "word < own_word; word += DIGITS" => "word <= own_word; word += DIGITS";
    "places move on before all are known":
        "workgroupBarrier(); // all places are known" => "// all places are known";
    "-inf is listed": "word >= BITS_NEG_INFINITY" => "word > BITS_NEG_INFINITY";
    "the last entries remain codes": "stage == 2u * levels()" => "stage == 2u * levels() + 1u";
    "codes of negative logits":
        "select(stored ^ zero_code(), stored, stored > zero_code())" => "stored ^ zero_code()";
    "sorting begins at the second digit": "(8u * (stage - levels() - 1u))" => "(8u * (stage - levels()))";
    "pairs lie one word further": "+ KTH_WORDS + 2u * place" => "+ KTH_WORDS + place";
};

const VIEW_DIGIT_COUNT: &[Fault] = faults! {
    "the run without its first token": "token < first_kept.y" => "token <= first_kept.y";
    "the run without its last token": "token > last_kept.y" => "token >= last_kept.y";
    "what lies before the run": "is_before || is_behind" => "is_behind";
    "what lies behind the run": "is_before || is_behind" => "is_before";
    "logits as they came": "is_changed = is_row_changed(own_request);" => "is_changed = false;";
    "the raw list of the run's tokens": "if chunk.raw_list == 0u {\n        is_changed" => "if true {\n        is_changed";
    "both lists as long as one": "select(chunk.listed, chunk.top_raw, chunk.raw_list == 1u)" => "chunk.listed";
    "rows that begin where the first does": "first_element = start_of(row);" => "first_element = start_of(0u);";
};

const VIEW_DIGIT_SCATTER: &[Fault] = faults! {
    "a row's list is as long as the longest": "requests[request].top_processed" => "chunk.listed";
    "a row's raw list is as long as the longest": "requests[request].top_raw" => "chunk.top_raw";
    "the raw list over the other": "select(0u, 2u * chunk.listed, chunk.raw_list == 1u)" => "0u";
    "lists where the draws lie": " + chunk.draws * DRAW_WORDS;" => ";";
    "a bit of each logit": "bits_of_key(bitcast<i32>(0x7fffffffu - code))" => "bits_of_key(bitcast<i32>(0x7ffffffeu - code))";
};

const LOG_SOFTMAX: &[Fault] = faults! {
    "a tile's last token is left out":
        "(group.x + 1u) * TILE, chunk.vocab" => "(group.x + 1u) * TILE, chunk.vocab - 1u";
    "rows without a gap": "row * chunk.row_stride;" => "row * chunk.vocab;";
    "one of four tokens is the one before": "element_at(elements.w)" => "element_at(elements.z)";
    "the other half of a word": "return word >> ((element & 1u)" => "return word >> ((~element & 1u)";
    "tokens past the tile": "if token < end {" => "if token <= end {";
    "a logit that is not near is taken for one": "if !(a.is_near && b.is_near && c.is_near && d.is_near)" => "if !(a.is_near && b.is_near && c.is_near || d.is_near)";
    "the third of four that are not near":
        "stored = vec4<u32>(stored.yzw, stored.x);" => "stored = vec4<u32>(stored.yzz, stored.x);";
    "ties round up": "(tie && (kept & 1u) == 1u)" => "tie";
    "what is above a half by little rounds down": "(rest == 0x80u && aligned.x != 0u)" => "false";
    "near ties round up": "((aligned >> 7u) & 1u)) >>" => "1u) >>";
    "near, what is above a half by little rounds down": "< row.lower)) | behind" => "< row.lower))";
    "near, what lies below 2^-30 counts": "& 31u)) & row.lower_mask" => "& 31u))";
    "a near sum without its carry": "+ u32(lower_sum < row.lower))" => ")";
    "a complement without its one": "(sum.x << left) | 1u" => "(sum.x << left)";
    "near logits are all positive": "(bits >> 31u) - 1u" => "0u - 1u";
    "near halves are all positive": "((stored >> 15u) & 1u) - 1u" => "0u - 1u";
    "a subnormal half of half its size": "max(exponent, 1u) + " => "exponent + ";
    "a subnormal half with a hidden bit": "exponent == 0u" => "exponent == 32u";
    "what has bits before the finest point is nothing": "u32(127 - MAX_POINT)" => "u32(137 - MAX_POINT)";
    "a maximum of any size has near logits": ">= 127u + 21u" => ">= 127u + 121u";
    "a negative sum is a huge one": "select(sum.y, ~sum.y, sum.y >= 0x80000000u)" => "sum.y";
    "near logits of a place too little": "right < 32u" => "right < 33u";
    "near logits of a place too much": "right < 32u" => "right + 1u < 33u";
    "near results of 25 bits": "left < 6u" => "left < 7u";
    "a logarithm of one bit less": "i < 26u; i++" => "i < 25u; i++";
    "a logarithm without its carry":
        "vec2<u32>(ln_mass << 4u, ln_mass >> 28u)" => "vec2<u32>(ln_mass << 4u, 0u)";
    "-inf at a distance": "select(bits, BITS_NEG_INFINITY, is_lowest)" => "select(bits, 0u, is_lowest)";
    "a row that is no distribution has logits":
        "vec4<u32>(BITS_NAN);\n        if status == 0u {" => "vec4<u32>(BITS_NAN);\n        if status <= 1u {";
    "a lead of the wrong word": "32u + countLeadingZeros(magnitude.x)" => "countLeadingZeros(magnitude.x)";
    "a difference is a sum": "negate64(fixed_wide(bits, point))" => "fixed_wide(bits, point)";
};

const ROW_SCALAR: &[Fault] = faults! {
    "+inf is -inf": "bits = 0x7f800000u;" => "bits = 0xff800000u;";
    "a NaN is an infinity": "status == STATUS_NAN" => "status == STATUS_INFINITY";
    "a mass of two lower words": "records[record + RECORD_MASS + 1u]" => "records[record + RECORD_MASS]";
    "a positive sum is negated":
        "let negative = sum.y >= 0x80000000u" => "let negative = sum.y < 0x80000000u";
    "no hidden bit": "(bits & 0x7fffffu) | 0x800000u, 0u" => "(bits & 0x7fffffu), 0u";
    "only the row's last lane": "if id.x >= chunk.rows {" => "if id.x + 1u >= chunk.rows {";
    "log2 of the unit": "(40u << 26u)" => "(39u << 26u)";
};

const TOP_ENTRIES: &[Fault] = faults! {
    "entries of one word": "2u * id.x" => "id.x";
    "logits are tokens": "out_logits[place] = records[entry + 1u]" => "out_logits[place] = records[entry]";
    "rows over each other": "id.y * chunk.listed + id.x" => "id.y + id.x";
    "the last entry is left out": "id.x >= chunk.listed" => "id.x + 1u >= chunk.listed";
};

const TILE_DIVERGENCE: &[Fault] = faults! {
    "both sums have one sign": "cross_of(second_power, negate64(difference))" => "cross_of(second_power, difference)";
    "a token of the first is one of the second":
        "select(UNMATCHED_SECOND, UNMATCHED_FIRST, is_possible.x)" => "UNMATCHED_SECOND";
    "a lane leaves its last token out": "i < 16u; i++" => "i < 15u; i++";
    "the second batch has the first's maximum": "largest_key(seconds)" => "largest_key(firsts)";
    "the second batch has the first's gap": "row * chunk.other_stride" => "row * chunk.row_stride";
    "the second batch begins where the first does": "chunk.other_base + " => "chunk.element_base + ";
    "the second batch's halves change places": "((element & 1u) * 16u)) & 0xffffu;\n    if OTHER_DTYPE" => "((~element & 1u) * 16u)) & 0xffffu;\n    if OTHER_DTYPE";
    "one type of 16 bits is the other": "if OTHER_DTYPE == 2u {" => "if OTHER_DTYPE == 1u {";
    "weights by a chord": "linear - (mul_high(linear, linear) >> 11u)" => "linear";
    "mantissas round down": "(mul_high(entry, drop) + 0x200u)" => "mul_high(entry, drop)";
    "a carry does not carry": "u32(middle < carry) + u32(before_middle" => "u32(before_middle";
    "a negative number is widened by zeros": "select(0u, 0xffffffffu, is_negative64(a))" => "0u";
    "-infinity is some number": "|| bits == BITS_NEG_INFINITY;" => ";", equivalent:
        "only a tile of -infinity alone weighs then, and that is too far below its row";
    "distances have no end": "let is_farthest = at_least64(difference, shift_right64(most, up)) ||" => "let is_farthest = false ||";
    "a tile's sums are written before they are there":
        "workgroupBarrier(); // every lane's sums before the tile's are written"
            => "// every lane's sums before the tile's are written";
};

const ROW_DIVERGENCE: &[Fault] = faults! {
    "the distances of a tile count for its other row":
        "add_tile(tile, 1u, second_distance, negate64(difference))" => "add_tile(tile, 1u, second_distance, difference)";
    "half the sum of a tile": "add96(cross, cross)" => "cross";
    "a product of its lowest words": "add64(mul_wide(a.x, b.y), mul_wide(a.y, b.x))" => "mul_wide(a.x, b.y)";
    "a sum is shifted by less than a word": "vec3<u32>(shifted.yz, 0u)" => "shifted";
    "the sign is lost on the way": "power.octaves), is_negative)" => "power.octaves), false)";
    "the status of one is the other's": "= statuses[i];" => "= statuses[1u - i];";
    "the maximum of one is the other's":
        "select(0u, bitcast<u32>(keys[i]), are_sound)" => "select(0u, bitcast<u32>(keys[0]), are_sound)";
    "a sum begins in the middle of another": "add_to_sum96(4u + 3u * side," => "add_to_sum96(4u + 2u * side,";
    "nobody says what is unmatched": "scratch[tile + DIVERGENCE_TILE_UNMATCHED]" => "0u";
    "a carry between words of 96 bits": "a.z + b.z + u32(!at_least64(low, a.xy))" => "a.z + b.z";
};

const TILE_INFORMATION: &[Fault] = faults! {
    "one logarithm serves both": "vec2<u32>(ln_masses[0], ln_masses[1])" => "vec2<u32>(ln_masses[0], ln_masses[0])";
    "the ratio is upside down":
        "difference64(second_distance, first_distance), lns" => "difference64(first_distance, second_distance), lns";
    "a tile of twice the information": "sum64(2u * lane), 6u)" => "sum64(2u * lane), 5u)";
    "a table without parabolas": "select(straight - below, straight + below, bend < 0)" => "straight";
    "parabolas bend one way": "straight + below, bend < 0" => "straight - below, bend < 0";
    "distances in quarters": "shift_left64(difference, 2u), of_masses" => "shift_left64(difference, 1u), of_masses";
    "far away says nothing": "0x5fdf473eu, 0x2c5c8u" => "0u, 0u";
    "the row's sum has no carry": "u32(before + sum.x < before)" => "0u";
    "the last token of a tile": "min((group.x + 1u) * TILE, chunk.vocab);" => "min((group.x + 1u) * TILE, chunk.vocab) - 1u;";
    "a tile's sums are read before they are there":
        "workgroupBarrier(); // every lane's sums before the tile's" => "// every lane's sums before the tile's";
};
