// batch: what every kernel is told about the rows of one chunk, and the constants of the format.
// Provides: Batch, TILE, SUBTILE, NO_TOKEN, MOST_LISTED, the words of a tile's scratch and of a record.
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
    first_row: u32,    // of the chunk, in the batch
    step: u32,         // comes back in every record: says whose they are
    views: u32,        // 1: one distribution per row, 2: what is drawn from, and the raw logits
    mask_words: u32,   // per row of the grammar mask, 0 without one
    mask_base: u32,    // first word of the chunk's mask, in words from the start of the binding
    draft_base: u32,   // first probability of the chunk's draft, in elements from the start of the binding
    draft_stride: u32, // elements, 0 without a draft
    draws: u32,        // most of a row
    top_raw: u32,      // entries of the raw list, as top_k is of the other
    stage: u32,        // of a list of more than MOST_LISTED entries
    unused_a: u32,
    unused_b: u32,
}

const TILE: u32 = 4096u;
const SUBTILE: u32 = 64u;
const SUBTILES_PER_TILE: u32 = 64u;
const NO_TOKEN: u32 = 0xffffffffu;
const LAST_TOKEN: u32 = 0xfffffu; // MAX_VOCAB - 1
const MOST_LISTED: u32 = 1024u; // entries that one workgroup can list; digits.wgsl makes longer lists

// What a distribution is taken from. Scratch holds [views][rows][tiles][TILE_WORDS].
const PROCESSED: u32 = 0u; // the logits after masks, bias and penalties; the only view where the raw ones are equal
const RAW: u32 = 1u;

// Words that pass 1 leaves of one tile: statistics, then the keys of its subtiles' maxima, the delegates.
const TILE_MAX_KEY: u32 = 0u;
const TILE_MAX_BITS: u32 = 1u;
const TILE_MASS: u32 = 2u;      // low, high
const TILE_SURPRISAL: u32 = 4u; // low, high
const TILE_N_GREATER: u32 = 6u;
const TILE_N_EQUAL: u32 = 7u;
const TILE_DELEGATES: u32 = 8u;
const TILE_WORDS: u32 = 72u;

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

fn tile_words(view: u32, row: u32, tile: u32) -> u32 {
    return ((view * batch.rows + row) * batch.tiles + tile) * TILE_WORDS;
}
