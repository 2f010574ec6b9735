//! `sortilege sample`: what is drawn and from what.

mod idle;
mod output;
mod parameters;
mod peers;
mod prompts;

use serde_json::{Value, json};

use crate::common::{Folder, i32s, npy, stderr, stored, successful};

/// Ten tokens of falling probability: 0.632, 0.233, 0.086, ...
const FALLING: [f32; 10] = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];

/// A folder with `small.npy`, logits [8, 6, 5, -1]; `falling.npy`, ten tokens of falling probability; `flat.npy`,
/// [40][64] of nearly equal ones; and `nested.npy`, the same as [4][10][64].
fn folder() -> Folder {
    let folder = Folder::new();
    folder.put("small.npy", npy("<f4", "(1, 4)", &stored("f32", &[8.0, 6.0, 5.0, -1.0])));
    folder.put("falling.npy", npy("<f4", "(1, 10)", &stored("f32", &FALLING)));
    let flat: Vec<f32> = (0..40 * 64u16).map(|i| f32::from(i % 64 * 37 % 11) * 0.125).collect();
    folder.put("flat.npy", npy("<f4", "(40, 64)", &stored("f32", &flat)));
    folder.put("nested.npy", npy("<f4", "(4, 10, 64)", &stored("f32", &flat)));
    folder
}

fn tokens(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["draws"][0]["token"].as_u64().expect("a token")).collect()
}

#[test]
fn a_seed_gives_its_tokens_again() {
    let folder = folder();
    for file in ["flat.npy", "nested.npy"] {
        let with = |options: &str| tokens(&folder.lines(&format!("sample {file} --device cpu {options}")));
        let first = with("--seed 1");
        assert_eq!(first.len(), 40);
        assert_eq!(with("--seed 1"), first, "{file}");
        assert_ne!(with("--seed 2"), first, "{file}");
        assert_ne!(with("--seed 1 --stream 9"), first, "{file}");
        // Without a seed one is told, and gives the same tokens.
        let line = format!("sample {file} --device cpu");
        let output = successful(&line, folder.run(&line));
        let said = stderr(&output);
        let seed = said.lines().find_map(|line| line.strip_prefix("seed ")).expect("a seed");
        let again = folder.printed(&format!("{line} --seed {seed}"));
        assert_eq!(again, output.stdout, "{file}");
        assert_ne!(with(""), with(""), "{file}: another seed each time");
    }
}

