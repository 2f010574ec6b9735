//! Numbers of 32 bits, all of them: keys, widened logits, weights against f64. `cargo test` takes every 257th and those at the
//! seams; `scripts/nightly` all (the tests that are ignored).
#![expect(clippy::cast_possible_truncation, reason = "numbers below 2^32 are counted in 64 bits")]

use rayon::prelude::*;

use crate::arithmetic::exact::{
    KEY_INFINITY, KEY_NAN, KEY_NEG_INFINITY, bits_of_key, key_of_bits, key_or_nan, mantissa, pow2,
    row_weight, token_weight,
};
use crate::arithmetic::lane::{FARTHEST, LaneScale, definition};
use crate::logits::{Dtype, Logits};

/// A prime, so that every bit takes part.
const STRIDE: u64 = 257;

/// The first of these numbers about which something is wrong: every `stride`-th below `end`, and those around `seams`.
fn first_wrong(
    end: u64,
    stride: u64,
    seams: &[u64],
    wrong: impl Fn(u64) -> Option<String> + Sync,
) -> Option<String> {
    const CHUNK: u64 = 1 << 16;
    let at_seams = seams.iter().flat_map(|seam| seam.saturating_sub(3)..(seam + 3).min(end)).find_map(&wrong);
    let of_chunk = |chunk: u64| {
        let mut numbers = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|i| i * stride).take_while(|n| *n < end);
        numbers.find_map(&wrong)
    };
    let chunks = end.div_ceil(stride).div_ceil(CHUNK);
    at_seams.or_else(|| (0..chunks).into_par_iter().find_map_first(of_chunk))
}

/// Values of f32 that are numbers, by their place from -infinity to +infinity; zeros of both signs have one each.
const VALUES: u64 = 2 * (0x7f80_0000 + 1);

fn value_at(place: u64) -> f32 {
    let half = VALUES / 2;
    f32::from_bits(if place < half { 0xff80_0000 - place as u32 } else { (place - half) as u32 })
}

/// Each value beside the next: keys rise where values do, are equal where values are, and give their value back.
fn wrong_key(stride: u64, key: impl Fn(u32) -> i32 + Sync) -> Option<String> {
    let seams = [0, 1, 0x7f00_0000, 0x7f80_0000, VALUES / 2, VALUES / 2 + 0x80_0000, VALUES - 2];
    first_wrong(VALUES - 1, stride, &seams, |place| {
        let [low, high] = [value_at(place), value_at(place + 1)];
        let [low_key, high_key] = [low, high].map(|value| key(value.to_bits()));
        let is_right = if low < high { low_key < high_key } else { low == high && low_key == high_key };
        let comes_back = f32::from_bits(bits_of_key(low_key)) == low;
        (!is_right || !comes_back).then(|| format!("{low:e} {low_key:x}, {high:e} {high_key:x}"))
    })
}

/// Every NaN is above all keys where keys know of NaN; where they do not, it is beyond the infinity of its sign.
fn wrong_nan(
    stride: u64,
    plain: impl Fn(u32) -> i32 + Sync,
    known: impl Fn(u32) -> i32 + Sync,
) -> Option<String> {
    let each = 0x7f_ffff; // NaN of one sign
    first_wrong(2 * each, stride, &[0, each, 2 * each], |number| {
        let number = number as u32;
        let bits = (number / 0x7f_ffff) << 31 | (0x7f80_0001 + number % 0x7f_ffff);
        let beyond =
            if bits >> 31 == 0 { plain(bits) > KEY_INFINITY } else { plain(bits) < KEY_NEG_INFINITY };
        (known(bits) != KEY_NAN || !beyond).then(|| format!("{bits:x}: {:x}", known(bits)))
    })
}

fn check_keys(stride: u64) {
    assert_eq!(wrong_key(stride, key_of_bits), None);
    assert_eq!(wrong_key(stride, key_or_nan), None);
    assert_eq!(wrong_nan(stride, key_of_bits, key_or_nan), None);
    assert_eq!([key_of_bits(0xff80_0000), key_of_bits(0x7f80_0000)], [KEY_NEG_INFINITY, KEY_INFINITY]);
}

#[test]
fn keys_are_in_the_order_of_values() {
    check_keys(STRIDE);
}

#[test]
#[ignore = "all 2^32: scripts/nightly"]
fn all_keys_are_in_the_order_of_values() {
    check_keys(1);
}

