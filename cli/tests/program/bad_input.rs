//! Whatever cannot be read is an error that names it, and no output is touched.

use zip::CompressionMethod::{Deflated, Stored};

use crate::common::{Folder, i32s, npy, npz, safetensors, stderr, stored, successful};
use crate::table::test_each;

/// A folder with good logits of [2][3], `good.npy`, and with every file that cannot be used.
fn folder() -> Folder {
    let folder = Folder::new();
    let data = stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
    put_arrays(&folder, &data);
    put_tensors(&folder, &data);
    let files: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("garbage", &[7, 3, 255, 0, 1, 200, 13, 10, 26, 9]),
        ("floats.txt", b"1.5\n2\n"),
        ("raw.bin", &data),
        ("text.txt", b"two words"),
        ("empty.json", b"{}"),
    ];
    put_all(&folder, files);
    folder.make_folder("out0");
    folder.make_folder("out1");
    folder.put("out1/records", "older records");
    folder.put("out1/records.meta.json", "older description");
    folder
}

fn put_all(folder: &Folder, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        folder.put(name, bytes);
    }
}

/// Files of one array.
fn put_arrays(folder: &Folder, data: &[u8]) {
    let (twice, good) = ([data, data].concat(), npy("<f4", "(2, 3)", data));
    let wide = stored("f16", &vec![0.0; (1 << 20) + 1]);
    let endless = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'";
    let files: &[(&str, &[u8])] = &[
        ("empty.npy", b""),
        ("good.npy", &good),
        ("header_only.npy", &good[..128]),
        ("half_header.npy", &good[..50]),
        ("truncated.npy", &good[..good.len() - 1]),
        ("claims_more.npy", &npy("<f4", "(3, 3)", data)),
        ("overflow.npy", &npy("<f4", "(1099511627776, 1099511627776)", data)),
        ("past_u64.npy", &npy("<f4", "(99999999999999999999, 3)", data)),
        ("negative.npy", &npy("<f4", "(-2, 3)", data)),
        ("endless.npy", endless),
        ("no_header.npy", &npy("'", "(", data)),
        ("version.npy", b"\x93NUMPY\x09\x00\x02\x00{}"),
        ("long_double.npy", &npy("<f16", "(2, 3)", &[twice.clone(), twice.clone()].concat())),
        ("float8.npy", &npy("float8_e4m3fn", "(2, 3)", data)),
        ("complex.npy", &npy("<c8", "(2, 3)", &twice)),
        ("object.npy", &npy("|O", "(2, 3)", &twice)),
        ("integers.npy", &npy("<i4", "(2, 3)", data)),
        ("raw_pair.npy", &npy("|V2", "(4, 3)", data)),
        ("scalar.npy", &npy("<f4", "()", data)),
        ("block.npy", &npy("<f2", "(2, 2, 2, 3)", &twice)),
        ("wide.npy", &npy("<f2", "(1, 1048577)", &wide)),
        ("no_vocab.npy", &npy("<f4", "(2, 0)", b"")),
        ("floats.npy", &npy("<f4", "(2,)", data)),
        ("square.npy", &npy("<i4", "(2, 2)", &i32s(&[0, 1, 0, 1]))),
        ("float_tokens.npy", &npy("<f8", "(2,)", &twice)),
    ];
    put_all(folder, files);
}

/// Archives and .safetensors files.
fn put_tensors(folder: &Folder, data: &[u8]) {
    let (twice, good) = ([data, data].concat(), npy("<f4", "(2, 3)", data));
    let mut damaged = npz(Deflated, &[("logits", good.clone())]);
    damaged[60] ^= 0xff;
    let mut short = npz(Stored, &[("logits", npy("<f4", "(2, 3)", &data[..20]))]);
    short.extend([0; 9]);
    let mut long_header = vec![0xff; 8];
    long_header.extend(b"{}");
    let files: &[(&str, &[u8])] = &[
        ("garbage.npz", b"PK\x03\x04 and nothing more of a zip file"),
        ("damaged.npz", &damaged),
        ("short.npz", &short),
        ("two.npz", &npz(Stored, &[("a", good.clone()), ("b", good)])),
        ("empty.safetensors", b""),
        ("two.safetensors", &safetensors(&[("a", "F32", &[2, 3], data), ("b", "F32", &[2, 3], data)])),
        ("complex.safetensors", &safetensors(&[("logits", "C64", &[2, 3], &twice)])),
        ("wrong.safetensors", &safetensors(&[("logits", "F32", &[3, 3], data)])),
        ("huge.safetensors", &safetensors(&[("logits", "F32", &[1 << 40, 1 << 40], data)])),
        ("long_header.safetensors", &long_header),
    ];
    put_all(folder, files);
}

