//! Logs of other temperatures, and logs whose records are missing, doubled or out of order: no verb takes them unsaid.

use crate::common::{Folder, npy, stderr, stored, successful};
use crate::table::test_each;

/// Logs of two requests of four rows each, at two temperatures.
fn folder() -> Folder {
    let folder = Folder::new();
    let values: Vec<f32> = (0..8u16 * 5).map(|n| f32::from(n * 7 % 11)).collect();
    folder.put("l.npy", npy("<f4", "(2, 4, 5)", &stored("f32", &values)));
    let log = "log l.npy --tokens 1,2,3,4,0,1,2,3 --top 5 --device cpu";
    folder.printed(&format!("{log} -o one.jsonl"));
    folder.printed(&format!("{log} --temperature 2 -o two.jsonl"));
    folder.printed(&format!("{log} --shift -o shifted.jsonl"));
    folder.printed("sample l.npy --seed 1 --raw-logprobs 5 --temperature 2 --device cpu -o drawn.jsonl");
    folder.put("bare.jsonl", folder.get("one.jsonl"));
    folder.put("q.json", r#"[{"tokens": [2, 3], "request": 0, "first_row": 1}]"#);
    folder
}

#[test]
fn two_temperatures_are_told() {
    let folder = folder();
    let refused = folder.run("compare one.jsonl two.jsonl");
    let words = "A is of temperature 1, B of 2, as their sidecars say: compare logs of one temperature";
    assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    let cases = [
        ("compare two.jsonl two.jsonl", "temperature", false),
        ("compare one.jsonl bare.jsonl", "the temperatures of the logs are unknown", true),
        ("report one.jsonl two.jsonl", "one.jsonl is of temperature 1, two.jsonl is of temperature 2", true),
        // What is beside a log is the raw distribution.
        ("report one.jsonl drawn.jsonl", "temperature", false),
        ("report two.jsonl drawn.jsonl", "drawn.jsonl is of temperature 1", true),
        (
            "score two.jsonl --candidates q.json",
            "two.jsonl: a log at temperature 2, as its sidecar says: so are the scores",
            true,
        ),
        ("score one.jsonl --candidates q.json", "temperature", false),
    ];
    test_each(cases.map(|case| (case.0, case)), |(line, words, is_told)| {
        let output = successful(line, folder.run(line));
        assert_eq!(stderr(&output).contains(words), is_told, "{}", stderr(&output));
        if line.starts_with("report") {
            let page = String::from_utf8(output.stdout).expect("UTF-8");
            assert_eq!(page.contains(" is of temperature "), is_told);
        }
    });
}

/// A sidecar that is left of an earlier log of that name.
#[test]
fn a_stale_sidecar_is_not_believed() {
    let folder = folder();
    folder.put("stale.jsonl", folder.get("two.jsonl"));
    folder.put("stale.jsonl.meta.json", folder.get("one.jsonl.meta.json"));
    for line in
        ["compare stale.jsonl one.jsonl", "report stale.jsonl", "score stale.jsonl --candidates q.json"]
    {
        let told = stderr(&successful(line, folder.run(line)));
        assert!(told.contains("note: stale.jsonl is not as it was written: its SHA-256 is"), "{told}");
        assert_eq!(
            told.contains("the temperatures of the logs are unknown"),
            line.starts_with("compare"),
            "{told}"
        );
    }
}

/// Requests whose records stand between those of others have numbers of their parts, which is told.
#[test]
fn scattered_requests_are_told() {
    let folder = folder();
    let text = String::from_utf8(folder.get("one.jsonl")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let turned: Vec<&str> = (0..4).flat_map(|row| [lines[row], lines[4 + row]]).collect();
    folder.put("turned.jsonl", turned.join("\n") + "\n");
    let words = "row 2 is of request 0, which ended before: the numbers of requests are of their parts";
    for (log, is_told) in [("turned", true), ("bare", false)] {
        let line = format!("compare {log}.jsonl {log}.jsonl");
        let told = stderr(&successful(&line, folder.run(&line)));
        assert_eq!(told.contains(words), is_told, "{told}");
    }
}

#[test]
fn rows_that_are_not_in_order_are_not_scored() {
    let folder = folder();
    let text = String::from_utf8(folder.get("one.jsonl")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let put = |name: &str, order: &[usize]| {
        let chosen: Vec<&str> = order.iter().map(|&line| lines[line]).collect();
        folder.put(name, chosen.join("\n") + "\n");
    };
    put("without.jsonl", &[0, 2, 3, 4, 5, 6, 7]);
    put("doubled.jsonl", &[0, 1, 1, 2, 3, 4, 5, 6, 7]);
    put("turned.jsonl", &[1, 0, 2, 3, 4, 5, 6, 7]);
    put("headless.jsonl", &[0, 1, 2, 3, 5, 6, 7]);
    put("late.jsonl", &[2, 3]);
    // The sidecar knows that the log is not one of --shift.
    put("first.jsonl", &[1, 2, 3]);
    folder.put("first.jsonl.meta.json", folder.get("one.jsonl.meta.json"));
    let cases = [
        ("without", "record 2 is of request 0, position 2, where position 1 must stand"),
        ("doubled", "record 3 is of request 0, position 1, where position 2 must stand"),
        ("turned", "record 2 is of request 0, position 0, where position 2 must stand"),
        ("headless", "record 5 is of request 1, position 1, where position 0 must stand"),
        ("late", "record 1 is of request 0, position 2, where position 1 must stand"),
        ("first", "record 1 is of request 0, position 1, where position 0 must stand"),
    ];
    test_each(cases.map(|case| (case.0, case)), |(name, words)| {
        let output = folder.run(&format!("score {name}.jsonl --candidates q.json"));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    });
    for line in ["score shifted.jsonl --candidates q.json", "score drawn.jsonl --candidates d.json"] {
        folder.put("d.json", r#"{"tokens": [], "request": 0}"#);
        let drawn = String::from_utf8(folder.get("drawn.jsonl")).expect("UTF-8");
        let (_, token) = drawn.split_once("\"draws\":[{\"token\":").expect("a draw");
        folder.put("d.json", format!("{{\"tokens\": [{}], \"request\": 0}}", &token[..1]));
        successful(line, folder.run(line));
    }
}

#[test]
fn doubled_records_are_told_by_every_verb() {
    let folder = folder();
    let log = folder.get("one.jsonl");
    folder.put("twice.jsonl", [&log[..], &log].concat());
    let words = "note: twice.jsonl: 8 of 16 records are doubled or out of order, first record 8 (request 0, position 0)";
    let lines = [
        "summary twice.jsonl",
        "convert twice.jsonl --to csv",
        "convert twice.jsonl --to openai",
        "report twice.jsonl",
        "compare twice.jsonl twice.jsonl",
    ];
    test_each(lines.map(|line| (line, line)), |line| {
        let told = stderr(&successful(line, folder.run(line)));
        assert!(told.contains(words), "{told}");
        let told = stderr(&successful(line, folder.run(&line.replace("twice", "one"))));
        assert!(!told.contains("doubled"), "{told}");
    });
}
