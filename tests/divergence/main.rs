//! Divergences of two batches: by hand, against the definition in f64, and what must hold to the bit.
#![cfg(feature = "validate")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "device")]
mod device;

use sortilege::audit::{Answer, KnownRow};
use sortilege::synthetic::{KINDS, Kind, SplitMix64};
use sortilege::{Cpu, Divergence, Dtype, Engine, Error, Logits, Status};

fn of_rows(first: &[f32], second: &[f32]) -> Divergence {
    let batches = [first, second].map(|row| Logits::f32(row, 1, row.len()).expect("a row"));
    Cpu.divergence(&batches[0], &batches[1]).expect("an answer").remove(0)
}

/// A row of this kind and type.
struct Stored {
    bytes: Vec<u8>,
    dtype: Dtype,
}

impl Stored {
    fn new(values: &[f32], dtype: Dtype) -> Self {
        let mut bytes = vec![0; values.len() * dtype.bytes()];
        bytes
            .chunks_exact_mut(dtype.bytes())
            .zip(values)
            .for_each(|(place, value)| dtype.store(*value, place));
        Self { bytes, dtype }
    }

    fn logits(&self) -> Logits<'_> {
        Logits::new(&self.bytes, self.dtype, 1, self.bytes.len() / self.dtype.bytes()).expect("a row")
    }
}

/// The divergence, if its audit finds nothing; and the audit's worst error.
fn audited(first: &Stored, second: &Stored, name: &str) -> (Divergence, Option<f64>) {
    let (first, second) = (first.logits(), second.logits());
    let answer = Cpu.divergence(&first, &second).expect("an answer").remove(0);
    let verdict = KnownRow::new(&first, 0).divergence(&KnownRow::new(&second, 0), &answer);
    assert!(verdict.is_ok(), "{name}: {verdict}, {answer:?}");
    (answer, verdict.error)
}

fn near(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-8
}

#[test]
fn coins_are_as_computed_by_hand() {
    // P = (1/2, 1/2), Q = (3/4, 1/4): nothing but logarithms of integers.
    let [two, three] = [2f64.ln(), 3f64.ln()];
    #[expect(clippy::cast_possible_truncation, reason = "the nearest logit")]
    let coin = of_rows(&[1.5, 1.5], &[three as f32, 0.0]);
    assert_eq!(coin.statuses, [Status::Ok; 2]);
    assert!(near(coin.kl, two - 0.5 * three), "{coin:?}");
    assert!(near(coin.reverse_kl, 0.75 * three - two), "{coin:?}");
    let mean = 0.375 * (8f64 / 3.0).ln() + 0.625 * (8f64 / 5.0).ln();
    assert!(near(coin.jensen_shannon, mean - (two + 2.0 * two - 0.75 * three) / 2.0), "{coin:?}");
    // Two tokens whose masks have nothing in common, then one token more in each.
    let none = f32::NEG_INFINITY;
    let disjoint = of_rows(&[0.0, none], &[none, 3.0]);
    assert_eq!([disjoint.kl, disjoint.reverse_kl], [f64::INFINITY; 2]);
    assert!(near(disjoint.jensen_shannon, two), "{disjoint:?}");
    let shared = of_rows(&[0.0, 0.0, none], &[none, 3.0, 3.0]);
    assert_eq!([shared.kl, shared.reverse_kl], [f64::INFINITY; 2]);
    assert!(near(shared.jensen_shannon, two / 2.0), "{shared:?}");
    let masked = of_rows(&[7.0, none], &[2.0, 2.0]);
    assert!(near(masked.kl, two) && masked.reverse_kl == f64::INFINITY, "{masked:?}");
}

#[test]
fn what_is_no_distribution_is_said_of_each() {
    for (bad, status) in
        [(f32::NAN, Status::Nan), (-f32::NAN, Status::Nan), (f32::INFINITY, Status::PositiveInfinity)]
    {
        for place in [0, 4999] {
            let mut row = vec![1.0; 5000];
            row[place] = bad;
            let sound = vec![0.5; 5000];
            for (first, second, statuses) in [
                (&row, &sound, [status, Status::Ok]),
                (&sound, &row, [Status::Ok, status]),
                (&row, &row, [status; 2]),
            ] {
                let answer = of_rows(first, second);
                assert_eq!(answer.statuses, statuses);
                assert!([answer.kl, answer.reverse_kl, answer.jensen_shannon].iter().all(|x| x.is_nan()));
            }
        }
    }
    let nothing = of_rows(&[f32::NEG_INFINITY; 3], &[f32::NEG_INFINITY, 0.0, 0.0]);
    assert_eq!(nothing.statuses, [Status::NothingFinite, Status::Ok]);
    assert!(nothing.kl.is_nan() && nothing.jensen_shannon.is_nan());
}

