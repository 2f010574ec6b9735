//! Runs that are ended from outside, and two that write one output: nothing is left behind, and what is there is whole.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Folder, npy, sha256, stderr, stored};
use crate::table::test_each;

/// A folder with logits whose rows take a while, and a folder with older records.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.put_zeros("logits.npy", 8192);
    folder.make_folder("out");
    folder.put("out/records", "older records");
    folder
}

fn kill(signal: &str, child: &Child) {
    let status =
        Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success(), "{signal}");
}

/// The program behind words of a shell.
fn behind(folder: &Folder, words: &str, line: &str) -> Command {
    let mut command = Command::new("sh");
    let line = format!("{words}; exec {} {line}", env!("CARGO_BIN_EXE_sortilege"));
    command.args(["-c", &line]).current_dir(folder.path("."));
    command
}

/// The program, which ignores no signal: whoever runs the tests in the background may have it ignore some.
fn attentive(folder: &Folder, line: &str) -> Command {
    let env = if cfg!(target_os = "linux") { "env --default-signal=HUP,INT,QUIT,TERM" } else { "env" };
    let mut command = Command::new("sh");
    let line = format!("exec {env} {} {line}", env!("CARGO_BIN_EXE_sortilege"));
    command.args(["-c", &line]).current_dir(folder.path("."));
    command
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let lines = [
        "log logits.npy --top 64 --device cpu -o out/records",
        "sample logits.npy --raw-logprobs 64 --seed 1 --device cpu -o out/records",
    ];
    let signals = [
        ("-INT", 2),
        ("-TERM", 15),
        ("-HUP", 1),
        ("-QUIT", 3),
        ("-XCPU", libc::SIGXCPU),
        ("-USR1", libc::SIGUSR1),
    ];
    let cases =
        lines.iter().flat_map(|line| signals.map(|signal| (format!("{line} {}", signal.0), (line, signal))));
    test_each(cases, |(line, (signal, number))| {
        let folder = folder();
        let before = folder.contents("out");
        let child = folder.started(&mut attentive(&folder, line));
        folder.wait_for_draft("out");
        kill(signal, &child);
        let output = child.wait_with_output().expect("it ends");
        // Not by an exit code: a shell whose loop runs it goes on after one.
        assert_eq!(output.status.signal(), Some(number), "{}", stderr(&output));
        assert!(folder.contents("out") == before, "{:?}", folder.contents("out").keys());
    });
}

/// Interrupted at any time, it has written all or nothing.
#[test]
fn at_any_time_all_or_nothing_is_there() {
    let folder = folder();
    folder.put("few.npy", npy("<f4", "(40, 1000)", &stored("f32", &vec![1.0; 40_000])));
    let before = folder.contents("out");
    test_each((0..40u64).map(|step| (step, step)), |step| {
        let child = folder.started(&mut folder.command("log few.npy --device cpu -o out/records"));
        std::thread::sleep(Duration::from_micros(step * 500));
        kill("-TERM", &child);
        let output = child.wait_with_output().expect("it ends");
        let after = folder.contents("out");
        if output.status.code() == Some(0) || after.len() == 2 {
            let meta: Value = serde_json::from_slice(&folder.get("out/records.meta.json")).expect("JSON");
            assert_eq!(meta["output_sha256"], sha256(&folder.get("out/records")).as_str());
            std::fs::remove_file(folder.path("out/records.meta.json")).expect("it is there");
            folder.put("out/records", "older records");
        } else {
            assert!(after == before, "{:?}", after.keys());
        }
    });
}

/// `nohup` has it ignore the end of its terminal.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let folder = folder();
    folder.put_zeros("logits.npy", 1024);
    let line = "log logits.npy --top 64 --device cpu -o out/records";
    let child = folder.started(&mut behind(&folder, "trap '' HUP", line));
    folder.wait_for_draft("out");
    kill("-HUP", &child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(folder.contents("out").len(), 2);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = folder();
    let before = folder.contents("out");
    let line = "log logits.npy --top 64 --device cpu -o out/records";
    let output = behind(&folder, "ulimit -f 64", line).output().expect("it starts");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: writing the output: File too large"), "{message}");
    assert!(folder.contents("out") == before, "{:?}", folder.contents("out").keys());
}

