//! Vocabularies of every family, each of a few tokens whose bytes are known: what a token stands for is the same whoever
//! wrote the file, and what is no vocabulary is named.

use serde_json::{Value, json};

use crate::common::{Folder, npy, stderr, stored, successful};
use crate::table::test_each;

/// A folder with logits of so many tokens, the first one the most probable.
fn folder(tokens: u16) -> Folder {
    let folder = Folder::new();
    let falling: Vec<f32> = (0..tokens).map(|token| -f32::from(token) / 4.0).collect();
    folder.put("logits.npy", npy("<f4", &format!("(1, {tokens})"), &stored("f32", &falling)));
    folder
}

/// Bytes of each token in the order of their ids, by an option that names a file of this text.
fn bytes_of(folder: &Folder, option: &str, file: &str, content: &[u8]) -> Vec<Option<Vec<u8>>> {
    folder.put(file, content);
    let line = &folder.lines(&format!("log logits.npy --top 32 --device cpu {option} {file}"))[0];
    let top = line["top"].as_array().expect("an array");
    let bytes = |(id, entry): (usize, &Value)| {
        assert_eq!(entry["token"], id);
        let bytes: Option<Vec<u8>> = serde_json::from_value(entry["bytes"].clone()).expect("bytes or null");
        let text = bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(entry["text"], json!(text));
        bytes
    };
    top.iter().enumerate().map(bytes).collect()
}

/// A tokenizer.json with these pieces in order, and what else the model and the tokenizer have.
fn tokenizer(pieces: &[&str], model: &Value, rest: &Value) -> Vec<u8> {
    let vocab: Value = pieces.iter().zip(0..).map(|(piece, id)| ((*piece).to_owned(), json!(id))).collect();
    let mut json = json!({"version": "1.0", "decoder": null, "model": {"vocab": vocab, "merges": ["a b"]}});
    for (into, from) in [("/model", model), ("", rest)] {
        let object = json.pointer_mut(into).and_then(Value::as_object_mut).expect("an object");
        object.extend(from.as_object().expect("an object").clone());
    }
    json.to_string().into_bytes()
}

/// A name, an option, the name and the text of a file, and bytes of its tokens.
type Case = (&'static str, &'static str, &'static str, Vec<u8>, Vec<&'static [u8]>);

fn byte_level_tokenizers() -> Vec<Case> {
    let decoder = json!({"decoder": {"type": "ByteLevel"}, "added_tokens": [
        {"id": 4, "content": "<｜a▁b｜>", "special": true}, {"id": 5, "content": "Ġñ", "special": false}]});
    let pieces = ["Ġdo", "âĤ", "Ċ", "Ã±"];
    let bytes: Vec<&[u8]> = vec![b" do", &[0xe2, 0x82], b"\n", "ñ".as_bytes()];
    let with_added = [&bytes[..], &["<｜a▁b｜>".as_bytes(), "Ġñ".as_bytes()]].concat();
    let nested = json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split"}, {"type": "ByteLevel"}]}});
    let clip = json!({"type": "BPE", "end_of_word_suffix": "</w>"});
    let shown = tokenizer(&pieces, &json!({"type": "BPE"}), &json!({}));
    vec![
        ("byte-level", "--tokenizer", "t.json", tokenizer(&pieces, &json!({}), &decoder), with_added),
        ("before the model", "--tokenizer", "t.json", tokenizer(&pieces, &json!({}), &nested), bytes.clone()),
        ("declared nowhere", "--tokenizer", "t.json", shown, bytes),
        (
            "CLIP",
            "--tokenizer",
            "t.json",
            tokenizer(&["do</w>", "Ã±</w>", "ĠÃ±"], &clip, &json!({"decoder": {"type": "ByteLevel"}})),
            vec![b"do ", "ñ ".as_bytes(), " ñ".as_bytes()],
        ),
    ]
}

