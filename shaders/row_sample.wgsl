// row_sample: truncates a row's distribution, draws tokens from what is kept, and says what was drawn. Libraries:
// format, words, logits, rows, integers, exact, status, soft_float, request, changes, numbers, rng, list, merge, radix, few,
// quads, scan, ranks, thresholds, cuts, draws, blocks, views, row_program. One workgroup per row, dispatch (1, rows). Every filter
// keeps a run of the one total order; docs/sampling.md defines them. Only the subtiles that can hold a token of the run are
// opened; where those are too many to name, the whole row.
//
// The work of a row is a chain of scans, whose length depends on the request. row_program.wgsl takes what the last scan
// found and says what comes next, by one lane; all carry it out. It is a long kernel, and most compilers copy every function
// to where it is called: what has barriers, reads logits or searches is called from one place each.

@group(0) @binding(0) var<uniform> chunk: Chunk;
@group(0) @binding(1) var<storage, read> logits: array<u32>;        // [rows][row_stride] elements, packed in words
@group(0) @binding(2) var<storage, read> row_data: array<vec4<u32>>; // a head per row, offsets, changes, allowed sets
@group(0) @binding(3) var<storage, read> requests: array<Request>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;          // [rows][mask_words], bit set where allowed
@group(0) @binding(5) var<storage, read> table: array<u32>;         // [1024]
@group(0) @binding(6) var<storage, read> scratch: array<u32>;       // [views][rows][tiles][TILE_WORDS]
@group(0) @binding(7) var<storage, read> draft: array<u32>;         // [rows][other_stride] f32 probabilities
@group(0) @binding(8) var<storage, read_write> records: array<u32>; // [rows] first tokens, then [rows][record_words]

var<workgroup> given: Orders;

// Far more than a row takes. A driver that miscompiles the load on which the loop ends gives an error, and no hang.
const MOST_MOVES: u32 = 4096u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = head_of(group.y);
    if !has_part_in(head) {
        return;
    }
    begin(group.y);
    if lane == 0u {
        begin_program(finish_of(head.request));
    }
    let is_lost = (asked & ASKS_LOST) != 0u;
    var is_done = false;
    for (var moves = 0u; moves < MOST_MOVES; moves++) {
        // 1. one lane decides
        if lane == 0u {
            given = advance();
            if rounds > chunk.most_rounds || is_lost {
                // What came of more rounds than the device carries out, or of other tokens, is nothing.
                given.does = DOES_CUT;
            }
        }
        let orders = workgroupUniformLoad(&given);
        let does = orders.does;
        is_done = does == DOES_END;
        if is_done || does == DOES_CUT {
            break;
        }
        // 2. all lanes do
        obey(orders);
        if (does & DOES_MERGE) != 0u {
            let merged = merge_tiles(view, row, task.scale, lane);
            if lane == 0u {
                found.merged = merged;
            }
        }
        if (does & DOES_LOAD_TILES) != 0u {
            load_tiles(lane);
        }
        if (does & DOES_SCAN) != 0u {
            scan(lane);
        }
        if (does & DOES_FEW) != 0u {
            let few = take_few(n_subtiles(), orders.listed, lane);
            if lane == 0u {
                found.few = few;
            }
            reopened += min(few_found.x, MOST_LISTED) * SUBTILE;
        }
        if (does & DOES_RANK) != 0u {
            count_ranks(orders.code, lane);
        }
        if (does & DOES_LIST) != 0u {
            write_entries(orders.out, orders.winners, orders.listed, orders.places, lane);
        }
    }
    if lane == 0u {
        records[progress.now.out + SAMPLE_REOPENED] = reopened;
        if !is_done {
            records[progress.now.out + SAMPLE_CALL] = select(~chunk.call, chunk.call ^ SAMPLE_LOST, is_lost); // the host refuses it
            records[row] = NO_TOKEN; // and no token of an earlier call
        }
    }
}
