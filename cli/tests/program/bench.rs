//! `sortilege bench`: what its files say, what it refuses, comparisons and plots. Times themselves are not tested.

use serde_json::{Value, json};

use crate::common::{Folder, conclude, npy, stderr, stored, successful};
use crate::devices::adapters;

const FIELDS: [&str; 35] = [
    "adapter",
    "backend",
    "bytes_back",
    "bytes_read",
    "bytes_written",
    "cache",
    "calls",
    "ceiling_gb_per_s",
    "commit",
    "data",
    "date",
    "device",
    "dispatches",
    "draws",
    "driver",
    "dtype",
    "empty_submit_us",
    "error",
    "gap_us",
    "gb_per_s",
    "gpu_us",
    "kernels",
    "map_us",
    "op",
    "p95_us",
    "pass_us",
    "percent_of_ceiling",
    "rows",
    "temperature",
    "threads",
    "top",
    "version",
    "vocab",
    "wall_ring_us",
    "wall_us",
];

/// Fields that are null.
fn nulls(cell: &Value) -> Vec<&str> {
    let fields = cell.as_object().expect("an object").iter();
    fields.filter(|(_, value)| value.is_null()).map(|(name, _)| name.as_str()).collect()
}

fn is_positive(cell: &Value, name: &str) -> bool {
    cell[name].as_f64().is_some_and(|number| number > 0.0 && number.is_finite())
}

#[test]
fn cells_of_the_cpu_engine_say_what_was_measured() {
    let folder = Folder::new();
    let line = "bench --device cpu --rows 1,3 --vocab 1,5000 --dtype f32,bf16 --top 0,7 --draws 1,3 --op all \
                --threads 1,2 --data tied --repeat 3 --format json";
    let mut command = folder.command(line);
    let output = successful(line, command.env("SORTILEGE_COMMIT", "abc123").output().expect("it starts"));
    let cells: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let cells = cells.as_array().expect("an array");
    // log 2 tops, sample 2 × 2 draws, log-softmax, top-k without 0
    assert_eq!(cells.len(), 2 * 2 * 2 * 2 * (2 + 4 + 1 + 1));
    for cell in cells {
        assert_eq!(cell.as_object().expect("an object").keys().collect::<Vec<_>>(), FIELDS);
        let op = cell["op"].as_str().expect("a word");
        let mut expected =
            vec!["bytes_back", "cache", "dispatches", "empty_submit_us", "error", "gap_us", "gpu_us"];
        expected.extend(["kernels", "map_us", "pass_us", "wall_ring_us"]);
        expected.extend((op == "log-softmax").then_some("top"));
        expected.extend((op != "sample").then_some("draws"));
        expected.extend(matches!(op, "log-softmax" | "top-k").then_some("temperature"));
        expected.sort_unstable();
        assert_eq!(nulls(cell), expected, "{cell}");
        for name in ["wall_us", "p95_us", "gb_per_s", "ceiling_gb_per_s", "percent_of_ceiling"] {
            assert!(is_positive(cell, name), "{name}: {cell}");
        }
        let width = if cell["dtype"] == "f32" { 4 } else { 2 };
        let logits = cell["rows"].as_u64().expect("rows") * cell["vocab"].as_u64().expect("vocab");
        let reads = if op == "log-softmax" { 2 } else { 1 };
        assert_eq!(cell["bytes_read"], logits * width * reads, "{cell}");
        assert_eq!(cell["bytes_written"], if reads == 2 { logits * 4 } else { 0 }, "{cell}");
        let rate = (logits * width * reads + cell["bytes_written"].as_u64().expect("bytes")) as f64
            / cell["wall_us"].as_f64().expect("a time")
            / 1e3;
        assert!((cell["gb_per_s"].as_f64().expect("a rate") / rate - 1.0).abs() < 1e-9, "{cell}");
        assert_eq!(cell["commit"], "abc123");
        assert_eq!(cell["data"], "tied");
        assert_eq!((&cell["calls"], &cell["backend"]), (&json!(3), &json!("rust")));
        let date = cell["date"].as_str().expect("a date");
        assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    }
    let some = |name: &str, value: Value| cells.iter().filter(|cell| cell[name] == value).count();
    assert_eq!((some("threads", json!(1)), some("threads", json!(2))), (64, 64));
    assert_eq!((some("top", json!(0)), some("draws", json!(3))), (16 * 3, 16 * 2));
}

