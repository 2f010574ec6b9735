//! Two logs side by side: what they hold is what their logits say.

use serde_json::{Value, json};

use super::definition::statistics;
use super::{LINE, VOCAB, report, rows};
use crate::common::{Folder, stderr, successful};

/// A folder with A, B, targets, and logs of both with so many listed tokens, of one in CSV.
fn folder(listed: usize) -> (Folder, super::Rows) {
    let folder = Folder::new();
    let rows = rows(4 * 6, 0.5, 41);
    rows.put(&folder, 6);
    folder.put("words.txt", (0..VOCAB).map(|token| format!("w{token}\n")).collect::<String>());
    for (from, to) in [("a.npy", "a.jsonl"), ("b.npy", "b.csv"), ("b.npy", "b.jsonl")] {
        let line =
            format!("log {from} --tokens t.npy --top {listed} --vocab-file words.txt --device cpu -o {to}");
        successful(&line, folder.run(&line));
    }
    (folder, rows)
}

#[test]
fn logs_say_what_their_logits_say() {
    let (folder, rows) = folder(VOCAB);
    let of_logits = report(&folder, LINE);
    let line = "compare a.jsonl b.csv --top 5 --format json";
    let of_logs = report(&folder, line);
    assert_eq!(of_logs, {
        let mut other = report(&folder, &line.replace("csv", "jsonl"));
        other["b"]["file"] = json!("b.csv");
        other
    });
    assert_eq!(of_logs["divergence"], "coarse");
    assert_eq!(of_logs["requests"].as_array().map(Vec::len), Some(4));
    let exact = statistics(&rows, 5);
    for (name, number) in of_logs["total"].as_object().expect("an object") {
        // Of whole lists the bounds are the divergences.
        match name.strip_prefix("coarse_") {
            Some(name) => {
                let near = (number.as_f64().expect("a number") - exact[name]).abs() < 1e-6;
                assert!(near, "{name} is {number}, expected {}", exact[name]);
            }
            None => assert_eq!(number, &of_logits["total"][name], "{name}"),
        }
    }
    let (worst, expected) = (&of_logs["worst"][0], &of_logits["worst"][0]);
    assert_eq!((&worst["request"], &worst["position"]), (&expected["request"], &expected["position"]));
    let token = worst["top_a"][0]["token"].as_u64().expect("an id");
    assert_eq!(worst["top_a"][0]["text"], format!("w{token}"), "the logs tell the texts");
    // The same log differs by nothing.
    let same = report(&folder, "compare a.jsonl a.jsonl --format json");
    assert_eq!((&same["total"]["coarse_kld_max"], &same["total"]["delta_p_rms"]), (&json!(0), &json!(0)));
}

#[test]
fn short_lists_give_bounds_and_unknown_ranks() {
    let (folder, rows) = folder(3);
    let line = "compare a.jsonl b.jsonl --top 5 --format json";
    let output = successful(line, folder.run(line));
    let total = &serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["total"];
    let exact = statistics(&rows, 3);
    for name in ["kld_mean", "reverse_kld_mean", "jsd_mean"] {
        let bound = total[format!("coarse_{name}")].as_f64().expect("a number");
        assert!(bound > 0.0 && bound <= exact[name] + 1e-6, "{name}: {bound}, of all {}", exact[name]);
    }
    assert!((total["top_overlap"].as_f64().expect("a number") - exact["top_overlap"]).abs() < 1e-9);
    assert!(stderr(&output).contains("lists are as short as 3 tokens"), "{}", stderr(&output));
    let table = folder.text("compare a.jsonl b.jsonl --format table");
    assert!(table.contains("A  a.jsonl  log\n") && table.contains("lower bounds"), "{table}");
    // Nowhere does a bound have the name of the number itself.
    for head in
        ["  mean KLD≥   max KLD≥  same top", "of which KLD≥ is a lower bound\n", "    prob B      KLD≥ "]
    {
        assert!(table.contains(head) && !table.contains("KLD "), "{head}: {table}");
    }
    let worst = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["worst"][0].clone();
    let coarse = worst["coarse_kld"].as_f64().expect("a number");
    assert!((coarse - total["coarse_kld_max"].as_f64().expect("a number")).abs() < 1e-12, "{worst}");
    assert!(worst.get("kld").is_none() && worst["coarse_jsd"].is_number(), "{worst}");
    let exact = folder.text("compare a.npy b.npy --tokens t.npy --format table --device cpu");
    assert!(exact.contains(" mean KLD    max KLD  same") && exact.contains(" KLD   gap A"), "{exact}");
}

