//! `log --resume` after a crash: it goes on, and the log is that of an undisturbed run.

use std::time::Duration;

use crate::common::{Folder, difference, npy, stderr, stored, successful};
use crate::table::test_each;

const LINE: &str = "log rows.npy --tokens tokens.txt --top 3 --device cpu";

/// A folder with rows of which some are no distribution, and a target for each but some.
fn folder() -> Folder {
    let folder = Folder::new();
    let value = |n: usize| match n % 1009 {
        0 => f32::NAN,
        1 | 2 => f32::NEG_INFINITY,
        n => (n as f32 * 0.37).sin() * 9.0,
    };
    let values: Vec<f32> = (0..3000 * 40).map(value).collect();
    folder.put("rows.npy", npy("<f4", "(30, 100, 40)", &stored("f32", &values)));
    let tokens: Vec<String> =
        (0..3000).map(|n| if n % 7 == 3 { "-1".into() } else { (n % 40).to_string() }).collect();
    folder.put("tokens.txt", tokens.join("\n"));
    folder
}

/// What an undisturbed run writes, and its words on the targets.
fn undisturbed(folder: &Folder, format: &str) -> (Vec<u8>, Vec<u8>, String) {
    let output = successful(format, folder.run(&format!("{LINE} --format {format} -o whole")));
    let said = stderr(&output);
    let last = said.lines().last().expect("words").to_owned();
    assert!(last.starts_with("perplexity"), "{said}");
    (folder.get("whole"), folder.get("whole.meta.json"), last)
}

/// Wherever the part ends, in a record or after one.
#[test]
fn it_goes_on_wherever_it_was_cut() {
    let folder = folder();
    for format in ["jsonl", "csv"] {
        let (whole, meta, words) = undisturbed(&folder, format);
        let line = format!("{LINE} --format {format} --resume -o out");
        let ends = [0, 1, 9, 150, whole.len() / 3, whole.len() / 2 + 1, whole.len() - 1, whole.len()];
        for end in ends {
            start(&folder, &line);
            folder.put("out.partial", &whole[..end]);
            let output = successful(&line, folder.run(&line));
            assert_eq!(difference(&folder.get("out"), &whole), None, "{format} cut at {end}");
            assert_eq!(difference(&folder.get("out.meta.json"), &meta), None, "{format} cut at {end}");
            assert_eq!(stderr(&output).lines().last(), Some(&words[..]), "{format} cut at {end}");
            assert!(!folder.path("out.partial").exists() && !folder.path("out.partial.meta.json").exists());
        }
    }
}

/// Leaves the state of a run that has just begun, by one that a signal ends which nothing can catch.
fn start(folder: &Folder, line: &str) {
    for _ in 0..200 {
        let mut child = folder.started(&mut folder.command(line));
        while !folder.path("out.partial.meta.json").exists() && child.try_wait().expect("it runs").is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().expect("it runs or has ended");
        child.wait().expect("it ends");
        if folder.path("out.partial.meta.json").exists() {
            return;
        }
    }
    panic!("no run is ended before its end");
}

/// Killed at several points, each time by what no program can catch.
#[test]
fn a_killed_run_goes_on() {
    let folder = Folder::new();
    folder.put_zeros("zeros.npy", 256);
    for format in ["jsonl", "csv"] {
        let line = format!("log zeros.npy --top 64 --device cpu --format {format}");
        let whole = folder.printed(&line);
        let (mut kills, mut grown) = (0, 0);
        loop {
            let mut child = folder.started(&mut folder.command(&format!("{line} --resume -o out")));
            let ended = (0..2000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                let length = std::fs::metadata(folder.path("out.partial")).map_or(0, |data| data.len());
                match child.try_wait().expect("it runs") {
                    Some(status) => Some(Some(status)),
                    None if length > grown + 40_000 => Some(None),
                    None => None,
                }
            });
            match ended.expect("it writes") {
                Some(status) => {
                    assert!(status.success());
                    break;
                }
                None => {
                    child.kill().expect("it runs");
                    child.wait().expect("it ends");
                    kills += 1;
                    grown = std::fs::metadata(folder.path("out.partial")).map_or(0, |data| data.len());
                }
            }
        }
        assert!(kills >= 2, "killed {kills} times");
        assert_eq!(difference(&folder.get("out"), &whole), None, "{format}");
    }
}

