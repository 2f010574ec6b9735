//! Logs from one format into another: what comes back, what is said to be lost, and what is refused.

use serde_json::{Value, json};

use crate::common::{Folder, difference, npy, sha256, stderr, successful};
use crate::table::test_each;

const LOG: &str = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json --top 4 --device cpu";
const SAMPLE: &str = "sample logits.npy --tokenizer tokenizer.json --seed 3 --draws 2 --raw-logprobs 2 --processed-logprobs 3 \
     --device cpu";

/// Responses of other programs, and how many records they have.
const RESPONSES: &[(&str, &str, usize)] = &[
    ("openai-chat", include_str!("../../../tests/logs/openai-chat.json"), 4),
    ("openai-completions", include_str!("../../../tests/logs/openai-completions.json"), 3),
    ("vllm", include_str!("../../../tests/logs/vllm.json"), 4),
    ("llama-server", include_str!("../../../tests/logs/llama-server.json"), 2),
];

/// A log in every format, whichever it was made from.
#[test]
fn every_format_is_that_of_log() {
    let folder = Folder::with_assets();
    folder.printed(&format!("{LOG} -o log.jsonl"));
    for format in ["jsonl", "csv", "openai", "openai-completions", "vllm", "llama-server"] {
        let direct = folder.printed(&format!("{LOG} --format {format}"));
        let converted = folder.printed(&format!("convert log.jsonl --to {format}"));
        assert_eq!(difference(&direct, &converted), None, "{format}");
    }
    for (line, format) in [(LOG, "csv"), (LOG, "parquet"), (SAMPLE, "parquet")] {
        let jsonl = folder.printed(&format!("{line} --format jsonl"));
        folder.put("log", folder.printed(&format!("{line} --format {format}")));
        assert_eq!(difference(&folder.printed("convert log"), &jsonl), None, "{format} of {line}");
        // Through a pipe it goes too.
        let piped = successful("a pipe", folder.fed("convert -", &folder.get("log")));
        assert_eq!(difference(&piped.stdout, &jsonl), None, "{format} of {line}, through a pipe");
    }
}

#[test]
fn what_is_lost_is_said() {
    let folder = Folder::with_assets();
    folder.printed(&format!("{LOG} -o log.jsonl"));
    folder.printed(&format!("{SAMPLE} -o drawn.jsonl"));
    let none: &[&str] = &[];
    for (line, lost) in [
        ("log.jsonl --to csv", none),
        ("log.jsonl --to parquet -o x", none),
        ("log.jsonl --to vllm", &["bytes of tokens, in 192 of 192", "logsumexp, in 192", "entropy, in 192"]),
        ("log.jsonl --to llama-server", &["rank, in 192", "logsumexp, in 192", "entropy, in 192"]),
        ("drawn.jsonl --to parquet -o x", none),
        (
            "drawn.jsonl --to csv",
            &["the raw distribution, in 192 of 192", "alternatives of the processed", "logsumexp"],
        ),
        ("drawn.jsonl --to openai", &["draws after the first, in 192", "seed, stream, temperature"]),
    ] {
        let said = stderr(&successful(line, folder.run(&format!("convert {line}"))));
        assert!(said.contains("192 records"), "{line}: {said}");
        let words = lost.iter().map(|word| format!("note: lost: {word}"));
        let missing: Vec<String> = words.filter(|word| !said.contains(word)).collect();
        assert!(
            missing.is_empty() && said.contains("lost") != lost.is_empty(),
            "{line}: {missing:?} in {said}"
        );
    }
}

#[test]
fn responses_of_other_programs_are_logs() {
    let folder = Folder::new();
    for (name, response, count) in RESPONSES {
        folder.put(name, response);
        let lines = folder.lines(&format!("convert {name}"));
        assert_eq!(lines.len(), *count, "{name}");
        assert!(lines.iter().all(|line| line["status"] == "ok" && line["entropy"].is_null()), "{name}");
        // Our own lines of them are lines like any other.
        folder.put("ours", folder.printed(&format!("convert {name}")));
        assert_eq!(folder.lines("convert ours"), lines);
        folder.printed(&format!("convert {name} -o ours.parquet"));
        assert_eq!(folder.lines("convert ours.parquet"), lines);
        folder.put("ours.csv", folder.printed(&format!("convert {name} --to csv")));
        assert_eq!(folder.lines("convert ours.csv"), lines, "{name} through CSV");
        let page = folder.text(&format!("report {name}"));
        assert_eq!(
            page,
            folder.text("report ours.parquet").replace("ours.parquet", name),
            "the page of {name}"
        );
    }
    let refused = folder.run("convert openai-chat --to vllm -o out");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("openai-chat: a token of unknown id"), "{}", stderr(&refused));
    assert!(!folder.path("out").exists());
}

