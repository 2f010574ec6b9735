//! What the records say, in every format.

mod endings;
mod sources;
mod targets;

use serde_json::{Value, json};

use crate::common::{
    Folder, Question, check_line, difference, npy, stderr, stored, successful, text_of_cell,
};
use crate::table::test_each;

const ASSET: &str = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json --device cpu";
const ROWS: usize = 192;
const POSITIONS: usize = 48;
const VOCAB: usize = 4096;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Logits and targets of the asset.
fn asset(folder: &Folder) -> (Vec<Vec<f64>>, Vec<usize>) {
    let (logits, tokens) = (folder.get("logits.npy"), folder.get("tokens.npy"));
    let logits: Vec<f64> = logits[logits.len() - ROWS * VOCAB * 2..]
        .chunks_exact(2)
        .map(|bytes| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f64())
        .collect();
    let tokens = tokens[tokens.len() - ROWS * 4..]
        .chunks_exact(4)
        .map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    (logits.chunks(VOCAB).map(<[f64]>::to_vec).collect(), tokens.collect())
}

fn bytes_of(value: &Value) -> Vec<u8> {
    serde_json::from_value(value["bytes"].clone()).expect("an array of bytes")
}

#[test]
fn jsonl_says_what_the_logits_say() {
    let folder = Folder::with_assets();
    let (logits, tokens) = asset(&folder);
    let cases = [("", 5, 1.0), (" --top 1024", 1024, 1.0), (" --top 0 --temperature 0.5", 0, 0.5)];
    test_each(cases.map(|case| (case.0, case)), |(options, top, temperature)| {
        let lines = folder.lines(&format!("{ASSET}{options}"));
        assert_eq!(lines.len(), ROWS);
        test_each(lines.iter().enumerate().map(|(row, line)| (row, (row, line))), |(row, line)| {
            let question = Question { target: Some(tokens[row]), top, temperature };
            assert_eq!(check_line(line, &logits[row], question), Ok(()));
            assert_eq!(line["request"], row / POSITIONS);
            assert_eq!(line["position"], row % POSITIONS);
        });
    });
}

#[test]
fn jsonl_has_its_schema_and_its_texts() {
    let folder = Folder::with_assets();
    let output = successful("jsonl", folder.run(&format!("{ASSET} --format jsonl")));
    let perplexity = "perplexity 46.3934";
    let said = stderr(&output);
    let said = said.lines().find_map(|line| line.strip_prefix("perplexity ")?.split(' ').next());
    let said: f64 = said.and_then(|number| number.parse().ok()).expect(perplexity);
    assert_eq!(format!("perplexity {said:.4}"), perplexity);
    let lines = folder.lines(ASSET);
    let mean = lines.iter().map(|line| line["logprob"].as_f64().expect("a number")).sum::<f64>() / 192.0;
    assert!(((-mean).exp() - said).abs() < 1e-6, "{mean}");
    let mut said = String::new();
    for line in &lines {
        let names = "bytes entropy logprob logsumexp position rank request status text token top";
        assert_eq!(keys(line).join(" "), names);
        assert_eq!(String::from_utf8_lossy(&bytes_of(line)), line["text"].as_str().expect("a text"));
        assert_eq!(line["top"].as_array().expect("an array").len(), 5);
        assert_eq!(keys(&line["top"][0]).join(" "), "bytes logprob text token");
        said += line["text"].as_str().expect("a text");
    }
    assert!(said.starts_with(" whole party were in hopes of a letter from Mr. Bennet the next"), "{said}");
    let jsonl = format!("{ASSET} --format jsonl");
    assert_eq!(difference(&folder.printed(ASSET), &folder.printed(&jsonl)), None, "the default in a pipe");
}

/// A reader compares what the README shows with what the program prints.
#[test]
fn the_readmes_show_what_the_program_prints() {
    let readme = include_str!("../../../../README.md");
    let folder = Folder::with_assets();
    let output = successful("table", folder.run(&format!("{ASSET} --format table")));
    let printed = String::from_utf8_lossy(&output.stdout);
    let begin = printed.lines().take(8).collect::<Vec<_>>().join("\n");
    assert!(readme.contains(&format!("```text\n{begin}\n...\n```")), "{begin}");
    let said = stderr(&output);
    let perplexity = said.lines().find_map(|line| line.strip_prefix("perplexity ")).expect("a perplexity");
    assert!(readme.contains(&format!("perplexity, {perplexity}.")), "{perplexity}");
    let number = perplexity.split(' ').next().expect("a number");
    let of_asset = include_str!("../../../../assets/README.md");
    assert!(of_asset.contains(&format!("`sortilege log` prints {number}:")), "{number}");
}