/// Equal rows under one seed do not draw equal tokens: rows differ in position, requests in stream.
#[test]
fn rows_draw_independently() {
    let folder = folder();
    for shape in ["(40, 64)", "(40, 1, 64)", "(4, 10, 64)"] {
        folder.put("equal.npy", npy("<f4", shape, &stored("f32", &[0.0; 40 * 64])));
        let lines = folder.lines("sample equal.npy --seed 3 --device cpu");
        let mut drawn = tokens(&lines);
        drawn.sort_unstable();
        drawn.dedup();
        assert!(drawn.len() > 20, "{shape}: {} tokens of 64 in 40 rows", drawn.len());
    }
    let places = |options: &str| {
        let place = |line: &Value| json!([line["request"], line["position"], line["stream"]]);
        let lines = folder.lines(&format!("sample {options} --seed 3 --device cpu"));
        lines.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places("flat.npy")[39], json!([39, 0, 39]));
    assert_eq!(places("flat.npy --feedback")[39], json!([0, 39, 0]));
    assert_eq!(places("nested.npy --stream 5")[39], json!([3, 9, 8]));
    // A row can be drawn again alone.
    let row = folder.lines("sample nested.npy --seed 3 --device cpu").remove(25);
    folder.put("own.json", r#"{"position": 5, "stream": 2}"#);
    folder.put("row.npy", {
        let whole = folder.get("nested.npy");
        let data = &whole[whole.len() - 40 * 64 * 4..];
        npy("<f4", "(1, 64)", &data[25 * 64 * 4..26 * 64 * 4])
    });
    let mut alone = folder.lines("sample row.npy --params own.json --seed 3 --device cpu").remove(0);
    alone["request"] = json!(2);
    assert_eq!(alone, row);
}

#[test]
fn feedback_shows_a_row_what_came_before() {
    let folder = folder();
    let equal: Vec<f32> = [9.0, 8.0, 7.0, 6.0].repeat(6);
    folder.put("nested.npy", npy("<f4", "(2, 3, 4)", &stored("f32", &equal)));
    folder.put("rows.npy", npy("<f4", "(6, 4)", &stored("f32", &equal)));
    let text = |line: &str| folder.text(&format!("sample {line} --format tokens --device cpu --seed 1"));
    let penalty = "--temperature 0 --presence-penalty 10";
    assert_eq!(text(&format!("nested.npy {penalty}")), "0\n".repeat(6));
    assert_eq!(text(&format!("nested.npy {penalty} --feedback")), "0\n1\n2\n0\n1\n2\n");
    assert_eq!(text(&format!("rows.npy {penalty}")), "0\n".repeat(6));
    // The rows are one request: from the fifth on every token is punished.
    assert_eq!(text(&format!("rows.npy {penalty} --feedback")), "0\n1\n2\n3\n0\n0\n");
    assert_eq!(text("rows.npy --temperature 0 --bad-words 0,0;1,0 --feedback"), "0\n1\n1\n1\n1\n1\n");
    // Each request has its own memory and parameters.
    folder.put("own.json", r#"[{"presence_penalty": 10}, {"prompt": [0], "penalty_last_n": 1}]"#);
    let line = format!("nested.npy --params own.json {penalty} --feedback");
    assert_eq!(text(&line), "0\n1\n2\n1\n0\n1\n");
    // What sees nothing of others is the same either way.
    let plain = folder.printed("sample nested.npy --top-p 0.9 --seed 1 --device cpu");
    assert_eq!(folder.printed("sample nested.npy --top-p 0.9 --seed 1 --device cpu --feedback"), plain);
    let lines =
        folder.lines("sample rows.npy --mirostat-tau 0.5 --mirostat-eta 1 --seed 1 --feedback --device cpu");
    assert!(lines.iter().any(|line| line["kept"] != lines[0]["kept"]), "Mirostat adapts: {lines:?}");
}

#[test]
fn rows_without_a_token_leave_their_neighbours_alone() {
    const INFINITY: f32 = f32::INFINITY;
    let good = [1.0, 2.0, 3.0, -INFINITY];
    let rows = [good, [1.0, f32::NAN, 3.0, 0.0], good, [INFINITY, 0.0, 0.0, 0.0], [-INFINITY; 4], good];
    let statuses = ["ok", "nan", "ok", "positive_infinity", "nothing_finite", "ok"];
    let folder = Folder::new();
    let put = |rows: &[[f32; 4]]| {
        let shape = format!("({}, 4)", rows.len());
        folder.put("rows.npy", npy("<f4", &shape, &stored("f32", &rows.concat())));
    };
    put(&[good; 6]);
    let options = "rows.npy --seed 4 --draws 2 --raw-logprobs 1 --device cpu";
    let sound = folder.lines(&format!("sample {options}"));
    put(&rows);
    let output = successful("broken rows", folder.run(&format!("sample {options}")));
    assert!(stderr(&output).contains("note: 1 of 6 rows are no distribution: nan"), "{}", stderr(&output));
    let lines = folder.lines(&format!("sample {options}"));
    for (row, status) in statuses.into_iter().enumerate() {
        if status == "ok" {
            assert_eq!(lines[row], sound[row]);
            continue;
        }
        let none = json!({"status": status, "logsumexp": null, "entropy": null, "top": []});
        let expected = json!({
            "request": row, "position": 0, "status": status, "seed": 4, "stream": row, "temperature": null,
            "kept": 0, "kept_mass": null, "draws": [], "processed": none, "raw": none
        });
        assert_eq!(lines[row], expected);
    }
    let text = folder.text(&format!("sample {options} --format tokens"));
    let dashes: Vec<bool> = text.lines().map(|line| line == "-").collect();
    assert_eq!(dashes, statuses.map(|status| status != "ok"));
    let csv = folder.text(&format!("sample {options} --format csv"));
    assert_eq!(csv.lines().filter(|line| line.contains("nan") && line.ends_with(",,,,,,,")).count(), 1);
    assert_eq!(csv.lines().count(), 1 + 3 * 2 + 3);
    let table = folder.text(&format!("sample {options} --format table"));
    assert!(table.lines().nth(2).is_some_and(|line| line.ends_with("  nan")), "{table}");
    // With feedback a row without a token changes nothing.
    let options = "rows.npy --temperature 0 --presence-penalty 5 --feedback --device cpu --format tokens";
    assert_eq!(folder.text(&format!("sample {options}")), "2\n-\n1\n-\n-\n0\n");
}

#[test]
fn a_mask_says_what_is_possible() {
    let folder = folder();
    let logits: Vec<f32> = (0..4 * 40u16).map(|i| f32::from(i % 40) * 0.1).collect();
    folder.put("rows.npy", npy("<f4", "(4, 40)", &stored("f32", &logits)));
    folder.put("nested.npy", npy("<f4", "(2, 2, 40)", &stored("f32", &logits)));
    let words = [5, 0, 0, 128, -1, -1, 0, 0];
    folder.put("mask.npy", npy("<i4", "(4, 2)", &i32s(&words)));
    folder.put("unsigned.npy", npy("<u4", "(4, 2)", &i32s(&words)));
    folder.put("nested_mask.npy", npy("<i4", "(2, 2, 2)", &i32s(&words)));
    let line = "sample rows.npy --mask mask.npy --seed 1 --device cpu";
    let output = successful(line, folder.run(line));
    assert!(stderr(&output).contains("1 of 4 rows are no distribution: nothing_finite"));
    let lines = folder.lines(line);
    let kept: Vec<&Value> = lines.iter().map(|line| &line["kept"]).collect();
    assert_eq!(json!(kept), json!([2, 1, 40, 0]));
    assert_eq!(json!([lines[1]["draws"][0]["token"], lines[3]["status"]]), json!([39, "nothing_finite"]));
    let unsigned = "sample rows.npy --mask unsigned.npy --seed 1 --device cpu";
    assert_eq!(folder.printed(unsigned), output.stdout);
    for mask in ["mask.npy", "nested_mask.npy"] {
        for feedback in ["", "--feedback"] {
            let line = format!("sample nested.npy --mask {mask} --seed 1 --device cpu {feedback}");
            let lines = folder.lines(&line);
            let kept: Vec<&Value> = lines.iter().map(|line| &line["kept"]).collect();
            assert_eq!(json!(kept), json!([2, 1, 40, 0]), "{line}");
        }
    }
    // Together with the tokens that are allowed.
    let both = "sample rows.npy --mask mask.npy --allowed-token-ids 2,3,39 --format tokens --device cpu";
    assert!(folder.text(both).starts_with("2\n39\n"));
    let output = folder.run("sample rows.npy --mask nested_mask.npy --device cpu");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("[4, 2] is needed"), "{}", stderr(&output));
}

#[test]
fn no_rows_make_no_samples() {
    let folder = Folder::new();
    folder.put("rows.npy", npy("<f4", "(0, 5)", b""));
    folder.put("positions.npy", npy("<f2", "(2, 0, 5)", b""));
    folder.put("requests.npy", npy("<f2", "(0, 2, 5)", b""));
    for file in ["rows.npy", "positions.npy", "requests.npy"] {
        for (format, heads) in [("jsonl", 0), ("tokens", 0), ("csv", 1), ("table", 1)] {
            for feedback in ["", "--feedback", "--plan"] {
                let line = format!("sample {file} --format {format} --device cpu --seed 1 {feedback}");
                let count = folder.text(&line).lines().count();
                assert!(count == heads || feedback == "--plan", "{line}: {count}");
            }
        }
    }
}

/// What is behind a stop token that was drawn, and behind the last token, is not drawn; how many there were is told.
#[test]
fn requests_end() {
    let folder = folder();
    let steps: [[usize; 5]; 2] = [[0, 1, 2, 3, 0], [3, 2, 1, 0, 2]];
    let one_hot = |&token: &usize| (0..4).map(move |i| if i == token { 5.0 } else { 0.0 });
    let values: Vec<f32> = steps.iter().flatten().flat_map(one_hot).collect();
    folder.put("steps.npy", npy("<f4", "(2, 5, 4)", &stored("f32", &values)));
    folder.put("late.json", r#"[{"position": 2}, {"max_new_tokens": 1}]"#);
    for (options, expected, [stopped, at_length, behind]) in [
        ("--stop-token-ids 2,1 --feedback", "01---32---", [2, 0, 6]),
        ("--stop-token-ids 3 --max-tokens 3 --feedback", "012--3----", [1, 1, 6]),
        ("--max-tokens 4", "0123-3210-", [0, 2, 2]),
        ("--max-tokens 4 --params late.json", "01---3----", [0, 2, 7]),
        ("--max-tokens 1 --stop-token-ids 0", "0----3----", [1, 1, 8]),
    ] {
        let line = format!("sample steps.npy --temperature 0 --device cpu --format tokens {options}");
        let output = successful(&line, folder.run(&line));
        let drawn = String::from_utf8_lossy(&output.stdout).replace('\n', "");
        assert_eq!(drawn, expected, "{options}");
        let words = format!(
            "{stopped} stop tokens drawn, {at_length} requests at max_tokens, {behind} rows behind an end not drawn"
        );
        assert!(stderr(&output).contains(&words), "{options}: {}", stderr(&output));
    }
    let lines = folder.lines("sample steps.npy --temperature 0 --device cpu --max-tokens 3");
    let statuses: Vec<&str> = lines.iter().filter_map(|line| line["status"].as_str()).collect();
    assert_eq!(statuses[..5], ["ok", "ok", "ok", "finished", "finished"]);
}
