//! Audits: what was written follows, on every device, and whatever is changed afterwards is found.

use std::process::Output;

use serde_json::{Value, json};

use crate::common::{Folder, i32s, npy, safetensors, sha256, stderr, stored, successful};
use crate::devices::adapters;
use crate::table::test_each;

/// A folder with the asset, and with what else runs may take.
fn folder() -> Folder {
    let folder = Folder::with_assets();
    let values: Vec<f32> = (0..6u16 * 65).map(|n| f32::from(n * 31 % 67) * 0.125 - 3.0).collect();
    let mut holes = values.clone();
    holes[70] = f32::NAN;
    holes[2 * 65..3 * 65].fill(f32::NEG_INFINITY);
    holes[3 * 65 + 5] = f32::NEG_INFINITY;
    folder.put("small.npy", npy("<f4", "(2, 3, 65)", &stored("f32", &values)));
    folder.put("holes.npy", npy("<f4", "(6, 65)", &stored("f32", &holes)));
    folder.put("brain.npy", npy("|V2", "(2, 3, 65)", &stored("bf16", &values)));
    folder.put("raw.bin", stored("f16", &values));
    let bytes = stored("f32", &values);
    let other = stored("f32", &[0.0; 4]);
    let tensors = [("a", "F32", &[2, 2][..], &other[..]), ("b", "F32", &[2, 3, 65][..], &bytes[..])];
    folder.put("two.safetensors", safetensors(&tensors));
    folder.put("prompts.npy", npy("<i4", "(2, 2)", &i32s(&[5, 9, 11, -1])));
    let mask: Vec<u8> = (0..6 * 65).map(|n| u8::from(n % 5 != 2)).collect();
    folder.put("mask.npy", npy("|u1", "(2, 3, 65)", &mask));
    folder.put(
        "params.json",
        r#"[{"temperature": 0.7, "top_k": 9, "seed": 3, "logit_bias": {"4": "-inf", "8": 0.1}}, {"min_p": 0.01, "prompt": [7]}]"#,
    );
    folder
}

/// Runs that write a log, each with the records that it has.
const RUNS: &[(&str, usize, &str)] = &[
    ("log", 192, "logits.npy --tokens tokens.npy --tokenizer tokenizer.json"),
    ("log", 192, "logits.npy --tokens tokens.npy --shift --top 0 --temperature 0.8"),
    ("log", 6, "holes.npy --tokens 64,1,2,5,-1,0 --top 65"),
    ("log", 6, "small.npy --vocab-size 33 --temperature 1.7"),
    ("log", 6, "brain.npy --dtype bf16 --top 3"),
    ("log", 6, "raw.bin --dtype f16 --shape 6,65 --top 3"),
    ("log", 6, "two.safetensors --tensor b --top -1 --token-ids 3,64,3"),
    (
        "sample",
        192,
        "logits.npy --tokenizer tokenizer.json --temperature 0.8 --top-p 0.95 -n 3 --raw-logprobs 2",
    ),
    ("sample", 6, "small.npy --params params.json --processed-logprobs 3 --logprob-token-ids 9,4"),
    ("sample", 6, "small.npy --prompt prompts.npy --mask mask.npy --repetition-penalty 1.3 --feedback"),
    (
        "sample",
        6,
        "small.npy --prompt 5,6,5,6 --dry-multiplier 0.9 --presence-penalty 0.3 --penalty-last-n -1",
    ),
    (
        "sample",
        6,
        "holes.npy --logit-bias 3:-inf,4:0.3 --profile llama --temperature 0.6 --min-p 0.05 --top-k 40",
    ),
    (
        "sample",
        6,
        "small.npy --order top_k,temperature,top_p --top-k 20 --temperature 1.3 --top-p 0.7 --seed 18446744073709551615",
    ),
    ("sample", 6, "small.npy --mirostat-tau 3 --feedback --bad-words 1,2;7 --seed 9"),
    ("sample", 6, "raw.bin --dtype f16 --shape 2,3,65 --temperature 0 --raw-logprobs 65 --stream 7"),
];

/// The logits of a run.
fn logits_of(options: &str) -> &str {
    options.split(' ').next().expect("a file")
}

