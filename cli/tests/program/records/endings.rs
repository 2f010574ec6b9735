//! The format of an output that names none is that of its ending.

use crate::common::{Folder, npy, stderr, stored, successful};
use crate::table::test_each;

/// Command, options, and whether the ending is told to be wrong.
const CASES: &[(&str, &str, &str, bool)] = &[
    ("log", "-o out.csv", "csv", false),
    ("log", "-o out.CSV", "csv", false),
    ("log", "-o out.jsonl", "jsonl", false),
    ("log", "-o out.table", "table", false),
    ("log", "-o out.bin", "jsonl", false),
    ("log", "-o out", "jsonl", false),
    ("log", "-o out.json", "jsonl", true),
    ("log", "-o out.csv --format jsonl", "jsonl", true),
    ("log", "-o out.jsonl --format csv", "csv", true),
    ("log", "-o out.jsonl --format openai --tokens 0", "openai", false),
    ("log", "-o out.jsonl --format vllm --tokens 0", "vllm", false),
    ("log", "-o out.parquet --format csv", "csv", true),
    ("log", "-o out.csv --format llama-server --tokens 0", "llama-server", true),
    ("sample", "-o out.csv", "csv", false),
    ("sample", "-o out.tokens", "tokens", false),
    ("sample", "-o out.csv --format tokens", "tokens", true),
];

#[test]
fn the_ending_names_the_format() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 2)", &stored("f32", &[1.0, 2.0])));
    test_each(CASES.iter().map(|case| (case.1, case)), |(command, options, format, is_told)| {
        let seed = if *command == "sample" { "--seed 1" } else { "" };
        let line = format!("{command} logits.npy {seed} --device cpu");
        let said = stderr(&successful(options, folder.run(&format!("{line} {options}"))));
        let name = options.split(' ').nth(1).expect("a name");
        let tokens = if options.contains("--tokens") { "--tokens 0" } else { "" };
        let expected = folder.text(&format!("{line} {tokens} --format {format}"));
        assert_eq!(String::from_utf8_lossy(&folder.get(name)), expected);
        let note = format!("note: {name} is written as {format}, whatever its ending says");
        assert_eq!(said.contains(&note), *is_told, "{said}");
    });
}
