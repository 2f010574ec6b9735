// words: what each word means of everything that the host writes for the kernels, or one kernel for the next.
// Provides: STATUS_*, TILE_*, tile_words, RECORD_*, SAMPLE_*, STAGE_*, DIVERGENCE_*, UNMATCHED_*, DRAW_*, RUN_*, has_run, GIVEN_*,
// behind_lists, ASKS_*, CUT_*, MAX_CUTS, CHANGE_*, FOR_*.
// Needs: format.wgsl, and the kernel's uniform `chunk`. The host has the same numbers, which a test compares.
// Numbers of 64 bits stand low word first.

// Why a row is no distribution; 0 for one that is.
const STATUS_NAN: u32 = 1u;
const STATUS_INFINITY: u32 = 2u;
const STATUS_EMPTY: u32 = 4u;
const STATUS_STOP: u32 = 64u; // the request had finished before the row; flags of the request too
const STATUS_LENGTH: u32 = 128u;

// What pass 1 leaves of a tile, in `scratch`, [views][rows][tiles][TILE_WORDS]: statistics, then the keys of its
// subtiles' maxima, the delegates.
const TILE_MAX_KEY: u32 = 0u;
const TILE_MASS: u32 = 1u; // Q50, relative to the tile's maximum
const TILE_SURPRISAL: u32 = 3u; // Q44
const TILE_N_GREATER: u32 = 5u;
const TILE_N_EQUAL: u32 = 6u;
const TILE_DELEGATES: u32 = 7u;
const TILE_WORDS: u32 = 71u;

fn tile_words(view: u32, row: u32, tile: u32) -> u32 {
    return ((view * chunk.rows + row) * chunk.tiles + tile) * TILE_WORDS;
}

// Header of a record of row_logprobs; its list of (token, bits) follows.
const RECORD_MAX_KEY: u32 = 0u;
const RECORD_STATUS: u32 = 1u;
const RECORD_MASS: u32 = 2u; // Q40, relative to the row's maximum
const RECORD_SURPRISAL: u32 = 4u; // Q40
const RECORD_N_GREATER: u32 = 6u;
const RECORD_N_EQUAL: u32 = 7u;
const RECORD_TARGET_BITS: u32 = 8u;
const RECORD_CALL: u32 = 9u;
const RECORD_HEADER_WORDS: u32 = 10u;

// Header of a record of row_sample; its draws, of DRAW_WORDS each, then both lists of (token, bits) follow.
const SAMPLE_MAX_KEY: u32 = 0u; // of the run
const SAMPLE_STATUS: u32 = 1u;
const SAMPLE_MASS: u32 = 2u; // Q43, of the run, at the scale that is drawn at
const SAMPLE_SURPRISAL: u32 = 4u; // Q43
const SAMPLE_KEPT: u32 = 6u; // tokens of the run
const SAMPLE_SHIFT: u32 = 7u; // of the scale that is drawn at
const SAMPLE_UNIT: u32 = 8u; // temperature · 2^shift
const SAMPLE_CALL: u32 = 9u; // where RECORD_CALL is
const SAMPLE_KEPT_MASS: u32 = 10u; // Q43, of the run, at the scale of pass 1
const SAMPLE_ALL_MASS: u32 = 12u; // Q43, of the row, at the scale of pass 1
const SAMPLE_REOPENED: u32 = 14u; // logits that the second pass read
const SAMPLE_ACCEPTED: u32 = 15u; // 1 where a draft token stands, or those before a row of a block
const SAMPLE_RAW_MAX_KEY: u32 = 16u;
const SAMPLE_RAW_STATUS: u32 = 17u;
const SAMPLE_RAW_MASS: u32 = 18u; // Q40
const SAMPLE_RAW_SURPRISAL: u32 = 20u; // Q40
const SAMPLE_FIRST_TOKEN: u32 = 22u; // of the run; NO_TOKEN where no filter acted
const SAMPLE_LAST_TOKEN: u32 = 23u;
const SAMPLE_LAST_KEY: u32 = 24u;
const SAMPLE_HEADER_WORDS: u32 = 25u;
const SAMPLE_LOST: u32 = 0x80000000u; // turned in SAMPLE_CALL where the row's history is not there

// What tile_divergence leaves of a tile, in `scratch`, [rows][tiles][DIVERGENCE_TILE_WORDS]: two of each, of the first batch
// and of the second; in this order, as `sums` has them.
const DIVERGENCE_TILE_MAX_KEYS: u32 = 0u;
const DIVERGENCE_TILE_MASSES: u32 = 2u; // Q50, of 64 bits
const DIVERGENCE_TILE_CROSSES: u32 = 6u; // Q45, of 96 bits, signed
const DIVERGENCE_TILE_UNMATCHED: u32 = 12u; // UNMATCHED_*
const DIVERGENCE_TILE_WORDS: u32 = 13u;

