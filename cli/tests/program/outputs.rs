//! Where outputs go: the mode of what they replace, and files that they may not take the place of.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Folder, npy, sha256, stderr, stored, successful};
use crate::table::test_each;

/// Logits, two logs of them with their sidecars, and candidates.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.put("a.npy", npy("<f4", "(2, 3)", &stored("f32", &[1.0, 3.0, 3.0, 0.5, 0.0, 2.0])));
    folder.put("q.json", r#"{"tokens": [1, 0]}"#);
    for name in ["log.jsonl", "log.csv"] {
        let line = format!("log a.npy --tokens 1,0 --device cpu -o {name}");
        successful(&line, folder.run(&line));
    }
    folder
}

/// Every command that writes, and the option that names its output.
const LINES: &[&str] = &[
    "log a.npy --device cpu --format jsonl -o",
    "log a.npy --device cpu --format jsonl --resume -o",
    "sample a.npy --seed 3 --device cpu --format jsonl -o",
    "convert log.jsonl --to csv -o",
    "score a.npy --candidates q.json --device cpu --format jsonl -o",
    "score log.jsonl --candidates q.json --format jsonl -o",
    "compare a.npy a.npy --device cpu --format json -o",
    "compare a.npy --device cpu --save",
    "report log.jsonl -o",
];

fn mode(folder: &Folder, name: &str) -> u32 {
    folder.path(name).metadata().expect(name).permissions().mode() & 0o7777
}

fn set_mode(folder: &Folder, name: &str, mode: u32) {
    std::fs::set_permissions(folder.path(name), Permissions::from_mode(mode)).expect(name);
}

#[test]
fn an_output_has_the_mode_of_what_it_replaces() {
    let folder = folder();
    test_each(LINES.iter().map(|line| (*line, *line)), |line| {
        // Those without a sidecar do not replace what has one.
        let has_sidecar = !line.starts_with("report") && !line.ends_with("--save");
        let names = if has_sidecar { vec!["out", "out.meta.json"] } else { vec!["page"] };
        for kept in [0o600, 0o640, 0o666] {
            for name in &names {
                folder.put(name, "older");
                set_mode(&folder, name, kept);
            }
            successful(line, folder.run(&format!("{line} {}", names[0])));
            assert_ne!(folder.get(names[0]), b"older");
            names.iter().for_each(|name| assert_eq!(mode(&folder, name), kept, "{name}, {kept:o}"));
        }
    });
}

#[test]
fn a_read_only_file_is_not_replaced() {
    let folder = folder();
    folder.put("out", "older");
    set_mode(&folder, "out", 0o444);
    let before = folder.contents(".");
    test_each(LINES.iter().map(|line| (*line, *line)), |line| {
        let output = folder.run(&format!("{line} out"));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("out: is read-only: make it writable, or choose another file"), "{told}");
        assert!(folder.contents(".") == before, "{:?}", folder.contents(".").keys());
    });
    // Nor is an output written whose sidecar cannot be.
    folder.put("other.meta.json", "older");
    set_mode(&folder, "other.meta.json", 0o400);
    let told = stderr(&folder.run("convert log.jsonl --to csv -o other"));
    assert!(told.contains("other.meta.json: is read-only") && !folder.path("other").exists(), "{told}");
}

#[test]
fn no_file_is_written_twice_or_lost() {
    let folder = folder();
    folder.make_folder("in");
    std::os::unix::fs::symlink("../log.jsonl", folder.path("in/link.jsonl")).expect("a link");
    let before = folder.contents(".");
    let twice = "would be written twice: choose another file";
    test_each(
        [
            ("compare a.npy a.npy --device cpu --format json --save one -o one", twice),
            ("compare a.npy a.npy --device cpu --format json --save in/one.meta.json -o in/one", twice),
            ("compare a.npy a.npy --device cpu --format json --save ./in/../one.meta.json -o one", twice),
            ("report log.jsonl -o log.jsonl.meta.json", "would replace the sidecar of log.jsonl"),
            ("report in/link.jsonl -o log.jsonl.meta.json", "would replace the sidecar of in/link.jsonl"),
            (
                "score log.csv --candidates q.json -o log.csv.meta.json",
                "would replace the sidecar of log.csv",
            ),
            ("convert log.jsonl -o log.jsonl.meta.json", "would replace the sidecar of log.jsonl"),
            ("compare log.jsonl log.csv -o log.csv.meta.json", "would replace the sidecar of log.csv"),
            ("report log.csv -o log.jsonl", "log.jsonl.meta.json tells of an older log.jsonl"),
            ("report log.csv -o in/link.jsonl", "log.jsonl.meta.json tells of an older in/link.jsonl"),
            ("compare a.npy --device cpu --save log.csv", "log.csv.meta.json tells of an older log.csv"),
            ("convert log.csv -o in/link.jsonl --to csv", ""),
        ]
        .map(|case| (case.0, case)),
        |(line, words)| {
            let output = folder.run(line);
            let told = stderr(&output);
            if words.is_empty() {
                // Nothing is lost by an output that replaces another log, with its sidecar.
                assert_eq!(output.status.code(), Some(0), "{told}");
                let meta = String::from_utf8(folder.get("log.jsonl.meta.json")).expect("UTF-8");
                assert!(meta.contains(&sha256(&folder.get("log.jsonl"))), "{meta}");
                return;
            }
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(words), "{told}");
            assert!(folder.contents(".") == before, "something was written");
        },
    );
}
