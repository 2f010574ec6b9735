//! llama.cpp's `--kl-divergence-base` files, written here from the tool's description of them: a head, the tokens of all
//! chunks, and for the second half of each chunk rows of 16-bit codes.

use serde_json::{Value, json};

use super::definition::{Rows, check, statistics};
use super::{VOCAB, report, rows};
use crate::common::{Folder, i32s, npy, stderr, stored, successful};

const CONTEXT: usize = 11;
const CHUNKS: usize = 3;
/// Rows of a chunk, and the first of them.
const KEPT: usize = CONTEXT - 1 - CONTEXT / 2;
const FIRST: usize = CONTEXT / 2;

/// A row as the tool packs it, and the log-probabilities that it then stands for.
fn packed(row: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let max = row.iter().copied().fold(f32::MIN, f32::max);
    let min = row.iter().copied().fold(f32::MAX, f32::min).max(max - 16.0);
    let log_sum = row.iter().map(|x| (x - max).exp()).sum::<f32>().ln();
    let (scale, floor) = ((max - min) / 65_535.0, min - max - log_sum);
    #[expect(clippy::cast_possible_truncation, reason = "a code is at most 65 535")]
    let code = |x: &f32| if *x > min { ((x - min) / scale).round() as u16 } else { 0 };
    let mut codes: Vec<u16> = row.iter().map(code).collect();
    let values = codes.iter().map(|&code| scale * f32::from(code) + floor).collect();
    codes.resize(row.len().next_multiple_of(2), 0);
    let head = [scale.to_le_bytes(), floor.to_le_bytes()].concat();
    let codes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
    ([head, codes].concat(), values)
}

/// The tokens of all chunks.
fn text() -> Vec<i32> {
    (0..CONTEXT * CHUNKS).map(|i| i32::try_from(i * 17 % VOCAB).expect("small")).collect()
}

/// A file of these rows.
fn base_file(rows: &[Vec<f32>]) -> Vec<u8> {
    base_file_of(&text(), rows)
}

/// The same over another text.
fn base_file_of(text: &[i32], rows: &[Vec<f32>]) -> Vec<u8> {
    let sizes = [CONTEXT, VOCAB, CHUNKS].map(|size| i32::try_from(size).expect("small"));
    let head = [b"_logits_", &i32s(&sizes)[..], &i32s(text)].concat();
    rows.iter().fold(head, |file, row| [file, packed(row).0].concat())
}

/// A folder with `base.kld` of A's rows, `b.npy` with B's of them and `all.npy` with B's of all positions; and the rows as
/// the file has them.
fn folder() -> (Folder, Rows) {
    let folder = Folder::new();
    let mut rows = rows(CHUNKS * KEPT, 0.4, 31);
    // A logit that is farther than 16 nats below the largest is floored.
    rows.a[2][5] = -90.0;
    folder.put("base.kld", base_file(&rows.a));
    let shape = format!("({CHUNKS}, {KEPT}, {VOCAB})");
    folder.put("b.npy", npy("<f4", &shape, &stored("f32", &rows.b.concat())));
    let mut all = vec![vec![f32::NAN; VOCAB]; CHUNKS * CONTEXT];
    for (row, logits) in rows.b.iter().enumerate() {
        all[row / KEPT * CONTEXT + FIRST + row % KEPT].clone_from(logits);
    }
    let shape = format!("({CHUNKS}, {CONTEXT}, {VOCAB})");
    folder.put("all.npy", npy("<f4", &shape, &stored("f32", &all.concat())));
    rows.a = rows.a.iter().map(|row| packed(row).1).collect();
    let text = text();
    let token = |row: usize| text[row / KEPT * CONTEXT + FIRST + 1 + row % KEPT];
    rows.targets = (0..CHUNKS * KEPT).map(|row| usize::try_from(token(row)).ok()).collect();
    (folder, rows)
}