/// A case: the command line after `log`, the exit code, and words of the message.
type Case = (&'static str, i32, &'static [&'static str]);

const FILES: &[Case] = &[
    ("missing.npy", 1, &["missing.npy: No such file"]),
    (".", 1, &[".: Is a directory"]),
    ("empty", 1, &["empty", "the file is empty"]),
    ("empty.npy", 1, &["the file is empty"]),
    ("empty.safetensors", 1, &["empty.safetensors", "header"]),
    ("header_only.npy", 1, &["[2, 3] needs 24 bytes", "holds 0", "truncated"]),
    ("half_header.npy", 1, &["half_header.npy", "no readable .npy header"]),
    ("truncated.npy", 1, &["[2, 3] needs 24 bytes", "holds 23", "truncated"]),
    ("claims_more.npy", 1, &["[3, 3] needs 36 bytes", "holds 24"]),
    ("overflow.npy", 1, &["[1099511627776, 1099511627776] is more than memory can hold"]),
    ("past_u64.npy", 1, &["past_u64.npy", "no readable .npy header"]),
    ("negative.npy", 1, &["negative.npy", "no readable .npy header"]),
    ("endless.npy", 1, &["endless.npy", "no readable .npy header"]),
    ("no_header.npy", 1, &["no_header.npy", "no readable .npy header"]),
    ("version.npy", 1, &["version.npy", "no readable .npy header", "9"]),
    ("long_double.npy", 1, &["<f16", "not supported", "f32, f16, bf16 or f64"]),
    ("float8.npy", 1, &["float8_e4m3fn", "not supported"]),
    ("complex.npy", 1, &["<c8", "not supported"]),
    ("object.npy", 1, &["|O", "not supported"]),
    ("integers.npy", 1, &["integers.npy", "int32, not logits"]),
    ("raw_pair.npy", 1, &["V2", "--dtype bf16"]),
    ("good.npy --dtype f16", 2, &["good.npy", "f32", "--dtype"]),
    ("scalar.npy", 1, &["shape []", "[rows][vocab]"]),
    ("block.npy", 1, &["shape [2, 2, 2, 3]", "[rows][vocab]"]),
    ("wide.npy", 1, &["wide.npy", "vocab 1048577 is outside 1 to 1048576"]),
    ("no_vocab.npy", 1, &["vocab 0 is outside 1 to 1048576"]),
    ("garbage", 1, &["garbage", "no .npy, .npz or .safetensors file", "--shape"]),
    ("garbage.npz", 1, &["garbage.npz", "no readable .npz"]),
    ("damaged.npz", 1, &["damaged.npz: the array logits is damaged"]),
    ("short.npz", 1, &["[2, 3] needs 24 bytes", "holds 20"]),
    ("two.npz", 1, &["--tensor", "a, b"]),
    ("two.npz --tensor c", 1, &["no array c", "a, b"]),
    ("two.safetensors --tensor c", 1, &["no array c", "a, b"]),
    ("complex.safetensors", 1, &["C64", "not supported"]),
    ("wrong.safetensors", 1, &["wrong.safetensors", "header"]),
    ("huge.safetensors", 1, &["huge.safetensors", "header"]),
    ("long_header.safetensors", 1, &["long_header.safetensors", "header"]),
    ("raw.bin --shape 2,4 --dtype f32", 1, &["raw.bin", "holds 24 bytes", "[2, 4] f32 are 32"]),
    ("raw.bin --shape 2,3 --dtype f16", 1, &["holds 24 bytes", "[2, 3] f16 are 12"]),
    ("raw.bin --shape 1099511627776,1099511627776 --dtype f32", 1, &["1099511627776", "more than memory"]),
    ("raw.bin --shape 2,2,2,3 --dtype f16", 1, &["holds 24 bytes", "[2, 2, 2, 3] f16 are 48"]),
    ("raw.bin --shape 2,3 --dtype f32 --tensor a", 2, &["--tensor a", "without a name"]),
    ("raw.bin --shape 2,3", 2, &["--dtype"]),
    ("raw.bin --dtype f32", 1, &["raw.bin", "--shape"]),
];

const OPTIONS: &[Case] = &[
    ("good.npy --tokens 1,2,0", 2, &["3 tokens", "[2] rows"]),
    ("good.npy --tokens 1,3", 2, &["token 3 of row 1", "vocabulary of 3"]),
    ("good.npy --tokens 1,99999999999", 2, &["token 99999999999 of row 1"]),
    ("good.npy --tokens 1,9999999999999999999999", 2, &["9999999999999999999999"]),
    ("good.npy --tokens square.npy", 2, &["square.npy", "[2, 2]", "[2] rows"]),
    ("good.npy --tokens float_tokens.npy", 1, &["float_tokens.npy", "integers", "float64"]),
    ("good.npy --tokens floats.npy", 1, &["floats.npy", "integers", "float32"]),
    ("good.npy --tokens floats.txt", 1, &["floats.txt", "1.5"]),
    ("good.npy --tokens missing.npy", 2, &["missing.npy", "no such file"]),
    ("good.npy --tokens garbage", 1, &["garbage: ", "is no integer"]),
    ("good.npy --top 1048577", 2, &["1048577", "0 to 1048576"]),
    ("good.npy --top -2", 2, &["-2", "0 to 1048576; -1 lists all"]),
    ("raw.bin --shape 2,-3 --dtype f32", 2, &["--shape", "-3"]),
    ("good.npy --shift", 2, &["--tokens"]),
    ("good.npy --temperature 1e-40", 2, &["temperature 1e-40 is outside 0.001 to 1000"]),
    ("good.npy --temperature 0", 2, &["temperature 0 is outside 0.001 to 1000"]),
    ("good.npy --temperature nan", 2, &["temperature NaN"]),
    ("good.npy --temperature inf", 2, &["temperature inf"]),
    ("good.npy --temperature=-1", 2, &["temperature -1"]),
    ("good.npy --temperature -1", 2, &["-1"]),
    ("good.npy --temperature warm", 2, &["warm"]),
    ("good.npy --format openai", 2, &["--tokens"]),
    ("good.npy --format vllm", 2, &["--format vllm needs --tokens"]),
    ("good.npy --format llama-server", 2, &["--format llama-server needs --tokens"]),
    ("good.npy --format openai-completions", 2, &["--format openai-completions needs --tokens"]),
    ("good.npy --format openai --tokens 0,0 --top 21", 2, &["give --top 20", "20"]),
    ("good.npy --format nosuch", 2, &["nosuch", "jsonl"]),
    ("good.npy --vocab-file empty.json --tokenizer empty.json", 2, &["--vocab-file", "--tokenizer"]),
    ("good.npy --tokenizer text.txt", 1, &["text.txt", "no valid JSON"]),
    ("good.npy --tokenizer garbage", 1, &["garbage: byte 0xff at offset 2 is not UTF-8"]),
    ("good.npy --tokenizer empty.json", 1, &["empty.json", "model.vocab"]),
    ("good.npy --tokenizer missing.json", 1, &["missing.json: No such file"]),
    ("good.npy --vocab-file missing.json", 1, &["missing.json: No such file"]),
    ("good.npy --device nosuch", 4, &["nosuch"]),
    ("good.npy --device 4096", 4, &["4096"]),
    ("good.npy --nosuch", 2, &["--nosuch"]),
];

/// What is wrong with the outcomes of a case, without and with an older output in the place of the new one.
fn problems(folder: &Folder, (line, code, words): Case) -> Vec<String> {
    let device = if line.contains("--device") { "" } else { "--device cpu" };
    let problems = ["out0", "out1"].map(|out| {
        let before = folder.contents(out);
        let output = folder.run(&format!("log {line} {device} -o {out}/records"));
        let message = stderr(&output);
        let claims_missing = message.contains("no such file") && line.contains(".txt");
        let checks = [
            (output.status.code() == Some(code), format!("code {:?} and not {code}", output.status.code())),
            (output.stdout.is_empty(), "something on stdout".to_owned()),
            (message.contains("error: ") && !message.contains("panicked"), "no clear error".to_owned()),
            (!claims_missing, "the file is there".to_owned()),
            (folder.contents(out) == before, "the output folder has changed".to_owned()),
        ];
        let words = words.iter().map(|word| (message.contains(word), format!("{word:?} is not named")));
        let wrong = checks.into_iter().chain(words).filter(|(is_right, _)| !is_right);
        let wrong: Vec<String> = wrong.map(|(_, what)| what).collect();
        (!wrong.is_empty()).then(|| format!("{line} ({out}): {}: {message}", wrong.join(", ")))
    });
    problems.into_iter().flatten().collect()
}

fn check_all(cases: &[Case]) {
    let folder = folder();
    test_each(cases.iter().map(|case| (case.0, case)), |case| {
        assert_eq!(problems(&folder, *case), Vec::<String>::new());
    });
}

#[test]
fn files_that_cannot_be_used_are_named() {
    check_all(FILES);
}

#[test]
fn options_that_cannot_be_used_are_named() {
    check_all(OPTIONS);
}

/// A run that succeeds has the wrong code, no message, and changes the folder.
#[test]
fn the_check_can_fail() {
    let found = problems(&folder(), ("good.npy", 1, &["nothing says this"]));
    assert_eq!(found.len(), 2, "{found:?}");
    for problem in found {
        for what in
            ["code Some(0) and not 1", "no clear error", "folder has changed", "\"nothing says this\""]
        {
            assert!(problem.contains(what), "{problem}");
        }
    }
}

#[test]
fn no_rows_make_no_records() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(0, 5)", b""));
    folder.put("positions.npy", npy("<f2", "(2, 0, 5)", b""));
    folder.put("many.npy", npy("<f4", "(1099511627776, 0, 5)", b""));
    folder.put("tokens.npy", npy("<i4", "(0,)", b""));
    folder.put("rows.bin", b"");
    let lines =
        ["rows.npy --tokens tokens.npy", "positions.npy", "many.npy", "rows.bin --shape 0,5 --dtype bf16"];
    for line in lines {
        for (format, heads) in [("jsonl", 0), ("csv", 1), ("table", 1)] {
            let text = folder.text(&format!("log {line} --format {format} --device cpu"));
            assert_eq!(text.lines().count(), heads, "{line} {format}: {text}");
        }
    }
    assert_eq!(folder.text("log rows.npy --tokens tokens.npy --format openai --device cpu"), "");
    folder.printed("log rows.npy --device cpu -o records");
    assert_eq!(folder.get("records"), b"");
    assert!(String::from_utf8_lossy(&folder.get("records.meta.json")).contains("\"rows\": 0"));
}

#[test]
fn an_output_that_cannot_be_placed_is_named() {
    let folder = folder();
    folder.make_folder("out");
    folder.make_folder("out/taken");
    folder.make_folder("out/records.meta.json");
    folder.put("out/records", "older records");
    let before = folder.contents("out");
    let places = [
        ("nosuch/records", "nosuch/records"),
        ("good.npy/records", "good.npy/records"),
        ("out/taken", "out/taken"),
        ("out/records", "out/records.meta.json"),
    ];
    test_each(places.map(|case| (case.0, case)), |(place, word)| {
        let output = folder.run(&format!("log good.npy --device cpu -o {place}"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(word), "{message}");
        let after = folder.contents("out");
        folder.put("out/records", "older records");
        assert!(after == before, "the folder holds {:?}", after.keys());
    });
    successful("the same logits elsewhere", folder.run("log good.npy --device cpu -o out/other"));
}
