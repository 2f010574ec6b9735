//! Masks of every kind say the same.

use zip::CompressionMethod::Stored;

use crate::common::{Folder, difference, i32s, npy, npy_in_order, npz, safetensors, stderr};
use crate::table::test_each;

/// Rows and tokens: more tokens than two words have bits.
const SHAPE: [usize; 2] = [4, 70];

/// Whether a token is possible in a row.
fn is_possible(row: usize, token: usize) -> bool {
    (token * 7 + row * 11) % 5 < 2
}

/// One bit per token in rows of three words.
fn words(rows: &[usize]) -> Vec<i32> {
    let word = |row: usize, word: usize| {
        let bits = (0..32).filter(|bit| word * 32 + bit < SHAPE[1] && is_possible(row, word * 32 + bit));
        bits.fold(0u32, |all, bit| all | 1 << bit).cast_signed()
    };
    rows.iter().flat_map(|&row| (0..3).map(move |number| word(row, number))).collect()
}

/// One flag per token.
fn flags(rows: &[usize]) -> Vec<u8> {
    let flag = |row: usize, token: usize| u8::from(is_possible(row, token));
    rows.iter().flat_map(|&row| (0..SHAPE[1]).map(move |token| flag(row, token))).collect()
}

fn folder() -> Folder {
    let folder = Folder::new();
    let values: Vec<u8> = (0..280u16).flat_map(|i| (f32::from(i * 37 % 101) * 0.1).to_le_bytes()).collect();
    folder.put("rows.npy", npy("<f4", "(4, 70)", &values));
    folder.put("nested.npy", npy("<f4", "(2, 2, 70)", &values));
    folder
}

const LINE: &str = "--seed 5 -n 4 --processed-logprobs 3 --device cpu --mask";

#[test]
fn masks_of_every_kind_say_the_same() {
    let folder = folder();
    let all = [0, 1, 2, 3];
    let (bits, bytes) = (i32s(&words(&all)), flags(&all));
    let swapped: Vec<u8> =
        bits.chunks_exact(4).flat_map(|word| [word[3], word[2], word[1], word[0]]).collect();
    let fortran: Vec<u8> =
        (0..70).flat_map(|token| (0..4).map(move |row| u8::from(is_possible(row, token)))).collect();
    folder.put("bits.npy", npy("<i4", "(4, 3)", &bits));
    let expected = folder.printed(&format!("sample rows.npy {LINE} bits.npy"));
    assert_ne!(expected, folder.printed("sample rows.npy --seed 5 -n 4 --processed-logprobs 3 --device cpu"));
    let cases = [
        ("unsigned", npy("<u4", "(4, 3)", &bits)),
        ("big-endian", npy(">i4", "(4, 3)", &swapped)),
        ("bool", npy("|b1", "(4, 70)", &bytes)),
        ("bool by name", npy("bool", "(4, 70)", &bytes)),
        ("u8", npy("|u1", "(4, 70)", &bytes)),
        ("i8", npy("int8", "(4, 70)", &bytes)),
        ("with a dimension of 1", npy("|b1", "(4, 1, 70)", &bytes)),
        ("in Fortran order", npy_in_order("|b1", "True", "(4, 70)", &fortran)),
        ("safetensors", safetensors(&[("mask", "BOOL", &[4, 70], &bytes), ("x", "U8", &[1], &[0])])),
        ("npz", npz(Stored, &[("mask", npy("|u1", "(4, 70)", &bytes)), ("x", Vec::new())])),
    ];
    test_each(cases, |file| {
        folder.put("mask", file);
        let output = folder.run(&format!("sample rows.npy {LINE} mask"));
        assert_eq!(difference(&output.stdout, &expected), None, "{}", stderr(&output));
    });
}

#[test]
fn masks_are_nested_as_their_logits() {
    let folder = folder();
    folder.put("flags.npy", npy("|b1", "(4, 70)", &flags(&[0, 1, 2, 3])));
    let expected = folder.printed(&format!("sample nested.npy {LINE} flags.npy"));
    folder.put("bits.npy", npy("<i4", "(2, 2, 3)", &i32s(&words(&[0, 1, 2, 3]))));
    folder.put("nested.npy_flags", npy("|b1", "(2, 2, 70)", &flags(&[0, 1, 2, 3])));
    for mask in ["bits.npy", "nested.npy_flags"] {
        let found = folder.printed(&format!("sample nested.npy {LINE} {mask}"));
        assert_eq!(difference(&found, &expected), None, "{mask}");
    }
}

