//! Every device prints the same bytes. A test that needs an adapter fails where there is none.

use std::process::Output;

use serde_json::Value;

use crate::common::{Folder, difference, npy, stderr, stored, successful};
use crate::table::test_each;

/// The adapters that `SORTILEGE_TEST_ADAPTERS` lists (ids, comma separated), or if it is not set all that can run the
/// kernels, by id and backend. One that is listed must be there.
pub(crate) fn adapters(folder: &Folder) -> Vec<(String, String)> {
    let info: Value = serde_json::from_str(&folder.text("info --json --gl")).expect("JSON");
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let mut found: Vec<(String, String)> = info["adapters"]
        .as_array()
        .expect("an array")
        .iter()
        .filter(|adapter| adapter["unfit"].is_null())
        .map(|adapter| (word(&adapter["name"]), word(&adapter["backend"])))
        .collect();
    if let Ok(listed) = std::env::var("SORTILEGE_TEST_ADAPTERS") {
        let listed: Vec<&str> = listed.split(',').map(str::trim).collect();
        found.retain(|(id, _)| listed.contains(&id.as_str()));
        for id in listed {
            assert!(found.iter().any(|(found, _)| found == id), "adapter {id:?} is required and missing");
        }
    }
    assert!(!found.is_empty(), "no adapter: install a software Vulkan driver, such as lavapipe of Mesa");
    found
}

#[test]
fn every_device_prints_the_bytes_of_the_cpu() {
    let folder = Folder::with_assets();
    let asset = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json";
    let mut values: Vec<f32> = (0..9 * 5001u32)
        .map(|i| f32::from(u16::try_from(i % 8191 * 31 % 509).expect("small")) * 0.25)
        .collect();
    values[2 * 5001 + 7] = f32::NAN;
    values[3 * 5001 + 4999] = f32::INFINITY;
    values[4 * 5001..5 * 5001].fill(f32::NEG_INFINITY);
    values[6 * 5001..7 * 5001].fill(-3.5);
    for (name, dtype, descr) in [("f32.npy", "f32", "<f4"), ("bf16.npy", "bf16", "|V2")] {
        folder.put(name, npy(descr, "(3, 3, 5001)", &stored(dtype, &values)));
    }
    let lines = [
        format!("{asset} --format jsonl"),
        format!("{asset} --format csv"),
        format!("{asset} --format openai"),
        format!("{asset} --temperature 0.7 --top 50"),
        "log f32.npy --tokens 5000,0,7,4999,1,-1,3,4096,9 --top 300 --format csv".to_owned(),
        "log bf16.npy --dtype bf16 --tokens 5000,0,7,4999,1,-1,3,4096,9 --top 1024".to_owned(),
        "log f32.npy --tokens 5000,0,7,4999,1,-1,3,4096,9 --top 5001 --format csv".to_owned(),
        "log bf16.npy --dtype bf16 --top 1025".to_owned(),
        "log bf16.npy --dtype bf16 --vocab-size 4097 --top 40".to_owned(),
        "log f32.npy --token-ids 5000,0,7,0,4096 --top 2".to_owned(),
        "log bf16.npy --dtype bf16 --vocab-size 4097 --token-ids 4096 --top 1030".to_owned(),
        "log f32.npy --vocab-size 4999 --top 1030 --format csv".to_owned(),
        "sample f32.npy --seed 2 --top-p 0.9 --processed-logprobs -1 --raw-logprobs 2000".to_owned(),
        "sample bf16.npy --dtype bf16 --seed 3 --processed-logprobs 1025".to_owned(),
        "sample f32.npy --vocab-size 1001 --seed 2 --draws 3 --top-p 0.9 --raw-logprobs 3".to_owned(),
    ];
    test_each(lines.map(|line| (line.clone(), line)), |line| {
        let expected = folder.printed(&format!("{line} --device cpu"));
        assert!(!expected.is_empty());
        test_each(adapters(&folder).into_iter().map(|(id, _)| (id.clone(), id)), |id| {
            let output = run_on(&folder, &line, &id);
            assert_eq!(difference(&expected, &output.stdout), None);
            let told = stderr(&output);
            assert!(told.contains(" bytes read back ("), "no GPU did the work: {told}");
        });
    });
}

/// What a line prints on a device, whose name may have blanks.
pub(crate) fn run_on(folder: &Folder, line: &str, id: &str) -> Output {
    successful(id, folder.command(line).args(["--device", id]).output().expect("it starts"))
}

#[test]
fn the_sidecar_names_the_adapter() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    for (id, backend) in adapters(&folder) {
        let line = "log logits.npy -o records --device";
        successful(&id, folder.command(line).arg(&id).output().expect("it starts"));
        let meta: Value = serde_json::from_slice(&folder.get("records.meta.json")).expect("JSON");
        assert_eq!(meta["options"]["device"], id);
        assert_eq!(meta["backend"], backend);
        for name in ["device", "driver"] {
            assert!(
                meta[name].as_str().is_some_and(|word| !word.is_empty() && word != "cpu"),
                "{id}: {meta}"
            );
        }
    }
}

