//! Rows of logits: every kind at every size.

/// SplitMix64 (Steele, Lea, Flood 2014): numbers for test rows.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Standard normal (Box and Muller 1958).
    fn normal(&mut self) -> f32 {
        ((-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }
}

pub(crate) const KINDS: &[&str] = &[
    "normal",
    "peaked",
    "flat",
    "integers",
    "bf16",
    "one finite",
    "mostly -inf",
    "long tail",
    "wide",
    "extremes",
];
pub(crate) const SIZES: &[usize] = &[1, 2, 31, 32, 33, 255, 257, 1000, 4095, 4097, 8191, 33_000];

/// Logits of a kind; the same at every call.
pub(crate) fn row_of(kind: &str, vocab: usize) -> Vec<f32> {
    let mut numbers = Numbers(vocab as u64);
    let special = numbers.next() as usize % vocab;
    let value = |token: usize| match kind {
        "normal" => 3.0 * numbers.normal(),
        "peaked" => numbers.normal() + if token == special { 12.0 } else { 0.0 },
        "flat" => 1.25,
        "integers" => (2.0 * numbers.normal()).round(),
        "bf16" => f32::from_bits((4.0 * numbers.normal()).to_bits() & 0xffff_0000),
        "one finite" if token == special => -7.5,
        "one finite" => f32::NEG_INFINITY,
        "mostly -inf" if token == special || numbers.next().is_multiple_of(8) => 2.0 * numbers.normal(),
        "mostly -inf" => f32::NEG_INFINITY,
        // Zipf, in no order: 7919 divides none of the sizes.
        "long tail" => -1.1 * ((token * 7919 % vocab + 1) as f32).ln(),
        "wide" => (numbers.unit() * 120.0 - 60.0) as f32,
        "extremes" => [f32::MAX, f32::MIN, 1e-40, -0.0, 0.0, 1e30, f32::MAX.next_down(), 3.0]
            [numbers.next() as usize % 8],
        _ => unreachable!("no such kind"),
    };
    (0..vocab).map(value).collect()
}
