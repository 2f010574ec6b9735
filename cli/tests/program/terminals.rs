//! Names and texts of files on terminals and in spreadsheets: none of them does anything there, and all of them can be
//! read back.

use serde_json::{Value, json};

use crate::common::{Folder, npy, safetensors, stderr, stored, text_of_cell};
use crate::table::test_each;

/// Whether a terminal would obey the character, or turn what stands beside it.
fn is_obeyed(c: char) -> bool {
    let code = u32::from(c);
    code < 0x20
        || (0x7f..=0x9f).contains(&code)
        || [0x61c, 0x200e, 0x200f].contains(&code)
        || (0x2028..=0x202e).contains(&code)
        || (0x2066..=0x2069).contains(&code)
}

pub(crate) fn obeyed(text: &str) -> Vec<char> {
    text.chars().filter(|&c| is_obeyed(c) && c != '\n').collect()
}

/// Texts of tokens that somebody chose with care.
const HOSTILE: &[&str] = &[
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "＝1",
    "＋1",
    "－1",
    "＠a",
    "'=1",
    "''-",
    "\u{feff}=1",
    "=\"a\",\"b\"",
    "\"=1\"",
    "=a\nb",
    "it's",
    "'",
    "\\n",
    "\\",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "\u{7f}\u{0}\u{8}",
    "\u{202e}evil\u{2066}",
    "\u{2028}\u{85}",
    " plain",
    "漢字 é 😀",
];

/// A folder with logits of the texts' tokens, the first one the most probable, and with their vocabulary.
fn folder() -> Folder {
    let folder = Folder::new();
    let falling: Vec<f32> = (0..HOSTILE.len()).map(|token| -(token as f32) / 8.0).collect();
    let shape = format!("(1, {})", HOSTILE.len());
    folder.put("logits.npy", npy("<f4", &shape, &stored("f32", &falling)));
    let rising: Vec<f32> = falling.iter().map(|logit| -logit).collect();
    folder.put("rising.npy", npy("<f4", &shape, &stored("f32", &rising)));
    folder.put("v.json", json!(HOSTILE).to_string());
    folder
}

const LOG: &str = "log logits.npy --tokens 0 --top 29 --vocab-file v.json --device cpu --format";
const SAMPLE: &str = "sample logits.npy --seed 1 --draws 16 --vocab-file v.json --device cpu --format";

#[test]
fn a_spreadsheet_runs_no_cell() {
    let folder = folder();
    let columns = [("log", LOG, "alternative_"), ("log's target", LOG, ""), ("sample", SAMPLE, "")];
    test_each(columns.map(|case| (case.0, case)), |(_, line, prefix)| {
        let csv = folder.text(&format!("{line} csv"));
        assert_eq!(obeyed(&csv), [' '; 0], "{csv}");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let head = reader.headers().expect("a head").clone();
        let place = |name: &str| {
            head.iter()
                .position(|column| column == format!("{prefix}{name}"))
                .unwrap_or_else(|| panic!("no {name}"))
        };
        let (token, text, bytes) = (place("token"), place("text"), place("bytes"));
        let records: Vec<csv::StringRecord> =
            reader.records().map(|record| record.expect("a record")).collect();
        assert_eq!(records.len(), if line == LOG { HOSTILE.len() } else { 16 });
        for record in records {
            for (cell, column) in record.iter().zip(&head) {
                let is_number = !column.ends_with("text") && cell.parse::<f64>().is_ok();
                assert!(
                    is_number || !cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']),
                    "{cell}"
                );
            }
            let expected = HOSTILE[record[token].parse::<usize>().expect("an id")];
            assert_eq!(text_of_cell(&record[text]), expected);
            assert_eq!(serde_json::from_str::<Vec<u8>>(&record[bytes]).expect("JSON"), expected.as_bytes());
        }
    });
    let csv = folder.text(&format!("{LOG} csv"));
    for cell in
        [",'=1+1,", ",'@SUM(A1),", ",'＝1,", ",it's,", "\"'=\"\"a\"\",\"\"b\"\"\"", ",\\\\n,", ",'\\t=1,"]
    {
        assert!(csv.contains(cell), "{cell} in {csv}");
    }
}

