//! Rows that are made, not measured: of every kind that an engine may meet, and like those of a model. The same bits on
//! every machine: sums and products of integers and floats, no logarithm.

#![expect(clippy::cast_possible_truncation, reason = "bits cut out of wider numbers, and tokens of a row")]

use half::bf16;

use crate::logits::Dtype;

/// A kind of row.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    fill: Fill,
}

#[derive(Clone, Copy, Debug)]
enum Fill {
    /// (token, vocab, 64 random bits) to a logit.
    Token(fn(usize, usize, u64) -> f32),
    /// All logits, in turn.
    Row(fn(&mut [f32], &mut SplitMix64)),
}

/// A kind for every corner of the arithmetic and every status.
pub static KINDS: &[Kind] = &[
    Kind::token("normal", |_, _, noise| normal(noise) * 3.0),
    Kind::token("NaN", |token, vocab, noise| if token == vocab / 2 { f32::NAN } else { normal(noise) }),
    Kind::token("peaked", |token, vocab, noise| if token == vocab / 3 { 30.0 } else { normal(noise) }),
    Kind::token("all equal", |_, _, _| 1.25),
    Kind::token("all -inf", |_, _, _| f32::NEG_INFINITY),
    Kind::token("wide", |_, _, noise| normal(noise) * 60.0),
    Kind::token("tied", |_, _, noise| (noise % 7) as f32),
    Kind::token("+inf", |token, vocab, noise| if token == vocab - 1 { f32::INFINITY } else { normal(noise) }),
    Kind::token("rising", |token, vocab, _| 20.0 * token as f32 / vocab as f32),
    Kind::token("falling", |token, vocab, _| -20.0 * token as f32 / vocab as f32),
    Kind::token(
        "one finite",
        |token, vocab, _| if token == vocab * 2 / 3 { -7.5 } else { f32::NEG_INFINITY },
    ),
    Kind::token(
        "-NaN",
        |token, _, noise| if token == 0 { f32::from_bits(0xffc0_0001) } else { normal(noise) },
    ),
    Kind::token("masked", |_, _, noise| if noise % 8 == 0 { normal(noise) } else { f32::NEG_INFINITY }),
    Kind::token("extremes", |_, _, noise| {
        [f32::MAX, f32::MIN, 0.0, 65_504.0, -65_504.0, 1.0][(noise % 6) as usize]
    }),
    Kind::token("lowest and -inf", |_, _, noise| if noise & 1 == 0 { f32::MIN } else { f32::NEG_INFINITY }),
    Kind::token("subnormal", |_, _, noise| f32::from_bits((noise as u32) & 0x807f_ffff)),
    Kind::token("f16 subnormal", |_, _, noise| ((noise % 4096) as f32 - 2048.0) * 2f32.powi(-25)),
    Kind::token("zeros of both signs", |_, _, noise| if noise & 1 == 0 { 0.0 } else { -0.0 }),
    Kind::token("large and close", |_, _, noise| 30_000.0 + 16.0 * normal(noise)),
    Kind::token("long tail", |token, _, noise| if token == 0 { 18.0 } else { normal(noise) * 0.01 }),
    Kind::token("below 2^31", |_, _, noise| of_exponent(16 + noise % 15, noise)),
    Kind::token("above 2^31", |_, _, noise| of_exponent(31 + noise % 15, noise)),
    Kind::token("of all sizes", |_, _, noise| {
        let logit = of_exponent(7, noise) * 2f32.powi(-((noise % 48) as i32));
        if logit > 16.0 { -logit } else { logit }
    }),
    Kind::token("below zero", |_, _, noise| normal(noise) * 3.0 - 70.0),
    Kind::token(
        "masked by a number",
        |_, _, noise| {
            if noise % 3 == 0 { normal(noise) * 3.0 } else { -65_504.0 }
        },
    ),
];

