//! What the records say, in every format and from every kind of file.

use serde_json::{Value, json};
use zip::CompressionMethod::{Deflated, Stored};

use crate::common::{
    Folder, Question, check_line, conclude, difference, i32s, npy, npy_in_order, npz, safetensors, stderr,
    stored, successful,
};

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
    let mut failures = Vec::new();
    for (options, top, temperature) in
        [("", 5, 1.0), (" --top 1024", 1024, 1.0), (" --top 0 --temperature 0.5", 0, 0.5)]
    {
        let lines = folder.lines(&format!("{ASSET}{options}"));
        assert_eq!(lines.len(), ROWS, "{options}");
        for (row, line) in lines.iter().enumerate() {
            let question = Question { target: Some(tokens[row]), top, temperature };
            let checked = check_line(line, &logits[row], question);
            failures.extend(checked.err().map(|problem| format!("{options}, row {row}: {problem}")));
            assert_eq!(line["request"], row / POSITIONS);
            assert_eq!(line["position"], row % POSITIONS);
        }
    }
    conclude(&failures);
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
        assert_eq!(keys(&line["top"][0]).join(" "), "logprob text token");
        said += line["text"].as_str().expect("a text");
    }
    assert!(said.starts_with(" whole party were in hopes of a letter from Mr. Bennet the next"), "{said}");
    let jsonl = format!("{ASSET} --format jsonl");
    assert_eq!(difference(&folder.printed(ASSET), &folder.printed(&jsonl)), None, "the default in a pipe");
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
        "request,position,status,logsumexp,entropy,token,logprob,rank,\
         alternative,alternative_token,alternative_text,alternative_logprob"
    );
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("12 fields")).collect();
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
            &line["logprob"],
            &line["rank"],
            &json!(entry + 1),
            &top["token"],
            &top["text"],
            &top["logprob"],
        ];
        for ((field, expected), name) in record.iter().zip(expected).zip(&head) {
            let is_same = match expected.as_str() {
                Some(text) => field == text,
                None => field.parse().ok() == expected.as_f64(),
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

/// Logits that f16 and bf16 hold exactly, with ties and an impossible token.
fn small_logits() -> Vec<f32> {
    let mut values: Vec<f32> = (0..42u16).map(|i| f32::from((i * i * 7 + 3 * i) % 29) * 0.5 - 7.0).collect();
    values[10] = f32::NEG_INFINITY;
    values
}

const TOKENS: [i32; 6] = [5, 0, -1, 6, 2, 1];
const SHAPE: &str = "(2, 3, 7)";

#[test]
fn every_container_holds_the_same_logits() {
    let folder = Folder::new();
    let values = small_logits();
    let (f32s, f16s, bf16s) = (stored("f32", &values), stored("f16", &values), stored("bf16", &values));
    let (other, shape) = (stored("f32", &[0.5; 9]), &[2, 3, 7][..]);
    let arrays = |name| [("odd", npy("<f4", "(9,)", &other)), (name, npy("<f2", SHAPE, &f16s))];
    let tensors =
        |name, dtype, bytes| safetensors(&[("odd", "F32", &[9], &other), (name, dtype, shape, bytes)]);
    let cases: [(&str, Vec<u8>, &str); 16] = [
        ("f32.npy", npy("<f4", SHAPE, &f32s), ""),
        ("f16.npy", npy("<f2", SHAPE, &f16s), ""),
        ("said.npy", npy("<f2", SHAPE, &f16s), "--dtype f16"),
        ("bf16.npy", npy("|V2", SHAPE, &bf16s), "--dtype bf16"),
        ("stored.npz", npz(Stored, &arrays("scores")), "--tensor scores"),
        ("deflated.npz", npz(Deflated, &arrays("scores")), "--tensor scores"),
        ("logits.npz", npz(Stored, &arrays("logits")), ""),
        ("deflated_logits.npz", npz(Deflated, &arrays("logits")), ""),
        ("only.npz", npz(Stored, &[("scores", npy("<f4", SHAPE, &f32s))]), ""),
        ("f32.safetensors", tensors("logits", "F32", &f32s), ""),
        ("f16.safetensors", tensors("scores", "F16", &f16s), "--tensor scores"),
        ("bf16.safetensors", tensors("scores", "BF16", &bf16s), "--tensor scores"),
        ("only.safetensors", safetensors(&[("scores", "BF16", shape, &bf16s)]), ""),
        ("f32.bin", f32s.clone(), "--shape 2,3,7 --dtype f32"),
        ("f16.bin", f16s.clone(), "--shape 2,3,7 --dtype f16"),
        ("bf16.bin", bf16s.clone(), "--shape 2,3,7 --dtype bf16"),
    ];
    folder.put("tokens.npy", npy("<i4", "(2, 3)", &i32s(&TOKENS)));
    let mut failures = Vec::new();
    let mut first: Option<Vec<u8>> = None;
    for (name, bytes, options) in cases {
        folder.put(name, bytes);
        let output = folder.run(&format!("log {name} {options} --tokens tokens.npy --device cpu --top 7"));
        let first = first.get_or_insert_with(|| output.stdout.clone());
        if let Some(difference) = difference(first, &output.stdout) {
            failures.push(format!("{name}: {difference} {}", stderr(&output)));
        }
    }
    conclude(&failures);
    let lines = folder.lines("log f32.npy --tokens tokens.npy --device cpu --top 7");
    assert_eq!(lines.len(), 6);
    for (row, line) in lines.iter().enumerate() {
        let logits: Vec<f64> = values[row * 7..][..7].iter().copied().map(f64::from).collect();
        let question = Question { target: usize::try_from(TOKENS[row]).ok(), top: 7, temperature: 1.0 };
        check_line(line, &logits, question).expect("a right record");
        assert_eq!(json!([line["request"], line["position"]]), json!([row / 3, row % 3]));
        assert_eq!(json!([line["text"], line["bytes"]]), json!([null, null]), "no vocabulary was given");
    }
    folder.put("flat.npy", npy("<f4", "(6, 7)", &f32s));
    folder.put("row.npy", npy_in_order("<f4", "True", "(1, 1, 7)", &f32s[..28]));
    let places = |line: &Value| (line["request"].clone(), line["position"].clone());
    let flat: Vec<_> = folder.lines("log flat.npy --device cpu").iter().map(places).collect();
    assert_eq!(flat, (0..6).map(|position| (json!(0), json!(position))).collect::<Vec<_>>());
    assert_eq!(folder.lines("log row.npy --device cpu --top 7")[0]["top"], lines[0]["top"]);
}

#[test]
fn every_source_of_tokens_says_the_same() {
    let folder = Folder::new();
    let logits = npy("<f4", SHAPE, &stored("f32", &small_logits()));
    let i64s: Vec<u8> = TOKENS.iter().flat_map(|&token| i64::from(token).to_le_bytes()).collect();
    folder.put("logits.npy", &logits);
    folder.put("i32.npy", npy("<i4", "(2, 3)", &i32s(&TOKENS)));
    folder.put("i64.npy", npy("<i8", "(6,)", &i64s));
    folder.put("i64.safetensors", safetensors(&[("tokens", "I64", &[2, 3], &i64s)]));
    folder.put("both.npz", npz(Deflated, &[("logits", logits), ("targets", npy("<i8", "(2, 3)", &i64s))]));
    folder.put("lines.txt", "5\n0\n-1\n6\n2\n1\n");
    folder.put("list.json", "[[5, 0, null], [6, 2, 1]]\n");
    let reference = folder.printed("log logits.npy --tokens i32.npy --device cpu");
    let mut failures = Vec::new();
    let sources = [
        "--tokens i64.npy",
        "--tokens i64.safetensors",
        "--tokens both.npz",
        "--tokens lines.txt",
        "--tokens list.json",
        "--tokens 5,0,-1,6,2,1",
        "--tokens=5,0,-1,6,2,1",
    ];
    for source in sources {
        let output = folder.run(&format!("log logits.npy {source} --device cpu"));
        if let Some(difference) = difference(&reference, &output.stdout) {
            failures.push(format!("{source}: {difference} {}", stderr(&output)));
        }
    }
    conclude(&failures);
    let unknown = &folder.lines("log logits.npy --tokens i32.npy --device cpu")[2];
    assert_eq!(json!([unknown["token"], unknown["logprob"], unknown["rank"]]), json!([null, null, null]));
    let unsigned: Vec<u8> = [1u64, 2].iter().flat_map(|token| token.to_le_bytes()).collect();
    folder.put("two.npy", npy("<f4", "(2, 3)", &stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0])));
    folder.put("u64.npy", npy("<u8", "(2,)", &unsigned));
    let tokens = |line: &Value| line["token"].clone();
    let lines = folder.lines("log two.npy --tokens u64.npy --device cpu");
    assert_eq!(lines.iter().map(tokens).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_list_may_begin_with_an_unknown_token() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 2)", &stored("f32", &[1.0, 2.0, 2.0, 1.0])));
    let lines = folder.lines("log logits.npy --tokens -1,1 --device cpu");
    assert_eq!(json!([lines[0]["token"], lines[1]["token"]]), json!([null, 1]));
}

