// batch: what every kernel is told about the rows of one chunk, and the constants of the format.
// Provides: Batch, TILE, SUBTILE, NO_TOKEN, the words of a tile's statistics and of a record.
// Needs: nothing. Mirrored by src/kernel.rs, compared with it by a test.

struct Batch {
    vocab: u32,
    tiles: u32,        // per row
    top_k: u32,
    rows: u32,         // of this chunk
    element_base: u32, // first logit of the chunk, in elements from the start of the binding
    row_stride: u32,   // elements
    record_words: u32, // per row
    out_base: u32,     // first result of the chunk, in words from the start of the binding
    shift: i32,        // logits are taken in units of 2^-shift
    rate: u32,         // octaves per unit, Q54
    half_window: f32,
    step: u32,         // comes back in every record: says whose they are
}

const TILE: u32 = 4096u;
const SUBTILE: u32 = 64u;
const SUBTILES_PER_TILE: u32 = 64u;
const NO_TOKEN: u32 = 0xffffffffu;

// Words of one tile's statistics.
const STATS_WORDS: u32 = 8u;
const STATS_MAX_KEY: u32 = 0u;
const STATS_MAX_BITS: u32 = 1u;
const STATS_MASS: u32 = 2u;      // low, high
const STATS_SURPRISAL: u32 = 4u; // low, high
const STATS_N_GREATER: u32 = 6u;
const STATS_N_EQUAL: u32 = 7u;

// Words of one record; (token, bits) pairs follow the header.
const RECORD_MAX_KEY: u32 = 0u;
const RECORD_FLAGS: u32 = 1u;
const RECORD_MASS: u32 = 2u;      // low, high
const RECORD_SURPRISAL: u32 = 4u; // low, high
const RECORD_N_GREATER: u32 = 6u;
const RECORD_N_EQUAL: u32 = 7u;
const RECORD_TARGET_BITS: u32 = 8u;
const RECORD_STEP: u32 = 9u;
const RECORD_HEADER_WORDS: u32 = 10u;

const FLAG_NAN: u32 = 1u;
const FLAG_INFINITY: u32 = 2u;
const FLAG_EMPTY: u32 = 4u;