/// Kinds like the rows of a model, to measure with: `normal` of standard deviation 3; `peaked`, with five likely tokens
/// besides; `tied`, rounded to bf16; `one likely`, a normal row whose tail is shorter, with one token at 20.
pub static LIKE_A_MODEL: &[Kind] = &[
    Kind::row("normal", long_normal),
    Kind::row("peaked", |row, numbers| {
        long_normal(row, numbers);
        for logit in [22.0, 20.0, 19.0, 17.0, 16.0] {
            let token = numbers.below(row.len());
            row[token] = logit;
        }
    }),
    Kind::row("tied", |row, numbers| {
        long_normal(row, numbers);
        row.iter_mut().for_each(|logit| *logit = bf16::from_f32(*logit).to_f32());
    }),
    Kind::row("one likely", |row, numbers| {
        let likely = numbers.below(row.len());
        row.fill_with(|| 3.0 * normal(numbers.next()));
        row[likely] = 20.0;
    }),
];

impl Kind {
    const fn token(name: &'static str, fill: fn(usize, usize, u64) -> f32) -> Self {
        Self { name, fill: Fill::Token(fill) }
    }

    const fn row(name: &'static str, fill: fn(&mut [f32], &mut SplitMix64)) -> Self {
        Self { name, fill: Fill::Row(fill) }
    }

    /// The kind of this name in a list.
    #[must_use]
    pub fn find(name: &str, kinds: &'static [Self]) -> Option<&'static Self> {
        kinds.iter().find(|kind| kind.name == name)
    }

    /// A row of this kind, `[vocab]`: a function of the seed. Seeds of rows whose tokens should not resemble each other
    /// differ above the bits of a token.
    ///
    /// # Example
    /// ```
    /// use sortilege::synthetic::{KINDS, Kind};
    /// let masked = Kind::find("masked", KINDS).unwrap().logits(1000, 1 << 20);
    /// assert!(masked.iter().filter(|logit| logit.is_finite()).count() < 200);
    /// ```
    #[must_use]
    pub fn logits(&self, vocab: usize, seed: u64) -> Vec<f32> {
        match self.fill {
            Fill::Token(fill) => {
                (0..vocab).map(|token| fill(token, vocab, mix(seed ^ token as u64))).collect()
            }
            Fill::Row(fill) => {
                let mut row = vec![0.0; vocab];
                fill(&mut row, &mut SplitMix64::new(seed));
                row
            }
        }
    }

    /// Stores a row of this kind, each logit as the nearest value of the type, in native byte order; `bytes` are as
    /// many as the row has.
    pub fn store(&self, dtype: Dtype, seed: u64, bytes: &mut [u8]) {
        let logits = self.logits(bytes.len() / dtype.bytes(), seed);
        for (element, logit) in bytes.chunks_exact_mut(dtype.bytes()).zip(logits) {
            dtype.store(logit, element);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): well-mixed numbers of 64 bits, one after the other.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Begins at this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Leaves out so many numbers.
    #[must_use]
    pub const fn skip(self, numbers: u64) -> Self {
        Self(self.0.wrapping_add(numbers.wrapping_mul(Self::STEP)))
    }

    /// The seed at which the next number comes first.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.0
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(Self::STEP);
        number
    }

    /// A number below a limit that is small beside 2^64.
    ///
    /// # Panics
    /// If the limit is 0.
    pub const fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// In (0, 1), 53 bits.
    pub const fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }
}