#[test]
fn vocabulary_files_name_the_tokens() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    folder.put("object.json", r#"{"a": 0, "é,\n": 1}"#);
    folder.put("array.json", r#"["a", "é,\n"]"#);
    for name in ["object.json", "array.json"] {
        let line = format!("log logits.npy --tokens 1 --vocab-file {name} --device cpu");
        let record = &folder.lines(&line)[0];
        assert_eq!(json!([record["text"], record["bytes"]]), json!(["é,\n", [195, 169, 44, 10]]), "{name}");
        assert_eq!(record["top"][0]["text"], Value::Null, "{name}: token 2 has no text");
        let csv = folder.printed(&format!("{line} --format csv"));
        let texts = csv::Reader::from_reader(&csv[..])
            .into_records()
            .map(|record| record.expect("a row")[10].to_owned());
        assert_eq!(texts.collect::<Vec<_>>(), ["", "é,\n", "a"], "{name}");
    }
}

/// Rows that are no distribution between rows that are.
#[test]
fn special_rows_are_named_and_leave_their_neighbours_alone() {
    const INFINITY: f32 = f32::INFINITY;
    let good = [0.5, -1.0, 3.0, 3.0, -INFINITY, 2.0, 0.0];
    let rows = [
        ("ok", good),
        ("nan", [0.5, -1.0, 3.0, f32::NAN, -INFINITY, 2.0, 0.0]),
        ("ok", good.map(|x| x * 2.0)),
        ("positive_infinity", [0.5, INFINITY, 3.0, 3.0, -INFINITY, 2.0, 0.0]),
        ("nan", [f32::NAN, INFINITY, 3.0, 3.0, -INFINITY, 2.0, 0.0]),
        ("ok", good.map(|x| x - 4.0)),
        ("nothing_finite", [-INFINITY; 7]),
        ("ok", good),
    ];
    let targets = [2, 2, 4, 2, 2, 1, 2, 3];
    let folder = Folder::new();
    let mut failures = Vec::new();
    for (dtype, descr) in [("f32", "<f4"), ("f16", "<f2"), ("bf16", "|V2")] {
        let values: Vec<f32> = rows.iter().flat_map(|(_, row)| *row).collect();
        folder.put("all.npy", npy(descr, "(8, 7)", &stored(dtype, &values)));
        let all = format!("log all.npy --dtype {dtype} --tokens 2,2,4,2,2,1,2,3 --top 7 --device cpu");
        let lines = folder.lines(&format!("{all} --format jsonl"));
        let csv = folder.text(&format!("{all} --format csv"));
        let table = folder.text(&format!("{all} --format table"));
        let openai = &folder.lines(&format!("{all} --format openai"))[0]["content"];
        for (row, (status, logits)) in rows.iter().enumerate() {
            let mut same = |what: &str, found: &Value, expected: Value| {
                if *found != expected {
                    failures.push(format!("{dtype}, row {row}, {what}: {found}, expected {expected}"));
                }
            };
            let (line, said, target) = (&lines[row], &openai[row], targets[row]);
            if *status == "ok" {
                folder.put("one.npy", npy(descr, "(1, 7)", &stored(dtype, logits)));
                let alone = format!("log one.npy --dtype {dtype} --tokens {target} --top 7 --device cpu");
                let mut alone = folder.lines(&alone).remove(0);
                alone["position"] = json!(row);
                same("alone", line, alone);
                let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
                let question = Question { target: Some(target), top: 7, temperature: 1.0 };
                same("record", &json!(check_line(line, &logits, question).err()), Value::Null);
                if target == 4 {
                    same("impossible target", &json!([line["logprob"], line["rank"]]), json!([null, 7]));
                    same("impossible target for openai", &said["logprob"], json!(-9999.0));
                    let empty =
                        csv.lines().filter(|line| line.starts_with("0,2,ok") && line.contains(",4,,7,"));
                    same("impossible target for csv", &json!(empty.count()), json!(6));
                }
                continue;
            }
            let expected = json!({
                "request": 0, "position": row, "token": target, "text": null, "bytes": null, "logprob": null,
                "rank": null, "logsumexp": null, "entropy": null, "top": [], "status": status
            });
            same("jsonl", line, expected);
            same("openai", &json!([said["logprob"], said["top_logprobs"]]), json!([-9999.0, []]));
            let in_csv = format!("\n0,{row},{status},,,{target},,,,,,\n");
            same("csv", &json!(csv.contains(&in_csv)), json!(true));
            let in_table = table.lines().nth(row + 1).map(|line| line.ends_with(status));
            same("table", &json!(in_table), json!(true));
        }
    }
    conclude(&failures);
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
