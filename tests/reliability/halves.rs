//! Every value of the 16-bit types, and every 65 537th of f32, in one row on every engine: the order of their lists, and
//! what a NaN or an infinity makes of a row.

use sortilege::synthetic::mix;
use sortilege::{Dtype, Logits, LogprobsParams, Status};

use crate::engines;
use crate::poison::Bits;

/// The number with these bits, by the definition of IEEE 754: sign, exponent, fraction.
fn value(dtype: Dtype, stored: u32) -> f64 {
    let fraction_bits = match dtype {
        Dtype::F32 => 23,
        Dtype::F16 => 10,
        _ => 7,
    };
    let exponent_bits = 8 * dtype.bytes() as i32 - 1 - fraction_bits;
    let fraction = f64::from(stored & ((1 << fraction_bits) - 1)) * 2f64.powi(-fraction_bits);
    let exponent = (stored >> fraction_bits) as i32 & ((1 << exponent_bits) - 1);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(1 - bias),
        _ if exponent == (1 << exponent_bits) - 1 && fraction == 0.0 => f64::INFINITY,
        _ if exponent == (1 << exponent_bits) - 1 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - bias),
    };
    if stored >> (8 * dtype.bytes() - 1) & 1 == 0 { magnitude } else { -magnitude }
}

fn all(dtype: Dtype) -> Vec<u32> {
    let step = if dtype == Dtype::F32 { 65_537 } else { 1 };
    let last = if dtype == Dtype::F32 { u32::MAX } else { 0xffff };
    (0..=last).step_by(step).collect()
}

fn bytes(dtype: Dtype, stored: impl IntoIterator<Item = u32>) -> Vec<u8> {
    stored.into_iter().flat_map(|bits| bits.to_ne_bytes().into_iter().take(dtype.bytes())).collect()
}

#[test]
fn every_value_has_its_place_in_the_order() {
    for &dtype in Dtype::ALL {
        let mut row: Vec<u32> =
            all(dtype).into_iter().filter(|bits| value(dtype, *bits) < f64::INFINITY).collect();
        row.sort_by_key(|bits| mix(u64::from(*bits))); // shuffled
        let count = row.len();
        let values: Vec<f64> = row.iter().map(|bits| value(dtype, *bits)).collect();
        let mut order: Vec<u32> = (0..count as u32).filter(|i| values[*i as usize].is_finite()).collect();
        order.sort_by(|&a, &b| {
            let of = |token: u32| values[token as usize];
            of(b).partial_cmp(&of(a)).expect("numbers").then(a.cmp(&b))
        });
        assert!(order.len() > 63_000, "{dtype}: {}", order.len());
        let bytes = bytes(dtype, row);
        let logits = Logits::new(&bytes, dtype, 1, count).expect("a row");
        for (name, engine) in engines() {
            let (logits, tokens) = engine.top_k(&logits, order.len() as u32).expect("a list");
            assert!(
                tokens == order,
                "{name}, {dtype}: place {:?}",
                tokens.iter().zip(&order).position(|(a, b)| a != b)
            );
            let wrong =
                logits.iter().zip(&order).find(|(x, token)| f64::from(**x) != values[**token as usize]);
            assert_eq!(wrong, None, "{name}, {dtype}");
        }
    }
}

/// Each NaN and each infinity in a row of its own, beside a finite logit: the status of the row, and no other's.
#[test]
fn every_value_that_is_no_number_is_told() {
    for &dtype in Dtype::ALL {
        let Bits { sign, infinity } = Bits::of(dtype);
        let mut special: Vec<u32> =
            all(dtype).into_iter().filter(|bits| bits & infinity == infinity).collect();
        special.extend([infinity, infinity | sign, infinity + 1, (infinity + 1) | sign, sign, 0]);
        let bytes = bytes(dtype, special.iter().flat_map(|bits| [0, *bits]));
        let logits = Logits::new(&bytes, dtype, special.len(), 2).expect("a batch");
        let expected = |bits: &u32| match bits & (sign - 1) {
            magnitude if magnitude > infinity => Status::Nan,
            magnitude if magnitude == infinity && bits & sign == 0 => Status::PositiveInfinity,
            _ => Status::Ok,
        };
        let expected: Vec<Status> = special.iter().map(expected).collect();
        for (name, engine) in engines() {
            let records = engine.logprobs(&logits, &LogprobsParams::default(), &[]).expect("records");
            let got: Vec<Status> = records.iter().map(|record| record.distribution.status).collect();
            assert_eq!(got, expected, "{name}, {dtype}");
        }
    }
}
