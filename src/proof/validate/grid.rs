//! The cases of validation: sizes, layouts, and every kind of row.

use super::Extent;
use crate::logits::Dtype;
use crate::params::LogprobsParams;

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
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dtype, rows, vocab, gap, lead, params, seed, samples: _ } = self;
        let LogprobsParams { top_logprobs, temperature } = params;
        write!(
            f,
            "[{rows}][{vocab}] {dtype} gap {gap} lead {lead} top {top_logprobs} T {temperature} seed {seed}"
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
                    },
                    seed: 1000 + n as u64,
                    samples: if quick {
                        vocab == 4097 || (dtype == Dtype::F32 && (vocab < 5000 || vocab == 32_003))
                    } else {
                        vocab <= super::sampling::MOST_TOKENS
                    },
                });
            }
        }
    }
    cases.extend(long_lists(quick));
    cases
}

/// Batches whose lists no workgroup can hold: a little shorter than the vocabulary, as long, longer; one block of items,
/// and several.
pub(super) fn long_lists(quick: bool) -> impl Iterator<Item = Case> {
    const TOP: [(usize, [u32; 3]); 6] = [
        (1025, [1026, 1025, 1025]),
        (4097, [4096, 4098, 4097]),
        (9001, [5000, 1025, 9001]),
        (50_257, [1025, 50_257, 50_256]),
        (128_256, [128_256, 5000, 128_255]),
        (262_144, [5000, 262_145, 262_144]),
    ];
    TOP.into_iter().filter(move |(vocab, _)| !quick || *vocab <= 9001).flat_map(|(vocab, top)| {
        Dtype::ALL.iter().copied().zip(top).zip(2000..).map(move |((dtype, top_k), seed)| Case {
            dtype,
            rows: KINDS.len(),
            vocab,
            gap: top_k as usize % 3,
            lead: top_k as usize % 2,
            params: LogprobsParams { top_logprobs: top_k, temperature: 0.7 },
            seed,
            samples: false,
        })
    })
}

impl Case {
    /// The buffer: `lead` elements, then the rows, everything between them filled with NaN.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let width = self.dtype.bytes();
        let elements = self.lead + self.rows * (self.vocab + self.gap);
        let mut bytes = vec![0xff; (elements * width).next_multiple_of(4)];
        for row in 0..self.rows {
            let start = (self.lead + row * (self.vocab + self.gap)) * width;
            let fill = kind_of(row).fill;
            for (token, element) in
                bytes[start..start + self.vocab * width].chunks_exact_mut(width).enumerate()
            {
                let noise = mix(self.seed << 40 ^ (row as u64) << 24 ^ token as u64);
                let value = fill(token, self.vocab, noise);
                self.dtype.store(value, element);
            }
        }
        bytes
    }
}

/// A kind of row: (token, vocab, 64 random bits) to a logit.
pub(super) struct Kind {
    pub(super) name: &'static str,
    fill: fn(usize, usize, u64) -> f32,
}

pub(super) fn kind_of(row: usize) -> &'static Kind {
    &KINDS[row % KINDS.len()]
}

pub(super) static KINDS: [Kind; 20] = [
    Kind { name: "normal", fill: |_, _, noise| normal(noise) * 3.0 },
    Kind {
        name: "NaN",
        fill: |token, vocab, noise| if token == vocab / 2 { f32::NAN } else { normal(noise) },
    },
    Kind {
        name: "peaked",
        fill: |token, vocab, noise| if token == vocab / 3 { 30.0 } else { normal(noise) },
    },
    Kind { name: "all equal", fill: |_, _, _| 1.25 },
    Kind { name: "all -inf", fill: |_, _, _| f32::NEG_INFINITY },
    Kind { name: "wide", fill: |_, _, noise| normal(noise) * 60.0 },
    Kind { name: "tied", fill: |_, _, noise| (noise % 7) as f32 },
    Kind {
        name: "+inf",
        fill: |token, vocab, noise| if token == vocab - 1 { f32::INFINITY } else { normal(noise) },
    },
    Kind { name: "rising", fill: |token, vocab, _| 20.0 * token as f32 / vocab as f32 },
    Kind { name: "falling", fill: |token, vocab, _| -20.0 * token as f32 / vocab as f32 },
    Kind {
        name: "one finite",
        fill: |token, vocab, _| if token == vocab * 2 / 3 { -7.5 } else { f32::NEG_INFINITY },
    },
    Kind {
        name: "-NaN",
        fill: |token, _, noise| if token == 0 { f32::from_bits(0xffc0_0001) } else { normal(noise) },
    },
    Kind {
        name: "masked",
        fill: |_, _, noise| if noise % 8 == 0 { normal(noise) } else { f32::NEG_INFINITY },
    },
    Kind {
        name: "extremes",
        fill: |_, _, noise| [f32::MAX, f32::MIN, 0.0, 65_504.0, -65_504.0, 1.0][(noise % 6) as usize],
    },
    Kind {
        name: "lowest and -inf",
        fill: |_, _, noise| if noise & 1 == 0 { f32::MIN } else { f32::NEG_INFINITY },
    },
    Kind { name: "subnormal", fill: |_, _, noise| f32::from_bits((noise as u32) & 0x807f_ffff) },
    Kind { name: "f16 subnormal", fill: |_, _, noise| ((noise % 4096) as f32 - 2048.0) * 2f32.powi(-25) },
    Kind { name: "zeros of both signs", fill: |_, _, noise| if noise & 1 == 0 { 0.0 } else { -0.0 } },
    Kind { name: "large and close", fill: |_, _, noise| 30_000.0 + 16.0 * normal(noise) },
    Kind { name: "long tail", fill: |token, _, noise| if token == 0 { 18.0 } else { normal(noise) * 0.01 } },
];

/// SplitMix64 (Steele, Lea, Flood 2014): 64 well-mixed bits per counter.
pub(super) fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A nearly normal number: the sum of four uniform ones, centred, variance 1.
fn normal(noise: u64) -> f32 {
    let sum: u32 = (0..4).map(|i| (noise >> (16 * i)) as u32 & 0xffff).sum();
    (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
}