// Tokens that are possible in one batch alone.
const UNMATCHED_FIRST: u32 = 1u;
const UNMATCHED_SECOND: u32 = 2u;

// A record of row_divergence, to which tile_information adds; two of each, of the first batch and of the second.
const DIVERGENCE_STATUSES: u32 = 0u;
const DIVERGENCE_MAX_KEYS: u32 = 2u;
const DIVERGENCE_MASSES: u32 = 4u; // Q40
const DIVERGENCE_UNMATCHED: u32 = 8u;
const DIVERGENCE_CALL: u32 = 9u; // where RECORD_CALL is
const DIVERGENCE_CROSSES: u32 = 10u; // Q45, of 96 bits, signed
const DIVERGENCE_INFORMATIONS: u32 = 16u; // Q43
const DIVERGENCE_WORDS: u32 = 20u;

// What a dispatch of row_sample does: all that a row takes; before it, where draft tokens are verified as a block, each of them is
// weighed, and the rows behind the block's first are tried.
const STAGE_ALL: u32 = 0u;
const STAGE_WEIGH: u32 = 1u;
const STAGE_TRY: u32 = 2u;

// Words of a draw.
const DRAW_TOKEN: u32 = 0u;
const DRAW_VIEWS: u32 = 1u; // bits, n_greater, n_equal of the processed view, then of the raw one
const DRAW_WORDS: u32 = 7u;

// Behind the lists of a record of row_sample, where tokens are given or a list is long: keys and tokens of the run's first and
// last.
const RUN_FIRST_KEY: u32 = 0u;
const RUN_FIRST_TOKEN: u32 = 1u;
const RUN_LAST_KEY: u32 = 2u;
const RUN_LAST_TOKEN: u32 = 3u;
const RUN_WORDS: u32 = 4u;

// Whether a record of row_sample has them.
fn has_run() -> bool {
    return chunk.token_ids > 0u || max(chunk.listed, chunk.top_raw) > MOST_LISTED;
}

// Words of a given token, of token_ranks: behind those of the run, or the list of a record of row_logprobs.
const GIVEN_TOKEN: u32 = 0u;
const GIVEN_BITS: u32 = 1u;
const GIVEN_N_GREATER: u32 = 2u;
const GIVEN_N_EQUAL: u32 = 3u;
const GIVEN_WORDS: u32 = 4u;

// What lies behind the lists of a record.
fn behind_lists(record: u32) -> u32 {
    if chunk.draws == 0u {
        return record + RECORD_HEADER_WORDS + 2u * chunk.listed;
    }
    return record + SAMPLE_HEADER_WORDS + chunk.draws * DRAW_WORDS + 2u * (chunk.listed + chunk.top_raw);
}

// Flags of a request.
const ASKS_GREEDY: u32 = 1u;
const ASKS_DYNAMIC: u32 = 2u; // a temperature that depends on the entropy
const ASKS_RAW: u32 = 4u;     // the raw view beside the processed one
const ASKS_SURPRISAL: u32 = 8u; // of pass 1, in the view that is drawn from
const ASKS_RAW_SURPRISAL: u32 = 16u; // and in the raw one
const ASKS_LOST: u32 = 32u; // the history that the row needs is not there
const ASKS_TOKEN_ALONE: u32 = 256u; // nothing is said of what is drawn

// Kinds of cuts, the first word of each.
const CUT_TEMPERATURE: u32 = 1u; // cuts nothing: what comes after it sees probabilities at the temperature
const CUT_TOP_K: u32 = 2u;
const CUT_TOP_P: u32 = 3u;
const CUT_MIN_P: u32 = 4u;
const CUT_TYPICAL_P: u32 = 5u;
const CUT_TOP_N_SIGMA: u32 = 6u;
const CUT_EPSILON: u32 = 7u;
const CUT_XTC: u32 = 8u;
const CUT_TOP_A: u32 = 9u;
const CUT_ETA: u32 = 10u;
const CUT_P_LESS: u32 = 11u;
const CUT_TOP_H: u32 = 12u;

const MAX_CUTS: u32 = 13u; // of a request

// Bits of the first word of a change, which then has bias and penalty.
const CHANGE_BANNED: u32 = 0x80000000u;
const CHANGE_REPEATED: u32 = 0x40000000u;
const CHANGE_TOKEN: u32 = 0xfffffu;
const CHANGE_EMPTY: u32 = 0xffffffffu; // the whole word of a place without a change
const CHANGE_FIRST: u32 = 0x9e3779b1u;
const CHANGE_SECOND: u32 = 0x85ebca6bu;

// What the random numbers of a position are for, in the upper half of the counter's last word.
const FOR_DRAW: u32 = 0u; // plus the number of the draw
const FOR_XTC: u32 = 0x10000u;
const FOR_ACCEPT: u32 = 0x20000u;
const FOR_RESIDUAL: u32 = 0x30000u;
