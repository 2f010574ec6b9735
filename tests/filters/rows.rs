//! Rows of logits: every kind at every size.

use sortilege::synthetic::SplitMix64;

/// Standard normal (Box and Muller 1958).
fn normal(numbers: &mut SplitMix64) -> f32 {
    ((-2.0 * numbers.unit().ln()).sqrt() * (std::f64::consts::TAU * numbers.unit()).cos()) as f32
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
    let mut numbers = SplitMix64::new(vocab as u64);
    let special = numbers.below(vocab);
    let value = |token: usize| match kind {
        "normal" => 3.0 * normal(&mut numbers),
        "peaked" => normal(&mut numbers) + if token == special { 12.0 } else { 0.0 },
        "flat" => 1.25,
        "integers" => (2.0 * normal(&mut numbers)).round(),
        "bf16" => f32::from_bits((4.0 * normal(&mut numbers)).to_bits() & 0xffff_0000),
        "one finite" if token == special => -7.5,
        "one finite" => f32::NEG_INFINITY,
        "mostly -inf" if token == special || numbers.next().is_multiple_of(8) => 2.0 * normal(&mut numbers),
        "mostly -inf" => f32::NEG_INFINITY,
        // Zipf, in no order: 7919 divides none of the sizes.
        "long tail" => -1.1 * ((token * 7919 % vocab + 1) as f32).ln(),
        "wide" => (numbers.unit() * 120.0 - 60.0) as f32,
        "extremes" => {
            [f32::MAX, f32::MIN, 1e-40, -0.0, 0.0, 1e30, f32::MAX.next_down(), 3.0][numbers.below(8)]
        }
        _ => unreachable!("no such kind"),
    };
    (0..vocab).map(value).collect()
}
