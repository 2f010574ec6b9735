//! The program from outside: what it reads, writes and prints, how it ends, and that every device says the same.

mod audit;
mod bad_input;
mod bench;
#[cfg(unix)]
mod changing;
mod common;
mod compare;
mod convert;
mod devices;
#[path = "../folder/mod.rs"]
mod folder;
#[cfg(unix)]
mod interrupts;
mod lying;
mod masks;
mod messages;
#[cfg(unix)]
mod outputs;
mod padding;
mod records;
#[cfg(unix)]
mod resume;
mod sample;
mod score;
mod settings;
mod streams;
mod summary;
#[path = "../../../tests/common/table.rs"]
mod table;
mod terminals;
mod vocabularies;

use std::io::Read;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::common::{Folder, npy, sha256, stderr, stored, successful};
use crate::table::test_each;

const EXIT_CODES: &str =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, or a --fail-if that holds, 4 no adapter";

#[test]
fn an_output_file_comes_with_how_it_was_made() {
    let folder = Folder::with_assets();
    folder.make_folder("out");
    for (format, options) in [
        ("jsonl", "--tokenizer tokenizer.json"),
        ("csv", "--top 3 --temperature 0.5 --tokenizer tokenizer.json"),
        ("openai", ""),
        ("table", "--top 0"),
    ] {
        let line = format!("log logits.npy --tokens tokens.npy {options} --device cpu --format {format}");
        let printed = folder.printed(&line);
        folder.put("out/records", "older records");
        let output = successful(&line, folder.run(&format!("{line} -o out/records")));
        assert!(output.stdout.is_empty(), "{line}");
        assert_eq!(common::difference(&folder.get("out/records"), &printed), None, "{line}");
        let names: Vec<String> = folder.contents("out").into_keys().collect();
        assert_eq!(names, ["records", "records.meta.json"], "no other file remains");
        let meta: Value = serde_json::from_slice(&folder.get("out/records.meta.json")).expect("JSON");
        let is_csv = format == "csv";
        let expected = json!({
            "sortilege": env!("CARGO_PKG_VERSION"),
            "arithmetic_version": sortilege::ARITHMETIC_VERSION,
            "device": "cpu",
            "backend": "rust",
            "driver": format!("sortilege {}", env!("CARGO_PKG_VERSION")),
            "input": {"file": "logits.npy", "index": null, "tensor": null, "sha256": sha256(&folder.get("logits.npy"))},
            "dtype": "f16",
            "shape": [4, 48, 4096],
            "options": {
                "top": match format { "csv" => 3, "table" => 0, _ => 5 },
                "temperature": if is_csv { 0.5 } else { 1.0 },
                "format": format,
                "device": "cpu",
                "tokens": "tokens.npy",
                "tokens_tensor": null,
                "shift": false,
                "token_ids": [],
                "tokens_sha256": sha256(&folder.get("tokens.npy")),
                "vocab_size": null,
                "vocab_file": null,
                "vocab_file_sha256": null,
                "tokenizer": options.contains("--tokenizer").then_some("tokenizer.json"),
                "tokenizer_sha256":
                    options.contains("--tokenizer").then(|| sha256(&folder.get("tokenizer.json"))),
            },
            "rows": 192,
            "output_sha256": sha256(&printed),
        });
        assert_eq!(meta, expected, "{line}");
    }
    // A list of tokens is its own description.
    let list = vec!["-1"; 192].join(",");
    folder.printed(&format!("log logits.npy --tokens={list} --device cpu -o listed"));
    let meta: Value = serde_json::from_slice(&folder.get("listed.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["tokens_sha256"], json!(null));
    // The output must not take the place of an input.
    let before = sha256(&folder.get("logits.npy"));
    for output in ["logits.npy", "tokens.npy", "tokenizer.json"] {
        let line = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json --device cpu -o";
        let run = folder.run(&format!("{line} {output}"));
        assert_eq!(run.status.code(), Some(2), "{output}");
    }
    assert_eq!(before, sha256(&folder.get("logits.npy")));
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let folder = Folder::new();
    folder.put("good.npy", npy("<f4", "(1, 2)", &stored("f32", &[1.0, 2.0])));
    let cases: &[(&str, i32, &str)] = &[
        ("--help", 0, EXIT_CODES),
        ("log --help", 0, EXIT_CODES),
        ("validate --help", 0, EXIT_CODES),
        ("bench --help", 0, EXIT_CODES),
        ("help log", 0, "--temperature"),
        ("--version", 0, concat!("sortilege ", env!("CARGO_PKG_VERSION"), "\n")),
        ("completions bash", 0, "complete -F _sortilege"),
        ("completions zsh", 0, "#compdef sortilege"),
        ("completions fish", 0, "complete -c sortilege"),
        ("log good.npy --device cpu", 0, "\"status\":\"ok\""),
        ("log missing.npy", 1, "missing.npy"),
        ("", 2, "Usage"),
        ("nosuch", 2, "nosuch"),
        ("log", 2, "<LOGITS>"),
        ("completions nosuch", 2, "nosuch"),
        ("log good.npy --device nosuch", 4, "nosuch"),
        ("validate --device nosuch", 4, "nosuch"),
    ];
    test_each(cases.iter().map(|case| (format!("{:?}", case.0), case)), |(line, code, word)| {
        let output = folder.run(line);
        let stdout = String::from_utf8_lossy(&output.stdout);
        let text = if *code == 0 { stdout.into_owned() } else { stderr(&output) };
        assert_eq!(output.status.code(), Some(*code), "{text}");
        assert!(text.contains(word), "no {word:?}: {text}");
        assert!(*code == 0 || output.stdout.is_empty(), "an error on stdout");
    });
}

#[test]
fn info_lists_what_the_program_can_use() {
    let folder = Folder::new();
    for gl in ["", " --gl"] {
        let info: Value = serde_json::from_str(&folder.text(&format!("info --json{gl}"))).expect("JSON");
        assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(info["arithmetic_version"], sortilege::ARITHMETIC_VERSION);
        let text = folder.text(&format!("info{gl}"));
        let auto = info["auto"].as_str().expect("a name");
        assert!(
            text.contains(&format!("auto takes {auto}: {}", info["why"].as_str().expect("words"))),
            "{text}"
        );
        assert!(text.contains("\ncpu  "), "{text}");
        let adapters = info["adapters"].as_array().expect("an array");
        for (number, adapter) in adapters.iter().enumerate() {
            let name = adapter["name"].as_str().expect("a name");
            assert_eq!(adapter["number"], number);
            assert!(text.contains(&format!("{number}  {name}\n")), "{text}");
            assert!(!gl.is_empty() || adapter["backend"] != "gl", "{adapter}");
            assert!(
                name != auto || (adapter["software"] == false && adapter["unfit"].is_null()),
                "{adapter}"
            );
        }
        assert!(auto == "cpu" || adapters.iter().any(|adapter| adapter["name"] == auto), "{auto}");
    }
}

/// Runs a command whose reader goes away after a few bytes of stdout.
fn cut_off(folder: &Folder, line: &str) -> Output {
    let mut command = folder.command(line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 10]).expect("some output");
    drop(stdout);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = Folder::with_assets();
    let formats = [
        "--format jsonl --top 1024",
        "--format csv --top 60",
        "--format csv --top 1024",
        "--format openai --top 20",
        "--format table --top 1024",
    ];
    test_each(formats.map(|options| (options, options)), |options| {
        let line = format!("log logits.npy --tokens tokens.npy --device cpu {options}");
        assert!(folder.printed(&line).len() > 200_000, "more than a pipe holds");
        let output = cut_off(&folder, &line);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    });
}

/// As in `sortilege log … 2>&1 | head -1`: nobody hears the last words either.
#[test]
fn a_closed_stderr_changes_nothing() {
    let folder = Folder::with_assets();
    let line = "log logits.npy --tokens tokens.npy --device cpu";
    let closed = || std::io::pipe().map(|(_, writer)| writer).expect("a pipe");
    let lines = [(line, 0), ("log missing.npy", 1), ("log missing.npy --top x", 2)];
    test_each(lines.map(|case| (case.0, case)), |(line, code)| {
        let expected = folder.run(line);
        let output = folder.command(line).stderr(closed()).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "only stderr closed");
        assert_eq!(common::difference(&output.stdout, &expected.stdout), None);
    });
    let output = folder.command(line).stdout(closed()).stderr(closed()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "both closed");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::with_assets();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("linux has it");
    let output = folder.command("log logits.npy --device cpu").stdout(full).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: writing the output: No space left"), "{}", stderr(&output));
}