/// The way back in docs/formats.md, by Python itself.
#[test]
fn the_documented_way_back_is_one() {
    let page = include_str!("../../../docs/formats.md");
    let code =
        page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("some Python");
    let folder = folder();
    let csv = folder.text(&format!("{LOG} csv"));
    let read = "import csv, sys\nrows = csv.DictReader(sys.stdin)\n\
                print(json.dumps([text_of(row['alternative_text']) for row in rows]))\n";
    folder.put("read.py", format!("{code}{read}"));
    folder.put("log.csv", csv);
    let output = std::process::Command::new("python3")
        .arg(folder.path("read.py"))
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(std::fs::File::open(folder.path("log.csv")).expect("it is there"))
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(serde_json::from_slice::<Vec<String>>(&output.stdout).expect("JSON"), HOSTILE);
}

#[test]
fn a_terminal_obeys_no_text() {
    let folder = folder();
    for format in ["table", "jsonl"] {
        assert_eq!(obeyed(&folder.text(&format!("{LOG} {format}"))), [' '; 0], "{format}");
    }
    let openai = "log rising.npy --tokens 0 --top 20 --vocab-file v.json --device cpu --format openai";
    assert_eq!(obeyed(&folder.text(openai)), [' '; 0], "openai");
    for format in ["table", "jsonl"] {
        assert_eq!(obeyed(&folder.text(&format!("{SAMPLE} {format}"))), [' '; 0], "{format}");
    }
    // And a reader of JSON finds the texts as they are.
    let top = &folder.lines(&format!("{LOG} jsonl"))[0]["top"];
    let texts: Vec<&str> = top
        .as_array()
        .expect("an array")
        .iter()
        .map(|entry| entry["text"].as_str().expect("a text"))
        .collect();
    assert_eq!(texts, HOSTILE);
    let top = &folder.lines(openai)[0]["content"][0]["top_logprobs"];
    let texts: Vec<&str> = top
        .as_array()
        .expect("an array")
        .iter()
        .map(|entry| entry["token"].as_str().expect("a text"))
        .collect();
    assert!(texts.iter().eq(HOSTILE.iter().rev().take(20)), "{texts:?}");
}

/// Tokens of incomplete UTF-8, all of them one replacement character, differ by their bytes in every format for programs.
#[test]
fn bytes_tell_tokens_of_one_text_apart() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 3)", &stored("f32", &[3.0, 2.0, 1.0])));
    folder.put("ranks", "4oI= 0\n8J+Y 1\n/g== 2\n");
    let line = "log logits.npy --tokens 2 --top 3 --tokenizer ranks --device cpu --format";
    let bytes = [json!([0xe2, 0x82]), json!([0xf0, 0x9f, 0x98]), json!([0xfe])];
    let record = &folder.lines(&format!("{line} jsonl"))[0];
    let of_openai = &folder.lines(&format!("{line} openai"))[0]["content"][0];
    for (token, bytes) in bytes.iter().enumerate() {
        assert_eq!(record["top"][token]["text"], "\u{fffd}");
        assert_eq!(record["top"][token]["bytes"], *bytes);
        assert_eq!(of_openai["top_logprobs"][token]["bytes"], *bytes);
    }
    assert_eq!(json!([record["bytes"], of_openai["bytes"]]), json!([bytes[2], bytes[2]]));
    let csv = folder.text(&format!("{line} csv"));
    for (line, bytes) in csv.lines().skip(1).zip(["\"[226,130]\"", "\"[240,159,152]\"", "[254]"]) {
        assert!(
            line.contains(&format!(",\u{fffd},{bytes},")) && line.contains(",2,\u{fffd},[254],"),
            "{line}"
        );
    }
    let sampled = folder.lines(
        "sample logits.npy --seed 1 --processed-logprobs 3 --raw-logprobs 3 --tokenizer ranks --device cpu",
    );
    for list in ["processed", "raw"] {
        let found: Vec<&Value> = (0..3).map(|place| &sampled[0][list]["top"][place]["bytes"]).collect();
        assert_eq!(found, [&bytes[0], &bytes[1], &bytes[2]], "{list}");
    }
}