#[test]
fn wrong_keys_are_found() {
    let without_zero = |bits: u32| bits.cast_signed() ^ ((bits.cast_signed() >> 31) & 0x7fff_ffff);
    assert!(wrong_key(STRIDE, without_zero).is_some(), "zeros of both signs");
    assert!(wrong_key(STRIDE, u32::cast_signed).is_some(), "the sign");
    let flushed = |bits: u32| key_of_bits(if bits & 0x7f80_0000 == 0 { 0 } else { bits });
    assert!(wrong_key(STRIDE, flushed).is_some(), "subnormals");
    let infinite = |bits: u32| key_of_bits(if bits & 0x7fff_ffff == 0x7f80_0000 { bits - 1 } else { bits });
    assert!(wrong_key(STRIDE, infinite).is_some(), "infinities");
    assert!(wrong_nan(STRIDE, key_of_bits, key_of_bits).is_some(), "NaN");
    let quiet = |bits: u32| if bits & 0x40_0000 == 0 { key_of_bits(bits) } else { KEY_NAN };
    assert!(wrong_nan(STRIDE, key_of_bits, quiet).is_some(), "signalling NaN");
}

/// All values of the 16-bit types, as a row and one by one: the f32 of the same value, by the definition of each type.
#[test]
fn all_halves_widen_to_their_value() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for (dtype, fraction_bits) in [(Dtype::F16, 10), (Dtype::Bf16, 7)] {
        let logits = Logits::new(bytemuck::cast_slice(&all), dtype, 1, all.len()).expect("a row");
        for (stored, wide) in all.iter().zip(logits.row_bits(0).iter()) {
            let expected = by_definition(*stored, fraction_bits);
            let is_same = if expected.is_nan() {
                f32::from_bits(wide).is_nan() && wide >> 31 == u32::from(stored >> 15)
            } else {
                (expected as f32).to_bits() == wide && f64::from(expected as f32) == expected
            };
            assert!(is_same && dtype.widen(u32::from(*stored)) == wide, "{dtype} {stored:x}: {wide:x}");
        }
        let range = logits.row_bits(0).range(3, 65_001);
        let mut room = vec![0; range.len()];
        assert!(range.widened(&mut room).iter().copied().eq(logits.row_bits(0).iter().skip(3).take(64_998)));
    }
}

/// Value of 16 bits: sign, exponent, so many of fraction.
fn by_definition(stored: u16, fraction_bits: i32) -> f64 {
    let exponent_bits = 15 - fraction_bits;
    let fraction = f64::from(stored & ((1 << fraction_bits) - 1)) * pow2(-fraction_bits);
    let exponent = i32::from(stored >> fraction_bits) & ((1 << exponent_bits) - 1);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let magnitude = match exponent {
        0 => fraction * pow2(1 - bias),
        _ if exponent == (1 << exponent_bits) - 1 && fraction == 0.0 => f64::INFINITY,
        _ if exponent == (1 << exponent_bits) - 1 => f64::NAN,
        _ => (1.0 + fraction) * pow2(exponent - bias),
    };
    if stored >> 15 == 0 { magnitude } else { -magnitude }
}

#[test]
#[ignore = "all 2^32: scripts/nightly"]
fn all_words_are_read_as_they_are() {
    let wrong = first_wrong(1 << 32, 1, &[], |bits| {
        let bits = bits as u32;
        (Dtype::F32.widen(bits) != bits).then(|| format!("{bits:x}"))
    });
    assert_eq!(wrong, None);
}

/// All 2^24 fractions of an octave: the bounds of docs/exact.md, 7, and every whole octave further a half.
#[test]
fn all_mantissas_are_within_their_bounds() {
    let seams = [1 << 14, 1 << 23, (1 << 24) - 4];
    let wrong = first_wrong((1 << 24) - 1, 1, &seams, |fraction| {
        let fraction = fraction as u32;
        let own = mantissa(fraction);
        let error = f64::from(own) / (31.0 - f64::from(fraction) * pow2(-24)).exp2() - 1.0;
        let next = mantissa(fraction + 1);
        let is_right = (-1e-8..=8e-8).contains(&error) && next <= own && own <= 1 << 31 && next >= 1 << 30;
        let shifts = [0, 1, 17, 43, 59].iter().all(|whole| {
            let octaves = whole << 24 | fraction;
            let down = |fraction_bits: u32| (u64::from(own) << (fraction_bits - 31)) >> whole;
            token_weight(octaves) == down(50) && row_weight(octaves) == down(43)
        });
        (!is_right || !shifts).then(|| format!("{fraction}: {own}, {error:e}"))
    });
    assert_eq!(wrong, None);
}

