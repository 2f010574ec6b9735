// views: the lists of the most probable tokens, and the raw view behind the processed one.
// Provides: advance_list, advance_raw, advance_raw_draw.
// Needs: format, words, exact, request, merge, scan, row_program (.wgsl), the kernel's bindings `requests`,
// `records`.

// The most probable tokens of the view. Its rounds: 1 the last of them is found, 2 a few are taken, among which they are.
fn advance_list() {
    let is_raw = now.is_raw;
    next.places = select(chunk.listed, chunk.top_raw, is_raw);
    if next.places > MOST_LISTED {
        now.at = select(AT_RAW, AT_END, is_raw); // digits.wgsl makes the list
        return;
    }
    if now.round == 0u {
        let wanted = select(requests[request].top_processed, requests[request].top_raw, is_raw);
        let there = select(progress.kept.count, progress.stats.n_greater, is_raw);
        now.listed = select(0u, min(min(wanted, there), next.places), progress.stats.status == 0u);
        if now.is_full && now.listed > 0u && now.listed <= MOST_FEW {
            now.round = 2u;
            rounds += n_subtiles() / 64u + 384u;
            next.does = DOES_FEW;
            return;
        }
    }
    let has_few = now.round == 2u && found.few <= MOST_LISTED;
    if now.listed > 0u && now.round != 1u && !has_few {
        now.round = 1u;
        now.subtiles = now.listed;
        move_to_select(SELECT_BY_COUNT, vec2<u32>(now.listed, 0u));
        return;
    }
    next.does = DOES_LIST;
    next.winners = select(now.listed, found.few, has_few);
    rounds += (next.winners / LANES + 1u) * (next.winners / 4u + 2u) + 4u; // write_entries
    if now.round == 1u {
        next.does = DOES_SCAN | DOES_LIST;
        next.task.kind = TAKE;
        next.task.from_code = scanned.code;
    }
    next.out = now.out + SAMPLE_HEADER_WORDS + chunk.draws * DRAW_WORDS + select(0u, 2u * chunk.listed, is_raw);
    now.at = select(AT_RAW, AT_END, is_raw);
    now.round = 0u;
}

// The raw view: the row as it is, at temperature 1. Where it is not asked for, its words are zero and its list is empty.
fn advance_raw() {
    let is_asked = (asked & ASKS_RAW) != 0u;
    if now.round == 0u {
        now.is_raw = true;
        now.listed = 0u;
        now.round = 1u;
        if is_asked {
            view = chunk.views - 1u;
            run_first = HIGHEST;
            run_last = LOWEST;
            now.is_full = true;
            progress.scale = SCALE_ONE;
            next.does = DOES_MERGE;
            next.task.scale = SCALE_ONE;
            return;
        }
        found.merged = Merged(0, 0u, vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), 0u, 0u);
    }
    let is_sound = progress.stats.status == 0u; // the processed view's, until here
    progress.stats = found.merged;
    records[now.out + SAMPLE_RAW_MAX_KEY] = bitcast<u32>(found.merged.max_key);
    records[now.out + SAMPLE_RAW_STATUS] = found.merged.status;
    write64(now.out + SAMPLE_RAW_MASS, found.merged.mass);
    write64(now.out + SAMPLE_RAW_SURPRISAL, found.merged.surprisal);
    now.round = 0u;
    now.draw = 0u;
    now.at = select(AT_LIST, AT_RAW_DRAW, is_asked && is_sound && found.merged.status == 0u);
}

// The drawn tokens, one after the other, as the raw view has them; then its list.
fn advance_raw_draw() {
    now.round = 0u;
    if ((progress.ranked >> now.draw) & 1u) != 0u {
        now.draw += 1u;
    } else if now.draw < requests[request].n_draws {
        now.token = records[words_of_draw() + DRAW_TOKEN];
        now.at = AT_DESCRIBE;
    } else {
        now.at = AT_LIST;
    }
}
