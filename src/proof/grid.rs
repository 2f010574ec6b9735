//! The cases of validation: sizes, layouts, and every kind of row.

use super::synthetic::{KINDS, Kind, mix};
use crate::logits::{Dtype, Logits};
use crate::params::{LogprobsParams, SamplingParams};

/// How much to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// Every kind of values and every dtype, sizes to 50 257: seconds on a software adapter.
    Quick,
    /// Sizes to 2^20 as well: minutes on a software adapter.
    Full,
}

/// Largest vocabulary of the sampling cases: far above it, one lane walks so far over a flat row that Mesa before 25
/// cuts its loops short (65 535 rounds in all) without a word.
const MOST_TOKENS: usize = 151_936;

/// One batch of the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) dtype: Dtype,
    pub(super) rows: usize,
    pub(super) vocab: usize,
    /// Elements between the end of a row and the start of the next.
    pub(super) gap: usize,
    /// Elements before the first row.
    pub(super) lead: usize,
    pub(super) params: LogprobsParams,
    pub(super) seed: u64,
    /// Tokens are drawn too: the slowest part on a software adapter.
    pub(super) samples: bool,
    /// Name of the setting that every row is drawn with; all settings in turn without one.
    pub(super) setting: Option<&'static str>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dtype, rows, vocab, gap, lead, params, seed, samples: _, setting: _ } = self;
        let LogprobsParams { top_logprobs, temperature, entropy } = params;
        let entropy = if *entropy { "" } else { " no entropy" };
        write!(
            f,
            "[{rows}][{vocab}] {dtype} gap {gap} lead {lead} top {top_logprobs} T {temperature}{entropy} seed {seed}"
        )
    }
}

/// The grid: sizes around every boundary of the format; the other choices cycle with lengths that share no factor.
pub(super) fn cases(extent: Extent) -> Vec<Case> {
    const SIZES: [usize; 25] = [
        1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, 1023, 4095, 4096, 4097, 8191, 12_289, 32_003,
        50_257, 128_256, 151_936, 262_144, 1_048_576,
    ];
    const TOP: [u32; 7] = [5, 0, 1, 20, 64, 1024, 333];
    const TEMPERATURES: [f32; 5] = [1.0, 0.7, 0.05, 10.0, 1.3];
    let quick = extent == Extent::Quick;
    let mut cases = Vec::new();
    for vocab in SIZES.into_iter().filter(|&vocab| !quick || vocab <= 50_257) {
        for &dtype in Dtype::ALL {
            let n = cases.len();
            let layouts = if quick { 1 } else { 2 };
            for layout in 0..layouts {
                cases.push(Case {
                    dtype,
                    rows: if vocab > 5000 && quick { KINDS.len() } else { 2 * KINDS.len() + 1 },
                    vocab,
                    gap: [0, 1, 0, 5][(n + layout) % 4],
                    lead: [0, 1, 3][(n / 3 + layout) % 3],
                    params: LogprobsParams {
                        top_logprobs: TOP[(n + 3 * layout) % TOP.len()],
                        temperature: TEMPERATURES[(n / 2 + layout) % TEMPERATURES.len()],
                        entropy: (n + layout) % 4 != 2,
                    },
                    seed: 1000 + n as u64,
                    samples: if quick {
                        vocab == 4097 || (dtype == Dtype::F32 && (vocab < 5000 || vocab == 32_003))
                    } else {
                        vocab <= MOST_TOKENS
                    },
                    setting: None,
                });
            }
        }
    }
    cases.extend(long_lists(quick));
    cases.extend(of_one_setting());
    cases
}

/// Small batches of one setting, for what rows of every setting in turn do not show: each is here because a fault of
/// the kernels passed all other cases.
fn of_one_setting() -> impl Iterator<Item = Case> {
    const BATCHES: [(&str, usize, usize); 13] = [
        ("plain", 6, 65),                      // nobody changes a logit: the raw view is the first
        ("greedy", 60, 2),                     // draft tokens that stand, alone and in blocks
        ("bias", 20, 65),                      // sums that are ties, subnormal, of every exponent
        ("dynamic temperature, llama", 3, 33), // a peaked row gets the lowest temperature, a power of two
        ("typical_p 0.6", 20, 8200), // what is opened first reaches the share, with tokens too far away
        ("top_p 0.9", 1, 70_001),    // more subtiles than a workgroup can name
        ("large bias", 20, 300),     // sums of which more is lost than the guard bits
        ("penalties", 80, 63),       // quotients that all but tie
        ("xtc spares all", 90, 63),  // where what is looked at first is not what decides
        ("plain", 40, 230),          // draft tokens that fall at the ends of what a mass can be
        ("p_less at a token", 40, 5), // the limit lies less than a unit above a weight, where all logits are zeros
        ("typical_p 0.995", 20, 600), // tokens further from the mean than the codes that are looked at first
        ("xtc among ties", 45, 63),   // the run begins behind equals of its first token
    ];
    BATCHES.into_iter().zip(3001..).map(|((setting, rows, vocab), seed)| Case {
        dtype: Dtype::F32,
        rows,
        vocab,
        gap: 0,
        lead: 0,
        params: LogprobsParams { top_logprobs: 5, temperature: 1.0, entropy: true },
        seed,
        samples: true,
        setting: Some(setting),
    })
}