#[test]
fn a_base_file_is_read_with_its_text() {
    let (folder, rows) = folder();
    let line = "compare base.kld b.npy --device cpu --format json --top 5";
    let output = successful(line, folder.run(line));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    check(&found["total"], &statistics(&rows, 5)).expect("of the log-probabilities that the file holds");
    assert_eq!(found["a"]["approximate"], true);
    assert_eq!(found["b"]["approximate"], false);
    assert_eq!(found["requests"].as_array().map(Vec::len), Some(CHUNKS));
    let positions: Vec<u64> = found["worst"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["position"].as_u64().expect("one"))
        .collect();
    let expected = FIRST as u64 + 1..CONTEXT as u64;
    assert!(positions.iter().all(|position| expected.contains(position)), "{positions:?}");
    assert!(stderr(&output).contains("floored 16 nats below the largest"), "{}", stderr(&output));
    let table = folder.text("compare base.kld b.npy --device cpu --format table");
    assert!(table.contains("base.kld  [3, 5, 61] f32, approximate"), "{table}");
    // Logits of all positions are cut to those of the file.
    let of_all = report(&folder, "compare base.kld all.npy --device cpu --format json --top 5");
    assert_eq!(of_all["total"], found["total"]);
    // It may be the other side, and both.
    let turned = report(&folder, "compare b.npy base.kld --device cpu --format json --top 5");
    let exchanged = Rows { a: rows.b, b: rows.a, targets: rows.targets };
    check(&turned["total"], &statistics(&exchanged, 5)).expect("the other way round");
    let itself = report(&folder, "compare base.kld base.kld --device cpu --format json");
    assert_eq!(itself["total"]["kld_max"], 0);
    assert_eq!(itself["worst"], json!([]));
}

/// Models over two texts have nothing to compare; what was rounded stays approximate in a reference.
#[test]
fn two_texts_are_refused() {
    let (folder, rows) = folder();
    let mut other = text();
    other[FIRST + 2] = (other[FIRST + 2] + 1) % i32::try_from(VOCAB).expect("small");
    folder.put("other.kld", base_file_of(&other, &rows.b));
    folder.put("same.kld", base_file(&rows.b));
    folder.printed("compare base.kld --save ref.safetensors --device cpu");
    for sides in ["base.kld other.kld", "other.kld base.kld", "ref.safetensors other.kld"] {
        let refused = folder.run(&format!("compare {sides} --device cpu"));
        assert!(stderr(&refused).contains("of two texts"), "{sides}: {}", stderr(&refused));
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{sides}");
    }
    let found = report(&folder, "compare ref.safetensors same.kld --device cpu --format json");
    assert_eq!((&found["a"]["approximate"], &found["b"]["approximate"]), (&json!(true), &json!(true)));
    folder.printed("compare b.npy --save exact.safetensors --device cpu");
    let found = report(&folder, "compare exact.safetensors b.npy --device cpu --format json");
    assert_eq!(found["a"]["approximate"], false);
}

/// What the tests above rest on: the codes of their file are near the logits that they were made from.
#[test]
fn sixteen_bits_are_near() {
    let rows = rows(4, 0.0, 32);
    for row in &rows.a {
        let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        for (x, logprob) in row.iter().zip(packed(row).1) {
            assert!(
                (f64::from(*x) - total.ln() - f64::from(logprob)).abs() < 2e-3
                    || f64::from(*x) - total.ln() < -16.0
            );
        }
    }
}

#[test]
fn a_base_file_that_cannot_be_is_named() {
    let (folder, rows) = folder();
    let whole = folder.get("base.kld");
    let with = |place: usize, number: i32| {
        let mut bytes = whole.clone();
        bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    for (bytes, words) in [
        (whole[..15].to_vec(), "it is cut off"),
        (whole[..whole.len() - 1].to_vec(), "it is truncated"),
        (with(8, 2), "cannot be [2, 61, 3]"),
        (with(8, -5), "cannot be [0, 61, 3]"),
        (with(8, i32::MAX), "it is truncated"),
        (with(12, 0), "cannot be [11, 0, 3]"),
        (with(12, 1 << 21), "cannot be"),
        (with(16, 0), "cannot be [11, 61, 0]"),
        (with(16, i32::MAX), "it is truncated"),
        (with(20 + 4 * (FIRST + 1), 61), "its token 61 is outside its vocabulary of 61"),
        (with(20 + 4 * (FIRST + 1), -1), "its token -1 is outside"),
    ] {
        folder.put("bad.kld", bytes);
        let output = folder.run("compare bad.kld b.npy --device cpu");
        assert_eq!(output.status.code(), Some(1), "{words}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    folder.put("long.kld", [&whole[..], &[0; 9]].concat());
    let output = folder.run("compare long.kld b.npy --device cpu --format json");
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("9 bytes follow its rows"), "{}", stderr(&output));
    // A scale that is no number leaves a row that is no distribution.
    let place = 20 + 4 * CONTEXT * CHUNKS;
    folder.put("nan.kld", with(place, 0x7fc0_0000));
    let found = report(&folder, "compare nan.kld b.npy --device cpu --format json");
    assert_eq!(found["total"]["unsound_a"], 1);
    assert_eq!(found["total"]["rows"], rows.a.len());
    let output = folder.run("compare base.kld b.npy --tokens 1 --device cpu");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("targets of their own"), "{}", stderr(&output));
}
