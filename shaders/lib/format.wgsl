// format: what every kernel is told about the rows of one chunk, and the constants of the format.
// Provides: Chunk, TILE, SUBTILE, SUBTILES_PER_TILE, NO_TOKEN, LAST_TOKEN, MOST_LISTED, PROCESSED.
// Needs: nothing. `ChunkUniform` has the same fields on the host, which a test compares.

struct Chunk {
    vocab: u32,
    tiles: u32,        // per row
    listed: u32,       // entries of a record's list; where a record has two, of the one of what is drawn from
    rows: u32,
    element_base: u32, // first logit of the chunk, in elements from the start of the binding; rows.wgsl
    row_stride: u32,   // elements, 0 where rows begin anywhere
    record_words: u32, // per row
    out_base: u32,     // first result of the chunk, in words from the start of the binding
    first_row: u32,    // of the chunk, in the whole call
    call: u32,         // its number, which comes back in every record: says whose they are
    views: u32,        // distributions per row, 1 or 2
    mask_words: u32,   // per row of the grammar mask, 0 without one
    mask_base: u32,    // first word of the chunk's mask, in words from the start of the binding
    other_base: u32,   // first element of the chunk's other input, the draft's probabilities or the second batch
    other_stride: u32, // elements, 0 without one
    draws: u32,        // most of a row; 0 where nothing is drawn
    top_raw: u32,      // entries of the list of the raw logits
    stage: u32,        // of a list of more than MOST_LISTED entries, digits.wgsl; of row_sample, STAGE_*
    raw_list: u32,     // 1 where that is the raw list of a sample's record
    nothing: u32,      // zero, known at run time only
    most_rounds: u32,  // of loops, that an invocation of row_sample may take on this device
    token_ids: u32,    // given tokens of a row, the most of any
    first_given: u32,  // where those of the call's first row lie in `row_data`, (token_ids + 3) / 4 quads a row
}

const TILE: u32 = 4096u;  // consecutive tokens that share a reference maximum
const SUBTILE: u32 = 64u; // consecutive tokens for which a delegate stands, their maximum
const SUBTILES_PER_TILE: u32 = 64u;
const NO_TOKEN: u32 = 0xffffffffu;
const LAST_TOKEN: u32 = 0xfffffu; // MAX_VOCAB - 1
const MOST_LISTED: u32 = 1024u;   // entries that one workgroup can list; digits.wgsl makes longer lists

// A view is what a distribution is taken from: the logits after masks, bias and penalties, or, in the last of two
// views, the raw ones. Where these are equal there is one view.
const PROCESSED: u32 = 0u;
