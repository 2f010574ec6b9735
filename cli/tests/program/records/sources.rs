//! Where logits, tokens and texts come from: every kind of file says the same.

use serde_json::{Value, json};
use zip::CompressionMethod::{Deflated, Stored};

use crate::common::{
    Folder, Question, check_line, difference, i32s, npy, npy_in_order, npz, safetensors, sha256, stderr,
    stored,
};
use crate::table::test_each;

/// Logits that f16 and bf16 hold exactly, with ties and an impossible token.
fn small_logits() -> Vec<f32> {
    let mut values: Vec<f32> = (0..42u16).map(|i| f32::from((i * i * 7 + 3 * i) % 29) * 0.5 - 7.0).collect();
    values[10] = f32::NEG_INFINITY;
    values
}

const TOKENS: [i32; 6] = [5, 0, -1, 6, 2, 1];
const SHAPE: &str = "(2, 3, 7)";

/// The elements in the other byte order.
fn swapped(width: usize, bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(width).flat_map(|element| element.iter().rev().copied()).collect()
}

/// The elements of [2][3][7], the first index fastest.
fn fortran(bytes: &[u8], width: usize) -> Vec<u8> {
    let places = (0..7).flat_map(|k| (0..3).flat_map(move |j| (0..2).map(move |i| (i * 3 + j) * 7 + k)));
    places.flat_map(|place| bytes[place * width..][..width].iter().copied()).collect()
}

/// A .npy file with a length field of four bytes.
fn version_2(version_1: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x02\x00", &version_1[8..10], &[0, 0], &version_1[10..]].concat()
}