/// Batches whose lists no workgroup can hold: a little shorter than the vocabulary, as long, longer; one block of
/// items, and several.
fn long_lists(quick: bool) -> impl Iterator<Item = Case> {
    const TOP: [(usize, [u32; 3]); 6] = [
        (1025, [1026, 1025, 1025]),
        (4097, [4096, 4098, 4097]),
        (9001, [5000, 1025, 9001]),
        (50_257, [1025, 50_257, 50_256]),
        (128_256, [128_256, 5000, 128_255]),
        (262_144, [5000, 262_145, 262_144]),
    ];
    TOP.into_iter().filter(move |(vocab, _)| !quick || *vocab <= 9001).flat_map(move |(vocab, top)| {
        let is_drawn_from = move |dtype| vocab <= MOST_TOKENS && (!quick || dtype == Dtype::F32);
        Dtype::ALL.iter().copied().zip(top).zip(2000..).map(move |((dtype, listed), seed)| Case {
            dtype,
            rows: KINDS.len(),
            vocab,
            gap: listed as usize % 3,
            lead: listed as usize % 2,
            params: LogprobsParams { top_logprobs: listed, temperature: 0.7, entropy: false },
            seed,
            samples: is_drawn_from(dtype),
            setting: None,
        })
    })
}

impl Case {
    /// Elements from the start of one row to the start of the next.
    pub(super) fn stride(&self) -> usize {
        self.vocab + self.gap
    }

    /// Where each row begins, of every other case; none where one stride says it.
    pub(super) fn row_offsets(&self) -> Vec<u64> {
        let has_offsets = self.seed % 2 == 1;
        (0..self.rows).filter(|_| has_offsets).map(|row| (row * self.stride()) as u64).collect()
    }

    /// Bytes before the first row.
    pub(super) fn first_byte(&self) -> usize {
        self.lead * self.dtype.bytes()
    }

    /// The buffer: `lead` elements, then the rows, everything between them filled with NaN.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes_of(|row| (kind_of(row), self.row_seed(row)))
    }

    fn row_seed(&self, row: usize) -> u64 {
        self.seed << 40 ^ (row as u64) << 24
    }

    /// A batch to compare with this one, of a type and layout of its own, and its buffer: in turn the same rows, as that type
    /// rounds them, others of the same kinds, and rows of the next kinds.
    pub(super) fn second(&self) -> (Self, Vec<u8>) {
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        let n = self.seed as usize;
        let second = Self {
            dtype: Dtype::ALL[(n / 3 + self.dtype.code() as usize) % Dtype::ALL.len()],
            gap: n % 4,
            lead: n % 3,
            ..*self
        };
        let bytes = second.bytes_of(|row| match (row + n) % 3 {
            0 => (kind_of(row), self.row_seed(row)),
            1 => (kind_of(row), !self.row_seed(row)),
            _ => (kind_of(row + 1), self.row_seed(row + 1)),
        });
        (second, bytes)
    }

    /// The buffer with rows of these kinds and seeds.
    fn bytes_of(&self, row: impl Fn(usize) -> (&'static Kind, u64)) -> Vec<u8> {
        let width = self.dtype.bytes();
        let elements = self.lead + self.rows * self.stride();
        let mut bytes = vec![0xff; (elements * width).next_multiple_of(4)];
        for number in 0..self.rows {
            let start = self.first_byte() + number * self.stride() * width;
            let (kind, seed) = row(number);
            kind.store(self.dtype, seed, &mut bytes[start..start + self.vocab * width]);
        }
        bytes
    }

    /// Given tokens of a row: none where long lists are alone; none for most rows, a few with one of them twice, every third
    /// token, or as many as there may be.
    #[expect(clippy::cast_possible_truncation, reason = "below a vocabulary of at most 2^20")]
    pub(super) fn token_ids(&self, row: usize) -> Vec<u32> {
        let most = SamplingParams::MAX_LOGPROB_TOKEN_IDS;
        let is_alone = self.params.top_logprobs > LogprobsParams::MAX_SHORT_LIST && self.vocab % 3 == 1;
        let count = match (row + self.seed as usize) % 8 {
            _ if is_alone => 0,
            1 => 1,
            3 => 5, // one more than a power of two
            6 => most.min(self.vocab / 3 + 1),
            7 if self.seed.is_multiple_of(4) => most,
            _ => 0,
        };
        let token = |i: usize| mix(self.seed << 32 ^ (row * most + i) as u64) % self.vocab as u64;
        let mut tokens: Vec<u32> = (0..count).map(|i| token(i) as u32).collect();
        if let [first, _, third, ..] = &mut tokens[..] {
            *third = *first;
        }
        tokens
    }

    /// The rows in that buffer.
    ///
    /// # Panics
    /// If the buffer is another's.
    pub(super) fn logits<'a>(&self, bytes: &'a [u8]) -> Logits<'a> {
        Logits::strided(&bytes[self.first_byte()..], self.dtype, self.rows, self.vocab, self.stride())
            .expect("the case's own buffer")
    }
}

/// The rows of a case go through the kinds in turn.
pub(super) fn kind_of(row: usize) -> &'static Kind {
    &KINDS[row % KINDS.len()]
}
