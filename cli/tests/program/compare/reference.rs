//! References: what `--save` keeps, what it still answers exactly, and files that are none.

use serde_json::{Value, json};

use super::definition::{check, statistics};
use super::{LINE, VOCAB, report, rows};
use crate::common::{Folder, npy, safetensors, sha256, stderr, stored, successful};

const SAVED: &str = "compare saved.safetensors b.npy --top 5 --device cpu --format json";

/// A folder with A, B, targets, and a reference of so many tokens a row.
fn folder(listed: usize) -> (Folder, super::Rows) {
    let folder = Folder::new();
    let rows = rows(5 * 8, 0.5, 21);
    rows.put(&folder, 8);
    let line =
        format!("compare a.npy --tokens t.npy --save saved.safetensors --save-top {listed} --device cpu");
    successful(&line, folder.run(&line));
    (folder, rows)
}

#[test]
fn what_is_not_of_all_tokens_stays_exact() {
    let (folder, rows) = folder(12);
    let (with_logits, with_reference) = (report(&folder, LINE), report(&folder, SAVED));
    assert_eq!(with_reference["divergence"], "coarse");
    let mut exact = 0;
    for (name, number) in with_logits["total"].as_object().expect("an object") {
        if let Some(found) = with_reference["total"].get(name) {
            // B's choice may not be listed; then its rank is not known, and not made up.
            let is_unknown = name.starts_with("rank_in_a") && found.is_null();
            assert!(found == number || is_unknown, "{name} is {found}, with the logits {number}");
            exact += usize::from(!is_unknown);
        }
    }
    assert!(exact > 45, "{exact} numbers are exact");
    assert_eq!(with_reference["requests"].as_array().map(Vec::len), Some(5));
    let mut expected = statistics(&rows, 5);
    expected.retain(|name, _| !name.contains("kld") && !name.contains("jsd"));
    let mut total = with_reference["total"].clone();
    let coarse = |name: &String| name.starts_with("coarse_");
    let names: Vec<String> =
        total.as_object().expect("an object").keys().filter(|name| coarse(name)).cloned().collect();
    assert_eq!(names.len(), 47);
    names.iter().for_each(|name| drop(total.as_object_mut().expect("an object").remove(name)));
    check(&total, &expected).expect("by definition");
}

/// Of a reference the divergences are lower bounds, nearer with every listed token, and exact where all are listed.
#[test]
fn coarse_divergences_are_lower_bounds() {
    let mut last = [0.0; 3];
    for listed in [1, 2, 5, 20, VOCAB] {
        let (folder, rows) = folder(listed);
        let found = report(&folder, &SAVED.replace("--top 5", "--top 1"));
        let exact = statistics(&rows, 1);
        for (place, name) in ["kld_mean", "reverse_kld_mean", "jsd_mean"].iter().enumerate() {
            let bound = found["total"][format!("coarse_{name}")].as_f64().expect("a number");
            assert!(bound <= exact[*name] + 1e-6, "{name} of {listed}: {bound}, of all {}", exact[*name]);
            assert!(bound >= last[place], "{name} of {listed} is {bound}, of fewer {}", last[place]);
            last[place] = bound;
            if listed == VOCAB {
                assert!((bound - exact[*name]).abs() < 1e-6, "{name}: {bound}, expected {}", exact[*name]);
            }
        }
    }
}

#[test]
fn a_reference_of_the_same_logits_differs_by_nothing() {
    let (folder, _) = folder(7);
    let found = report(&folder, &SAVED.replace("b.npy", "a.npy"));
    for (name, number) in found["total"].as_object().expect("an object") {
        let is_difference =
            ["coarse", "delta_p", "ln_ppl_ratio", "ppl_diff"].iter().any(|part| name.contains(part));
        assert!(!is_difference || number == 0, "{name} is {number}");
    }
    assert_eq!(found["total"]["rank_in_a_max"], 1);
}