#[test]
fn csv_has_the_numbers_of_jsonl() {
    let folder = Folder::with_assets();
    let lines = folder.lines(ASSET);
    let csv = folder.printed(&format!("{ASSET} --format csv"));
    let mut reader = csv::Reader::from_reader(&csv[..]);
    let head: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    assert_eq!(
        head.join(","),
        "request,position,status,logsumexp,entropy,token,text,bytes,logprob,rank,\
         alternative,alternative_token,alternative_text,alternative_bytes,alternative_logprob"
    );
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("15 fields")).collect();
    assert_eq!(records.len(), ROWS * 5);
    for (record, (line, entry)) in
        records.iter().zip(lines.iter().flat_map(|line| (0..5).map(move |entry| (line, entry))))
    {
        let top = &line["top"][entry];
        let expected = [
            &line["request"],
            &line["position"],
            &line["status"],
            &line["logsumexp"],
            &line["entropy"],
            &line["token"],
            &line["text"],
            &line["bytes"],
            &line["logprob"],
            &line["rank"],
            &json!(entry + 1),
            &top["token"],
            &top["text"],
            &top["bytes"],
            &top["logprob"],
        ];
        for ((field, expected), name) in record.iter().zip(expected).zip(&head) {
            let is_same = match expected {
                Value::String(text) => text_of_cell(field) == *text,
                Value::Array(_) => *field == *expected.to_string(),
                _ => field.parse().ok() == expected.as_f64(),
            };
            assert!(is_same, "{name} {field:?} of {line}");
        }
    }
}

#[test]
fn openai_has_one_object_per_request() {
    let folder = Folder::with_assets();
    let lines = folder.lines(ASSET);
    let requests = folder.lines(&format!("{ASSET} --format openai"));
    assert_eq!(requests.len(), ROWS / POSITIONS);
    let entries = requests.iter().flat_map(|request| {
        assert_eq!(keys(request), ["content", "refusal"]);
        assert_eq!(request["refusal"], Value::Null);
        let content = request["content"].as_array().expect("an array");
        assert_eq!(content.len(), POSITIONS);
        content
    });
    for (entry, line) in entries.zip(&lines) {
        assert_eq!(keys(entry).join(" "), "bytes logprob token token_id top_logprobs");
        let same = |said: &Value, other: &Value| {
            assert_eq!(json!([said["token"], said["token_id"], said["logprob"]]), *other, "{line}");
            assert_eq!(String::from_utf8_lossy(&bytes_of(said)), said["token"].as_str().expect("a text"));
        };
        same(entry, &json!([line["text"], line["token"], line["logprob"]]));
        let alternatives = entry["top_logprobs"].as_array().expect("an array");
        assert_eq!(alternatives.len(), 5);
        for (alternative, top) in alternatives.iter().zip(line["top"].as_array().expect("an array")) {
            assert_eq!(keys(alternative).join(" "), "bytes logprob token token_id");
            same(alternative, &json!([top["text"], top["token"], top["logprob"]]));
        }
    }
}

#[test]
fn the_table_has_a_line_per_row() {
    let folder = Folder::with_assets();
    let lines = folder.lines(ASSET);
    let table = folder.text(&format!("{ASSET} --format table"));
    let mut rows = table.lines();
    let head = rows.next().expect("a head");
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>().join(" "),
        "req pos token logprob prob rank entropy alternatives"
    );
    assert_eq!(rows.clone().count(), ROWS);
    for (row, line) in rows.zip(&lines) {
        let letters: Vec<char> = row.chars().collect();
        let column = |from: usize, to: usize| letters[from..to].iter().collect::<String>().trim().to_owned();
        let logprob = line["logprob"].as_f64().expect("a number");
        let entropy = line["entropy"].as_f64().expect("a number");
        let found =
            [column(0, 3), column(4, 8), column(25, 33), column(34, 42), column(43, 49), column(50, 57)];
        let expected = [
            line["request"].to_string(),
            line["position"].to_string(),
            format!("{logprob:.4}"),
            format!("{:.2} %", logprob.exp() * 100.0),
            line["rank"].to_string(),
            format!("{entropy:.3}"),
        ];
        assert_eq!(found, expected, "{row}");
        assert_eq!(column(57, letters.len()).matches(" %").count(), 5, "{row}");
    }
}

const INFINITY: f32 = f32::INFINITY;
const GOOD: [f32; 7] = [0.5, -1.0, 3.0, 3.0, -INFINITY, 2.0, 0.0];

/// Rows that are no distribution between rows that are: status, logits, and the token that is asked for.
fn special_rows() -> Vec<(&'static str, [f32; 7], usize)> {
    vec![
        ("ok", GOOD, 2),
        ("nan", [0.5, -1.0, 3.0, f32::NAN, -INFINITY, 2.0, 0.0], 2),
        ("ok", GOOD.map(|x| x * 2.0), 4),
        ("positive_infinity", [0.5, INFINITY, 3.0, 3.0, -INFINITY, 2.0, 0.0], 2),
        ("nan", [f32::NAN, INFINITY, 3.0, 3.0, -INFINITY, 2.0, 0.0], 2),
        ("ok", GOOD.map(|x| x - 4.0), 1),
        ("nothing_finite", [-INFINITY; 7], 2),
        ("ok", GOOD, 3),
    ]
}

