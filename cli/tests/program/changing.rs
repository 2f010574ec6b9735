//! Inputs that change while they are read: an error, or the bytes that were read.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Command;

use serde_json::Value;

use crate::common::{Folder, sha256, stderr};
use crate::table::test_each;

/// What somebody does to a file.
type Change = fn(&Folder);

fn open(folder: &Folder) -> std::fs::File {
    std::fs::OpenOptions::new().write(true).open(folder.path("logits.npy")).expect("it is there")
}

/// Other logits in one of the last rows.
fn overwrite(folder: &Folder) {
    open(folder).write_all_at(&[60; 4096], 500 << 18).expect("it is written");
}

const CHANGES: &[(&str, Change)] = &[
    ("cut short", |folder| open(folder).set_len(1 << 20).expect("it is cut")),
    ("emptied", |folder| open(folder).set_len(0).expect("it is cut")),
    ("longer", |folder| open(folder).set_len(1 << 30).expect("it grows")),
    ("overwritten", overwrite),
    ("written anew", |folder| {
        folder.put_zeros("logits.npy", 512);
        overwrite(folder);
    }),
    ("replaced", |folder| {
        folder.put_zeros("other.npy", 511);
        std::fs::rename(folder.path("other.npy"), folder.path("logits.npy")).expect("it is renamed");
    }),
    ("removed", |folder| std::fs::remove_file(folder.path("logits.npy")).expect("it is removed")),
];

/// Every change while rows are read, by a run whose output nobody takes until then.
#[test]
fn a_change_ends_the_run() {
    for line in ["log logits.npy --top 1024", "sample logits.npy --raw-logprobs 1024 --seed 1"] {
        test_each(CHANGES.iter().map(|change| (format!("{line}, {}", change.0), change.1)), |change| {
            let folder = Folder::new();
            folder.put_zeros("logits.npy", 512);
            let mut child =
                folder.started(&mut folder.command(&format!("{line} --format jsonl --device cpu")));
            let mut stdout = child.stdout.take().expect("piped");
            stdout.read_exact(&mut [0; 10]).expect("some output");
            change(&folder);
            let rest = stdout.read_to_end(&mut Vec::new()).expect("the rest");
            let output = child.wait_with_output().expect("it ends");
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(rest > 0 && message.contains("error: logits.npy: was "), "{message}");
            assert!(message.contains("while it was read"), "{message}");
        });
    }
}

/// With an output file nothing remains, or its sidecar tells the bytes that were read.
#[test]
fn no_output_tells_of_other_bytes() {
    test_each(CHANGES.iter().copied(), |change| {
        let folder = Folder::new();
        folder.put_zeros("logits.npy", 512);
        let before = sha256(&folder.get("logits.npy"));
        folder.make_folder("out");
        let mut command = folder.command("log logits.npy --top 64 --device cpu -o out/records");
        let child = folder.started(&mut command);
        folder.wait_for_draft("out");
        let signal = |name: &str| {
            Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill is there")
        };
        signal("-STOP");
        change(&folder);
        signal("-CONT");
        let output = child.wait_with_output().expect("it ends");
        let names: Vec<String> = folder.contents("out").into_keys().collect();
        if output.status.code() == Some(0) {
            // It had read all before it was stopped.
            let meta: Value = serde_json::from_slice(&folder.get("out/records.meta.json")).expect("JSON");
            assert_eq!(meta["input"]["sha256"], before.as_str(), "of other bytes");
        } else {
            assert_eq!((output.status.code(), names), (Some(1), vec![]), "{}", stderr(&output));
        }
    });
}

/// A log is an input as any other.
#[test]
fn a_change_of_a_log_ends_the_run() {
    let change = |of: fn(&Folder)| of;
    let changes = [
        (
            "longer",
            change(|folder| {
                let log = std::fs::OpenOptions::new().append(true).open(folder.path("log.jsonl"));
                std::io::Write::write_all(&mut log.expect("it is there"), b"\n").expect("room");
            }),
        ),
        (
            "cut short",
            change(|folder| {
                let log = std::fs::OpenOptions::new().write(true).open(folder.path("log.jsonl"));
                log.expect("it is there").set_len(1 << 20).expect("it is cut");
            }),
        ),
        (
            "replaced",
            change(|folder| {
                std::fs::rename(folder.path("other.jsonl"), folder.path("log.jsonl")).expect("it is renamed");
            }),
        ),
        ("removed", change(|folder| std::fs::remove_file(folder.path("log.jsonl")).expect("it is removed"))),
    ];
    let folder = Folder::new();
    folder.put_zeros("logits.npy", 256);
    let log = folder.printed("log logits.npy --top 1024 --device cpu --format jsonl");
    test_each(changes, |change| {
        folder.put("log.jsonl", &log);
        folder.put("other.jsonl", &log);
        let mut child = folder.started(&mut folder.command("convert log.jsonl --to csv"));
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0; 10]).expect("some output");
        change(&folder);
        stdout.read_to_end(&mut Vec::new()).expect("the rest");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told = ["log.jsonl: was changed or replaced", "the log ends within a record"];
        assert!(told.iter().any(|words| stderr(&output).contains(words)), "{}", stderr(&output));
    });
}

/// The hash is made on the way: it is of the whole file, whatever of it is read.
#[test]
fn the_hash_is_of_the_whole_file() {
    let folder = Folder::new();
    folder.put_zeros("logits.npy", 200);
    for line in
        ["log logits.npy --top 0", "sample logits.npy --seed 1", "sample logits.npy --seed 1 --feedback"]
    {
        folder.printed(&format!("{line} --device cpu -o records"));
        let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
        assert_eq!(meta["input"]["sha256"], sha256(&folder.get("logits.npy")).as_str(), "{line}");
    }
}

/// The other files that an output is made from may not change either.
#[test]
fn a_change_of_another_input_ends_the_run() {
    let folder = Folder::new();
    folder.put_zeros("logits.npy", 512);
    folder.put("texts.json", "[\"a\", \"b\"]");
    folder.make_folder("out");
    let line = "log logits.npy --top 64 --vocab-file texts.json --device cpu -o out/records";
    let child = folder.started(&mut folder.command(line));
    folder.wait_for_draft("out");
    folder.put("texts.json", "[\"c\", \"d\"]");
    let output = child.wait_with_output().expect("it ends");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("texts.json: was changed or replaced"), "{message}");
    assert!(folder.contents("out").is_empty(), "nothing remains");
}
