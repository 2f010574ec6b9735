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