/// Every number and name of `info --gl` is one that --device knows, in whichever case; what is none names them all.
#[test]
fn the_list_of_devices_is_the_one_that_is_taken() {
    let folder = Folder::new();
    folder.put("logits.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    let info: Value = serde_json::from_str(&folder.text("info --json --gl")).expect("JSON");
    let of_cpu = folder.text("log logits.npy --device cpu");
    let fit = adapters(&folder);
    for adapter in info["adapters"].as_array().expect("an array") {
        let name = adapter["name"].as_str().expect("a name");
        if !fit.iter().any(|(id, _)| id == name) {
            continue;
        }
        for device in [adapter["number"].to_string(), name.to_uppercase()] {
            assert_eq!(String::from_utf8_lossy(&run_on(&folder, "log logits.npy", &device).stdout), of_cpu);
        }
    }
    for device in ["CPU", "Cpu", "AUTO"] {
        assert_eq!(String::from_utf8_lossy(&run_on(&folder, "log logits.npy", device).stdout), of_cpu);
    }
    let past = info["adapters"].as_array().map_or(0, Vec::len).to_string();
    let refused = folder.command("log logits.npy --device").arg(&past).output().expect("it starts");
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(4), "{told}");
    let names = info["adapters"].as_array().expect("an array").iter().filter_map(|one| one["name"].as_str());
    for name in names.chain(["auto, cpu and gpu are names too", "`sortilege info --gl`"]) {
        assert!(told.contains(name), "{name}: {told}");
    }
}

#[test]
fn a_device_and_the_cpu_are_validated() {
    let folder = Folder::new();
    // The others are, by the library's own tests.
    let ids = adapters(&folder).into_iter().map(|(id, _)| id).take(1).chain(["cpu".to_owned()]);
    test_each(ids.map(|id| (id.clone(), id)), |id| {
        let output = run_on(&folder, "validate --quick --json", &id);
        let reports: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        // With the kernels of the device, then with those by integers alone.
        let names = [id.clone(), format!("{id}, by integers")];
        let reports = reports.as_array().expect("an array");
        assert!((1..=2).contains(&reports.len()), "{} reports", reports.len());
        for (report, name) in reports.iter().zip(names) {
            let kernels = report["kernels"].as_array().expect("an array");
            assert!(kernels.iter().all(is_sound), "{report:#}");
            // The first kernel on a device is compared with its twin on the CPU, which has none to be compared with, no buffer
            // for tokens, and nothing to run ahead of.
            assert_eq!(kernels.len(), 7 + 3 * usize::from(id != "cpu"), "{report:#}");
            assert_eq!(report["device"], *name);
        }
        let told = stderr(&output);
        assert!(told.contains(" cases, 0 mismatches, errors below 1e-6"), "{told}");
    });
    let text = folder.text("validate --quick --device cpu");
    assert!(text.starts_with("cpu: cpu (rust)") && text.contains("log_softmax"), "{text}");
}

/// Whether the report of a kernel has enough cases and no mismatch.
fn is_sound(kernel: &Value) -> bool {
    kernel["mismatches"] == 0
        && kernel["first_mismatch"].is_null()
        && kernel["cases"].as_u64() > Some(100)
        && kernel["worst_error"].as_f64().is_none_or(|error| error < 1e-6)
}

/// Every filter, and some of them together, draw the same tokens from the asset on every device.
#[test]
fn every_device_draws_the_tokens_of_the_cpu() {
    let folder = Folder::with_assets();
    let asset =
        "sample logits.npy --tokenizer tokenizer.json --seed 7 --raw-logprobs 3 --processed-logprobs 3";
    let options = [
        "",
        "--temperature 0",
        "--temperature 0.7",
        "--top-k 20 --logprob-token-ids 11,198,198,4000",
        "--top-p 0.9",
        "--min-p 0.05",
        "--typical-p 0.5",
        "--top-n-sigma 1.5",
        "--epsilon-cutoff 0.01",
        "--xtc-threshold 0.1 --xtc-probability 0.8",
        "--mirostat-tau 4 --feedback",
        "--dynatemp-range 0.5",
        "--profile llama --temperature 0.8 --top-k 40 --top-p 0.95 --min-p 0.05 -n 4",
        "--repetition-penalty 1.2 --presence-penalty 0.3 --frequency-penalty 0.2 --dry-multiplier 0.8 --feedback",
        "--logit-bias 11:4,430:-3 --bad-words 198;430,262 --allowed-token-ids 11,13,198,262,430 --min-tokens 3 \
         --stop-token-ids 13",
    ];
    test_each(options.map(|option| (option, option)), |option| {
        let line = format!("{asset} {option}");
        let expected = folder.printed(&format!("{line} --device cpu"));
        assert!(expected.len() > 10_000);
        test_each(adapters(&folder).into_iter().map(|(id, _)| (id.clone(), id)), |id| {
            assert_eq!(difference(&expected, &run_on(&folder, &line, &id).stdout), None);
        });
    });
}
