//! Logits that are padded behind their vocabulary: `--vocab-size` ends it everywhere.

use serde_json::{Value, json};

use crate::common::{Folder, difference, i32s, npy, stderr, stored};
use crate::table::test_each;

/// Logits of so many rows and columns, in a shape; from the tenth column on they are `padding`.
fn padded(columns: usize, descr: &str, dtype: &str, shape: &str, padding: f32) -> Vec<u8> {
    let logit = |row: usize, column: usize| match column {
        10.. => padding,
        _ => f32::from(u16::try_from((row * 7 + column * 5) % 11).expect("small")) / 2.0 - 2.0,
    };
    let values: Vec<f32> =
        (0..6).flat_map(|row| (0..columns).map(move |column| logit(row, column))).collect();
    npy(descr, shape, &stored(dtype, &values))
}

/// Columns from the end of the vocabulary on take no part: whatever they hold, everything is as without them.
#[test]
fn a_padded_vocabulary_ends_where_it_says() {
    let folder = Folder::new();
    let lines = [
        "log FILE --tokens 0,9,-1,3,4,5 --top 12 --format jsonl",
        "log FILE --tokens 0,9,-1,3,4,5 --top 3 --format csv",
        "log FILE --tokens 0,9,-1,3,4,5 --top 5 --format openai",
        "log FILE --top 5 --format table --temperature 2",
        "sample FILE --seed 3 --top-p 0.9 --draws 4 --raw-logprobs 12 --processed-logprobs 12 --format jsonl",
        "sample FILE --seed 3 --feedback --repetition-penalty 1.5 --prompt 1,2 --format jsonl",
        "sample FILE --seed 3 --feedback --top-k 4 --processed-logprobs 20 --format csv",
        "sample FILE --temperature 0 --seed 3 --processed-logprobs 2 --format jsonl",
    ];
    let files = [
        ("f32", "<f4", "(6, 10)", 11, f32::NAN),
        ("f32", "<f4", "(2, 3, 10)", 64, f32::INFINITY),
        ("f16", "<f2", "(2, 3, 10)", 16, 9.0),
        ("bf16", "|V2", "(6, 10)", 13, 1e30),
    ];
    for (dtype, descr, shape, columns, padding) in files {
        folder.put("exact.npy", padded(10, descr, dtype, shape, 0.0));
        folder.put(
            "padded.npy",
            padded(columns, descr, dtype, &shape.replace("10", &columns.to_string()), padding),
        );
        let name = |line: &str| format!("{line} of {columns} columns of {dtype}");
        test_each(lines.map(|line| (name(line), line)), |line| {
            let run = |file: &str| {
                folder.printed(&line.replace("FILE", &format!("{file} --dtype {dtype} --device cpu")))
            };
            assert_eq!(difference(&run("padded.npy --vocab-size 10"), &run("exact.npy")), None);
            assert!(
                difference(&run("padded.npy"), &run("exact.npy")).is_some(),
                "the padding takes part without it"
            );
        });
        // A mask has a bit for each token of the vocabulary; the bits behind them take no part either.
        folder.put("mask.npy", npy("<i4", &shape.replace("10", "1"), &i32s(&[-0x15b; 6])));
        let masked = |file: &str| {
            folder.lines(&format!("sample {file} --seed 3 --mask mask.npy --dtype {dtype} --device cpu"))
        };
        let drawn = masked("padded.npy --vocab-size 10");
        assert_eq!(drawn, masked("exact.npy"));
        assert!(drawn.iter().all(|line| line["kept"] == 5), "bits 0, 2, 5, 7, 9");
    }
}

#[test]
fn a_vocabulary_that_cannot_end_there_is_named() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 7)", &stored("f32", &[1.0; 7])));
    for (options, words) in [
        ("--vocab-size 8", &["--vocab-size 8", "logits.npy has 7 columns"][..]),
        ("--vocab-size 0", &["--vocab-size", "from 1 to 1048576"]),
        ("--vocab-size 4 --tokens 4", &["token 4", "vocabulary of 4"]),
    ] {
        let output = folder.run(&format!("log logits.npy --device cpu {options}"));
        let message = stderr(&output);
        assert!(output.status.code().is_some_and(|code| code > 0), "{options}");
        assert!(words.iter().all(|word| message.contains(word)), "{options}: {message}");
    }
    let plan = folder.text("sample logits.npy --vocab-size 5 --plan");
    assert!(plan.starts_with("[1][5] f32"), "{plan}");
    folder.printed("log logits.npy --vocab-size 5 --device cpu -o out");
    let meta: Value = serde_json::from_slice(&folder.get("out.meta.json")).expect("JSON");
    assert_eq!(json!([meta["options"]["vocab_size"], meta["shape"]]), json!([5, [1, 7]]));
}