#[test]
fn every_container_holds_the_same_logits() {
    let folder = Folder::new();
    let values = small_logits();
    let (f32s, f16s, bf16s) = (stored("f32", &values), stored("f16", &values), stored("bf16", &values));
    let f64s: Vec<u8> = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    let (other, shape) = (stored("f32", &[0.5; 9]), &[2, 3, 7][..]);
    let arrays = |name| [("odd", npy("<f4", "(9,)", &other)), (name, npy("<f2", SHAPE, &f16s))];
    let tensors =
        |name, dtype, bytes| safetensors(&[("odd", "F32", &[9], &other), (name, dtype, shape, bytes)]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("f32.npy", npy("<f4", SHAPE, &f32s), ""),
        ("f16.npy", npy("<f2", SHAPE, &f16s), ""),
        ("said.npy", npy("<f2", SHAPE, &f16s), "--dtype f16"),
        ("bf16.npy", npy("|V2", SHAPE, &bf16s), "--dtype bf16"),
        ("native.npy", npy("float32", SHAPE, &f32s), ""),
        ("half.npy", npy("=f2", SHAPE, &f16s), ""),
        ("named.npy", npy("bfloat16", SHAPE, &bf16s), ""),
        ("ordered.npy", npy("<bfloat16", SHAPE, &bf16s), "--dtype bf16"),
        ("big_f32.npy", npy(">f4", SHAPE, &swapped(4, &f32s)), ""),
        ("big_f16.npy", npy(">f2", SHAPE, &swapped(2, &f16s)), ""),
        ("big_bf16.npy", npy(">V2", SHAPE, &swapped(2, &bf16s)), "--dtype bf16"),
        ("f64.npy", npy("<f8", SHAPE, &f64s), ""),
        ("big_f64.npy", npy(">f8", SHAPE, &swapped(8, &f64s)), "--dtype f32"),
        ("f64.safetensors", tensors("logits", "F64", &f64s), ""),
        ("fortran.npy", npy_in_order("<f4", "True", SHAPE, &fortran(&f32s, 4)), ""),
        ("big_fortran.npy", npy_in_order(">f8", "True", SHAPE, &swapped(8, &fortran(&f64s, 8))), ""),
        ("fortran.npz", npz(Deflated, &[("x", npy_in_order("<f2", "True", SHAPE, &fortran(&f16s, 2)))]), ""),
        ("deep.npy", npy("<f4", "(2, 1, 3, 7)", &f32s), ""),
        ("deeper.npy", npy("<f4", "(1, 2, 1, 3, 7)", &f32s), ""),
        ("deep.bin", f16s.clone(), "--shape 2,3,1,7 --dtype f16"),
        ("two_versions.npy", version_2(&npy("<f4", SHAPE, &f32s)), ""),
        ("without_end", tensors("logits", "F32", &f32s), ""),
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
    let mut first: Option<Vec<u8>> = None;
    test_each(cases.into_iter().map(|case| (case.0, case)), |(name, bytes, options)| {
        folder.put(name, bytes);
        let output = folder.run(&format!("log {name} {options} --tokens tokens.npy --device cpu --top 7"));
        let notes = stderr(&output).matches(&format!("note: {name}: f64 logits are rounded to f32")).count();
        assert_eq!(notes, usize::from(name.contains("f64") || name.starts_with("big_fortran")), "notes");
        let first = first.get_or_insert_with(|| output.stdout.clone());
        assert_eq!(difference(first, &output.stdout), None, "{}", stderr(&output));
    });
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
fn shards_are_found_by_their_index() {
    let folder = Folder::new();
    let data = stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
    let zeros = stored("f32", &[0.0; 6]);
    folder.put("m-1.safetensors", safetensors(&[("other", "F32", &[2, 3], &zeros)]));
    folder.put(
        "m-2.safetensors",
        safetensors(&[("logits", "F32", &[2, 3], &data), ("x", "F32", &[2, 3], &zeros)]),
    );
    let map = json!({"other": "m-1.safetensors", "logits": "m-2.safetensors", "x": "m-2.safetensors"});
    folder.put(
        "m.safetensors.index.json",
        json!({"metadata": {"total_size": 72}, "weight_map": map}).to_string(),
    );
    for (options, file) in [("", "m-2"), ("--tensor other", "m-1"), ("--tensor x", "m-2")] {
        let expected = folder.printed(&format!("log {file}.safetensors {options} --device cpu"));
        let line = format!("log m.safetensors.index.json {options} --device cpu");
        assert_eq!(difference(&folder.printed(&line), &expected), None, "{options}");
        folder.printed(&format!("{line} -o records"));
        let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
        let shard = format!("{file}.safetensors");
        assert_eq!(meta["input"]["sha256"], sha256(&folder.get(&shard)).as_str(), "{options}");
        assert_eq!(meta["input"]["file"], shard, "{options}");
    }
    let index = |file: &str| json!({"weight_map": {"logits": file}}).to_string();
    let cases = [
        ("elsewhere", index("../m-1.safetensors"), "no plain name"),
        ("absolute", index("/etc/passwd"), "no plain name"),
        ("missing", index("m-3.safetensors"), "m-3.safetensors: No such file"),
        ("itself", index("index.json"), "index.json: no readable .safetensors header"),
        ("without the tensor", index("m-1.safetensors"), "m-1.safetensors: no array logits"),
        ("no map", "{\"weight_map\": [1]}".to_owned(), "no index of .safetensors files"),
    ];
    test_each(cases.map(|(name, text, words)| (name, (text, words))), |(text, words)| {
        folder.put("index.json", text);
        let output = folder.run("log index.json --device cpu");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(words), "{message}");
    });
}

/// Ids of every width say the same, and a padding label stays unknown.
#[test]
fn tokens_of_every_integer_type_are_read() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", SHAPE, &stored("f32", &small_logits())));
    let expected = folder.printed("log logits.npy --tokens 5,0,1,6,2,1 --device cpu");
    let padded = folder.printed("log logits.npy --tokens 5,0,-1,6,2,1 --device cpu");
    for (kind, width) in [('i', 1), ('i', 2), ('i', 4), ('i', 8), ('u', 1), ('u', 2), ('u', 4), ('u', 8)] {
        for order in ['<', '>'] {
            let ids = |ids: [i64; 6]| -> Vec<u8> {
                let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()[..width].to_vec()).collect();
                if order == '>' { swapped(width, &bytes) } else { bytes }
            };
            let descr = format!("{order}{kind}{width}");
            folder.put("ids.npy", npy(&descr, "(2, 1, 3)", &ids([5, 0, 1, 6, 2, 1])));
            let found = folder.printed("log logits.npy --tokens ids.npy --device cpu");
            assert_eq!(difference(&found, &expected), None, "{descr}");
            if kind == 'i' {
                folder.put("ids.npy", npy(&descr, "(6,)", &ids([5, 0, -100, 6, 2, 1])));
                let found = folder.printed("log logits.npy --tokens ids.npy --device cpu");
                assert_eq!(difference(&found, &padded), None, "{descr}, padded");
            }
        }
    }
    folder.put("ids.npy", npy("|u1", "(6,)", &[5, 0, 255, 6, 2, 1]));
    let message = stderr(&folder.run("log logits.npy --tokens ids.npy --device cpu"));
    assert!(message.contains("token 255 of row 2 is outside the vocabulary of 7"), "{message}");
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
    let sources = [
        "--tokens i64.npy",
        "--tokens i64.safetensors",
        "--tokens both.npz",
        "--tokens lines.txt",
        "--tokens list.json",
        "--tokens 5,0,-1,6,2,1",
        "--tokens=5,0,-1,6,2,1",
    ];
    test_each(sources.map(|source| (source, source)), |source| {
        let output = folder.run(&format!("log logits.npy {source} --device cpu"));
        assert_eq!(difference(&reference, &output.stdout), None, "{}", stderr(&output));
    });
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
            .map(|record| record.expect("a row")[12].to_owned());
        assert_eq!(texts.collect::<Vec<_>>(), ["", "é,\\n", "a"], "{name}");
    }
}