/// Every kind of row with itself, whatever the types: zeros throughout; and with every other, by the definition.
#[test]
fn every_pair_of_kinds_follows_from_the_definition() {
    let mut worst = 0.0f64;
    for (vocab, dtypes) in [
        (1, [Dtype::F32, Dtype::Bf16]),
        (2, [Dtype::F32, Dtype::F32]),
        (64, [Dtype::F16, Dtype::F32]),
        (65, [Dtype::F32, Dtype::F16]),
        (4097, [Dtype::F32, Dtype::Bf16]),
    ] {
        for (i, first) in KINDS.iter().enumerate() {
            for (j, second) in KINDS.iter().enumerate() {
                let [a, b] = [(first, i, dtypes[0]), (second, j, dtypes[1])]
                    .map(|(kind, seed, dtype)| Stored::new(&kind.logits(vocab, (seed as u64) << 40), dtype));
                let name = format!("{} against {}, {vocab} tokens, {dtypes:?}", first.name, second.name);
                let (answer, error) = audited(&a, &b, &name);
                worst = worst.max(error.unwrap_or(0.0));
                let mut swapped = Cpu.divergence(&b.logits(), &a.logits()).expect("an answer").remove(0);
                std::mem::swap(&mut swapped.kl, &mut swapped.reverse_kl);
                swapped.statuses.reverse();
                assert_eq!(swapped, answer, "{name}");
            }
            let row = Stored::new(&first.logits(vocab, 7 << 40), dtypes[0]);
            let same = Cpu.divergence(&row.logits(), &row.logits()).expect("an answer").remove(0);
            if same.statuses == [Status::Ok; 2] {
                let zeros = [same.kl, same.reverse_kl, same.jensen_shannon].map(f64::to_bits);
                assert_eq!(zeros, [0; 3], "{} with itself: {same:?}", first.name);
            }
        }
    }
    assert!(worst < 1e-7 && worst > 1e-9, "{worst:e}"); // 6.1e-8
}

/// Rows of all sizes, and what rounding to 16 bits does to them: well below the promise.
#[test]
fn small_divergences_are_close() {
    for vocab in [1, 2, 63, 64, 65, 4095, 4096, 4097, 8192, 128_256] {
        let row = Kind::find("normal", KINDS).expect("a kind").logits(vocab, 3 << 40);
        let wide = Stored::new(&row, Dtype::F32);
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let (answer, error) =
                audited(&wide, &Stored::new(&row, dtype), &format!("{vocab} tokens, {dtype}"));
            let error = error.expect("measured");
            // Relative to the smallest of the three.
            let least = answer.kl.min(answer.reverse_kl).min(answer.jensen_shannon);
            assert!(
                error < 1e-8 && error <= 1e-3 * least + 1e-9,
                "{vocab} tokens, {dtype}: {error:e} of {least:e}"
            );
        }
        // Noise of a thousandth of a nat: a divergence of half a millionth.
        let mut numbers = SplitMix64::new(9);
        #[expect(clippy::cast_possible_truncation, reason = "the nearest logits")]
        let noisy: Vec<f32> = row.iter().map(|x| x + (1e-3 * (numbers.unit() - 0.5) * 3.46) as f32).collect();
        let (answer, error) = audited(&wide, &Stored::new(&noisy, Dtype::F32), "noise");
        let error = error.expect("measured");
        assert!(error < 1e-9, "{vocab} tokens: {error:e} of {:e}", answer.kl);
        if vocab > 4000 {
            assert!((4e-7..6e-7).contains(&answer.kl), "{answer:?}");
            assert!((answer.kl / answer.jensen_shannon / 4.0 - 1.0).abs() < 0.02, "{answer:?}");
        }
    }
}

/// Order within a tile, a constant added to a row and the type that holds it are nothing to a divergence.
#[test]
fn what_changes_no_distribution_changes_no_bit() {
    let vocab = 4096 + 800;
    let value = |seed| -> Vec<f32> {
        let mut numbers = SplitMix64::new(seed);
        (0..vocab).map(|_| numbers.below(4096) as f32 / 256.0 - 8.0).collect() // exact in f16
    };
    let (first, second) = (value(1), value(2));
    let expected = of_rows(&first, &second);
    let turned = |row: &[f32]| -> Vec<f32> {
        let mut row = row.to_vec();
        row[..4096].rotate_left(1000);
        row[4096..].reverse();
        row
    };
    assert_eq!(of_rows(&turned(&first), &turned(&second)), expected);
    let raised = |row: &[f32], by: f32| -> Vec<f32> { row.iter().map(|x| x + by).collect() };
    assert_eq!(of_rows(&raised(&first, 100.0), &raised(&second, -31.5)), expected);
    for dtypes in [[Dtype::F16, Dtype::F32], [Dtype::F32, Dtype::F16], [Dtype::F16, Dtype::F16]] {
        let [a, b] = [Stored::new(&first, dtypes[0]), Stored::new(&second, dtypes[1])];
        let answer = Cpu.divergence(&a.logits(), &b.logits()).expect("an answer").remove(0);
        assert_eq!(answer, expected, "{dtypes:?}");
    }
    assert_ne!(of_rows(&turned(&first), &second), expected, "other pairs of tokens");
    let mut changed = first.clone();
    changed[17] += 1.0 / 256.0;
    assert_ne!(of_rows(&changed, &second), expected, "another logit");
}