#[test]
fn logs_that_do_not_belong_together_are_refused() {
    let (folder, _) = folder(3);
    let text = String::from_utf8(folder.get("b.jsonl")).expect("UTF-8");
    let without_last: Vec<&str> = text.lines().collect();
    folder.put("short.jsonl", without_last[..20].join("\n") + "\n");
    folder.put("cut.jsonl", &text[..text.len() - 30]);
    folder.put("other.jsonl", text.replacen("\"position\":2", "\"position\":9", 1));
    let line = "sample a.npy --seed 1 --device cpu -o drawn.jsonl";
    successful(line, folder.run(line));
    for (line, code, words) in [
        ("a.jsonl short.jsonl", 2, "a.jsonl has more records than the other log"),
        ("short.jsonl b.jsonl", 2, "b.jsonl has more records than the other log"),
        ("a.jsonl cut.jsonl", 1, "the log ends within a record"),
        (
            "a.jsonl other.jsonl",
            2,
            "A has a record of request 0, position 2, where B has one of request 0, position 9",
        ),
        ("drawn.jsonl drawn.jsonl", 2, "logs of drawn tokens"),
        ("a.jsonl b.npy", 2, "a.jsonl is a log, which is compared with another log"),
        ("a.npy b.jsonl", 2, "b.jsonl is a log, which is compared with another log"),
        ("a.jsonl b.jsonl --tokens t.npy", 2, "--tokens is of logits"),
        ("a.jsonl b.jsonl --fail-if kld_mean>1", 2, "or gate on coarse_kld_mean, a lower bound"),
        ("a.jsonl b.jsonl --fail-if coarse_kld_mean>0.00001", 3, "holds: coarse_kld_mean is 0."),
    ] {
        let output = folder.run(&format!("compare {line} --format json"));
        assert_eq!(output.status.code(), Some(code), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{line}: {}", stderr(&output));
    }
    successful("logs", folder.run("compare a.jsonl b.jsonl --format json -o out.json"));
    let meta: Value = serde_json::from_slice(&folder.get("out.json.meta.json")).expect("JSON");
    assert_eq!(meta["a"]["sha256"], crate::common::sha256(&folder.get("a.jsonl")));
    assert_eq!(meta["rows"], 24);
}

/// Names of the report that lists alone can answer, and the ranks of the targets that they leave open.
const OF_LISTS: [&str; 7] = [
    "same_top",
    "top_changed",
    "top_changed_near_tie",
    "right_a",
    "right_b",
    "right_to_wrong",
    "wrong_to_right",
];

/// The total of a comparison whose numbers of these names are null, and all other ones of `OF_LISTS` what they are of logits;
/// a gate on what is null is not passed.
fn check_open(folder: &Folder, sides: &str, open: &[&str]) -> Value {
    let of_logits = report(folder, LINE)["total"].clone();
    let total = report(folder, &format!("compare {sides} --top 1 --format json"))["total"].clone();
    for name in OF_LISTS {
        let expected = if open.contains(&name) { &Value::Null } else { &of_logits[name] };
        assert_eq!(&total[name], expected, "{sides}: {name}");
        let output = folder.run(&format!("compare {sides} --top 1 --format json --fail-if {name}<0"));
        assert_eq!(output.status.code(), Some(if open.contains(&name) { 3 } else { 0 }), "{sides}: {name}");
        let is_told = stderr(&output).contains(&format!("cannot be decided: there is no {name}"));
        assert_eq!(is_told, open.contains(&name), "{}", stderr(&output));
    }
    let table = folder.text(&format!("compare {sides} --top 1 --format table"));
    assert_eq!(table.contains("of which ? are near ties"), !open.is_empty(), "{table}");
    assert_eq!(table.contains("right to wrong ?, wrong to right ?"), open.len() == 7, "{table}");
    total
}

/// Without a list nobody knows the most probable tokens, nor which of equal ones is the first; with one token each, nobody
/// knows a second one.
#[test]
fn what_lists_leave_open_is_null() {
    for (listed, open) in [(0, &OF_LISTS[..]), (1, &["top_changed_near_tie"]), (2, &[])] {
        let (folder, _) = folder(listed);
        let total = check_open(&folder, "a.jsonl b.csv", open);
        assert_eq!(total["targets"], 21);
        if listed > 0 {
            let line = format!(
                "compare a.npy --tokens t.npy --device cpu --save saved.safetensors --save-top {listed}"
            );
            successful(&line, folder.run(&line));
            check_open(&folder, "saved.safetensors b.npy", open);
        }
    }
}

/// Of some rows alone the numbers of lists would pass for those of all.
#[test]
fn lists_of_some_rows_say_nothing_of_all() {
    let (folder, _) = folder(4);
    let mut records = folder.lines("convert a.jsonl");
    records[3]["top"] = Value::Array(Vec::new());
    folder.put("some.jsonl", records.iter().map(|record| format!("{record}\n")).collect::<String>());
    let total = &report(&folder, "compare some.jsonl b.csv --top 1 --format json")["total"];
    for name in ["same_top", "top_overlap", "top_changed"] {
        assert_eq!(total[name], Value::Null, "{name}: {total}");
    }
    let gate = folder.run("compare some.jsonl b.csv --top 1 --fail-if same_top<0");
    assert!(stderr(&gate).contains("cannot be decided: there is no same_top"), "{}", stderr(&gate));
}

/// Other programs' logs have no ranks: perplexity and change of probability need none.
#[test]
fn logs_without_ranks_have_their_targets() {
    for (listed, open) in [(0, &OF_LISTS[..]), (4, &[])] {
        let (folder, _) = folder(listed);
        let of_logits = report(&folder, LINE)["total"].clone();
        for name in ["a", "b"] {
            folder.printed(&format!("convert {name}.jsonl --to openai -o {name}.json"));
            folder.printed(&format!("convert {name}.json --to jsonl -o {name}.bare.jsonl"));
        }
        let sides = "a.bare.jsonl b.bare.jsonl";
        // Rows without a target have no record, so that choices are of fewer rows.
        let total = report(&folder, &format!("compare {sides} --top 1 --format json"))["total"].clone();
        for name in ["targets", "ppl_a", "ppl_b", "ln_ppl_ratio", "delta_p_mean", "delta_p_down"] {
            assert_eq!(total[name], of_logits[name], "{listed}: {name}");
        }
        for name in ["right_a", "right_b", "right_to_wrong", "wrong_to_right"] {
            let expected = if open.is_empty() { &of_logits[name] } else { &Value::Null };
            assert_eq!(&total[name], expected, "{listed}: {name}");
        }
        let gate = format!("compare {sides} --fail-if right_to_wrong>99");
        assert_eq!(folder.run(&gate).status.code(), Some(if open.is_empty() { 0 } else { 3 }), "{listed}");
    }
}

/// A log is one by what it holds: through a pipe, on either side, and whatever the order of its keys.
#[test]
fn a_log_is_told_however_it_comes() {
    let (folder, _) = folder(3);
    let line = "compare a.jsonl b.jsonl --format json";
    let expected = report(&folder, line)["total"].clone();
    let sorted: String = String::from_utf8(folder.get("a.jsonl"))
        .expect("UTF-8")
        .lines()
        .map(|line| {
            serde_json::from_str::<std::collections::BTreeMap<String, Value>>(line).expect("a record")
        })
        .map(|record| serde_json::to_string(&record).expect("JSON") + "\n")
        .collect();
    assert!(sorted.starts_with("{\"bytes\""), "{sorted}");
    folder.put("sorted.jsonl", sorted);
    for (line, fed) in [
        ("compare - b.jsonl", "a.jsonl"),
        ("compare a.jsonl -", "b.csv"),
        ("compare - b.csv", "sorted.jsonl"),
        ("compare sorted.jsonl b.csv", "b.csv"),
    ] {
        let output = successful(line, folder.fed(&format!("{line} --format json"), &folder.get(fed)));
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(found["total"], expected, "{line} < {fed}");
    }
    #[cfg(unix)]
    {
        let line = format!(
            "{} compare <(cat a.jsonl) <(cat b.jsonl) --format json",
            env!("CARGO_BIN_EXE_sortilege")
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &line]).current_dir(folder.path(".")).output().expect("it starts");
        let found: Value = serde_json::from_slice(&successful(&line, output).stdout).expect("JSON");
        assert_eq!(found["total"], expected, "{line}");
    }
    // What is no log is still told beside one.
    let output = folder.fed("compare - b.npy --device cpu", &folder.get("a.jsonl"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("- is a log, which is compared with another"), "{}", stderr(&output));
}

/// The texts of a log that tells none are those of the vocabulary.
#[test]
fn a_vocabulary_names_the_tokens_of_logs() {
    let (folder, _) = folder(2);
    for name in ["a", "b"] {
        folder.printed(&format!("log {name}.npy --tokens t.npy --top 2 --device cpu -o {name}.ids.jsonl"));
    }
    let line = "compare a.ids.jsonl b.ids.jsonl --format json --worst 3";
    let (bare, told) =
        (report(&folder, line), report(&folder, "compare a.jsonl b.jsonl --format json --worst 3"));
    assert!(bare["worst"][0]["top_a"][0]["text"].is_null());
    let named = report(&folder, &format!("{line} --vocab-file words.txt"));
    assert_eq!((&named["worst"], &named["total"]), (&told["worst"], &bare["total"]));
    folder.printed(&format!("{line} --vocab-file words.txt -o out.json"));
    let meta: Value = serde_json::from_slice(&folder.get("out.json.meta.json")).expect("JSON");
    assert_eq!(meta["options"]["vocab_file"], "words.txt");
    assert_eq!(meta["options"]["vocab_file_sha256"], crate::common::sha256(&folder.get("words.txt")));
}

/// A row that is no distribution has no list, and none that is short; a report that fails prints nothing of itself.
#[test]
fn nothing_is_said_of_what_is_not_there() {
    let folder = Folder::new();
    let mut some = rows(6, 0.5, 42);
    some.b[2][3] = f32::NAN;
    some.put(&folder, 3);
    for name in ["a", "b"] {
        folder.printed(&format!("log {name}.npy --tokens t.npy --top 4 --device cpu -o {name}.jsonl"));
    }
    let said = |top: u32| stderr(&folder.run(&format!("compare a.jsonl b.jsonl --top {top}")));
    assert!(!said(4).contains("lists are as short"), "{}", said(4));
    assert!(said(5).contains("lists are as short as 4 tokens"), "{}", said(5));
    let b = folder.get("b.jsonl");
    let end = b.iter().rposition(|&byte| byte == b'{').expect("records");
    let start = b[..end].iter().rposition(|&byte| byte == b'\n').expect("lines");
    folder.put("short.jsonl", &b[..=start]);
    for format in ["json", "table"] {
        let output = folder.run(&format!("compare a.jsonl short.jsonl --format {format}"));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", stderr(&output));
    }
}