#[test]
fn a_file_may_give_the_logits_and_take_the_results() {
    let folder = Folder::with_assets();
    folder.put("nan.npy", npy("<f4", "(2, 3)", &stored("f32", &[1.0, f32::NAN, 3.0, 3.0, 2.0, 1.0])));
    folder.make_folder("out");
    let quick = "--device cpu --repeat 1 --threads 1";
    for (name, op, first) in [
        ("cells.json", "log", "["),
        ("cells.jsonl", "sample", "{"),
        ("cells.csv", "top-k", "device,"),
        ("cells.md", "log-softmax", "| device"),
        ("cells", "log,sample", "{"),
    ] {
        let line = format!("bench {quick} --input logits.npy --op {op} -o out/{name}");
        assert_eq!(folder.printed(&line), b"");
        let text = String::from_utf8(folder.get(&format!("out/{name}"))).expect("UTF-8");
        assert!(text.starts_with(first) && text.contains("4096"), "{name}: {text}");
    }
    assert_eq!(folder.contents("out").len(), 5, "no other file remains");
    let [cell] = &folder.lines(&format!("bench {quick} --input logits.npy --op log --format jsonl"))[..]
    else {
        panic!("one cell")
    };
    assert_eq!((&cell["rows"], &cell["vocab"]), (&json!(192), &json!(4096)));
    assert_eq!((&cell["dtype"], &cell["data"]), (&json!("f16"), &json!("logits.npy")));
    let cells = folder.lines(&format!("bench {quick} --input nan.npy --op all --top 2 --format jsonl"));
    assert!(
        cells.len() == 4 && cells.iter().all(|cell| cell["error"].is_null()),
        "rows that are no distributions"
    );
}