/// Writes a log to the file `log`.
fn write(folder: &Folder, command: &str, options: &str, format: &str, device: &str) {
    let line = format!("{command} {options} --format {format} -o log");
    let output = folder.command(&line).args(["--device", device]).output().expect("it starts");
    successful(&line, output);
}

fn audit(folder: &Folder, options: &str, device: &str) -> Output {
    let line = format!("audit log {options} --format json");
    folder.command(&line).args(["--device", device]).output().expect("it starts")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {}", stderr(output)))
}

fn assert_follows(output: &Output, records: usize) {
    let report = report(output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let words = ["follows", "records", "differing", "first", "findings"].map(|name| report[name].clone());
    assert_eq!(words, [json!(true), json!(records), json!(0), json!(null), json!([])]);
}

/// Written on the CPU and derived on a device, and the reverse.
#[test]
fn what_was_written_follows_on_every_device() {
    let folder = folder();
    let ids = || adapters(&folder).into_iter().map(|(id, _)| id);
    test_each(RUNS.iter().map(|run| (run.2, run)), |(command, records, options)| {
        for format in ["jsonl", "csv", "parquet"] {
            write(&folder, command, options, format, "cpu");
            assert_follows(&audit(&folder, logits_of(options), "cpu"), *records);
        }
        test_each(ids().map(|id| (id.clone(), id)), |id| {
            assert_follows(&audit(&folder, logits_of(options), &id), *records);
            write(&folder, command, options, "jsonl", &id);
            let output = audit(&folder, logits_of(options), "cpu");
            assert_follows(&output, *records);
            assert_ne!(report(&output)["made_on"], "cpu");
        });
    });
}

/// Logits on standard input are those of the sidecar, raw ones too, which have no shape of their own.
#[test]
fn logits_come_through_a_pipe() {
    let folder = folder();
    for options in
        ["raw.bin --dtype f16 --shape 6,65", "brain.npy --dtype bf16", "two.safetensors --tensor b"]
    {
        for command in ["log", "sample --seed 5"] {
            write(&folder, command, options, "jsonl", "cpu");
            let bytes = folder.get(logits_of(options));
            let output = folder.fed("audit log - --format json --device cpu", &bytes);
            assert_follows(&output, 6);
        }
    }
}

/// Makes the sidecar tell the hash that the log has now.
fn forge(folder: &Folder) {
    let hash = sha256(&folder.get("log"));
    change_sidecar(folder, |meta| meta["output_sha256"] = json!(hash));
}

fn change_sidecar(folder: &Folder, change: impl FnOnce(&mut Value)) {
    let mut meta: Value = serde_json::from_slice(&folder.get("log.meta.json")).expect("JSON");
    change(&mut meta);
    folder.put("log.meta.json", meta.to_string());
}

/// Runs an audit of a log that somebody changed: it exits with 3 and these words, and leaves everything as it is.
fn assert_found(folder: &Folder, options: &str, words: &str) {
    let before = folder.contents(".");
    let output = audit(folder, options, "cpu");
    let report = report(&output);
    assert_eq!((output.status.code(), &report["follows"]), (Some(3), &json!(false)), "{report:#}");
    let told = folder.command(&format!("audit log {options} --device cpu")).output().expect("it starts");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(words), "{told} instead of {words}");
    assert!(stderr(&output).contains("error: log does not follow from"), "{}", stderr(&output));
    assert!(folder.contents(".") == before, "an audit writes nothing");
}

/// Changes a line of the log.
fn change_line(folder: &Folder, number: usize, change: impl FnOnce(&str) -> String) {
    let text = String::from_utf8(folder.get("log")).expect("UTF-8");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[number] = change(&lines[number]);
    folder.put("log", lines.join("\n") + "\n");
}

/// The line with this value at a place of its JSON.
fn set(line: &str, pointer: &str, value: &Value) -> String {
    let mut line: Value = serde_json::from_str(line).expect("JSON");
    let place = line.pointer_mut(pointer).expect(pointer);
    assert_ne!(place, value, "{pointer} has it already");
    *place = value.clone();
    line.to_string()
}

