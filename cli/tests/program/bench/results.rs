//! Files of results: compared, read again, drawn.

use serde_json::json;

use super::cell;
use crate::common::{Folder, stderr, successful};
use crate::table::test_each;

#[test]
fn comparisons_join_cells_and_tell_ratios() {
    let folder = Folder::new();
    let both = [cell(json!({})), cell(json!({"rows": 64}))].concat();
    folder.put("a", &both);
    folder.put("twice", [cell(json!({"gpu_us": 20.0})), cell(json!({"rows": 64, "gpu_us": 20.0}))].concat());
    folder.put("mixed", [cell(json!({"gpu_us": 40.0})), cell(json!({"rows": 64, "gpu_us": null}))].concat());
    folder.put("array.json", format!("[{},{}]", cell(json!({})), cell(json!({"rows": 1}))));
    folder.put("other", cell(json!({"adapter": "another"})));
    let means = |gpu: &str, count: usize| {
        format!(
            "geometric mean of {count} ratios of GPU time: {gpu}\ngeometric mean of 2 ratios of wall time: 1.000\n"
        )
    };
    let same = folder.text("bench --compare a a");
    assert!(same.ends_with(&means("1.000", 2)), "{same}");
    let twice = folder.text("bench --compare a twice");
    assert!(twice.ends_with(&means("2.000", 2)), "{twice}");
    assert!(twice.contains("10.0       20.0   2.000"), "{twice}");
    let mixed = folder.text("bench --compare a mixed");
    assert!(mixed.ends_with(&means("4.000", 1)), "{mixed}");
    let partly = folder.text("bench --compare a array.json");
    let only =
        |side: &str, rows: u32| format!("only in {side}: gpu (Some <GPU> & more) log [{rows}][128256] f32");
    assert!(partly.contains(&only("A", 64)) && partly.contains(&only("B", 1)), "{partly}");
    assert!(!partly.contains(&only("A", 8)), "{partly}");
    let output = folder.run("bench --compare a other");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no cell of a is in other"), "{}", stderr(&output));
    // Neither are cells a match that have no times, only errors.
    folder.put("failed", cell(json!({"gpu_us": null, "wall_us": null, "error": "too large"})));
    for (a, b) in [("failed", "failed"), ("a", "failed"), ("failed", "a")] {
        let output = folder.run(&format!("bench --compare {a} {b}"));
        assert_eq!(output.status.code(), Some(1), "{a} {b}");
        let words = format!("no cell of {a} is in {b} with a time in both");
        assert!(stderr(&output).contains(&words), "{}", stderr(&output));
    }
    let some = [cell(json!({})), cell(json!({"rows": 1, "gpu_us": null, "wall_us": null}))].concat();
    folder.put("some", some);
    let text = folder.text("bench --compare some some");
    assert!(text.contains("geometric mean of 1 ratios of GPU time"), "{text}");
}

/// An option that would not be heard is refused.
#[test]
fn files_of_results_are_not_measured_again() {
    let folder = Folder::new();
    folder.put("a", cell(json!({})));
    let options = "--device cpu;--allow-software;--integers;--op log;--rows 1;--vocab 3;--dtype f16;--top 1;\
                   --draws 1;--temperature 1;--data tied;--input a;--threads 1;--repeat 1;\
                   --seconds 1;--format csv;--output out";
    let files = ["--compare a a", "--plot out.svg a"];
    let lines = options.split(';').flat_map(|option| files.map(|what| format!("bench {option} {what}")));
    test_each(lines.map(|line| (line.clone(), line)), |line| {
        let output = folder.run(&line);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("cannot be used with"), "{}", stderr(&output));
    });
    assert_eq!(folder.contents(".").len(), 1, "nothing is written");
    folder.printed("bench --compare a a");
}