/// Distances of a lane, every binary32 from 0 to 60 octaves: the weight never rises, and its error is that of
/// docs/exact.md, 12, second row.
fn wrong_weight(stride: u64, weight: impl Fn(f32) -> f32 + Sync) -> Option<String> {
    let seams = [1, 0x3f80_0000, 0x4b00_0000, 0x4b80_0000, 0x4c00_0000, u64::from(FARTHEST.to_bits())];
    first_wrong(FARTHEST.to_bits().into(), stride, &seams, |bits| {
        let distance = f32::from_bits(bits as u32);
        let (own, next) = (weight(distance), weight(distance.next_up()));
        let error = f64::from(own) / (-f64::from(distance) * pow2(-23)).exp2() - 1.0;
        let is_right = (-1.6e-7..=2.0e-7).contains(&error) && next <= own;
        (!is_right).then(|| format!("{distance:e}: {own:e}, then {next:e}, error {error:e}"))
    })
}

fn lane_weight(distance: f32) -> f32 {
    let (whole, mantissa) = definition::mantissa(distance);
    definition::lowered(mantissa, whole)
}

#[test]
fn weights_of_a_lane_are_within_their_bounds() {
    assert_eq!(wrong_weight(STRIDE, lane_weight), None);
}

#[test]
#[ignore = "1.3 · 10^9 distances: scripts/nightly"]
fn all_weights_of_a_lane_are_within_their_bounds() {
    assert_eq!(wrong_weight(1, lane_weight), None);
}

#[test]
fn wrong_weights_are_found() {
    type Weight = fn(f32) -> f32;
    let mutants: [(&str, Weight); 4] = [
        ("2.4e-7 too heavy", |distance| lane_weight(distance) * (1.0 + 2.0 * f32::EPSILON)),
        ("another base", |distance| (-distance * pow2(-23) as f32 * 1.000_001).exp2()),
        ("halved past 12 octaves", |distance| lane_weight(distance) * if distance > 1e8 { 0.5 } else { 1.0 }),
        ("one of 8192 out of order", |distance| {
            lane_weight(if distance as u32 % 8192 == 8191 { distance + 2.0 } else { distance })
        }),
    ];
    for (name, mutant) in mutants {
        assert!(wrong_weight(STRIDE, mutant).is_some(), "{name}");
    }
}

/// Every logit below a maximum of 0, through the lane's own difference and product: the weight never rises as logits fall,
/// and is within δ times the errors of these (docs/exact.md, 12, first row) and the second row's.
fn wrong_logit(
    stride: u64,
    temperature: f32,
    weight: impl Fn(LaneScale, u32) -> f32 + Sync,
) -> Option<String> {
    const EPSILON: f64 = 1.0 / 16_777_216.0;
    let scale = LaneScale::new(temperature);
    let seams = [0, 0x3380_0000, 0x3f80_0000, 0x4200_0000, 0x7f7f_fffe];
    first_wrong(0x7f80_0000, stride, &seams, |magnitude| {
        let bits = magnitude as u32 | 1 << 31;
        let (own, next) = (weight(scale, bits), weight(scale, bits + 1));
        let distance = -f64::from(f32::from_bits(bits)) / f64::from(temperature);
        // Beyond the cut nothing is left of a weight in a lane's sum.
        let octaves = distance * std::f64::consts::LOG2_E;
        let is_right = if octaves < 59.999 {
            let error = f64::from(own) / (-distance).exp() - 1.0;
            (-(distance * 4.0 * EPSILON + 1.6e-7)..=distance * 2.0 * EPSILON + 2.0e-7).contains(&error)
        } else {
            f64::from(own) <= pow2(-59)
        };
        (!is_right || next > own).then(|| format!("{bits:x}: {own:e}, then {next:e}"))
    })
}

fn logit_weight(scale: LaneScale, bits: u32) -> f32 {
    definition::token(scale, 0, bits).1
}

#[test]
fn weights_of_logits_are_within_their_bounds() {
    for temperature in [1.0, 0.7] {
        assert_eq!(wrong_logit(STRIDE, temperature, logit_weight), None, "T {temperature}");
    }
    let other =
        |scale: LaneScale, bits| logit_weight(LaneScale { per_logit: scale.per_logit * 0.999_999 }, bits);
    assert!(wrong_logit(STRIDE, 1.0, other).is_some(), "a scale that is off by 1e-6");
}

#[test]
#[ignore = "2.1 · 10^9 logits at three temperatures: scripts/nightly"]
fn weights_of_all_logits_are_within_their_bounds() {
    for temperature in [1.0, 0.7, 0.001] {
        assert_eq!(wrong_logit(1, temperature, logit_weight), None, "T {temperature}");
    }
}