/// The first number of [`SplitMix64`] at this seed: well-mixed bits per counter.
#[must_use]
pub const fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(SplitMix64::STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A nearly normal number: the sum of four uniform ones, centred, variance 1.
fn normal(noise: u64) -> f32 {
    (quarters(noise) as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
}

/// A number of either sign with this exponent.
fn of_exponent(exponent: u64, noise: u64) -> f32 {
    f32::from_bits((((127 + exponent) as u32) << 23) | ((noise >> 16) as u32 & 0x807f_ffff))
}

/// Normal numbers of standard deviation 3: the sums of eight uniform ones, within 4.9 deviations of 0.
fn long_normal(row: &mut [f32], numbers: &mut SplitMix64) {
    for logit in row {
        let sum = quarters(numbers.next()) + quarters(numbers.next());
        *logit = 3.0 * ((sum as f32 / 65_536.0 - 4.0) * 1.5f32.sqrt());
    }
}

fn quarters(bits: u64) -> u64 {
    (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a of rows of 64 tokens.
    fn checksum(rows: impl Iterator<Item = Vec<f32>>) -> u64 {
        rows.flatten()
            .flat_map(|logit| logit.to_bits().to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    /// Measurements and grids of any time are of the same rows.
    #[test]
    fn rows_are_what_they_always_were() {
        let kinds = (0..).zip(KINDS).map(|(row, kind)| kind.logits(64, 1000 << 40 ^ row << 24));
        assert_eq!(checksum(kinds), 0x01dd_5c1a_4ad5_e36e);
        let [measured @ .., one_likely] = LIKE_A_MODEL else { panic!("no kinds") };
        let seed = 0x5eed_u64.wrapping_add(3u64.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let measured = measured.iter().map(|kind| kind.logits(64, seed));
        assert_eq!(checksum(measured.chain([one_likely.logits(64, 0x5eed)])), 0x9425_db72_00f5_8280);
    }

    #[test]
    fn kinds_are_what_they_are_called() {
        let row = |name| Kind::find(name, LIKE_A_MODEL).expect("a kind").logits(40_000, 7);
        let values = row("normal");
        let mean = |power: i32| values.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / 40_000.0;
        // Standard errors over 40 000 values: 0.015, 0.064, 1.7.
        assert!(mean(1).abs() < 0.1 && (mean(2) - 9.0).abs() < 0.4, "{} {}", mean(1), mean(2));
        assert!((mean(4) / 81.0 - 3.0).abs() < 0.35, "a fourth moment near a normal's: {}", mean(4) / 81.0);
        let mut peaked = row("peaked");
        peaked.sort_by(f32::total_cmp);
        assert_eq!(peaked[peaked.len() - 5..], [16.0, 17.0, 19.0, 20.0, 22.0]);
        assert!(row("tied").iter().all(|x| x.to_bits() & 0xffff == 0));
        assert!(values.iter().any(|x| x.to_bits() & 0xffff != 0));
        assert_eq!(row("one likely").iter().filter(|x| **x >= 20.0).count(), 1);
    }

    #[test]
    fn a_stored_row_is_the_nearest_of_its_type() {
        let kind = Kind::find("large and close", KINDS).expect("a kind");
        let logits = kind.logits(33, 5 << 24);
        for &dtype in Dtype::ALL {
            let mut bytes = vec![0; 33 * dtype.bytes()];
            kind.store(dtype, 5 << 24, &mut bytes);
            let stored = crate::Logits::new(&bytes, dtype, 1, 33).expect("a row");
            let half_ulp = match dtype {
                Dtype::F32 => 0.0,
                Dtype::F16 => 8.0,
                Dtype::Bf16 => 64.0,
            }; // at 2^14 to 2^15, of 10 and 7 fraction bits
            for (wide, logit) in stored.row_bits(0).iter().map(f32::from_bits).zip(&logits) {
                assert!((wide - logit).abs() <= half_ulp, "{dtype}: {wide} for {logit}");
            }
        }
    }

    #[test]
    fn numbers_can_be_left_out() {
        let mut numbers = SplitMix64::new(1);
        let first: Vec<u64> = (0..5).map(|_| numbers.next()).collect();
        assert_eq!(SplitMix64::new(1).skip(3).next(), first[3]);
        assert_eq!(SplitMix64::new(1).skip(5).seed(), numbers.seed());
        // Of the authors' own program, seeded with 1234567.
        let mut numbers = SplitMix64::new(1_234_567);
        assert_eq!([numbers.next(), numbers.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        assert!((0..1000).all(|_| numbers.below(7) < 7 && (0.0..1.0).contains(&numbers.unit())));
    }
}
