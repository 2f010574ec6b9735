// row_sample: truncates a row's distribution, draws tokens from what is kept, and says what was drawn. Libraries:
// format, words, logits, integers, exact, soft_float, request, changes, numbers, rng, list, merge, radix, scan,
// thresholds, cuts, draws, views, row_program. One workgroup per row, dispatch (1, rows). Every filter keeps a run of
// the one total order; docs/sampling.md defines them. Only the subtiles that can hold a token of the run are opened;
// where those are too many to name, the whole row.
//
// The work of a row is a chain of scans, whose length depends on the request. row_program.wgsl, in one lane, takes what
// the last scan found and says what comes next; `main` carries it out, with every part that has barriers in it there
// just once.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // a head per row, changes, allowed sets
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;          // [rows][mask_words], bit set where allowed
@group(0) @binding(5) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(6) var<storage, read> scratch: array<u32>;       // [views][rows][tiles][TILE_WORDS]
@group(0) @binding(7) var<storage, read> draft: array<u32>;         // [rows][draft_stride] f32 probabilities
@group(0) @binding(8) var<storage, read_write> records: array<u32>; // [rows] first tokens, then [rows][record_words]

var<workgroup> next_move: Move;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = head_of(group.y);
    let record = chunk.rows + group.y * chunk.record_words;
    row = group.y;
    request = head.request;
    reopened = 0u;
    var progress = first_progress(head, record, group.y);
    var found: Found;
    var n_opened = 0u;
    var last_of_opened = LOWEST; // the run's end when the whole row was opened
    found.floor = HIGHEST;
    loop {
        // 1. one lane decides, all do
        if lane == 0u {
            next_move = advance(&progress, found);
        }
        let now = workgroupUniformLoad(&next_move);
        if now.at_end {
            break;
        }
        if found.is_all && any(now.run_last != last_of_opened) {
            // A narrower run may need fewer subtiles than the whole row.
            found.is_all = false;
            found.floor = HIGHEST;
        }
        view = now.view;
        run_first = now.run_first;
        run_last = now.run_last;
        max_bits = now.max_bits;
        draft_of = now.draft_of;

        // 2. the tiles of a view, of which nothing is opened yet
        if now.merges {
            found.merged = merge_tiles(now.view, group.y, now.task.scale, lane);
            found.floor = HIGHEST;
            found.is_all = false;
        }
        if now.loads_tiles {
            var mass = vec2<u32>(0u, 0u);
            if lane < chunk.tiles {
                mass = tile_mass(tile_words(now.view, group.y, lane), now.max_bits, now.task.scale).xy;
            }
            atomicStore(&low[lane], mass.x);
            atomicStore(&high[lane], mass.y);
        }

        // 3. up to three scans: the bound of the largest subtiles, these subtiles, and the task itself
        for (var phase = 0u; phase < 3u; phase++) {
            var task = now.task;
            task.floor = found.floor;
            if phase < 2u {
                if (now.opens == 0u && !now.opens_to) || (now.opens_to && at_least(now.bound, found.floor)) {
                    continue; // nothing to open
                }
                if now.opens >= n_subtiles() || now.opens > MOST_CHOSEN {
                    found.is_all = true;
                    found.floor = NO_ITEM;
                    n_opened = n_subtiles();
                    last_of_opened = now.run_last;
                    continue;
                }
                if phase == 0u && now.opens_to {
                    continue; // the bound is given
                }
                task.level = OF_SUBTILES;
                task.kind = select(TAKE, SELECT_BY_COUNT, phase == 0u);
                task.wanted = vec2<u32>(now.opens, 0u);
                task.from_code = NO_ITEM;
                if phase == 1u {
                    task.from_code = select(found.scan.code, vec2<u32>(now.bound.x, 0u), now.opens_to);
                }
            }
            if task.kind == NOTHING {
                continue;
            }
            opened = n_opened;
            opened_all = found.is_all;
            found.scan = scan(task, lane);
            if phase == 1u {
                n_opened = found.scan.count;
                found.is_all = n_opened > MOST_CHOSEN;
                found.floor = floor_of(task.from_code, now.opens_to);
                if found.is_all {
                    n_opened = n_subtiles();
                    found.floor = NO_ITEM;
                    last_of_opened = now.run_last;
                }
            }
        }

        // 4. a draw, a list
        if now.draws {
            found.token = draw(now.numbers, now.task.weigh, now.task.scale, lane);
        }
        if now.lists {
            write_entries(now.out, now.listed, now.places, lane);
        }
    }
    if lane == 0u {
        records[record + SAMPLE_REOPENED] = reopened;
    }
}

// A subtile behind the threshold has smaller keys, or the same largest key and later tokens.
fn floor_of(threshold: vec2<u32>, is_bound: bool) -> vec2<u32> {
    let last_token = min(place_of_code(threshold) * SUBTILE + SUBTILE - 1u, LAST_TOKEN);
    return vec2<u32>(threshold.x, select(LAST_TOKEN - last_token, 0u, is_bound));
}
