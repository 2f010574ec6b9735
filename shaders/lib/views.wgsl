// views: the lists of the most probable tokens, and the raw view behind the processed one.
// Provides: advance_list, advance_raw, advance_raw_draw.
// Needs: format, words, exact, request, merge, scan, row_program (.wgsl), the kernel's bindings `requests`,
// `records`.

// The most probable tokens of the view. Its rounds: 1 the last of them is found, 2 a few are taken, among which they are.
fn advance_list() {
    let is_raw = progress.is_raw;
    next.places = select(chunk.listed, chunk.top_raw, is_raw);
    if next.places > MOST_LISTED {
        progress.at = select(AT_RAW, AT_END, is_raw); // digits.wgsl makes the list
        return;
    }
    if progress.round == 0u {
        let wanted = select(requests[request].top_processed, requests[request].top_raw, is_raw);
        let there = select(progress.kept.count, progress.stats.n_greater, is_raw);
        progress.listed = select(0u, min(min(wanted, there), next.places), progress.stats.status == 0u);
        if progress.is_full && progress.listed > 0u && progress.listed <= MOST_FEW {
            progress.round = 2u;
            rounds += n_subtiles() / 64u + 384u;
            next.does = DOES_FEW;
            return;
        }
    }
    let has_few = progress.round == 2u && found.few <= MOST_LISTED;
    if progress.listed > 0u && progress.round != 1u && !has_few {
        progress.round = 1u;
        progress.subtiles = progress.listed;
        move_to_select(SELECT_BY_COUNT, vec2<u32>(progress.listed, 0u));
        return;
    }
    next.does = DOES_LIST;
    next.winners = select(progress.listed, found.few, has_few);
    rounds += (next.winners / LANES + 1u) * (next.winners / 4u + 2u) + 4u; // write_entries
    if progress.round == 1u {
        next.does = DOES_SCAN | DOES_LIST;
        next.task.kind = TAKE;
        next.task.from_code = found.scan.code;
    }
    next.out = progress.out + SAMPLE_HEADER_WORDS + chunk.draws * DRAW_WORDS + select(0u, 2u * chunk.listed, is_raw);
    progress.at = select(AT_RAW, AT_END, is_raw);
    progress.round = 0u;
}

// The raw view: the row as it is, at temperature 1. Where it is not asked for, its words are zero and its list is empty.
fn advance_raw() {
    let is_asked = (requests[request].flags & ASKS_RAW) != 0u;
    if progress.round == 0u {
        progress.is_raw = true;
        progress.listed = 0u;
        progress.round = 1u;
        if is_asked {
            view = chunk.views - 1u;
            run_first = HIGHEST;
            run_last = LOWEST;
            progress.is_full = true;
            progress.scale = SCALE_ONE;
            next.does = DOES_MERGE;
            next.task.scale = SCALE_ONE;
            return;
        }
        found.merged = Merged(0, 0u, vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), 0u, 0u);
    }
    let is_sound = progress.stats.status == 0u; // the processed view's, until here
    progress.stats = found.merged;
    records[progress.out + SAMPLE_RAW_MAX_KEY] = bitcast<u32>(found.merged.max_key);
    records[progress.out + SAMPLE_RAW_STATUS] = found.merged.status;
    write64(progress.out + SAMPLE_RAW_MASS, found.merged.mass);
    write64(progress.out + SAMPLE_RAW_SURPRISAL, found.merged.surprisal);
    progress.round = 0u;
    progress.draw = 0u;
    progress.at = select(AT_LIST, AT_RAW_DRAW, is_asked && is_sound && found.merged.status == 0u);
}

// The drawn tokens, one after the other, as the raw view has them; then its list.
fn advance_raw_draw() {
    progress.round = 0u;
    if ((progress.ranked >> progress.draw) & 1u) != 0u {
        progress.draw += 1u;
    } else if progress.draw < requests[request].n_draws {
        progress.token = records[words_of_draw() + DRAW_TOKEN];
        progress.at = AT_DESCRIBE;
    } else {
        progress.at = AT_LIST;
    }
}