const LOG: &str = "logits.npy --tokens tokens.npy --tokenizer tokenizer.json --top 3";
const SAMPLE: &str =
    "logits.npy --tokenizer tokenizer.json --seed 5 --top-p 0.9 -n 2 --raw-logprobs 2 --processed-logprobs 2";

#[test]
fn a_changed_value_of_json_lines_is_found() {
    let folder = folder();
    let changes = [
        ("log", LOG, "/logprob", json!(-2.5), "logprob is -2.5 instead of -"),
        ("log", LOG, "/token", json!(7), "token is 7 instead of"),
        ("log", LOG, "/rank", json!(4_294_967_295u32), "rank is 4294967295 instead of"),
        ("log", LOG, "/entropy", json!(4), "entropy is 4.0 instead of"),
        ("log", LOG, "/logsumexp", json!(null), "logsumexp is nothing instead of"),
        ("log", LOG, "/text", json!(" a"), "text is \" a\" instead of"),
        ("log", LOG, "/bytes/1", json!(0), "bytes is [32, 0,"),
        ("log", LOG, "/top/2/logprob", json!(-3.25), "top[2].logprob is -3.25 instead of -"),
        ("log", LOG, "/top/1/token", json!(0), "top[1].token is 0 instead of"),
        ("log", LOG, "/top", json!([]), "length of top is 0 instead of 3"),
        ("log", LOG, "/status", json!("nan"), "status is nan instead of ok"),
        ("log", LOG, "/position", json!(99), "position is 99 instead of 5: a record is missing, doubled"),
        ("log", LOG, "/position", json!(-1), "is none: line 6: invalid value"),
        ("log", LOG, "/logprob", json!("x"), "is none: line 6: invalid type"),
        ("sample", SAMPLE, "/seed", json!(6), "seed is 6 instead of 5"),
        ("sample", SAMPLE, "/stream", json!(1), "stream is 1 instead of 0"),
        ("sample", SAMPLE, "/kept", json!(1), "kept is 1 instead of"),
        ("sample", SAMPLE, "/kept_mass", json!(0.9), "kept_mass is 0.9 instead of"),
        ("sample", SAMPLE, "/temperature", json!(0.9), "temperature is 0.9 instead of 1.0"),
        ("sample", SAMPLE, "/draws/1/token", json!(3), "draws[1].token is 3 instead of"),
        ("sample", SAMPLE, "/draws/0/raw_rank", json!(0), "draws[0].raw_rank is 0 instead of"),
        ("sample", SAMPLE, "/processed/entropy", json!(0.5), "processed.entropy is 0.5 instead of"),
        ("sample", SAMPLE, "/raw/top/1/logprob", json!(-1), "raw.top[1].logprob is -1.0 instead of -"),
        ("sample", SAMPLE, "/raw", json!(null), "presence of raw is false instead of true"),
    ];
    test_each(
        changes.map(|case| (format!("{} {}", case.0, case.2), case)),
        |(command, options, pointer, value, words)| {
            write(&folder, command, options, "jsonl", "cpu");
            change_line(&folder, 5, |line| set(line, pointer, &value));
            assert_found(&folder, "logits.npy", "log is not as it was written: its SHA-256 is");
            assert_found(&folder, "logits.npy", words);
            // Neither does a sidecar help that tells the hash of the changed log.
            forge(&folder);
            assert_found(&folder, "logits.npy", words);
        },
    );
}

/// Another number: one of its first digits is another one. The last of seventeen may say nothing.
fn changed_number(field: &str) -> String {
    let place = field.bytes().take(5).rposition(|byte| byte.is_ascii_digit()).expect("a digit");
    let other = if field.as_bytes()[place] == b'7' { "6" } else { "7" };
    format!("{}{other}{}", &field[..place], &field[place + 1..])
}

