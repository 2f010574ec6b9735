//! `--fail-if`: exit 3 where a condition holds or cannot be decided, and names that are not there.

use serde_json::json;

use super::{LINE, rows};
use crate::common::{Folder, stderr};

#[test]
fn a_condition_that_holds_fails() {
    let folder = Folder::new();
    rows(20, 0.5, 11).put(&folder, 20);
    let run = |conditions: &[&str]| {
        let mut command = folder.command(LINE);
        for condition in conditions {
            command.args(["--fail-if", condition]);
        }
        command.output().expect("it starts")
    };
    for (conditions, code, words) in [
        (&["kld_mean > 100"][..], 0, ""),
        (&["kld_mean > 0.001"], 3, "--fail-if \"kld_mean > 0.001\" holds: kld_mean is 0."),
        (&["rows != 20", "not (same_top <= 1)"], 0, ""),
        (&["rows != 20", "rows == 20 and targets > 3"], 3, "holds: rows is 20, targets is "),
        (&["rows > 1", "compared > 1"], 3, "; --fail-if \"compared > 1\" holds"),
        (&["kld > 1"], 2, "\"kld\" is neither a name nor a number (did you mean "),
        (&["kld_mean >"], 2, "it ends where a name or a number is wanted"),
        (&["coarse_kld_mean > 1"], 2, "coarse_kld_mean is of references and logs; here is kld_mean"),
    ] {
        let output = run(conditions);
        assert_eq!(output.status.code(), Some(code), "{conditions:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{conditions:?}: {}", stderr(&output));
        assert_eq!(output.stdout.is_empty(), code == 2, "the report of a failed gate is whole");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&run(&["rows > 1", "rows < 1"]).stdout).expect("JSON");
    let expected = json!([
        {"condition": "rows > 1", "verdict": "holds"},
        {"condition": "rows < 1", "verdict": "does not hold"},
    ]);
    assert_eq!(report["fail_if"], expected);
}

/// The report of a failed gate is delivered: it says why.
#[test]
fn the_output_of_a_failed_gate_is_there() {
    let folder = Folder::new();
    rows(10, 0.5, 12).put(&folder, 10);
    let output = folder.run(&format!("{LINE} --fail-if rows>1 -o out.json"));
    assert_eq!(output.status.code(), Some(3));
    assert!(!folder.get("out.json").is_empty() && !folder.get("out.json.meta.json").is_empty());
}

/// Whoever reads the report may have seen enough: the verdict stays.
#[test]
fn a_gate_is_decided_though_nobody_reads() {
    let folder = Folder::new();
    rows(24, 0.5, 14).put(&folder, 4);
    let logs = "log a.npy --tokens t.npy --device cpu -o";
    crate::common::successful(logs, folder.run(&format!("{logs} a.jsonl")));
    for format in ["json", "table"] {
        for sides in ["a.npy b.npy --device cpu", "a.jsonl a.jsonl"] {
            for (gate, code) in [("rows>23", 3), ("rows>24", 0)] {
                let line = format!("compare {sides} --format {format} --fail-if {gate}");
                let closed = std::io::pipe().map(|(_, writer)| writer).expect("a pipe");
                let output = folder.command(&line).stdout(closed).output().expect("it starts");
                assert_eq!(output.status.code(), Some(code), "{line}: {}", stderr(&output));
                assert_eq!(stderr(&output).contains("holds: rows is 24"), code == 3, "{}", stderr(&output));
            }
        }
    }
}

/// So does a reference that is to be saved.
#[test]
fn a_reference_is_saved_though_nobody_reads() {
    let folder = Folder::new();
    rows(240, 0.5, 15).put(&folder, 4);
    let line = "compare a.npy b.npy --device cpu --format json --save saved";
    crate::common::successful(line, folder.run(line));
    let whole = folder.get("saved");
    std::fs::remove_file(folder.path("saved")).expect("it is there");
    let closed = std::io::pipe().map(|(_, writer)| writer).expect("a pipe");
    let output = folder.command(line).stdout(closed).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(crate::common::difference(&folder.get("saved"), &whole), None);
}

#[test]
fn nan_never_passes() {
    let folder = Folder::new();
    let mut some = rows(6, 0.5, 13);
    some.b = vec![vec![f32::NAN; super::VOCAB]; 6];
    some.put(&folder, 6);
    for condition in ["kld_mean>0.01", "kld_mean<0.01", "ppl_ratio!=1", "same_top<0.5"] {
        let output = folder.run(&format!("{LINE} --fail-if {condition}"));
        assert_eq!(output.status.code(), Some(3), "{condition}: {}", stderr(&output));
        assert!(stderr(&output).contains("cannot be decided"), "{}", stderr(&output));
    }
    // What does not depend on it is decided.
    assert_eq!(folder.run(&format!("{LINE} --fail-if compared>0")).status.code(), Some(0));
    let without = "compare a.npy b.npy --device cpu --format json --fail-if ppl_ratio>1";
    let output = folder.run(without);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("ppl_ratio is of targets: give --tokens"), "{}", stderr(&output));
}

/// A gate that no unsound row can fail is told so, of logits and of logs; one that names them is not.
#[test]
fn rows_that_no_gate_sees_are_told() {
    let folder = Folder::new();
    let mut some = rows(6, 0.5, 16);
    (some.b[2][7], some.b[3][0]) = (f32::NAN, f32::INFINITY);
    some.put(&folder, 6);
    for name in ["a", "b"] {
        let line = format!("log {name}.npy --tokens t.npy --top 5 --device cpu -o {name}.jsonl");
        crate::common::successful(&line, folder.run(&line));
    }
    let unseen = "; no --fail-if names unsound_b, so that none fails for them: add \"unsound_b > 0\"";
    for sides in ["a.npy b.npy --device cpu", "a.jsonl b.jsonl"] {
        for (gates, is_unseen) in [
            ("", false),
            ("--fail-if same_top<0", true),
            ("--fail-if same_top<0 --fail-if unsound_a>0", true),
            ("--fail-if same_top<0 --fail-if unsound_b>2", false),
        ] {
            let line = format!("compare {sides} --format json {gates}");
            let told = stderr(&crate::common::successful(&line, folder.run(&line)));
            assert!(told.contains("note: 2 of 6 rows are no distribution in B"), "{line}: {told}");
            assert_eq!(told.contains(unseen), is_unseen, "{line}: {told}");
        }
    }
}