fn spaced_tokenizers() -> Vec<Case> {
    let llama = json!({"decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 5, "content": "▁▁", "special": false}]});
    let unigram = json!({"type": "Unigram", "byte_fallback": true,
        "vocab": [["<s>", 0.0], ["▁do", -2.5], ["<0x0a>", -3], ["<0xF0>", -3], ["é", -4.25], ["▁▁", -5]]});
    let metaspace = json!({"decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}});
    let bytes: Vec<&[u8]> = vec![b"<s>", b" do", b"\n", &[0xf0], "é".as_bytes(), b"  "];
    let pieces = ["<s>", "▁do", "<0x0a>", "<0xF0>", "é", "▁▁"];
    let fallback = json!({"type": "BPE", "byte_fallback": true});
    vec![
        ("BPE with bytes", "--tokenizer", "t.json", tokenizer(&pieces, &fallback, &llama), bytes.clone()),
        ("Unigram", "--tokenizer", "t.json", tokenizer(&[], &unigram, &metaspace), bytes.clone()),
        ("Unigram, declared nowhere", "--tokenizer", "t.json", tokenizer(&[], &unigram, &json!({})), bytes),
        (
            "subword-nmt",
            "--tokenizer",
            "t.json",
            tokenizer(
                &["do</w>", "do", "ñ</w>"],
                &json!({}),
                &json!({"decoder": {"type": "BPEDecoder", "suffix": "</w>"}}),
            ),
            vec![b"do ", b"do", "ñ ".as_bytes()],
        ),
        (
            "WordPiece",
            "--tokenizer",
            "t.json",
            tokenizer(
                &["[CLS]", "do", "##ing", "."],
                &json!({"type": "WordPiece", "continuing_subword_prefix": "##"}),
                &json!({"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
                    "added_tokens": [{"id": 0, "content": "[CLS]", "special": true}]}),
            ),
            vec![b"[CLS]", b" do", b"ing", b"."],
        ),
    ]
}

/// A field of a protobuf message with bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

/// A SentencePiece model of pieces with their types; with a score each, and a trainer's settings behind them.
fn model(pieces: &[(&str, u8)]) -> Vec<u8> {
    let piece = |(text, kind): &(&str, u8)| {
        field(
            1,
            &[
                field(1, text.as_bytes()),
                [&[0x15][..], &(-1.5_f32).to_le_bytes()].concat(),
                vec![0x18, *kind],
            ]
            .concat(),
        )
    };
    [pieces.iter().flat_map(piece).collect(), field(2, &[0x18, 0x02, 0x20, 0x07])].concat()
}

fn other_tokenizers() -> Vec<Case> {
    let pieces = model(&[("<unk>", 2), ("▁<s>", 3), ("▁do", 1), ("<0x0A>", 6), ("▁▁", 4)]);
    let tekken = json!({
        "config": {"pattern": ".", "num_vocab_tokens": 4, "default_vocab_size": 6, "default_num_special_tokens": 3},
        "vocab": [{"rank": 0, "token_bytes": "AA==", "token_str": "\0"}, {"rank": 1, "token_bytes": "IGRv", "token_str": " do"},
            {"rank": 2, "token_bytes": "4oI=", "token_str": null}, {"rank": 3, "token_bytes": "eA==", "token_str": "x"}],
        "special_tokens": [{"rank": 1, "token_str": "<s>", "is_control": true}, {"rank": 0, "token_str": "<unk>", "is_control": true}],
    });
    let mut unlisted = tekken.clone();
    unlisted["special_tokens"] = Value::Null;
    let ranks: Vec<&[u8]> = vec![b"\0", b" do", &[0xe2, 0x82]];
    let listed = [&[&b"<unk>"[..], b"<s>", b"<SPECIAL_2>"], &ranks[..]].concat();
    let first = [&[&b"<unk>"[..], b"<s>", b"</s>"], &ranks[..]].concat();
    let scores = "<s>\t0\n▁do\t-1.25\n<0x0A>\t0\né\t-7e-1\n";
    let spaced: Vec<&[u8]> = vec![b"<s>", b" do", b"\n", "é".as_bytes()];
    vec![
        (
            "SentencePiece model",
            "--tokenizer",
            "tokenizer.model",
            pieces,
            vec![b"<unk>", "▁<s>".as_bytes(), b" do", b"\n", b"  "],
        ),
        ("SentencePiece pieces and scores", "--tokenizer", "t.vocab", scores.into(), spaced.clone()),
        ("the same as a vocabulary", "--vocab-file", "t.vocab", scores.into(), spaced),
        ("tiktoken", "--tokenizer", "t.tiktoken", b"IGRv 1\nAA== 0\n4oI= 2\n".to_vec(), ranks.clone()),
        (
            "tiktoken of Llama 3",
            "--vocab-file",
            "tokenizer.model",
            b"AA== 0\r\nIGRv 1\r\n4oI= 2\r\n".to_vec(),
            ranks,
        ),
        ("tekken", "--tokenizer", "tekken.json", tekken.to_string().into(), listed),
        ("tekken without specials", "--vocab-file", "tekken.json", unlisted.to_string().into(), first),
    ]
}

fn vocab_files() -> Vec<Case> {
    let byte_level: Vec<&[u8]> = vec![b"<|end|>", b" do", b"\n", &[0xe2, 0x82]];
    let spaced: Vec<&[u8]> = vec![b"<s>", b" do", b"\n", b"x"];
    let plain = |texts: &[&'static str]| texts.iter().map(|text| text.as_bytes()).collect();
    let case = |name, file, text: &str, bytes| (name, "--vocab-file", file, text.as_bytes().to_vec(), bytes);
    vec![
        case("Ġ", "v.json", r#"{"<|end|>": 0, "Ġdo": 1, "Ċ": 2, "âĤ": 3}"#, byte_level.clone()),
        case("Ġ, a list", "v.json", r#"["<|end|>", "Ġdo", "Ċ", "âĤ"]"#, byte_level.clone()),
        case("Ġ, lines", "v.txt", "<|end|>\nĠdo\nĊ\nâĤ\n", byte_level),
        case("▁", "v.json", r#"{"<s>": 0, "▁do": 1, "<0x0A>": 2, "x": 3}"#, spaced.clone()),
        case("▁, lines", "v.txt", "<s>\n▁do\n<0x0A>\nx", spaced),
        case("bytes alone", "v.json", r#"["<0x00>", "<0xfe>", "a"]"#, vec![b"\0", &[0xfe], b"a"]),
        case(
            "Maltese",
            "v.json",
            r#"["Ġurdan", "għar", "żejt", "à"]"#,
            plain(&["Ġurdan", "għar", "żejt", "à"]),
        ),
        case("spaces", "v.json", r#"["Ġa", " the", "▁b", "x"]"#, plain(&["Ġa", " the", "▁b", "x"])),
        case(
            "BERT",
            "vocab.txt",
            "[PAD]\n[unused0]\ndo\n##ing\n",
            plain(&["[PAD]", "[unused0]", "do", "##ing"]),
        ),
        case("BERT without an ending", "vocab", "[CLS]\r\n{\r\n\"\r\n", plain(&["[CLS]", "{", "\""])),
        case("lines with a mark", "v.txt", "\u{feff}a\nb\n", plain(&["a", "b"])),
        case("JSON with a mark", "v.json", "\u{feff}[\"a\", \"b\"]", plain(&["a", "b"])),
        case("an empty first line", "v.txt", "\n\na\n", plain(&["", "", "a"])),
        case("words with spaces", "v.txt", "a b\nc\nd 1\n", plain(&["a b", "c", "d 1"])),
    ]
}

#[test]
fn every_family_stands_for_its_bytes() {
    let all = [byte_level_tokenizers(), spaced_tokenizers(), other_tokenizers(), vocab_files()].concat();
    let cases = all.into_iter().map(|case| (case.0, case));
    test_each(cases, |(_, option, file, content, bytes)| {
        let folder = folder(u16::try_from(bytes.len()).expect("few") + 1);
        let expected: Vec<Option<Vec<u8>>> =
            bytes.into_iter().map(|bytes| Some(bytes.to_vec())).chain([None]).collect();
        assert_eq!(bytes_of(&folder, option, file, &content), expected);
        if option == "--tokenizer" {
            assert_eq!(bytes_of(&folder, "--vocab-file", file, &content), expected, "as a vocabulary");
        }
    });
}

/// The name and the text of a file, an option, and words of the message.
type Refused = (&'static str, &'static [u8], &'static [&'static str]);

const REFUSED: &[Refused] = &[
    ("v.json", b"", &["empty"]),
    ("v.json", b"{}", &["no token"]),
    ("v.json", b"{\"a\": 0", &["no valid JSON", "EOF"]),
    ("v.json", b"[PAD]\n[UNK]\n", &["no valid JSON"]),
    ("v.json", br#"{"a": 0, "b": -1}"#, &["-1"]),
    ("v.json", br#"{"a": 0, "b": 1.5}"#, &["1.5"]),
    ("v.json", br#"{"a": 0, "b": [1]}"#, &["line 1 column"]),
    ("v.json", br#"{"a": 1048576}"#, &["id 1048576", "\"a\"", "0 to 1048575"]),
    ("v.json", br#"{"a": 3, "b\u001b": 3}"#, &["id 3 stands twice", "\"a\"", "\"b\\u001b\""]),
    ("v.json", br#"["a", 7]"#, &["7"]),
    ("v.json", br#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}}}"#, &["id 0 stands twice"]),
    ("v.json", br#"{"model": {"type": "BPE"}}"#, &["tokenizer.json", "vocab"]),
    ("v.json", br#"{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1048576, "content": "b"}]}"#, &["id 1048576"]),
    ("v.json", br#"{"config": {}, "vocab": [{"rank": 0, "token_bytes": "?"}]}"#, &["token_bytes of rank 0", "base64"]),
    (
        "v.json",
        br#"{"config": {}, "vocab": [{"rank": 0, "token_bytes": "YQ=="}, {"rank": 0, "token_bytes": "Yg=="}]}"#,
        &["stands twice", "\"a\"", "\"b\""],
    ),
    ("v.json", br#"{"config": {"default_num_special_tokens": 4294967296}, "vocab": []}"#, &["4294967296 special tokens"]),
    ("v.json", br#"{"added_tokens_decoder": {}, "bos_token": "<s>"}"#, &["tokenizer_config.json", "tokenizer.json"]),
    ("v.json", br#"{"architectures": ["Some"], "vocab_size": 7}"#, &["config.json"]),
    ("v.json", br#"{"weight_map": {"a": "b"}}"#, &["index of a model's files"]),
    ("t.tiktoken", b"YQ== 4\nYg== 4\n", &["id 4 stands twice"]),
    ("t.tiktoken", b"YQ== 0\nYg== 1048576\n", &["id 1048576"]),
    ("dict.txt", b"the 9210\nand 312\n", &["a word and a number"]),
    ("merges.txt", b"#version: 0.2\nt h\n", &["merges", "vocab.json"]),
    ("t.model", b"\x0a\x09\x0a\x02ab\x15\xff\xff\xff", &["SentencePiece", "cut short"]),
    ("t.txt", b"\xff\xfea\0\n\0", &["UTF-16", "UTF-8"]),
    ("t.txt", b"ab\xe9\n", &["0xe9 at offset 2", "UTF-8"]),
    ("t.txt", b"a\0\0\0", &["binary"]),
    ("model.gguf", b"GGUF\x03\0\0\0", &["GGUF"]),
    ("t.bin", b"PK\x03\x04rest", &["zip", "PyTorch"]),
    ("t.pkl", b"\x80\x04\x95rest", &["pickle"]),
    ("t.npy", b"\x93NUMPY\x01\0", &[".npy"]),
    ("t.gz", b"\x1f\x8b\x08rest", &["gzip"]),
    ("t.safetensors", b"\x40\0\0\0\0\0\0\0{\"a\":{}}", &["safetensors"]),
    ("t.json", b"version https://git-lfs.github.com/spec/v1\n", &["Git LFS", "git lfs pull"]),
    ("t.json", b"<!DOCTYPE html>", &["web page"]),
];

#[test]
fn what_is_no_vocabulary_is_named() {
    let folder = folder(3);
    let name = |case: &Refused| String::from_utf8_lossy(case.1).into_owned();
    test_each(REFUSED.iter().map(|case| (name(case), case)), |(file, content, words)| {
        folder.put(file, content);
        let output = folder.run(&format!("log logits.npy --device cpu --vocab-file {file}"));
        let message = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{message}");
        assert!(message.starts_with(&format!("error: {file}: ")), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    });
    // A list of texts does not say how they are spelled.
    folder.put("list.txt", "a\nb\nc\n");
    folder.put("list.json", r#"["a", "b", "c"]"#);
    for file in ["list.txt", "list.json"] {
        let output = folder.run(&format!("log logits.npy --device cpu --tokenizer {file}"));
        assert!(
            output.status.code() == Some(1) && stderr(&output).contains("--vocab-file"),
            "{}",
            stderr(&output)
        );
    }
    let output = folder.run("log logits.npy --device cpu --vocab-file .");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

/// Texts that are far too long, too many, or never end.
#[test]
fn a_vocabulary_has_limits() {
    let folder = folder(3);
    let many = |text: &str, count: usize| text.repeat(count);
    folder.put("lines.txt", many("a\n", (1 << 20) + 1));
    folder.put("list.json", format!("[{}\"a\"]", many("\"a\",", 1 << 20)));
    folder.put("t.model", model(&[("a", 1)]).repeat((1 << 20) + 1));
    folder.put("long.json", format!("[\"{}\"]", many("a", (1 << 16) + 1)));
    folder.put(
        "part.json",
        format!("{{\"model\": {{\"vocab\": [\"a\"]}}, \"decoder\": [{}0]}}", many("0,", 1 << 21)),
    );
    for (file, words) in [
        ("lines.txt", "more than 1048576 lines"),
        ("list.json", "more than 1048576 tokens"),
        ("t.model", "more than 1048576 tokens"),
        ("long.json", "token 0 has 65537 bytes"),
        ("part.json", "more than 4194304 bytes"),
        #[cfg(target_os = "linux")]
        ("/dev/zero", "more than 134217728 bytes: is it the right file?"),
    ] {
        let output = folder.run(&format!("log logits.npy --device cpu --vocab-file {file}"));
        let message = stderr(&output);
        assert!(output.status.code() == Some(1) && message.contains(words), "{file}: {message}");
    }
}

#[test]
fn a_vocabulary_of_another_size_is_told() {
    let folder = folder(5);
    let file = |size: usize| json!((0..size).map(|id| format!("t{id}")).collect::<Vec<_>>()).to_string();
    for (size, words) in [
        (4, &["4 tokens", "the logits have 5", "--vocab-size 4"][..]),
        (6, &["6 tokens", "the logits have 5"]),
        (5, &[]),
    ] {
        folder.put("v.json", file(size));
        for command in ["log logits.npy", "sample logits.npy --seed 1"] {
            let line = format!("{command} --vocab-file v.json --device cpu");
            let said = stderr(&successful(&line, folder.run(&line)));
            let note = said.lines().find(|line| line.starts_with("note: v.json"));
            assert_eq!(note.is_some(), !words.is_empty(), "{said}");
            assert!(words.iter().all(|word| note.is_some_and(|note| note.contains(word))), "{said}");
        }
    }
    folder.put("v.json", file(4));
    let line = "log logits.npy --vocab-file v.json --vocab-size 4 --device cpu";
    assert!(!stderr(&folder.run(line)).contains("note: v.json"), "the vocabulary ends where it says");
}
