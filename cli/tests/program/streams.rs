//! Standard input, pipes and devices in the place of files.

use std::process::Stdio;

use serde_json::{Value, json};
use zip::CompressionMethod::{Deflated, Stored};

use crate::common::{Folder, difference, i32s, npy, npz, safetensors, sha256, stderr, stored, successful};
use crate::table::test_each;

const VALUES: [f32; 6] = [1.0, 2.5, 3.0, 3.0, 2.0, -1.0];

#[test]
fn logits_come_through_a_pipe() {
    let folder = Folder::new();
    let data = stored("f32", &VALUES);
    let array = npy("<f4", "(2, 3)", &data);
    folder.put("logits.npy", &array);
    let expected = folder.printed("log logits.npy --device cpu");
    let inputs = [
        ("npy", array.clone(), ""),
        ("stored npz", npz(Stored, &[("logits", array.clone())]), ""),
        ("deflated npz", npz(Deflated, &[("logits", array.clone())]), ""),
        ("safetensors", safetensors(&[("logits", "F32", &[2, 3], &data)]), ""),
        ("raw", data, "--shape 2,3 --dtype f32"),
    ];
    let sources: &[&str] = if cfg!(unix) { &["-", "/dev/stdin"] } else { &["-"] };
    for source in sources {
        let cases = inputs.iter().map(|case| (format!("{source} {}", case.0), case));
        test_each(cases, |(_, bytes, options)| {
            let line = format!("log {source} {options} --device cpu");
            let output = successful(&line, folder.fed(&line, bytes));
            assert_eq!(difference(&output.stdout, &expected), None);
            successful(&line, folder.fed(&format!("{line} -o records"), bytes));
            let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
            assert_eq!(
                meta["input"],
                json!({
                    "file": source, "index": null, "sha256": sha256(bytes), "tensor": meta["input"]["tensor"],
                })
            );
        });
    }
}

/// `sortilege log - < logits.npy` reads the file itself.
#[test]
fn a_redirected_file_is_read_as_it_is() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    let file = std::fs::File::open(folder.path("logits.npy")).expect("it is there");
    let output = folder.command("log - --device cpu").stdin(file).output().expect("it starts");
    let expected = folder.printed("log logits.npy --device cpu");
    assert_eq!(difference(&successful("-", output).stdout, &expected), None);
}

#[test]
fn tokens_come_through_a_pipe() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    let expected = folder.printed("log logits.npy --tokens 2,0 --device cpu");
    let cases = [("text", b"2\n0\n".to_vec()), ("npy", npy("<i4", "(2,)", &i32s(&[2, 0])))];
    test_each(cases, |bytes| {
        let line = "log logits.npy --tokens - --device cpu";
        assert_eq!(difference(&successful(line, folder.fed(line, &bytes)).stdout, &expected), None);
    });
    let output = folder.fed("log - --tokens - --device cpu", &npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_stream_that_is_too_long_or_too_short_is_refused() {
    let folder = Folder::new();
    let array = npy("<f4", "(2, 3)", &stored("f32", &VALUES));
    folder.put("logits.npy", &array);
    let many = "1 ".repeat(1 << 20);
    let words: &[(&str, &str, &[u8], &[&str])] = &[
        ("nothing", "log -", b"", &["-: standard input is empty"]),
        ("cut off", "log -", &array[..array.len() - 1], &["-: shape [2, 3] needs 24 bytes", "holds 23"]),
        ("raw, longer", "log - --shape 2,3 --dtype f16", &[0; 13], &["-: holds more than 12 bytes"]),
        ("raw, shorter", "log - --shape 2,3 --dtype f16", &[0; 11], &["-: holds 11 bytes"]),
        ("no array", "log -", b"1 2 3", &["-: this is no .npy"]),
        ("tokens", "log logits.npy --tokens -", many.as_bytes(), &["over 65538 tokens", "use for"]),
        ("a prompt", "sample logits.npy --prompt -", b"1 x", &["\"x\" is no integer"]),
    ];
    test_each(words.iter().map(|case| (case.0, case)), |(name, line, bytes, words)| {
        let output = folder.fed(&format!("{line} --device cpu"), bytes);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(if *name == "tokens" { 2 } else { 1 }), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_without_an_end_is_refused() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    let cases = [
        ("log /dev/zero", "/dev/zero: this is no .npy"),
        ("log /dev/zero --shape 2,3 --dtype f32", "/dev/zero: holds more than 24 bytes"),
        ("log logits.npy --tokens /dev/zero", "is no integer"),
        ("log logits.npy --tokens /dev/urandom", "/dev/urandom: "),
        ("sample logits.npy --mask /dev/zero", "/dev/zero: this is no .npy"),
    ];
    test_each(cases.map(|case| (case.0, case)), |(line, word)| {
        // Less memory than would tell: they end before they need it.
        let limited =
            format!("ulimit -v 4000000; exec {} {line} --device cpu", env!("CARGO_BIN_EXE_sortilege"));
        let mut command = std::process::Command::new("sh");
        let output =
            command.args(["-c", &limited]).current_dir(folder.path(".")).output().expect("it starts");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(word), "{message}");
    });
}

/// A token file of a hundred megabytes for two rows is refused by its length, or by its header.
#[test]
fn a_token_file_far_longer_than_the_rows_is_not_read() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    folder.put("long.npy", npy("<i8", "(12500000,)", b""));
    folder.put("long.txt", b"");
    for name in ["long.npy", "long.txt"] {
        let file = std::fs::OpenOptions::new().append(true).open(folder.path(name)).expect(name);
        file.set_len(100_000_128).expect("a file with a hole");
        let output = folder.run(&format!("log logits.npy --tokens {name} --device cpu"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(if name == "long.npy" { 2 } else { 1 }), "{message}");
        let words = ["over 65538 tokens", "is no integer"][usize::from(name == "long.txt")];
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn the_temporary_folder_is_named() {
    let folder = Folder::new();
    let array = npy("<f4", "(2, 3)", &stored("f32", &VALUES));
    folder.put("deflated.npz", npz(Deflated, &[("logits", array)]));
    let variable = if cfg!(windows) { "TMP" } else { "TMPDIR" };
    for (line, name) in [("log deflated.npz", "deflated.npz"), ("log - --shape 1,1 --dtype f16", "-")] {
        let mut command = folder.command(&format!("{line} --device cpu"));
        let output =
            command.env(variable, "no/such/folder").stdin(Stdio::piped()).output().expect("it starts");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let start = format!("error: {name}: needs a temporary file in no/such/folder: ");
        assert!(message.starts_with(&start) && message.contains(variable), "{message}");
    }
}

/// Every input may be standard input, and one at a time.
#[test]
fn a_dash_is_standard_input_everywhere() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &VALUES)));
    folder.put("texts.json", r#"["a", "b", "c"]"#);
    folder.put("own.json", r#"{"top_k": 1}"#);
    for (line, file) in [
        ("log logits.npy --vocab-file texts.json --device cpu", "texts.json"),
        ("sample logits.npy --params own.json --seed 1 --device cpu", "own.json"),
    ] {
        let expected = folder.printed(line);
        let piped = line.replace(file, "-");
        let output = successful(&piped, folder.fed(&piped, &folder.get(file)));
        assert_eq!(difference(&output.stdout, &expected), None, "{piped}");
    }
    for line in ["log - --tokens -", "log - --vocab-file -", "sample logits.npy --params - --mask -"] {
        let output = folder.fed(&format!("{line} --device cpu"), b"1,2");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("standard input holds one of the inputs"), "{}", stderr(&output));
    }
}