/// Every column of CSV, in a line in the middle.
#[test]
fn a_changed_field_of_csv_is_found() {
    let folder = folder();
    for (command, options) in [("log", LOG), ("sample", SAMPLE)] {
        write(&folder, command, options, "csv", "cpu");
        let log = folder.get("log");
        let mut reader = csv::Reader::from_reader(&log[..]);
        let names = reader.headers().expect("a head").clone();
        let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.expect("fields")).collect();
        let columns = names.iter().enumerate().filter(|(column, _)| !lines[20][*column].is_empty());
        test_each(columns.map(|(column, name)| (format!("{command} {name}"), column)), |column| {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&names).expect("memory");
            for (number, line) in lines.iter().enumerate() {
                let field = |(other, field): (usize, &str)| match field.as_bytes().last() {
                    Some(last) if (number, other) == (20, column) => match last {
                        b'0'..=b'9' => changed_number(field),
                        b']' => field.replace(']', ",1]"),
                        _ => format!("{field}~"),
                    },
                    _ => field.to_owned(),
                };
                writer.write_record(line.iter().enumerate().map(field)).expect("memory");
            }
            folder.put("log", writer.into_inner().expect("memory"));
            assert_found(&folder, "logits.npy", "log is not as it was written");
            forge(&folder);
            assert_found(&folder, "logits.npy", "record ");
        });
    }
}