#[test]
fn a_cell_that_cannot_be_says_why_and_the_others_are_measured() {
    let folder = Folder::new();
    let beyond = sortilege::SamplingParams::MAX_DRAWS + 1;
    let line = "bench --device cpu --rows 2 --vocab 100 --dtype f32 --op sample --top 5,4000000000 --repeat 1 \
                --threads 1 --format jsonl -o cells";
    let output = folder.run(line);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("error: 1 not measured; the first: "), "{}", stderr(&output));
    let text = String::from_utf8(folder.get("cells")).expect("UTF-8");
    let cells: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(cells.len(), 2);
    assert!(cells[0]["error"].is_null() && is_positive(&cells[0], "wall_us"), "{}", cells[0]);
    let error = cells[1]["error"].as_str().expect("an error");
    assert!(error.contains("4000000000") && cells[1]["wall_us"].is_null(), "{error}");
    let output = folder.run(&format!("bench --device cpu --draws {beyond}"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_temperature_is_measured_and_told() {
    let folder = Folder::new();
    let quick = "bench --device cpu --rows 2 --vocab 5000 --dtype f32 --top 3 --repeat 1 --threads 1";
    for (options, shown) in [
        ("--op log --temperature 0.001", "0.001"),
        ("--op sample --temperature 0", "0"),
        ("--op sample --draws 3 --temperature 0.7", "0.7"),
    ] {
        let line = format!("{quick} {options}");
        let [cell] = &folder.lines(&format!("{line} --format jsonl"))[..] else { panic!("one cell: {line}") };
        assert_eq!(cell["temperature"].as_f64(), shown.parse().ok(), "{cell}");
        let csv = folder.text(&format!("{line} --format csv"));
        assert!(csv.contains(&format!(",{shown},")), "{csv}");
        let md = folder.text(&format!("{line} --format md"));
        assert!(md.contains(&format!("| {shown} |")), "{md}");
    }
}

#[test]
fn software_adapters_are_measured_only_if_asked_for() {
    let folder = Folder::new();
    let mut failures = Vec::new();
    let info: Value = serde_json::from_str(&folder.text("info --json --gl")).expect("JSON");
    for (id, backend) in adapters(&folder) {
        let line = "bench --rows 2 --vocab 5000 --dtype bf16 --top 20 --op all --repeat 2 --seconds 0.05 --format jsonl";
        let run = |options: &[&str]| {
            let command = &mut folder.command(line);
            command.args(["--device", &id]).args(options).output().expect("it starts")
        };
        let list = info["adapters"].as_array().expect("an array");
        let adapter = list.iter().find(|adapter| adapter["name"] == *id).expect("it is listed");
        if adapter["software"] == true {
            let refused = run(&[]);
            let said = stderr(&refused);
            if refused.status.code() != Some(2)
                || !said.contains("--allow-software")
                || !refused.stdout.is_empty()
            {
                failures.push(format!("{} without --allow-software: {:?} {said}", id, refused.status));
            }
        }
        let kernels = if adapter["shader_int64"] == true { "int64" } else { "portable" };
        let runs: [(&[&str], &str, f64); 2] = [
            (&["--allow-software"], kernels, 1.0),
            (&["--allow-software", "--portable", "--temperature", "0.25"], "portable", 0.25),
        ];
        for (options, kernels, temperature) in runs {
            let output = successful(&id, run(options));
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            let cells: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let found: Vec<_> =
                cells.iter().map(|cell| (cell["op"].as_str(), cell["cache"].as_str())).collect();
            let expected: Vec<_> = ["log", "sample", "log-softmax", "top-k"]
                .iter()
                .flat_map(|op| [(Some(*op), Some("warm")), (Some(*op), Some("cold"))])
                .collect();
            assert_eq!(found, expected, "{id}");
            for cell in &cells {
                let has_temperature = cell["op"] == "log" || cell["op"] == "sample";
                let temperature = if has_temperature { json!(temperature) } else { Value::Null };
                let options = (&cell["kernels"], &cell["temperature"]) != (&json!(kernels), &temperature);
                let wrong = options.then(|| "kernels or temperature".to_owned());
                if let Some(wrong) = wrong.or_else(|| wrong_in(cell, &id, &backend)) {
                    failures.push(format!("{id}: {wrong}: {cell}"));
                }
            }
        }
    }
    conclude(&failures);
}

/// `auto` with software adapters allowed is an adapter, whatever there is of them.
#[test]
fn a_software_adapter_comes_before_the_cpu_engine_if_asked_for() {
    let folder = Folder::new();
    let info: Value = serde_json::from_str(&folder.text("info --json")).expect("JSON");
    let mut list = info["adapters"].as_array().expect("an array").iter();
    let best = list.find(|adapter| adapter["unfit"].is_null()).expect("an adapter that can run the kernels");
    let line = "bench --allow-software --rows 1 --vocab 300 --dtype f32 --op top-k --repeat 1 --format jsonl";
    let output = successful(line, folder.run(line));
    let first = output.stdout.split(|byte| *byte == b'\n').next().expect("a line");
    let cell: Value = serde_json::from_slice(first).expect("JSON");
    assert_eq!((&cell["device"], &cell["error"]), (&best["name"], &Value::Null));
    let is_told = stderr(&output).contains("a software adapter, is measured");
    assert_eq!(is_told, best["software"] == true, "{}", stderr(&output));
}

/// What a cell of a device should not say.
fn wrong_in(cell: &Value, id: &str, backend: &str) -> Option<String> {
    if cell["device"] != id
        || cell["backend"] != backend
        || cell["adapter"] == "cpu"
        || !cell["error"].is_null()
    {
        return Some("names".to_owned());
    }
    let is_warm = cell["cache"] == "warm";
    let ring = if is_warm { Some("wall_ring_us") } else { None };
    let positive = ["wall_us", "p95_us", "gb_per_s", "ceiling_gb_per_s", "empty_submit_us", "map_us"];
    if let Some(name) = positive.into_iter().chain(ring).find(|name| !is_positive(cell, name)) {
        return Some(name.to_owned());
    }
    let (op, back) = (cell["op"].as_str()?, cell["bytes_back"].as_u64()?);
    if (back > 0) != matches!(op, "log" | "sample") || (!is_warm && !cell["wall_ring_us"].is_null()) {
        return Some("bytes back, or a ring in a cold cache".to_owned());
    }
    // An adapter without timestamps has none of the three.
    let Some(gpu) = cell["gpu_us"].as_f64() else {
        let others = [&cell["pass_us"], &cell["dispatches"]];
        return (!others.iter().all(|value| value.is_null())).then(|| "passes without timestamps".to_owned());
    };
    let passes = cell["pass_us"].as_object()?;
    let kernels = passes.keys().filter(|name| *name != "copy").count() as u64;
    (gpu <= 0.0 || !passes.contains_key("tile_stats") || cell["dispatches"] != kernels)
        .then(|| "timestamps".to_owned())
}

/// A result as a line of a file, with some of its fields changed.
fn cell(changes: Value) -> String {
    let mut cell = json!({"device": "gpu", "adapter": "Some <GPU> & more", "op": "log", "rows": 8, "vocab": 128_256,
        "dtype": "f32", "top": 20, "data": "normal", "cache": "cold", "gpu_us": 10.0, "wall_us": 100.0});
    for (name, value) in changes.as_object().expect("an object") {
        cell[name] = value.clone();
    }
    format!("{cell}\n")
}

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
    let options = "--device cpu;--allow-software;--portable;--op log;--rows 1;--vocab 3;--dtype f16;--top 1;--draws 1;\
                   --temperature 1;--data tied;--input a;--threads 1;--repeat 1;--seconds 1;--format csv;--output out";
    let mut failures = Vec::new();
    for option in options.split(';') {
        for what in ["--compare a a", "--plot out.svg a"] {
            let output = folder.run(&format!("bench {option} {what}"));
            if output.status.code() != Some(2) || !stderr(&output).contains("cannot be used with") {
                failures.push(format!("{option} {what}: {:?} {}", output.status, stderr(&output)));
            }
        }
    }
    conclude(&failures);
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

    // By alternatives, of which there may be none.
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

#[test]
fn what_cannot_be_is_refused() {
    let folder = Folder::new();
    folder.put("good", cell(json!({})));
    folder.put("bad", format!("{}{{\"device\":", cell(json!({}))));
    folder.put("bad.json", "[{\"device\": 1}]");
    folder.put("empty", "");
    folder.put("log.jsonl", "{\"request\":0,\"position\":8,\"token\":430}\n");
    folder.put("untimed", cell(json!({"gpu_us": null, "wall_us": null})));
    folder.put("none.npy", npy("<f4", "(0, 3)", b""));
    folder.put("one.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    let cases: [(&str, i32, &str); 31] = [
        ("bench --rows 0", 2, "0 is not in 1..=16777216"),
        ("bench --rows 1,x", 2, "invalid value 'x'"),
        ("bench --vocab 0", 2, "0 is not in 1..=1048576"),
        ("bench --vocab 1048577", 2, "1048577 is not in 1..=1048576"),
        ("bench --dtype f64", 2, "f64"),
        ("bench --op nosuch", 2, "nosuch"),
        ("bench --draws 0", 2, "0 is not in"),
        ("bench --threads 0", 2, "0 is not in"),
        ("bench --repeat 0", 2, "0 is not in"),
        ("bench --seconds 0", 2, "--seconds 0 is outside"),
        ("bench --seconds NaN", 2, "--seconds NaN is outside"),
        ("bench --temperature -1", 2, "--op log: temperature -1 is outside 0.001 to 1000"),
        ("bench --temperature 0", 2, "--op log: temperature 0 is outside"),
        ("bench --op sample --temperature NaN", 2, "--op sample: temperature NaN is neither 0 nor in"),
        ("bench --device nosuch", 4, "nosuch"),
        ("bench --input missing.npy", 1, "missing.npy"),
        ("bench --input none.npy", 1, "no rows"),
        ("bench --input one.npy --rows 3", 2, "--rows"),
        ("bench --input one.npy --dtype f32,f16", 2, "leave --dtype out"),
        ("bench --input one.npy --dtype f16", 1, "the file says f32"),
        ("bench --input one.npy -o one.npy", 2, "would replace the input"),
        ("bench --device cpu -o nowhere/out", 1, "nowhere/out"),
        ("bench --device cpu -o .", 1, "is no regular file"),
        ("bench --compare good", 2, "2 values required"),
        ("bench --compare good missing", 1, "missing"),
        (
            "bench --compare good bad",
            1,
            "bad: no results of `sortilege bench --format json` or jsonl: line 2",
        ),
        ("bench --compare bad.json good", 1, "bad.json: no results"),
        ("bench --compare good empty", 1, "empty: no results"),
        ("bench --compare good log.jsonl", 1, "log.jsonl: no results"),
        ("bench --plot out.svg untimed", 1, "choose another --x"),
        ("bench --plot good good", 2, "would replace the input"),
    ];
    let mut failures = Vec::new();
    for (line, code, words) in cases {
        let output = folder.run(line);
        if output.status.code() != Some(code) || !stderr(&output).contains(words) || !output.stdout.is_empty()
        {
            failures.push(format!(
                "{line}: {:?}, not {code} and {words:?}: {}",
                output.status,
                stderr(&output)
            ));
        }
    }
    conclude(&failures);
    assert!(folder.contents(".").keys().all(|name| name != "out.svg" && !name.starts_with(".sortilege")));
}