#[test]
fn the_file_says_what_it_is() {
    let (folder, rows) = folder(3);
    let bytes = folder.get("saved.safetensors");
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("eight"))).expect("short");
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let about = &header["__metadata__"];
    assert_eq!(about["sortilege"], "reference 1");
    assert_eq!(about["shape"], "5,8");
    assert_eq!(about["source_sha256"], sha256(&folder.get("a.npy")));
    let tensor = |name: &str| {
        let offsets: [usize; 2] = serde_json::from_value(header[name]["data_offsets"].clone()).expect("two");
        bytes[8 + length + offsets[0]..8 + length + offsets[1]].to_vec()
    };
    assert_eq!(header["top_tokens"]["shape"], json!([40, 3]));
    let tokens: Vec<u32> =
        tensor("top_tokens").chunks(4).map(|b| u32::from_le_bytes(b.try_into().expect("four"))).collect();
    let logits: Vec<f32> =
        tensor("top_logits").chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect();
    let mass: Vec<f64> =
        tensor("mass_outside").chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
    for (row, logits_of_row) in rows.a.iter().enumerate() {
        let total: f64 = logits_of_row.iter().map(|&x| f64::from(x).exp()).sum();
        let mut listed = 0.0;
        for place in 3 * row..3 * row + 3 {
            assert_eq!(logits[place], logits_of_row[tokens[place] as usize]);
            listed += f64::from(logits[place]).exp() / total;
        }
        assert!((mass[row] - (1.0 - listed)).abs() < 1e-6, "row {row}");
    }
    // A hundredth of the logits, at a vocabulary of 50 000: 64 tokens of 8 bytes.
    assert!(bytes.len() - length < 40 * (3 * 8 + 40) + 16, "{} bytes", bytes.len());
}

/// Whether it comes through a pipe, from a shell's `<`, or by a name that is no file's.
#[test]
fn a_reference_comes_through_a_pipe() {
    let (folder, _) = folder(12);
    let saved = folder.get("saved.safetensors");
    let mut expected = report(&folder, SAVED);
    let sources: &[&str] = if cfg!(unix) { &["-", "/dev/stdin"] } else { &["-"] };
    for source in sources {
        expected["a"]["file"] = json!(source);
        let line = SAVED.replace("saved.safetensors", source);
        let redirected = std::fs::File::open(folder.path("saved.safetensors")).expect("it is there");
        let redirected = folder.command(&line).stdin(redirected).output().expect("it starts");
        for output in [folder.fed(&line, &saved), redirected] {
            let found: Value = serde_json::from_slice(&successful(&line, output).stdout).expect("JSON");
            assert_eq!(found, expected, "{line}");
        }
    }
    let wrong = folder.fed(&SAVED.replace("saved.safetensors b.npy", "a.npy -"), &saved);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("is a reference, which stands first"), "{}", stderr(&wrong));
}

#[test]
fn a_reference_is_written_beside_a_comparison_too() {
    let (folder, _) = folder(64);
    let line = format!("{LINE} --save other.safetensors");
    successful(&line, folder.run(&line));
    assert_eq!(folder.get("other.safetensors"), folder.get("saved.safetensors"));
}

#[test]
fn what_a_reference_cannot_answer_is_told() {
    let (folder, rows) = folder(4);
    folder.put("narrow.npy", npy("<f4", "(5, 8, 9)", &stored("f32", &[0.5; 360])));
    folder.put("short.npy", npy("<f4", &format!("(7, {VOCAB})"), &stored("f32", &rows.b[..7].concat())));
    let line = "compare a.npy --save bare.safetensors --device cpu";
    successful(line, folder.run(line));
    for (line, words) in [
        ("saved.safetensors b.npy --top 5", "the reference lists 4 tokens a row: lower top 5, or save more"),
        ("saved.safetensors b.npy --top 2 --tokens t.npy", "targets of their own"),
        (
            "bare.safetensors b.npy --top 2 --tokens t.npy",
            "saved without targets: save it again with --tokens",
        ),
        ("saved.safetensors b.npy --top 2 --fail-if kld_mean>1", "or gate on coarse_kld_mean, a lower bound"),
        ("bare.safetensors b.npy --top 2 --fail-if ppl_ratio>1", "ppl_ratio is of targets"),
        (
            "b.npy saved.safetensors --top 2",
            "saved.safetensors is a reference, which stands first: exchange A and B",
        ),
        ("saved.safetensors narrow.npy", "A has a vocabulary of 61, B of 9"),
        ("saved.safetensors short.npy", "A has 5 requests of 8 rows, B 7 rows"),
        ("saved.safetensors --save new.safetensors", "A is a reference already"),
        ("saved.safetensors b.npy --save saved.safetensors", "would replace the input"),
    ] {
        let output = folder.run(&format!("compare {line} --device cpu"));
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{line}: {}", stderr(&output));
    }
    // What other commands say of it.
    let output = folder.run("log saved.safetensors --device cpu");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("say which with --tensor"), "{}", stderr(&output));
}

