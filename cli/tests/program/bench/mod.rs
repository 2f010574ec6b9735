//! `sortilege bench`: what its files say and what it refuses. Times themselves are not tested.

mod idle;
mod results;

use std::process::Output;

use serde_json::{Value, json};

use crate::common::{Folder, npy, stderr, stored, successful};
use crate::devices::adapters;
use crate::table::test_each;

const FIELDS: &[&str] = &[
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
    "filters",
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
    // log 2 tops, sample 2 × 2 draws, sample-tokens, log-softmax, top-k without 0
    assert_eq!(cells.len(), 2 * 2 * 2 * 2 * (2 + 4 + 1 + 1 + 1));
    for cell in cells {
        assert_eq!(cell.as_object().expect("an object").keys().collect::<Vec<_>>(), FIELDS);
        let op = cell["op"].as_str().expect("a word");
        let mut expected = vec![
            "bytes_back",
            "cache",
            "dispatches",
            "empty_submit_us",
            "error",
            "filters",
            "gap_us",
            "gpu_us",
        ];
        expected.extend(["kernels", "map_us", "pass_us", "wall_ring_us"]);
        expected.extend(matches!(op, "log-softmax" | "sample-tokens").then_some("top"));
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
    assert_eq!((some("threads", json!(1)), some("threads", json!(2))), (72, 72));
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
        cells.len() == 5 && cells.iter().all(|cell| cell["error"].is_null()),
        "rows that are no distributions"
    );
}

#[test]
fn a_cell_that_cannot_be_says_why_and_the_others_are_measured() {
    let folder = Folder::new();
    let beyond = sortilege::SamplingParams::MAX_DRAWS + 1;
    // Of the second there are 64 TiB.
    let line = "bench --device cpu --rows 2,16777216 --vocab 1048576 --dtype f32 --op sample --top 5 --repeat 1 \
                --threads 1 --format jsonl -o cells";
    let output = folder.run(line);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("error: 1 not measured; the first: "), "{}", stderr(&output));
    let text = String::from_utf8(folder.get("cells")).expect("UTF-8");
    let cells: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(cells.len(), 2);
    assert!(cells[0]["error"].is_null() && is_positive(&cells[0], "wall_us"), "{}", cells[0]);
    let error = cells[1]["error"].as_str().expect("an error");
    assert!(
        error.contains("70368744177664 bytes of logits are more") && cells[1]["wall_us"].is_null(),
        "{error}"
    );
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
    let info: Value = serde_json::from_str(&folder.text("info --json --gl")).expect("JSON");
    let list = info["adapters"].as_array().expect("an array");
    test_each(
        adapters(&folder).into_iter().map(|(id, backend)| (id.clone(), (id, backend))),
        |(id, backend)| {
            let adapter = list.iter().find(|adapter| adapter["name"] == *id).expect("it is listed");
            if adapter["software"] == true {
                let refused = small_bench(&folder, &id, &[]);
                assert_eq!(refused.status.code(), Some(2), "without --allow-software");
                assert!(stderr(&refused).contains("--allow-software"), "{}", stderr(&refused));
                assert!(refused.stdout.is_empty());
            }
            let runs: [(&[&str], &str, f64); 2] = [
                (&["--allow-software"], "floats", 1.0),
                (&["--allow-software", "--integers", "--temperature", "0.25"], "integers", 0.25),
            ];
            for (options, kernels, temperature) in runs {
                let output = successful(&id, small_bench(&folder, &id, options));
                check_cells(&output.stdout, (&id, &backend), kernels, temperature);
            }
        },
    );
}

fn small_bench(folder: &Folder, id: &str, options: &[&str]) -> Output {
    let line =
        "bench --rows 2 --vocab 5000 --dtype bf16 --top 20 --op all --repeat 2 --seconds 0.05 --format jsonl";
    folder.command(line).args(["--device", id]).args(options).output().expect("it starts")
}