/// A token without a rank is told by its place, and stays in its list.
#[test]
fn a_listed_token_stays_listed() {
    let folder = Folder::new();
    let one = r#"{"id":5,"token":"a","bytes":[97],"logprob":-0.1"#;
    let (two, three) = (
        r#"{"id":7,"token":"b","bytes":[98],"logprob":-2.5}"#,
        r#"{"id":9,"token":"c","bytes":[99],"logprob":-3.5}"#,
    );
    for top in [format!("{one}}}"), format!("{one}}},{two}"), format!("{one}}},{two},{three}")] {
        let response = format!(
            r#"{{"content":"a","stop":true,"completion_probabilities":[{one},"top_logprobs":[{top}]}}]}}"#
        );
        folder.put("ls.json", response);
        let listed = |log: &str| {
            let lines = folder.lines(&format!("convert {log}"));
            lines[0]["top"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|entry| entry["token"].clone())
                .collect::<Vec<_>>()
        };
        let before = listed("ls.json");
        folder.printed("convert ls.json --to vllm -o vllm.json");
        assert_eq!(listed("vllm.json"), before);
        // vLLM's form with no rank at all.
        let text = String::from_utf8(folder.get("vllm.json")).expect("UTF-8");
        let bare =
            (1..=3).fold(text, |text, rank| text.replace(&format!("\"rank\":{rank}"), "\"rank\":null"));
        folder.put("bare.json", bare);
        if before.len() > 1 {
            assert_eq!(listed("bare.json"), before);
        }
    }
}

#[test]
fn a_sidecar_is_carried_along() {
    let folder = Folder::with_assets();
    folder.printed(&format!("{LOG} -o log.jsonl"));
    let sidecar = |name: &str| -> Value {
        serde_json::from_slice(&folder.get(&format!("{name}.meta.json"))).expect("JSON")
    };
    let first = sidecar("log.jsonl");
    folder.printed("convert log.jsonl -o log.csv");
    folder.printed("convert log.csv -o log.parquet");
    let second = sidecar("log.parquet");
    for (key, value) in
        first.as_object().expect("an object").iter().filter(|(key, _)| *key != "output_sha256")
    {
        assert_eq!(second[key], *value, "{key}");
    }
    assert_eq!(second["output_sha256"], sha256(&folder.get("log.parquet")).as_str());
    let by = concat!("sortilege ", env!("CARGO_PKG_VERSION"));
    let earlier = json!({
        "file": "log.jsonl", "sha256": sha256(&folder.get("log.jsonl")), "is_that_of_the_sidecar": true,
        "format": "csv", "by": by,
    });
    let expected = json!({
        "file": "log.csv", "sha256": sha256(&folder.get("log.csv")), "is_that_of_the_sidecar": true,
        "format": "parquet", "by": by, "converted": earlier,
    });
    assert_eq!(second["converted"], expected);
    // A log that was changed since is told.
    folder.put("log.csv", String::from_utf8(folder.get("log.csv")).expect("UTF-8").replace(",1,", ",1 ,"));
    let spaced = folder.run("convert log.csv -o changed.jsonl");
    assert_eq!(spaced.status.code(), Some(1), "{}", stderr(&spaced));
    let lines = folder.text("convert log.jsonl").replace("\"rank\":17", "\"rank\":18");
    folder.put("log.jsonl", lines);
    let changed = successful("changed", folder.run("convert log.jsonl -o changed.jsonl"));
    let told = stderr(&changed);
    assert!(told.contains("note: log.jsonl is not as it was written: its SHA-256 is "), "{told}");
    assert!(!stderr(&folder.run("convert log.parquet")).contains("as it was written"));
    assert_eq!(sidecar("changed.jsonl")["converted"]["is_that_of_the_sidecar"], json!(false));
}