/// An output that cannot be placed is refused before the work, in the words of the user.
#[test]
fn the_place_of_an_output_is_checked_first() {
    let folder = folder();
    for (place, words) in [
        ("nosuch/records", "error: nosuch/records: there is no folder nosuch"),
        ("/nonexistent/x", "error: /nonexistent/x: there is no folder /nonexistent"),
        ("logits.npy/x", "error: logits.npy/x: there is no folder logits.npy"),
        ("out", "error: out: is no regular file"),
        ("/proc/x", "error: /proc/x: "),
    ] {
        for line in ["log missing.npy", "sample missing.npy", "bench --input missing.npy"] {
            let output = folder.run(&format!("{line} --device cpu -o {place}"));
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(message.contains(words) && !message.contains(".sortilege-"), "{line} {place}: {message}");
        }
    }
}

fn wait_all(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
}

#[test]
fn of_two_writers_one_wins_whole() {
    let folder = folder();
    folder.put("few.npy", npy("<f4", "(40, 1000)", &stored("f32", &vec![1.0; 40_000])));
    test_each((0..8).map(|round| (format!("round {round}"), round)), |_| {
        let line = |top| format!("log few.npy --top {top} --device cpu -o out/records");
        let children = (1..=8).map(|top| folder.started(&mut folder.command(&line(top)))).collect();
        for output in wait_all(children) {
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
        let (records, meta) = (folder.get("out/records"), folder.get("out/records.meta.json"));
        let meta: Value = serde_json::from_slice(&meta).expect("JSON");
        assert_eq!(meta["output_sha256"], sha256(&records).as_str(), "the sidecar of another writer");
        let first = records.split(|&byte| byte == b'\n').next().expect("a line");
        let first: Value = serde_json::from_slice(first).expect("JSON");
        assert_eq!(json!(first["top"].as_array().expect("a list").len()), meta["options"]["top"]);
        assert_eq!(folder.contents("out").len(), 2);
    });
}

/// A writer waits for another one that is about to rename its files.
#[test]
fn writers_rename_one_after_the_other() {
    let folder = folder();
    folder.put("few.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    let place = std::fs::File::open(folder.path("out")).expect("it is there");
    place.lock().expect("nobody else has it");
    let mut child = folder.started(&mut folder.command("log few.npy --device cpu -o out/records"));
    folder.wait_for_draft("out");
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().expect("it is ours").is_none(), "it has not waited");
    assert!(!folder.contents("out").contains_key("records.meta.json"), "it has renamed a file");
    place.unlock().expect("it is ours");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// A link stays one, also one to what is not there yet; the sidecar lies beside the file, whose folder is locked.
#[test]
fn an_output_is_where_a_link_leads() {
    let folder = folder();
    folder.put("few.npy", npy("<f4", "(1, 3)", &stored("f32", &[1.0, 2.0, 3.0])));
    folder.make_folder("links");
    for (link, target) in [("old", "../out/records"), ("new", "../out/new"), ("far", "new"), ("loop", "loop")]
    {
        std::os::unix::fs::symlink(target, folder.path("links").join(link)).expect("a link");
    }
    for (link, name) in [("old", "records"), ("new", "new"), ("far", "new")] {
        let place = std::fs::File::open(folder.path("out")).expect("it is there");
        place.lock().expect("nobody else has it");
        let mut command = folder.command(&format!("log few.npy --device cpu -o links/{link}"));
        let mut child = folder.started(&mut command);
        folder.wait_for_draft("out");
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().expect("it is ours").is_none(), "{link}: it has not waited");
        drop(place);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(folder.path("links").join(link).is_symlink(), "{link} is no link any more");
        let meta: Value =
            serde_json::from_slice(&folder.get(&format!("out/{name}.meta.json"))).expect("JSON");
        assert_eq!(meta["output_sha256"], sha256(&folder.get(&format!("out/{name}"))).as_str());
        std::fs::remove_file(folder.path(&format!("out/{name}.meta.json"))).expect("it is there");
        std::fs::remove_file(folder.path(&format!("out/{name}"))).expect("it is there");
    }
    assert_eq!(folder.contents("links").len(), 4, "links alone");
    let output = folder.run("log few.npy --device cpu -o links/loop");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("links/loop: is a link that leads nowhere"), "{}", stderr(&output));
}

/// In a pipeline that is interrupted, standard input ends at the same time: the signal is what it dies of.
#[test]
fn an_end_of_standard_input_does_not_hide_a_signal() {
    let folder = folder();
    test_each((0..20).map(|round| (format!("round {round}"), round)), |_| {
        let mut child = folder.started(attentive(&folder, "log - --device cpu").stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"\x93NUMPY\x01\x00").expect("it reads");
        std::thread::sleep(Duration::from_millis(100));
        kill("-INT", &child);
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.signal(), Some(2), "{}", stderr(&output));
    });
}