/// Of padded logits a mask has as many tokens as the vocabulary, or as the logits have columns.
#[test]
fn masks_may_be_padded_as_their_logits() {
    let folder = folder();
    let all = [0, 1, 2, 3];
    let line = format!("sample rows.npy --vocab-size 33 {LINE}");
    let of_vocab: Vec<u8> = flags(&all).chunks(70).flat_map(|row| row[..33].to_vec()).collect();
    folder.put("mask", npy("|b1", "(4, 33)", &of_vocab));
    let expected = folder.printed(&format!("{line} mask"));
    let short: Vec<i32> = words(&all).chunks(3).flat_map(|row| row[..2].to_vec()).collect();
    let cases = [
        ("flags of all columns", npy("|b1", "(4, 70)", &flags(&all))),
        ("bits of all columns", npy("<i4", "(4, 3)", &i32s(&words(&all)))),
        ("bits of the vocabulary", npy("<i4", "(4, 2)", &i32s(&short))),
    ];
    test_each(cases, |file| {
        folder.put("mask", file);
        let output = folder.run(&format!("{line} mask"));
        assert_eq!(difference(&output.stdout, &expected), None, "{}", stderr(&output));
    });
}

#[test]
fn one_row_is_for_all_rows() {
    let folder = folder();
    folder.put("all.npy", npy("|b1", "(4, 70)", &flags(&[2; 4])));
    for logits in ["rows.npy", "nested.npy", "nested.npy --feedback"] {
        let expected = folder.printed(&format!("sample {logits} {LINE} all.npy"));
        let (bits, bytes) = (i32s(&words(&[2])), flags(&[2]));
        let cases = [
            ("bool", npy("|b1", "(70,)", &bytes)),
            ("a row of u8", npy("|u1", "(1, 70)", &bytes)),
            ("bits", npy("<i4", "(3,)", &bits)),
            ("nested bits", npy("<i4", "(1, 1, 3)", &bits)),
        ];
        test_each(cases, |file| {
            folder.put("mask", file);
            let output = folder.run(&format!("sample {logits} {LINE} mask"));
            assert_eq!(difference(&output.stdout, &expected), None, "{}", stderr(&output));
        });
    }
}

#[test]
fn masks_that_do_not_fit_are_named() {
    let folder = folder();
    let mut odd = flags(&[0, 1, 2, 3]);
    odd[75] = 255;
    let cases: [(&str, Vec<u8>, &[&str]); 7] = [
        (
            "too few tokens",
            npy("|b1", "(4, 69)", &[1; 276]),
            &["[4, 69] does not fit", "[4, 70]", "one flag"],
        ),
        ("too few rows", npy("|b1", "(3, 70)", &[1; 210]), &["[3, 70] does not fit"]),
        ("too few words", npy("<i4", "(4, 2)", &[0; 32]), &["[4, 2]", "[4, 3] is needed", "one bit"]),
        ("floats", npy("<f4", "(4, 70)", &[0; 1120]), &["a mask of float32 is not read", "bool or uint8"]),
        ("wide integers", npy("<i8", "(4, 70)", &[0; 2240]), &["a mask of int64 is not read"]),
        ("no number", npy("|b1", "()", &[0]), &["[] does not fit"]),
        ("neither 0 nor 1", npy("|u1", "(4, 70)", &odd), &["token 5 in row 1 is 255"]),
    ];
    test_each(cases.map(|case| (case.0, case)), |(_, file, words)| {
        folder.put("mask", file);
        let output = folder.run(&format!("sample rows.npy {LINE} mask"));
        let message = stderr(&output);
        // As of options that do not fit each other.
        let code = if message.contains("does not fit") { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{message}");
        for word in words {
            assert!(message.contains(word), "no {word:?}: {message}");
        }
    });
}