/// Whatever a reference holds, it is compared or refused in a few words.
#[test]
fn a_damaged_reference_is_named() {
    let (folder, _) = folder(4);
    let bytes = folder.get("saved.safetensors");
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("eight"))).expect("short");
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).expect("UTF-8");
    let put = |from: &str, to: &str| {
        assert!(header.contains(from), "{from}");
        let text = header.replace(from, to);
        folder.put(
            "bad.safetensors",
            [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &bytes[8 + length..]].concat(),
        );
        folder.run("compare bad.safetensors b.npy --top 2 --device cpu")
    };
    for (from, to, words) in [
        ("reference 1", "reference 2", "it is \"reference 2\", and this program reads \"reference 1\""),
        ("\"shape\":\"5,8\"", "\"shape\":\"5,7\"", "is no tensor F64 of shape [35]"),
        ("\"shape\":\"5,8\"", "\"shape\":\"5,x\"", "its shape is \"x\""),
        ("\"shape\":\"5,8\"", "\"shape\":\"99999999999,99999999999\"", "more than memory can hold"),
        ("\"vocab\":\"61\"", "\"vocab\":\"\"", "its vocab is \"\""),
        ("\"vocab\":\"61\"", "\"vocab\":\"9\"", "A has a vocabulary of 9"),
        (
            "\"first_position\":\"0\"",
            "\"first_position\":\"18446744073709551615\"",
            "its first_position is 18446744073709551615",
        ),
        ("\"status\":", "\"stratus\":", "status is no tensor U8"),
        ("\"entropy\":{\"data_offsets\":[0,", "\"entropy\":{\"data_offsets\":[8,", "no readable"),
    ] {
        let output = put(from, to);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{to}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{to}: {}", stderr(&output));
    }
    // A status that is none, tokens that cannot be, and a file that ends early.
    for (place, byte, words) in
        [(bytes.len() - 1, 9, "row 39 has no status 9"), (8 + length + 40 * 24 + 1, 7, "lists token")]
    {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        folder.put("bad.safetensors", bytes);
        let output = folder.run("compare bad.safetensors b.npy --top 2 --device cpu");
        assert!(stderr(&output).contains(words), "{place}: {}", stderr(&output));
    }
    // Numbers that no row has: where they lie behind the header, in the row of this number.
    let f64_at = |column: usize, row: usize| 8 * (40 * column + row);
    let u32_at = |place: usize| 8 * 40 * 3 + 4 * place;
    for (place, number, words) in [
        (f64_at(0, 3), f64::NAN.to_le_bytes().to_vec(), "row 3 is of no logits: its entropy is NaN"),
        (f64_at(0, 3), (-3.0f64).to_le_bytes().to_vec(), "its entropy is -3"),
        (f64_at(0, 3), 4.2f64.to_le_bytes().to_vec(), "its entropy is 4.2"),
        (
            f64_at(1, 39),
            f64::NAN.to_le_bytes().to_vec(),
            "row 39 is of no logits: the logprob of its first token is NaN",
        ),
        (f64_at(1, 0), 5.0f64.to_le_bytes().to_vec(), "the logprob of its first token is 5"),
        (f64_at(1, 0), (-0.01f64).to_le_bytes().to_vec(), "add up to"),
        (f64_at(2, 0), 7.0f64.to_le_bytes().to_vec(), "the mass outside of its list is 7"),
        (u32_at(40 * 4 + 1), 99f32.to_le_bytes().to_vec(), "its list is not in order"),
        (u32_at(40 * 4), f32::NAN.to_le_bytes().to_vec(), "with the logit NaN"),
        (u32_at(40 * 4), f32::INFINITY.to_le_bytes().to_vec(), "with the logit inf"),
        (u32_at(40 * 9), 1e9f32.to_le_bytes().to_vec(), "has the logit 1000000000"),
        (u32_at(40 * 10), 0u32.to_le_bytes().to_vec(), "and the rank 0"),
        (u32_at(40 * 10), 62u32.to_le_bytes().to_vec(), "and the rank 62"),
    ] {
        let mut bytes = bytes.clone();
        bytes[8 + length + place..][..number.len()].copy_from_slice(&number);
        folder.put("bad.safetensors", bytes);
        let output = folder.run("compare bad.safetensors b.npy --top 2 --device cpu");
        assert_eq!(output.status.code(), Some(1), "{words}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    // A token that is listed twice.
    let mut doubled = bytes.clone();
    doubled.copy_within(8 + length + u32_at(0)..8 + length + u32_at(1), 8 + length + u32_at(1));
    folder.put("bad.safetensors", doubled);
    let told = stderr(&folder.run("compare bad.safetensors b.npy --top 2 --device cpu"));
    assert!(told.contains("twice"), "{told}");
    folder.put("bad.safetensors", &bytes[..bytes.len() - 1]);
    let output = folder.run("compare bad.safetensors b.npy --top 2 --device cpu");
    assert_eq!(output.status.code(), Some(1));
    // A file of logits with texts of its own is no reference.
    let values = stored("f32", &[0.5; 4]);
    let plain = safetensors(&[("logits", "F32", &[1, 4], &values)]);
    folder.put("plain.safetensors", plain);
    folder.put("flat.npy", npy("<f4", "(1, 4)", &values));
    successful("plain", folder.run("compare plain.safetensors flat.npy --device cpu"));
}

/// A reference may list fewer tokens than the overlap is of by default.
#[test]
fn the_overlap_is_of_what_a_reference_lists() {
    let (folder, rows) = folder(3);
    let line = "compare saved.safetensors b.npy --device cpu --format json";
    let output = successful(line, folder.run(line));
    let told = stderr(&output);
    assert!(told.contains("lists 3 tokens of a row: the overlap is of these, not of 10"), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = statistics(&rows, 3)["top_overlap"];
    let overlap = found["total"]["top_overlap"].as_f64().expect("a number");
    assert!((overlap - expected).abs() < 1e-12 && overlap > 0.34, "{overlap} instead of {expected}");
    let told = stderr(&folder.run(&format!("{line} --top 3")));
    assert!(!told.contains("the overlap is of these"), "{told}");
}

/// What would be said of A's file is of B's, where A is a reference.
#[test]
fn options_of_logits_are_of_the_only_ones() {
    let (folder, _) = folder(3);
    for (option, words) in
        [("--tensor nonsense", "tensor"), ("--dtype f16", "dtype"), ("--shape 3,3", "shape")]
    {
        let refused = folder.run(&format!("compare saved.safetensors b.npy --device cpu {option}"));
        assert_eq!(refused.status.code(), Some(2), "{option}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    }
}

/// Rows that are no distribution are in a reference, and say nothing.
#[test]
fn a_reference_of_unsound_rows_says_so() {
    let folder = Folder::new();
    let mut some = rows(6, 0.5, 22);
    some.a[1][5] = f32::NAN;
    some.a[4] = vec![f32::NEG_INFINITY; VOCAB];
    some.put(&folder, 6);
    let told = stderr(&folder.run("compare a.npy --save saved --device cpu"));
    assert!(told.contains("note: 2 of 6 rows are no distribution: nothing is compared with them"), "{told}");
    let told = stderr(&folder.run("compare b.npy --save other --device cpu"));
    assert!(!told.contains("no distribution"), "{told}");
}