/// Of a batch with several arrays, the one that is called a target; where two are, none is taken.
#[test]
fn targets_are_found_by_their_name() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0])));
    let array = |tokens: &[i32]| npy("<i4", "(2,)", &i32s(tokens));
    let batch = |names: [&str; 2]| npz(Deflated, &[(names[0], array(&[0, 1])), (names[1], array(&[2, 2]))]);
    let tokens =
        |line: &str| -> Vec<Value> { folder.lines(line).iter().map(|line| line["token"].clone()).collect() };
    let line = "log logits.npy --device cpu --tokens batch.npz";
    for (names, options, expected) in [
        (["input_ids", "labels"], "", json!([2, 2])),
        (["targets", "input_ids"], "", json!([0, 1])),
        (["input_ids", "attention_mask"], "--shift", json!([1, null])),
    ] {
        folder.put("batch.npz", batch(names));
        assert_eq!(json!(tokens(&format!("{line} {options}"))), expected, "{names:?}");
    }
    for (names, options, words) in [
        (["tokens", "labels"], "", "tokens or labels may be meant"),
        (["input_ids", "labels"], "--shift", "input_ids or labels may be meant"),
        (["input_ids", "attention_mask"], "", "none is called targets or labels or tokens"),
    ] {
        folder.put("batch.npz", batch(names));
        let output = folder.run(&format!("{line} {options}"));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    folder.put("batch.npz", batch(["input_ids", "labels"]));
    folder.printed(&format!("{line} -o records"));
    let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["tokens_tensor"], "labels");
}

/// No output takes the place of what it is made from, however the way to that.
#[test]
fn an_output_does_not_replace_a_shard() {
    let folder = Folder::new();
    let shard = safetensors(&[("logits", "F32", &[1, 3], &stored("f32", &[1.0, 2.0, 3.0]))]);
    folder.put("m-1.safetensors", &shard);
    let index = json!({"weight_map": {"logits": "m-1.safetensors"}}).to_string();
    folder.put("m.index.json", &index);
    for line in ["log m.index.json", "sample m.index.json --seed 1", "sample m.index.json --feedback"] {
        let output = folder.run(&format!("{line} --device cpu -o m-1.safetensors"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("would replace the input m-1.safetensors"), "{message}");
        assert!(folder.get("m-1.safetensors") == shard, "{line}: the shard is another one");
        assert_eq!(folder.contents(".").len(), 2, "nothing else is there");
    }
    folder.printed("log m.index.json --device cpu -o records");
    let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
    let expected = json!({"file": "m.index.json", "sha256": sha256(index.as_bytes())});
    assert_eq!(meta["input"]["index"], expected);
}

/// A redirected file has no name here, and is an input all the same.
#[test]
fn an_output_does_not_replace_what_standard_input_is() {
    let folder = Folder::new();
    let logits = npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0]));
    folder.put("logits.npy", &logits);
    let input = std::fs::File::open(folder.path("logits.npy")).expect("it is there");
    let output = folder.command("log - --device cpu -o logits.npy").stdin(input).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(folder.get("logits.npy") == logits, "it is another one");
}

/// More tokens than the rows have use for are refused before they are unpacked or reordered.
#[test]
fn too_many_tokens_are_not_unpacked() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(2, 3)", &stored("f32", &[0.0; 6])));
    let many = || vec![0; 8 << 20];
    let refused: [(&str, Vec<u8>); 3] = [
        ("packed.npz", npz(Deflated, &[("tokens", npy("|i1", "(8388608,)", &many()))])),
        ("stored.npy", npy("|i1", "(8388608,)", &many())),
        ("fortran.npy", npy_in_order("|i1", "True", "(2, 4194304)", &many())),
    ];
    for (name, bytes) in refused {
        folder.put(name, bytes);
        // Without a place for temporary files nothing can be unpacked.
        let mut command = folder.command(&format!("log logits.npy --tokens {name} --device cpu"));
        let output = command.env("TMPDIR", folder.path("nosuch")).output().expect("it starts");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(&format!("{name}: over 65538 tokens")), "{message}");
    }
}