/// What a run measures can be compared and drawn.
#[test]
fn results_are_read_again() {
    let folder = Folder::new();
    let line = "bench --device cpu --rows 1,2 --vocab 300 --dtype f32 --op log,sample --repeat 2 --threads 1";
    folder.printed(&format!("{line} -o a.json"));
    folder.printed(&format!("{line} -o b.jsonl"));
    let text = folder.text("bench --compare a.json b.jsonl");
    assert!(text.contains("geometric mean of 4 ratios of wall time: "), "{text}");
    folder.printed("bench --plot out.svg a.json b.jsonl");
    assert!(folder.get("out.svg").starts_with(b"<svg "));
}

#[test]
fn a_plot_has_a_line_per_series() {
    let folder = Folder::new();
    let mut lines = String::new();
    for rows in [1, 8, 64] {
        for (op, dtype) in [("log", "f32"), ("log", "f16"), ("sample", "f32")] {
            lines += &cell(json!({"op": op, "dtype": dtype, "rows": rows, "gpu_us": f64::from(rows) * 3.0}));
        }
        lines += &cell(json!({"device": "cpu", "adapter": "cpu", "threads": 2, "rows": rows, "cache": null,
            "gpu_us": null, "wall_us": f64::from(rows) * 500.0}));
    }
    lines += &cell(json!({"wall_us": null, "gpu_us": null, "error": "too large"}));
    folder.put("cells", &lines);
    let output = successful("plot", folder.run("bench --plot out.svg cells"));
    assert!(stderr(&output).starts_with("note: 1 cells have no time"), "{}", stderr(&output));
    let svg = String::from_utf8(folder.get("out.svg")).expect("UTF-8");
    let document = roxmltree::Document::parse(&svg).expect("well-formed");
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let texts: Vec<&str> = root
        .descendants()
        .filter(|node| node.is_text())
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect();
    for wanted in ["rows", "time of a call, µs", "1", "10", "100"] {
        assert!(texts.contains(&wanted), "{wanted}: {texts:?}");
    }
    let named = |name: &str| texts.iter().filter(|text| text.starts_with(name)).count();
    for (name, count) in [
        ("Some <GPU> & more, log, f32", 1),
        ("Some <GPU> & more, log, f16", 1),
        ("Some <GPU> & more, sample, f32", 1),
        ("cpu, log, f32", 1),
        ("Some <GPU>", 3),
    ] {
        assert_eq!(named(name), count, "{name}: {texts:?}");
    }
    // A line through three points, and one in the legend, of each colour.
    let lines: Vec<(&str, usize)> = root
        .descendants()
        .filter(|node| node.has_tag_name("polyline") && node.attribute("stroke-width") == Some("2"))
        .map(|node| {
            let points = node.attribute("points").expect("points").split_whitespace().count();
            (node.attribute("stroke").expect("a colour"), points)
        })
        .collect();
    let mut colours: Vec<&str> =
        lines.iter().filter(|(_, points)| *points == 3).map(|(colour, _)| *colour).collect();
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 4, "{lines:?}");
    assert_eq!(lines.len(), 8, "{lines:?}");
    // Readable on a dark page: a white ground under all.
    let ground = root.descendants().find(|node| node.has_tag_name("rect")).expect("a ground");
    assert_eq!(
        (ground.attribute("fill"), ground.attribute("width")),
        (Some("#FFFFFF"), root.attribute("width"))
    );
}

/// By alternatives, of which there may be none.
#[test]
fn a_plot_of_alternatives_begins_at_none() {
    let folder = Folder::new();
    let tops: String = [0, 20, 1000].iter().map(|top| cell(json!({"top": top, "gpu_us": top + 1}))).collect();
    folder.put("tops", tops);
    folder.printed("bench --plot tops.svg --x top tops");
    let svg = String::from_utf8(folder.get("tops.svg")).expect("UTF-8");
    let document = roxmltree::Document::parse(&svg).expect("well-formed");
    assert!(document.descendants().any(|node| node.text().is_some_and(|text| text.trim() == "0")), "{svg}");
    assert!(
        document
            .descendants()
            .any(|node| node.text().is_some_and(|text| text.trim() == "alternatives per row"))
    );
}