fn check_cells(stdout: &[u8], (id, backend): (&str, &str), kernels: &str, temperature: f64) {
    let text = std::str::from_utf8(stdout).expect("UTF-8");
    let cells: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<_> = cells.iter().map(|cell| (cell["op"].as_str(), cell["cache"].as_str())).collect();
    let expected: Vec<_> = ["log", "sample", "sample-tokens", "log-softmax", "top-k"]
        .iter()
        .flat_map(|op| [(Some(*op), Some("warm")), (Some(*op), Some("cold"))])
        .collect();
    assert_eq!(found, expected);
    test_each(cells.iter().map(|cell| (cell, cell)), |cell| {
        let has_temperature = cell["op"] != "log-softmax" && cell["op"] != "top-k";
        let temperature = if has_temperature { json!(temperature) } else { Value::Null };
        assert_eq!((&cell["kernels"], &cell["temperature"]), (&json!(kernels), &temperature));
        assert_eq!(wrong_in(cell, id, backend), None);
    });
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

/// A result as a line of a file, with some of its fields changed.
fn cell(changes: Value) -> String {
    let mut cell = json!({"device": "gpu", "adapter": "Some <GPU> & more", "op": "log", "rows": 8, "vocab": 128_256,
        "dtype": "f32", "top": 20, "data": "normal", "cache": "cold", "gpu_us": 10.0, "wall_us": 100.0});
    for (name, value) in changes.as_object().expect("an object") {
        cell[name] = value.clone();
    }
    format!("{cell}\n")
}

/// A command line, its exit code, and words of its message.
const REFUSED: &[(&str, i32, &str)] = &[
    ("bench --rows 0", 2, "\"0\" is no whole number from 1 to 16777216"),
    ("bench --rows 1,x", 2, "invalid value 'x'"),
    ("bench --vocab 0", 2, "\"0\" is no whole number from 1 to 1048576"),
    ("bench --vocab 1048577", 2, "\"1048577\" is no whole number from 1 to 1048576"),
    ("bench --dtype f64", 2, "f64"),
    ("bench --op nosuch", 2, "nosuch"),
    ("bench --rows 1,-8", 2, "\"-8\" is no whole number from 1 to 16777216"),
    ("bench --top 1048577", 2, "from 0 to 1048576"),
    ("bench --draws 0", 2, "from 1 to 16"),
    ("bench --threads 0", 2, "from 1 to 1024"),
    ("bench --repeat 0", 2, "from 1 to 4294967295"),
    ("bench --seconds 0", 2, "--seconds 0 is outside 0 (excluded) to 3600"),
    ("bench --seconds -1", 2, "--seconds -1 is outside 0 (excluded) to 3600"),
    ("bench --seconds 3601", 2, "--seconds 3601 is outside"),
    ("bench --seconds NaN", 2, "--seconds NaN is outside"),
    ("bench --temperature -1", 2, "--op log: temperature -1 is outside 0.001 to 1000"),
    ("bench --temperature 0", 2, "--op log: temperature 0 is outside"),
    ("bench --op sample --temperature NaN", 2, "--op sample: temperature NaN is neither 0"),
    ("bench --device nosuch", 4, "nosuch"),
    ("bench --input missing.npy", 1, "missing.npy"),
    ("bench --input none.npy", 1, "no rows"),
    ("bench --input one.npy --rows 3", 2, "--rows"),
    ("bench --input one.npy --dtype f32,f16", 2, "leave --dtype out"),
    ("bench --input one.npy --dtype f16", 2, "the file says f32"),
    ("bench --input one.npy -o one.npy", 2, "would replace the input"),
    ("bench --device cpu -o nowhere/out", 1, "nowhere/out"),
    ("bench --device cpu -o .", 1, "is no regular file"),
    ("bench --compare good", 2, "2 values required"),
    ("bench --compare good missing", 1, "missing"),
    ("bench --compare good bad", 1, "bad: no results of `sortilege bench --format json` or jsonl: line 2"),
    ("bench --compare bad.json good", 1, "bad.json: no results"),
    ("bench --compare good empty", 1, "empty: no results"),
    ("bench --compare good log.jsonl", 1, "log.jsonl: no results"),
    ("bench --plot out.svg untimed", 1, "choose another --x"),
    ("bench --plot good good", 2, "would replace the input"),
];

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
    test_each(REFUSED.iter().map(|case| (case.0, case)), |(line, code, words)| {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(*code), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "no {words:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    });
    assert!(folder.contents(".").keys().all(|name| name != "out.svg" && !name.starts_with(".sortilege")));
}