#[test]
fn rows_that_are_missing_doubled_or_swapped_are_found() {
    let folder = folder();
    type Change = fn(&mut Vec<&str>);
    let changes: [(&str, &str, Change); 6] = [
        ("swapped", "record 6 (request 0, position 6): position is 7 instead of 6", |lines| lines.swap(6, 7)),
        ("missing", "record 6 (request 0, position 6): position is 7 instead of 6", |lines| {
            _ = lines.remove(6)
        }),
        ("missing at the end", "record 191 (request 3, position 47) is missing", |lines| _ = lines.pop()),
        ("doubled", "record 9 (request 0, position 9): position is 8 instead of 9", |lines| {
            lines.insert(8, lines[8])
        }),
        ("too many", "record 192 is too many", |lines| lines.push(lines[191])),
        ("none", "record 0 (request 0, position 0) is missing: the log ends before it", |lines| {
            lines.clear()
        }),
    ];
    test_each(changes.map(|case| (case.0, case)), |(_, words, change)| {
        for command in ["log", "sample"] {
            let options = if command == "log" { LOG } else { "logits.npy --seed 1" };
            write(&folder, command, options, "jsonl", "cpu");
            let text = String::from_utf8(folder.get("log")).expect("UTF-8");
            let mut lines: Vec<&str> = text.lines().collect();
            change(&mut lines);
            folder.put("log", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            forge(&folder);
            assert_found(&folder, "logits.npy", words);
        }
    });
    write(&folder, "log", LOG, "jsonl", "cpu");
    let log = folder.get("log");
    folder.put("log", &log[..log.len() - 30]);
    assert_found(
        &folder,
        "logits.npy",
        "record 191 (request 3, position 47) is none: line 192: the log ends within",
    );
}

/// Two texts of 17 digits may be the same number: the log is still not the one that was written.
#[test]
fn a_digit_that_changes_no_number_is_found() {
    let folder = folder();
    write(&folder, "log", LOG, "jsonl", "cpu");
    let text = String::from_utf8(folder.get("log")).expect("UTF-8");
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let numbers = text.split(|c| !is_part(c)).filter(|word| word.contains('.'));
    let respelled = |word: &str| {
        let (kept, last) = word.split_at(word.len() - 1);
        let other = if last == "9" { 8 } else { last.parse::<u8>().expect("a digit") + 1 };
        let other = format!("{kept}{other}");
        (other.parse::<f64>() == word.parse::<f64>()).then_some((word.to_owned(), other))
    };
    let (word, other) = numbers.map(respelled).find_map(|found| found).expect("there are some");
    folder.put("log", text.replacen(&word, &other, 1));
    forge(&folder);
    assert_found(
        &folder,
        "logits.npy",
        "log has every value, and spells one otherwise than sortilege writes it",
    );
}

#[test]
fn a_changed_sidecar_is_found() {
    let folder = folder();
    let wide = "small.npy --params params.json --prompt 5,6,5,6 --mask mask.npy --presence-penalty 0.4 \
                --penalty-last-n 8 --min-p 0.02";
    type Change = fn(&mut Value);
    let changes: [(&str, &str, &str, Change); 16] = [
        ("log", LOG, "logprob is", |options| options["temperature"] = json!(1.000_000_2)),
        ("log", LOG, "length of top is 3 instead of 2", |options| options["top"] = json!(2)),
        ("log", LOG, "position is 0 instead of 1", |options| options["shift"] = json!(true)),
        ("log", LOG, "token is", |options| {
            options["tokens"] = json!(vec!["7"; 192].join(","));
            options["tokens_sha256"] = json!(null);
        }),
        ("log", LOG, "logprob is", |options| options["vocab_size"] = json!(4095)),
        ("log", LOG, "text is \"", |options| {
            options["tokenizer"] = json!(null);
            options["tokenizer_sha256"] = json!(null);
        }),
        ("sample", SAMPLE, "seed is 5 instead of 6", |options| options["sampling"]["seed"] = json!(6)),
        ("sample", SAMPLE, "seed is 5 instead of", |options| options["sampling"]["seed"] = json!(null)),
        ("sample", SAMPLE, "kept is", |options| options["sampling"]["top_p"] = json!(0.91)),
        ("sample", SAMPLE, "stream is 0 instead of 1", |options| options["sampling"]["stream"] = json!(1)),
        ("sample", SAMPLE, "length of draws is 2 instead of 3", |options| {
            options["sampling"]["n"] = json!(3)
        }),
        ("sample", SAMPLE, "draws[0].raw_logprob is -", |options| {
            options["sampling"]["raw_logprobs"] = json!(null)
        }),
        ("sample", wide, "kept_mass is 0.90511", |options| options["prompt"] = json!("5,6,5,7,8,9,10")),
        ("sample", wide, "kept_mass is 0.90511", |options| options["mask"] = json!(null)),
        ("sample", wide, "seed is 3 instead of ", |options| options["params"] = json!(null)),
        ("sample", wide, "kept_mass is 0.88581", |options| options["feedback"] = json!(true)),
    ];
    let mut number = 0;
    test_each(
        changes.map(|case| {
            number += 1;
            (format!("{} {number}", case.0), case)
        }),
        |(command, options, words, change)| {
            write(&folder, command, options, "jsonl", "cpu");
            assert_eq!(audit(&folder, logits_of(options), "cpu").status.code(), Some(0));
            change_sidecar(&folder, |meta| change(&mut meta["options"]));
            assert_found(&folder, logits_of(options), &format!(": {words}"));
        },
    );
}

#[test]
fn a_changed_description_of_the_logits_is_found() {
    let folder = folder();
    write(&folder, "log", LOG, "jsonl", "cpu");
    let sidecar = folder.get("log.meta.json");
    type Change = fn(&mut Value);
    let changes: [Change; 4] = [
        |meta| meta["shape"] = json!([192, 4096]),
        |meta| meta["dtype"] = json!("f32"),
        |meta| meta["rows"] = json!(191),
        |meta| meta["input"]["sha256"] = json!("00"),
    ];
    for change in changes {
        folder.put("log.meta.json", &sidecar);
        change_sidecar(&folder, change);
        assert_found(&folder, "logits.npy", "the sidecar tells");
    }
}

#[test]
fn other_files_are_found_and_moved_ones_taken() {
    let folder = folder();
    let wide = "small.npy --params params.json --prompt prompts.npy --mask mask.npy --presence-penalty 0.4 \
                --penalty-last-n 8";
    write(&folder, "sample", wide, "csv", "cpu");
    for (name, option) in [("params.json", "--params"), ("prompts.npy", "--prompt"), ("mask.npy", "--mask")] {
        let bytes = folder.get(name);
        let mut other = bytes.clone();
        // Still a file of its kind: a space, a token, a flag.
        match name {
            "params.json" => other.push(b' '),
            _ => *other.last_mut().expect("bytes") ^= 1,
        }
        folder.put(name, &other);
        assert_found(
            &folder,
            "small.npy",
            &format!("{option} {name} is another file than the log was made with: its"),
        );
        folder.put("moved", &bytes);
        assert_follows(&audit(&folder, &format!("small.npy {option} moved"), "cpu"), 6);
        std::fs::remove_file(folder.path(name)).expect("it is there");
        let output = audit(&folder, "small.npy", "cpu");
        assert_eq!(output.status.code(), Some(1));
        let told = stderr(&output);
        assert!(
            told.contains(&format!("{name}: there is no such file"))
                && told.contains(&format!("with {option}")),
            "{told}"
        );
        folder.put(name, &bytes);
    }
    write(&folder, "log", "small.npy --tokens 1,2,3,4,5,6", "jsonl", "cpu");
    let logits = folder.get("small.npy");
    for (other, words) in [
        (
            [&logits[..logits.len() - 1], &[0x3f]].concat(),
            "small.npy is another file than the log was made from",
        ),
        (
            npy("<f4", "(6, 4)", &stored("f32", &[1.0; 24])),
            "small.npy is another file than the log was made from",
        ),
        (
            npy("<f2", "(2, 3, 65)", &stored("f16", &[1.0; 390])),
            "the logits are f16 [2, 3, 65], 6 rows, and the sidecar tells f32 [2, 3, 65], 6 rows",
        ),
    ] {
        folder.put("small.npy", other);
        assert_found(&folder, "small.npy", words);
    }
    folder.put("elsewhere.npy", &logits);
    assert_follows(&audit(&folder, "elsewhere.npy", "cpu"), 6);
}

/// What is given in place of what the sidecar tells must be that.
#[test]
fn a_sidecar_that_tells_other_inputs_is_found_whatever_is_given() {
    let folder = folder();
    let tokens = [("a", "I32", &[6][..], &i32s(&[1, 2, 3, 4, 5, 6])[..])];
    folder.put("tokens.safetensors", safetensors(&tokens));
    let prompted = "small.npy --prompt 5,6,5,6 --presence-penalty 0.3 --penalty-last-n -1";
    type Change = fn(&mut Value);
    let changes: [(&str, &str, &str, &str, Change); 4] = [
        ("sample", prompted, "--prompt 5,6,5,6", "--prompt 5,6,5,6 is another list", |options| {
            options["prompt"] = json!("7,8,9");
        }),
        (
            "log",
            "small.npy --tokens 1,2,3,4,5,6",
            "--tokens 1,2,3,4,5,6",
            "the sidecar tells 1,2,3,4,5,7",
            |options| {
                options["tokens"] = json!("1,2,3,4,5,7");
            },
        ),
        (
            "log",
            "small.npy --tokens tokens.safetensors",
            "",
            "the array of --tokens is \"a\", and the sidecar tells \"b\"",
            |options| {
                options["tokens_tensor"] = json!("b");
            },
        ),
        (
            "sample",
            "small.npy --mask mask.npy",
            "",
            "the array of --mask is none, and the sidecar tells \"x\"",
            |options| {
                options["mask_tensor"] = json!("x");
            },
        ),
    ];
    test_each(changes.map(|case| (case.3, case)), |(command, options, given, words, change)| {
        write(&folder, command, options, "jsonl", "cpu");
        let asked = format!("small.npy {given}");
        assert_follows(&audit(&folder, &asked, "cpu"), 6);
        change_sidecar(&folder, |meta| change(&mut meta["options"]));
        assert_found(&folder, &asked, words);
    });
}

/// A list is what it says, however it is spelled; what came through a pipe, or has lost its hash, is to be given.
#[test]
fn lists_and_pipes_are_given_again() {
    let folder = folder();
    folder.put("same.txt", "1 2 3\n4 5 6\n");
    folder.put("a,b.txt", "1 2 3 4 5 6");
    for list in ["1,2,3,4,5,6", "1 2 3 4 5 6", "[1, 2, 3], 4 5 6", "same.txt", "a,b.txt"] {
        let line = "log small.npy --device cpu --format jsonl -o log --tokens";
        let command = folder.command(line).arg(list).output().expect("it starts");
        successful(list, command);
        assert_follows(&audit(&folder, "small.npy", "cpu"), 6);
        if list.contains(".txt") {
            change_sidecar(&folder, |meta| meta["options"]["tokens_sha256"] = json!(null));
            let refused = audit(&folder, "small.npy", "cpu");
            assert_eq!(refused.status.code(), Some(2), "{list}");
            let words = format!("--tokens of the log was {list}, of which the sidecar tells no SHA-256");
            assert!(stderr(&refused).contains(&words), "{}", stderr(&refused));
        }
        for given in ["1,2,3,4,5,6", "1 2 3 4 5 6", "same.txt"] {
            let line = "audit log small.npy --format json --device cpu --tokens";
            assert_follows(&folder.command(line).arg(given).output().expect("it starts"), 6);
        }
    }
    let line = "log small.npy --tokens - --device cpu --format jsonl -o log";
    successful(line, folder.fed(line, b"1 2 3 4 5 6"));
    assert_eq!(audit(&folder, "small.npy", "cpu").status.code(), Some(2));
    assert_follows(&audit(&folder, "small.npy --tokens same.txt", "cpu"), 6);
}

#[test]
fn texts_are_checked_where_the_tokenizer_is_there() {
    let folder = folder();
    write(&folder, "log", LOG, "jsonl", "cpu");
    let tokenizer = folder.get("tokenizer.json");
    folder.put("moved.json", &tokenizer);
    folder.put("tokenizer.json", [&tokenizer[..], b" "].concat());
    let output = audit(&folder, "logits.npy", "cpu");
    assert_follows(&output, 192);
    assert_eq!(report(&output)["texts_checked"], json!(false));
    assert!(stderr(&output).contains("note: texts are not checked: tokenizer.json"), "{}", stderr(&output));
    let moved = audit(&folder, "logits.npy --tokenizer moved.json", "cpu");
    assert_follows(&moved, 192);
    assert_eq!(report(&moved)["texts_checked"], json!(true));
    assert_found(&folder, "logits.npy --tokenizer tokenizer.json", "the vocabulary is another file");
    // How it is spelled is checked without it, and so is a number.
    let sound = folder.get("log");
    change_line(&folder, 3, |line| line.replacen(':', ": ", 1));
    forge(&folder);
    assert_found(&folder, "logits.npy", "spells one otherwise than sortilege writes it");
    folder.put("log", sound);
    change_line(&folder, 3, |line| set(line, "/rank", &json!(1000)));
    forge(&folder);
    assert_found(&folder, "logits.npy", "rank is 1000 instead of");
}

#[test]
fn what_cannot_be_audited_is_refused_in_words() {
    let folder = folder();
    type Change = fn(&Folder);
    let cases: [(&str, i32, &str, Change); 13] = [
        ("logits.npy", 1, "log: there is no sidecar beside it", |folder| {
            std::fs::remove_file(folder.path("log.meta.json")).expect("it is there");
        }),
        ("logits.npy", 1, "log.meta.json: no sidecar: EOF", |folder| folder.put("log.meta.json", "{")),
        ("logits.npy", 1, "log.meta.json: no sidecar: missing field", |folder| {
            folder.put("log.meta.json", "{}")
        }),
        ("logits.npy", 1, "the log is of arithmetic version 1, this program computes version", |folder| {
            change_sidecar(folder, |meta| meta["arithmetic_version"] = json!(1));
        }),
        ("logits.npy", 1, "the log is of arithmetic version 1, this program computes version", |folder| {
            folder.put("log.meta.json", r#"{"sortilege": "0.0.1", "arithmetic_version": 1}"#);
        }),
        ("logits.npy", 1, "its option top_q is none of this version's", |folder| {
            change_sidecar(folder, |meta| meta["options"]["top_q"] = json!(1));
        }),
        ("logits.npy", 1, "the sidecar of neither `log` nor `sample`", |folder| {
            change_sidecar(folder, |meta| meta["options"] = json!({}));
        }),
        ("logits.npy", 1, "its options: invalid value", |folder| {
            change_sidecar(folder, |meta| meta["options"]["top"] = json!(-3));
        }),
        ("logits.npy", 1, "its options: number out of range", |folder| {
            change_sidecar(folder, |meta| meta["options"]["temperature"] = json!(1e300));
        }),
        ("logits.npy", 2, "temperature", |folder| {
            change_sidecar(folder, |meta| meta["options"]["temperature"] = json!(-1.5));
        }),
        ("logits.npy", 1, "log: this is no log", |folder| folder.put("log", [0u8; 100])),
        ("logits.npy --mask mask.npy", 2, "--mask: the log is of `log`, which has no --mask", |_| {}),
        ("nothing.npy", 1, "nothing.npy", |_| {}),
    ];
    test_each(cases.map(|case| (case.2, case)), |(options, code, words, change)| {
        write(&folder, "log", LOG, "jsonl", "cpu");
        change(&folder);
        let before = folder.contents(".");
        let output = audit(&folder, options, "cpu");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(words) && output.stdout.is_empty(), "{}", stderr(&output));
        assert!(folder.contents(".") == before, "an audit writes nothing");
    });
    for (format, words) in [
        ("table", "this is no log"),
        ("openai", "logs of other programs' schemas are not audited"),
        ("vllm", "logs of other programs' schemas are not audited"),
    ] {
        write(&folder, "log", LOG, format, "cpu");
        let output = audit(&folder, "logits.npy", "cpu");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

/// A converted log has the sidecar of the one that it is from.
#[test]
fn a_converted_log_follows_unless_it_lost_something() {
    let folder = folder();
    write(&folder, "log", LOG, "jsonl", "cpu");
    std::fs::rename(folder.path("log"), folder.path("first.jsonl")).expect("it is there");
    std::fs::rename(folder.path("log.meta.json"), folder.path("first.jsonl.meta.json")).expect("it is there");
    for format in ["csv", "parquet", "jsonl"] {
        folder.printed(&format!("convert first.jsonl --to {format} -o log"));
        assert_follows(&audit(&folder, "logits.npy", "cpu"), 192);
    }
}

/// What CSV keeps is checked of a log that went through it; what other programs' schemas lost is no fault of a log.
#[test]
fn what_a_conversion_lost_is_told_and_no_difference() {
    let folder = folder();
    let note = "log was converted through csv: checked is what csv keeps";
    for (command, options) in [
        ("log", "logits.npy --tokens tokens.npy --token-ids 3,9,4095 --tokenizer tokenizer.json"),
        ("sample", "logits.npy --seed 4 --raw-logprobs 2 --processed-logprobs 2"),
    ] {
        write(&folder, command, options, "jsonl", "cpu");
        std::fs::rename(folder.path("log"), folder.path("first")).expect("it is there");
        std::fs::rename(folder.path("log.meta.json"), folder.path("first.meta.json")).expect("it is there");
        folder.printed("convert first -o first.csv");
        for steps in ["jsonl", "parquet", "parquet jsonl"] {
            folder.put("step", folder.get("first.csv"));
            folder.put("step.meta.json", folder.get("first.csv.meta.json"));
            for format in steps.split(' ') {
                folder.printed(&format!("convert step --to {format} -o log"));
                folder.put("step", folder.get("log"));
                folder.put("step.meta.json", folder.get("log.meta.json"));
            }
            let output = audit(&folder, "logits.npy", "cpu");
            assert_follows(&output, 192);
            assert!(stderr(&output).contains(note), "{}", stderr(&output));
        }
        // What CSV keeps is still checked, and so is what it cannot have.
        change_line(&folder, 3, |line| set(line, "/position", &json!(9)));
        forge(&folder);
        assert_found(&folder, "logits.npy", "position is 9 instead of 3");
        folder.printed("convert first --to openai -o first.json");
        folder.printed("convert first.json --to jsonl -o log");
        let output = audit(&folder, "logits.npy", "cpu");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        let words = "log: it was converted through openai (first.json), which lost entropies";
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn a_log_with_the_sidecar_of_another_is_found() {
    let folder = folder();
    write(&folder, "log", LOG, "jsonl", "cpu");
    let sidecar = folder.get("log.meta.json");
    write(&folder, "log", "logits.npy --top 2", "jsonl", "cpu");
    folder.put("log.meta.json", &sidecar);
    assert_found(&folder, "logits.npy", "token is nothing instead of");
    write(&folder, "sample", SAMPLE, "jsonl", "cpu");
    folder.put("log.meta.json", &sidecar);
    assert_found(&folder, "logits.npy", "the command is sample instead of log");
    // From a pipe, with a sidecar that lies elsewhere.
    write(&folder, "sample", SAMPLE, "csv", "cpu");
    let line = "audit - logits.npy --meta log.meta.json --device cpu --format json";
    assert_follows(&folder.fed(line, &folder.get("log")), 192);
    let output = folder.fed("audit - logits.npy --device cpu", &folder.get("log"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