/// Masks that are large numbers instead of infinities count for what they are, up to 65 536 nats.
#[test]
fn far_away_tokens_count() {
    for (mask, expected) in [(-1e4, 1e4), (-65_504.0, 65_504.0), (-3e5, 65_536.0), (f32::MIN, 65_536.0)] {
        let answer = of_rows(&[0.0, 0.0], &[0.0, mask]);
        let kl = 0.5 * expected - 2f64.ln();
        assert!((answer.kl / kl - 1.0).abs() < 1e-8, "{mask}: {answer:?}");
        assert!(near(answer.reverse_kl, 2f64.ln()), "{mask}: {answer:?}");
    }
}

#[test]
fn batches_of_other_shapes_are_refused() {
    let values = [0.0f32; 12];
    let batch = |rows, vocab| Logits::f32(&values, rows, vocab).expect("a batch");
    for (second, words) in [
        (batch(2, 4), ["rows 3, the second 2", "compare the rows"]),
        (batch(3, 3), ["vocab 4, the second 3", "padding"]),
    ] {
        let error = Cpu.divergence(&batch(3, 4), &second).expect_err("no pair");
        let message = error.to_string();
        assert!(matches!(error, Error::Params(_)) && words.iter().all(|w| message.contains(w)), "{message}");
    }
    assert_eq!(Cpu.divergence(&batch(0, 4), &batch(0, 4)).expect("none"), []);
}

/// The audit and the comparator behind these tests must see a wrong number.
#[test]
fn wrong_divergences_are_seen() {
    let [first, second] = [1, 2].map(|seed| KINDS[0].logits(300, seed << 40));
    let rows = [&first, &second].map(|row| KnownRow::new(&Logits::f32(row, 1, 300).expect("a row"), 0));
    let sound = of_rows(&first, &second);
    assert!(rows[0].divergence(&rows[1], &sound).is_ok());
    type Fault<'a> = (&'a str, &'a dyn Fn(&mut Divergence));
    let faults: &[Fault<'_>] = &[
        ("status of P", &|d| d.statuses[0] = Status::Nan),
        ("status of Q", &|d| d.statuses[1] = Status::NothingFinite),
        ("kl too large", &|d| d.kl += 1e-6 + 4e-7 * d.kl),
        ("kl too small", &|d| d.kl -= 1e-6 + 4e-7 * d.kl),
        ("kl infinite", &|d| d.kl = f64::INFINITY),
        ("kl NaN", &|d| d.kl = f64::NAN),
        ("reverse kl", &|d| d.reverse_kl += 1e-6 + 4e-7 * d.reverse_kl),
        ("directions", &|d| std::mem::swap(&mut d.kl, &mut d.reverse_kl)),
        ("jensen-shannon", &|d| d.jensen_shannon += 1.1e-6),
        ("jensen-shannon NaN", &|d| d.jensen_shannon = f64::NAN),
        ("its root", &|d| d.jensen_shannon = d.jensen_shannon.sqrt()),
    ];
    for (name, fault) in faults {
        let mut faulty = sound;
        fault(&mut faulty);
        assert!(!rows[0].divergence(&rows[1], &faulty).is_ok(), "{name}, by the definition");
        assert!(!faulty.is_same(&sound), "{name}, by the bits");
    }
    // Of equal rows a little below zero, or above ln 2, is wrong although it is near.
    let same = of_rows(&first, &first);
    for wrong in
        [Fault::from(("kl", &|d: &mut Divergence| d.kl = -1e-12)), ("js", &|d| d.jensen_shannon = -1e-12)]
    {
        let mut faulty = same;
        wrong.1(&mut faulty);
        assert!(!rows[0].divergence(&rows[0], &faulty).is_ok(), "{}", wrong.0);
    }
    let nothing = of_rows(&first, &[f32::NAN; 300]);
    let bad = KnownRow::new(&Logits::f32(&[f32::NAN; 300], 1, 300).expect("a row"), 0);
    assert!(rows[0].divergence(&bad, &nothing).is_ok());
    let mut said = nothing;
    said.kl = 0.0;
    assert!(!rows[0].divergence(&bad, &said).is_ok());
}