#[test]
fn other_runs_are_refused_by_what_differs() {
    let folder = folder();
    let line = format!("{LINE} --resume -o out");
    let begin = || {
        start(&folder, &line);
        let text = folder.text(LINE);
        folder.put("out.partial", &text[..text.len() / 2]);
    };
    begin();
    let part = folder.get("out.partial");
    for (change, words) in [
        ("--top 4", "had top 3 and not 4"),
        ("--temperature 0.5", "had temperature 1.0 and not 0.5"),
        ("--format csv", "had format \"jsonl\" and not \"csv\""),
        ("--shift", "had shift false and not true"),
    ] {
        let (name, _) = change.split_once(' ').unwrap_or((change, ""));
        let line = if name == "--top" { line.replace("--top 3", change) } else { format!("{line} {change}") };
        let output = folder.run(&line);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(said.contains("out.partial: ") && said.contains("to begin anew"), "{said}");
        assert_eq!(folder.get("out.partial"), part);
    }
    // Other files of the same names.
    folder.put("tokens.txt", vec!["2"; 3000].join("\n"));
    let said = stderr(&folder.run(&line));
    assert!(said.contains("the run that began it read another tokens.txt"), "{said}");
    // Another size of the vocabulary, of targets that are in both.
    let of_other = line.replace("tokens.txt", "other.txt");
    let folder = self::folder();
    folder.put("other.txt", vec!["1"; 3000].join("\n"));
    start(&folder, &of_other);
    let text = folder.text(&LINE.replace("tokens.txt", "other.txt"));
    folder.put("out.partial", &text[..text.len() / 2]);
    let said = stderr(&folder.run(&format!("{of_other} --vocab-size 39")));
    assert!(said.contains("had vocab_size null and not 39"), "{said}");
    // A part that is of no run, or of other rows.
    let folder = self::folder();
    folder.put("out.partial", &part);
    let said = stderr(&folder.run(&line));
    assert!(said.contains("out.partial.meta.json, which says of what run it is, cannot be read"), "{said}");
    std::fs::remove_file(folder.path("out.partial")).expect("it is there");
    start(&folder, &line);
    let text = String::from_utf8(part).expect("UTF-8");
    let (first, rest) = text.split_once('\n').expect("lines");
    for (part, words) in [
        (rest.to_owned(), "record 1 is of another row"),
        (format!("{first}\n{first}\n"), "record 2 is of another row"),
        ("hello\n".to_owned(), "this is no log"),
        (format!("{first}\n{{\"request\":0}}\n"), "missing field"),
    ] {
        folder.put("out.partial", part);
        let output = folder.run(&line);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
        assert!(!folder.path("out").exists());
    }
}

#[test]
fn what_cannot_go_on_is_refused() {
    let folder = folder();
    test_each(
        [
            ("--resume", "--output"),
            ("--resume --format parquet -o out", "parquet is written whole"),
            ("--resume --format openai -o out", "openai is written whole"),
            ("--resume --format table -o out", "table is written whole"),
            ("--resume -o -", "names no file"),
            ("--resume -o out --tokens -", "give files instead of streams"),
        ]
        .map(|case| (case.0, case)),
        |(options, words)| {
            let line = if options.contains("--tokens") {
                LINE.replace("--tokens tokens.txt", "")
            } else {
                LINE.into()
            };
            let output = folder.run(&format!("{line} {options}"));
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            assert!(stderr(&output).contains(words), "{}", stderr(&output));
        },
    );
}