#[test]
fn special_rows_are_named_and_leave_their_neighbours_alone() {
    let folder = Folder::new();
    let rows = special_rows();
    let values: Vec<f32> = rows.iter().flat_map(|(_, logits, _)| *logits).collect();
    let dtypes = [("f32", "<f4"), ("f16", "<f2"), ("bf16", "|V2")];
    test_each(dtypes.map(|case| (case.0, case)), |(dtype, descr)| {
        folder.put("all.npy", npy(descr, "(8, 7)", &stored(dtype, &values)));
        let all = format!("log all.npy --dtype {dtype} --tokens 2,2,4,2,2,1,2,3 --top 7 --device cpu");
        let printed = Printed::new(&folder, &all);
        test_each(rows.iter().enumerate().map(|(row, case)| (row, (row, case))), |(row, case)| {
            let (status, logits, target) = case;
            if *status != "ok" {
                return printed.check_special(row, status, *target);
            }
            folder.put("one.npy", npy(descr, "(1, 7)", &stored(dtype, logits)));
            let alone = format!("log one.npy --dtype {dtype} --tokens {target} --top 7 --device cpu");
            printed.check_sound(row, logits, *target, folder.lines(&alone).remove(0));
            if *target == 4 {
                printed.check_impossible_target(row);
            }
        });
    });
}

/// What a command prints in each format.
struct Printed {
    lines: Vec<Value>,
    csv: String,
    table: String,
    openai: Value,
}

impl Printed {
    fn new(folder: &Folder, line: &str) -> Self {
        Self {
            lines: folder.lines(&format!("{line} --format jsonl")),
            csv: folder.text(&format!("{line} --format csv")),
            table: folder.text(&format!("{line} --format table")),
            openai: folder.lines(&format!("{line} --format openai"))[0]["content"].take(),
        }
    }

    /// A distribution is printed as it is without neighbours, and right.
    fn check_sound(&self, row: usize, logits: &[f32], target: usize, mut alone: Value) {
        alone["position"] = json!(row);
        assert_eq!(self.lines[row], alone);
        let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        let question = Question { target: Some(target), top: 7, temperature: 1.0 };
        assert_eq!(check_line(&self.lines[row], &logits, question), Ok(()));
    }

    /// The target of the row, token 4, has no probability.
    fn check_impossible_target(&self, row: usize) {
        let line = &self.lines[row];
        assert_eq!(json!([line["logprob"], line["rank"]]), json!([null, 7]));
        assert_eq!(self.openai[row]["logprob"], json!(-9999.0));
        let start = format!("0,{row},ok");
        let empty = self.csv.lines().filter(|line| line.starts_with(&start) && line.contains(",4,,,,7,"));
        assert_eq!(empty.count(), 6);
    }

    /// A row that is no distribution says so, and nothing else.
    fn check_special(&self, row: usize, status: &str, target: usize) {
        let expected = json!({
            "request": 0, "position": row, "token": target, "text": null, "bytes": null, "logprob": null,
            "rank": null, "logsumexp": null, "entropy": null, "top": [], "status": status
        });
        assert_eq!(self.lines[row], expected);
        let object = &self.openai[row];
        assert_eq!(json!([object["logprob"], object["top_logprobs"]]), json!([-9999.0, []]));
        let in_csv = format!("\n0,{row},{status},,,{target},,,,,,,,,\n");
        assert!(self.csv.contains(&in_csv), "{}", self.csv);
        assert!(self.table.lines().nth(row + 1).is_some_and(|line| line.ends_with(status)), "{}", self.table);
    }
}

/// The checkers above see one wrong number and one flipped byte.
#[test]
fn the_checkers_can_fail() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 4)", &stored("f32", &[1.0, 3.0, 3.0, -1.0])));
    let bytes = folder.printed("log logits.npy --tokens 2 --top 3 --device cpu");
    let logits = [1.0, 3.0, 3.0, -1.0];
    let question = Question { target: Some(2), top: 3, temperature: 1.0 };
    let line: Value = serde_json::from_slice(&bytes).expect("JSON");
    check_line(&line, &logits, question).expect("the record is right");
    let changes = [
        ("/logprob", json!(-0.5)),
        ("/rank", json!(2)),
        ("/token", json!(1)),
        ("/logsumexp", json!(line["logsumexp"].as_f64().expect("a number") + 2e-6)),
        ("/entropy", Value::Null),
        ("/status", json!("nan")),
        ("/top", json!([])),
        ("/top/0/token", json!(2)),
        ("/top/1/logprob", json!(line["logprob"].as_f64().expect("a number").next_up())),
    ];
    for (place, wrong) in changes {
        let mut changed = line.clone();
        *changed.pointer_mut(place).expect(place) = wrong;
        assert!(check_line(&changed, &logits, question).is_err(), "{place}");
    }
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    assert!(difference(&bytes, &bytes).is_none());
    assert!(difference(&bytes, &flipped).expect("one flipped byte").starts_with("byte 20 "));
    assert!(difference(&bytes, &bytes[1..]).is_some() && difference(&bytes, &bytes[..9]).is_some());
}
