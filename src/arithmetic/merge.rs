//! What a tile and a row say of their tokens, and how tiles merge: `shaders/lib/merge.wgsl`.

use super::exact::{
    KEY_INFINITY, KEY_NEG_INFINITY, MANTISSA_FRACTION, OCTAVE_FRACTION, ROW_FRACTION, Scale, TILE_FRACTION,
    TILE_SURPRISAL_FRACTION, bits_of_key, mantissa,
};
use super::format::layout;
use super::integers::mul_shift;
use super::rng::halves;

/// What one tile says of its tokens. All sums are integers: their order does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileStats {
    /// Largest key; above [`KEY_INFINITY`] there is a NaN.
    pub(crate) max_key: i32,
    /// Sum of the weights, Q50 relative to the tile's maximum.
    pub(crate) mass: u64,
    /// Sum of the surprisals, Q44 relative to the tile's maximum.
    pub(crate) surprisal: u64,
    /// Tokens above the target's logit.
    pub(crate) n_greater: u32,
    /// Tokens equal to the target's logit.
    pub(crate) n_equal: u32,
}

impl TileStats {
    /// Words of the statistics, which the delegates follow on the device.
    pub(crate) const WORDS: usize = tile::DELEGATES;

    /// As the device writes them.
    pub(crate) fn words(&self) -> [u32; Self::WORDS] {
        let [mass, surprisal] = [self.mass, self.surprisal].map(halves);
        let max_key = self.max_key.cast_unsigned();
        [max_key, mass[0], mass[1], surprisal[0], surprisal[1], self.n_greater, self.n_equal]
    }

    /// Out of these words.
    pub(crate) fn from_words(words: [u32; Self::WORDS]) -> Self {
        let pair = |low: usize| u64::from(words[low]) | (u64::from(words[low + 1]) << 32);
        Self {
            max_key: words[tile::MAX_KEY].cast_signed(),
            mass: pair(tile::MASS),
            surprisal: pair(tile::SURPRISAL),
            n_greater: words[tile::N_GREATER],
            n_equal: words[tile::N_EQUAL],
        }
    }

    /// Distance of the tile's maximum below the row's, and its mass relative to that, Q40; `None` outside the window.
    pub(crate) fn tile_mass(&self, max_key: i32, scale: Scale) -> Option<(u32, u64)> {
        let octaves = scale.octaves_below(bits_of_key(max_key), bits_of_key(self.max_key))?;
        Some((octaves, self.mass_at(octaves)))
    }

    /// Its mass so many octaves lower, Q40.
    pub(super) fn mass_at(&self, octaves: u32) -> u64 {
        let by = MANTISSA_FRACTION + TILE_FRACTION - ROW_FRACTION + (octaves >> OCTAVE_FRACTION);
        mul_shift(self.mass, mantissa(octaves), by)
    }
}

layout! {
    /// Words that pass 1 leaves of one tile: statistics, then the keys of its subtiles' maxima, the delegates.
    tile: usize, "TILE_" {
        MAX_KEY = 0,
        MASS = 1,
        SURPRISAL = 3,
        N_GREATER = 5,
        N_EQUAL = 6,
        DELEGATES = 7,
        WORDS = 71,
    }
}

/// What a row says of all its tokens, merged from its tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowStats {
    pub(crate) max_key: i32,
    pub(crate) status: u32,
    /// Sum of the weights, Q40 relative to the row's maximum; at least 2^40, at most 2^60.
    pub(crate) mass: u64,
    /// Sum of weight times octaves, Q40.
    pub(crate) surprisal: u64,
    pub(crate) n_greater: u32,
    pub(crate) n_equal: u32,
}

layout! {
    /// Values of [`RowStats::status`](super::RowStats::status): why a row is no distribution; 0 for one that is.
    row_status: u32, "STATUS_" {
        /// A NaN in the row.
        NAN = 1,
        /// A +infinity in the row.
        INFINITY = 2,
        /// Nothing finite in the row.
        EMPTY = 4,
        /// The request had finished before the row: at a stop token, or at its length. Nobody looked at the row. Flags of
        /// the request too, which has no others of these values.
        STOP = 64,
        LENGTH = 128,
    }
}
pub(crate) use row_status::{
    EMPTY as STATUS_EMPTY, INFINITY as STATUS_INFINITY, LENGTH as STATUS_LENGTH, NAN as STATUS_NAN,
    STOP as STATUS_STOP,
};

/// Status of a row from its largest key: NaN before +infinity before "nothing finite".
pub(crate) fn status(max_key: i32) -> u32 {
    if max_key > KEY_INFINITY {
        STATUS_NAN
    } else if max_key == KEY_INFINITY {
        STATUS_INFINITY
    } else if max_key <= KEY_NEG_INFINITY {
        STATUS_EMPTY
    } else {
        0
    }
}

/// Merges the tiles of a row. The same tiles in any order give the same bits. A row that is not sound keeps its
/// status and zeros.
pub(crate) fn merge_tiles(tiles: &[TileStats], scale: Scale) -> RowStats {
    let max_key = tiles.iter().map(|tile| tile.max_key).max().unwrap_or(KEY_NEG_INFINITY);
    let status = status(max_key);
    if status != 0 {
        return RowStats { status, ..RowStats::default() };
    }
    let mut row = RowStats { max_key, ..RowStats::default() };
    for tile in tiles {
        row.n_greater += tile.n_greater;
        row.n_equal += tile.n_equal;
        let Some((octaves, mass)) = tile.tile_mass(max_key, scale) else { continue };
        let factor = mantissa(octaves);
        let down = octaves >> OCTAVE_FRACTION;
        let own = mul_shift(
            tile.surprisal,
            factor,
            MANTISSA_FRACTION + TILE_SURPRISAL_FRACTION - ROW_FRACTION + down,
        );
        row.mass += mass;
        row.surprisal += own + mul_shift(mass, octaves, OCTAVE_FRACTION);
    }
    row
}
