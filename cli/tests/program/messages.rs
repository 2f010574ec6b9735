//! What messages say of a fault: the value as it was given, the option that was given, and a remedy that there is.

use crate::common::{Folder, npy, safetensors, stderr, stored, successful};
use crate::table::test_each;

fn folder() -> Folder {
    let folder = Folder::new();
    let values: Vec<f32> = (0..30u16).map(|n| f32::from(n % 7)).collect();
    folder.put("a.npy", npy("<f4", "(2, 3, 5)", &stored("f32", &values)));
    folder.put("flat.npy", npy("<f4", "(6, 5)", &stored("f32", &values)));
    folder.put("half.bin", stored("f32", &values[..15]));
    folder.put("raw.bin", stored("f32", &values));
    folder.put("none.safetensors", safetensors(&[]));
    folder.put("empty.safetensors", "");
    let wide: Vec<u8> = [1.0f64, 1e39, 2.0, 0.5].iter().flat_map(|value| value.to_le_bytes()).collect();
    folder.put("wide.npy", npy("<f8", "(2, 2)", &wide));
    folder.put("tokens.txt", "1,2,3,4,0,1");
    folder.put("q.json", r#"{"tokens": [1]}"#);
    folder.put("big.json", r#"{"temperature": 1e39}"#);
    folder.put("small.json", r#"{"logit_bias": {"1": 1e-50}}"#);
    folder.put("profile.json", r#"{"profile": "llama"}"#);
    folder.put("typ.json", r#"{"typ_p": 0.5}"#);
    folder.put(
        "said.json",
        r#"{"choices": [{"index": 0, "logprobs": {"content": []}, "finish_reason": "stop"}]}"#,
    );
    folder
}

/// A refused run says these words, whatever the option.
#[test]
fn what_was_given_is_what_is_named() {
    let folder = folder();
    let cases: [(&str, i32, &str); 25] = [
        ("log a.npy --temperature 1e39", 2, "1e39 is beyond the numbers of 32 bits"),
        ("log a.npy --temperature 1e-50", 2, "1e-50 is beyond the numbers of 32 bits"),
        ("log a.npy --temperature x", 2, "\"x\" is no number"),
        ("sample a.npy --min-p 1e-50", 2, "1e-50 is beyond"),
        ("sample a.npy --mirostat-tau 1e39", 2, "1e39 is beyond"),
        ("sample a.npy --top-n-sigma 1e39", 2, "1e39 is beyond"),
        ("sample a.npy --logit-bias 1:1e39", 2, "\"1:1e39\": 1e39 is beyond"),
        ("sample a.npy --params big.json", 2, "big.json: temperature: 1e+39 is beyond"),
        ("sample a.npy --params small.json", 2, "small.json: logit_bias: 1e-50 is beyond"),
        ("sample a.npy --params profile.json", 2, "there is no key \"profile\": is it \"order\"?"),
        ("sample a.npy --params typ.json", 2, "there is no key \"typ_p\": is it \"typical_p\"?"),
        ("sample a.npy -n 0", 2, "\"0\" is no whole number from 1 to"),
        ("sample a.npy -n 17", 2, "another `stream`"),
        ("log a.npy --token-ids 3,50", 2, "--token-ids: 50 is outside the vocabulary of 5: leave it out"),
        ("score a.npy --candidates q.json --temperature 0", 2, "take 1 for the scores of the model"),
        ("compare a.npy a.npy --tensor-b x", 2, "--tensor-b x: a .npy file holds one array"),
        ("compare a.npy a.npy --tensor x", 2, "--tensor x: a .npy file holds one array"),
        ("compare a.npy half.bin --shape-b 6,5 --dtype-b f32", 1, "correct --shape-b or --dtype-b"),
        ("compare a.npy half.bin --dtype-b f32", 1, "for raw numbers give --shape-b and --dtype-b"),
        ("log none.safetensors", 1, "none.safetensors: it holds no array"),
        ("log empty.safetensors", 1, "header: the file is empty"),
        ("convert said.json", 1, "there is no record in it: its responses have no token with a logprob"),
        ("summary said.json", 1, "its responses have no token with a logprob"),
        ("log a.npy --temperature nan", 2, "NaN"),
        (
            "log a.npy --tokens tokens.txt --format openai --top -1",
            2,
            "has at most 20 alternatives, and --top asks for more: give --top 20",
        ),
    ];
    test_each(cases.map(|case| (case.0, case)), |(line, code, words)| {
        let device =
            if line.starts_with("convert") || line.starts_with("summary") { "" } else { " --device cpu" };
        let output = folder.run(&format!("{line}{device}"));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    });
}

/// A run that goes on says what is not as it seems, and nothing of what is.
#[test]
fn notes_are_of_what_was_done() {
    let folder = folder();
    folder.printed("log a.npy --tokens tokens.txt --device cpu -o l.jsonl");
    let cases = [
        ("convert l.jsonl --to vllm -o x.json", "ending says", false),
        ("convert l.jsonl --to openai -o x.jsonl", "ending says", false),
        (
            "convert l.jsonl --to openai -o x.csv",
            "x.csv is written as openai, whatever its ending says",
            true,
        ),
        ("convert l.jsonl -o x.jsonl.gz", "x.jsonl.gz is written as jsonl, whatever its ending says", true),
        ("log a.npy --device cpu -o x.npy", "x.npy is written as jsonl, whatever its ending says", true),
        ("log a.npy --device cpu -o x.txt", "ending says", false),
        (
            "compare a.npy --device cpu --save x.npz",
            "x.npz is written as safetensors, whatever its ending",
            true,
        ),
        ("compare a.npy --device cpu --save x.safetensors", "ending says", false),
        ("sample a.npy --plan --seed 3", "--seed cannot act: --plan prints a plan", true),
        ("sample a.npy --plan", "--seed", false),
        (
            "log wide.npy --device cpu",
            "wide.npy: logits of f64 beyond 3.4e38 overflow f32, and are infinite here",
            true,
        ),
        ("log flat.npy --tokens tokens.txt --device cpu", "give --shift", true),
        ("log flat.npy --tokens tokens.txt --device cpu -o flat.jsonl", "give --shift", true),
        ("audit flat.jsonl flat.npy --device cpu", "--shift", false),
    ];
    for (line, words, is_told) in cases {
        let output = successful(line, folder.run(line));
        assert_eq!(stderr(&output).contains(words), is_told, "{line}: {}", stderr(&output));
    }
}

/// An audit has no options for what its log was made with, and names none.
#[test]
fn an_audit_names_what_it_can_be_given() {
    let folder = folder();
    folder.printed("log raw.bin --shape 2,3,5 --dtype f32 --tokens tokens.txt --device cpu -o l.jsonl");
    let shorter = folder.run("audit l.jsonl half.bin --device cpu");
    let told = String::from_utf8_lossy(&shorter.stdout).into_owned();
    assert_eq!(shorter.status.code(), Some(3), "{told}");
    let words = "half.bin: holds 60 bytes, and the log was made of [2, 3, 5] f32, which are 120";
    assert!(told.contains(words) && !told.contains("--shape"), "{told}");
    let piped = folder.fed("audit l.jsonl - --device cpu", &folder.get("half.bin"));
    let told = stderr(&piped);
    assert!(told.contains(&words.replace("half.bin", "-")) && !told.contains("--shape"), "{told}");
    let missing = folder.run("audit m.jsonl raw.bin --device cpu");
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).starts_with("error: m.jsonl: No such file"), "{}", stderr(&missing));
    for (made, given, options) in [
        ("log a.npy --tokens -", "1,2,3,4,0,1", "--tokens 1,2,3,4,0,1"),
        ("sample a.npy --seed 1 --params -", r#"{"top_k": 2}"#, "--params p.json"),
        ("sample a.npy --seed 1 --mask -", "", "--mask m.npy"),
    ] {
        folder.put("p.json", r#"{"top_k": 2}"#);
        folder.put("m.npy", npy("|u1", "(5,)", &[1, 0, 1, 1, 0]));
        let bytes = if given.is_empty() { folder.get("m.npy") } else { given.into() };
        successful(made, folder.fed(&format!("{made} --device cpu -o made.jsonl"), &bytes));
        let output = folder.run("audit made.jsonl a.npy --device cpu");
        let option = options.split(' ').next().expect("an option");
        let words = format!("{option} of the log was standard input: give what it held with {option}");
        assert!(stderr(&output).contains(&words), "{}", stderr(&output));
        let line = format!("audit made.jsonl a.npy --device cpu {options}");
        successful(&line, folder.run(&line));
    }
    let listed = folder.run("audit l.jsonl raw.bin --tokens 1,2,3,4,0,1 --device cpu");
    assert_eq!(listed.status.code(), Some(2), "{}", stderr(&listed));
    assert!(stderr(&listed).contains("the log was made with a file, whose hash"), "{}", stderr(&listed));
}

/// An output that is a pipe is one of standard output.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_no_output_file() {
    let folder = folder();
    let output = folder.run("log a.npy --device cpu -o /dev/stdout");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let told = stderr(&output);
    assert!(told.contains("/dev/stdout: is no regular file: leave -o out and redirect the output"), "{told}");
}