/// Every text that is read, with the byte order mark of an editor, and as UTF-16.
#[test]
fn a_byte_order_mark_is_no_text() {
    let folder = folder();
    let texts = [
        ("log logits.npy --tokens FILE", "7"),
        ("sample logits.npy --seed 1 --repetition-penalty 2 --prompt FILE", "1\n2\n"),
        ("sample logits.npy --seed 1 --params FILE", r#"{"top_k": 3}"#),
        ("log logits.npy --vocab-file FILE", "a\nb\n"),
        ("log logits.npy --vocab-file FILE", r#"["a", "b"]"#),
        ("log logits.npy --tokenizer FILE", "YQ== 0\nYg== 1\n"),
        ("log logits.npy --tokenizer FILE", r#"{"model": {"vocab": {"a": 0, "b": 1}}}"#),
    ];
    test_each(texts.map(|case| (case.0, case)), |(line, text)| {
        let run = |file: &str| folder.run(&format!("{} --device cpu", line.replace("FILE", file)));
        folder.put("plain.txt", text);
        folder.put("marked.txt", format!("\u{feff}{text}"));
        folder.put(
            "wide.txt",
            format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        );
        let [plain, marked, wide] = ["plain.txt", "marked.txt", "wide.txt"].map(run);
        assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
        assert_eq!((marked.status.code(), &marked.stdout), (Some(0), &plain.stdout), "{}", stderr(&marked));
        assert!(wide.status.code() > Some(0) && stderr(&wide).contains("UTF-16"), "{}", stderr(&wide));
    });
}

const STEERING: &str = "\u{1b}[31m\n\r\u{9b}2J\u{202e}a\u{7f}";

#[test]
fn messages_keep_names_from_the_terminal() {
    let folder = folder();
    let data = stored("f32", &[1.0, 2.0]);
    let tensor = |name: &str| safetensors(&[(name, "F32", &[1, 2], &data), ("other", "F32", &[1, 2], &data)]);
    folder.put("names.safetensors", tensor(STEERING));
    folder.put("long.safetensors", tensor(&"long".repeat(10_000)));
    folder.put("v.json", json!({STEERING: 0, "b": 0}).to_string());
    let run = |arguments: &[&str]| {
        let output = folder.command("log").args(arguments).output().expect("it starts");
        assert!(!output.status.success() && output.stdout.is_empty());
        stderr(&output)
    };
    let lists = vec!["7"; 50_000].join(",");
    let missing = format!("{STEERING}.npy");
    let wrong = format!("--{STEERING}");
    let cases: &[(&str, &[&str], usize)] = &[
        ("a tensor", &["names.safetensors"], 1),
        ("a long tensor", &["long.safetensors"], 1),
        (
            "a tensor that is asked for",
            &["names.safetensors", "--tensor", STEERING, "--vocab-file", "v.json"],
            4,
        ),
        ("a token", &["logits.npy", "--vocab-file", "v.json"], 1),
        ("a missing file", &[&missing], 1),
        ("a list of tokens", &["logits.npy", "--tokens", &lists], 1),
        ("an option", &["logits.npy", &wrong], 20),
        ("a format", &["logits.npy", "--format", STEERING], 20),
        ("a device", &["logits.npy", "--device", STEERING], 8),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(_, arguments, lines)| {
        let message = run(arguments);
        assert_eq!(obeyed(&message), [' '; 0], "{message:?}");
        assert!(message.chars().count() < 5000, "{} characters", message.chars().count());
        assert!(message.lines().count() <= *lines && message.contains("error: "), "{message:?}");
    });
    assert!(run(&["names.safetensors"]).contains("\\u001b[31m\\n\\r"), "the name is spelled out");
}