/// What is a document is printed when it is whole; lines are lines.
#[test]
fn half_a_document_is_not_printed() {
    let folder = Folder::with_assets();
    folder.printed(&format!("{LOG} -o log.jsonl"));
    let log = folder.get("log.jsonl");
    folder.put("cut.jsonl", &log[..log.len() - 40]);
    for format in ["openai", "openai-completions", "vllm", "llama-server", "jsonl", "csv"] {
        let output = folder.run(&format!("convert cut.jsonl --to {format}"));
        assert_eq!(output.status.code(), Some(1), "{format}: {}", stderr(&output));
        assert_eq!(output.stdout.is_empty(), !["jsonl", "csv"].contains(&format), "{format}");
    }
    // Whoever reads no further has seen enough.
    let closed = std::io::pipe().map(|(_, writer)| writer).expect("a pipe");
    let output = folder.command("convert log.jsonl --to vllm").stdout(closed).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// A log without records gets one answer of all that read logs, whatever its format.
#[test]
fn a_log_without_records_is_told_so_by_every_verb() {
    let folder = Folder::new();
    folder.put("none.npy", npy("<f4", "(0, 5)", b""));
    folder.put("q.json", r#"{"tokens": [1]}"#);
    for name in ["none.jsonl", "none.csv", "none.parquet"] {
        folder.printed(&format!("log none.npy --device cpu -o {name}"));
        for line in [
            format!("summary {name}"),
            format!("convert {name} --to jsonl"),
            format!("convert {name} --to csv"),
            format!("report {name}"),
            format!("score {name} --candidates q.json"),
            format!("compare {name} {name}"),
        ] {
            let output = folder.run(&line);
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{line}: {told}");
            assert!(told.contains(&format!("{name}: there is no record in it")), "{line}: {told}");
        }
        // It is the log of these logits.
        let audited = folder.run(&format!("audit {name} none.npy --device cpu"));
        assert_eq!(audited.status.code(), Some(0), "{}", stderr(&audited));
    }
}

/// Whatever is no log is an error that names it, and no output is touched.
#[test]
fn what_is_no_log_is_refused() {
    let folder = Folder::with_assets();
    folder.printed(&format!("{LOG} -o log.jsonl"));
    let log = folder.get("log.jsonl");
    folder.put("log.parquet", folder.printed("convert log.jsonl --to parquet"));
    let parquet = folder.get("log.parquet");
    let mut damaged = parquet.clone();
    damaged[4..2000].iter_mut().for_each(|byte| *byte ^= 0x5a);
    folder.make_folder("out");
    folder.put("out/new", "older records");
    folder.put("out/new.meta.json", "older description");
    let before = folder.contents("out");
    let cases: [(&str, &[u8], i32, &str); 13] = [
        ("text", b"hello", 1, "text: this is no log"),
        ("binary", b"\0\x01\x02", 1, "binary: this is no log"),
        ("gz", b"\x1f\x8b\x08\0", 1, "gz: this is compressed with gzip: unpack it first"),
        ("logits.npy", b"\x93NUMPY\x01\0", 1, "this is an .npy array: give a log"),
        ("cut.jsonl", &log[..log.len() - 9], 1, "cut.jsonl: line 192: the log ends within a record"),
        ("cut.parquet", &parquet[..parquet.len() - 9], 1, "cut.parquet: no readable Parquet file"),
        ("damaged.parquet", &damaged, 1, "damaged.parquet: "),
        ("other.json", b"{\"a\":1}", 1, "other.json: document 1: none of choices"),
        ("numbers.jsonl", b"{\"request\":99999999999999999999999}\n", 1, "line 1: "),
        ("deep.json", &[b'['; 100_000], 1, "deep.json: "),
        ("columns.csv", b"request,position\n0,0\n", 1, "other columns than those that `log` and `sample` write: status is missing"),
        (
            "moved.csv",
            b"position,request,status,logsumexp,entropy,token,text,bytes,logprob,rank,alternative,alternative_token,\
              alternative_text,alternative_bytes,alternative_logprob\n",
            1,
            "position stands where request must stand",
        ),
        ("wide.jsonl", b"{\"request\":18446744073709551615}", 1, "line 1: missing field"),
    ];
    test_each(cases.map(|case| (case.0, case)), |(name, bytes, code, words)| {
        folder.put(name, bytes);
        for format in ["csv", "parquet"] {
            let output = folder.run(&format!("convert {name} --to {format} -o out/new"));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(words) && !said.contains("panicked") && said.len() < 4000, "{said}");
            assert!(folder.contents("out") == before, "{:?}", folder.contents("out").keys());
        }
    });
    folder.put("out.jsonl.partial", folder.get("logits.npy"));
    for (line, code, words) in [
        ("convert missing -o out/new", 1, "missing: No such file"),
        ("convert log.jsonl --to gguf -o out/new", 2, "gguf"),
        ("convert log.jsonl -o log.jsonl", 2, "would replace the input"),
        ("convert log.jsonl -o log.jsonl.meta.json", 2, "would replace the sidecar of log.jsonl"),
        // Nor does one stand where a sidecar would be looked for.
        ("convert cut.jsonl -o cut.jsonl.meta.json", 2, "would replace the sidecar of cut.jsonl"),
        ("convert cut.jsonl -o ./out/../cut.jsonl.meta.json", 2, "would replace the sidecar of cut.jsonl"),
        ("report cut.jsonl -o cut.jsonl.meta.json", 2, "would replace the sidecar of cut.jsonl"),
        ("log logits.npy -o logits.npy.meta.json", 2, "would replace the sidecar of logits.npy"),
        ("log out.jsonl.partial -o out.jsonl --resume", 2, "out.jsonl.partial would replace the input"),
        ("log logits.npy --tokens out.jsonl.partial -o ./out.jsonl --resume", 2, "would replace the input"),
        ("convert", 2, "required"),
    ] {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{line}: {}", stderr(&output));
    }
    assert_eq!(folder.get("log.jsonl"), log);
}
