//! Runs of the program in a folder, and logs that are written for it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder in which the program runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect(name);
    }

    pub(crate) fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    /// Writes rows as JSON lines.
    pub(crate) fn put_log(&self, name: &str, rows: &[Value]) {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        self.put(name, lines.join("\n") + "\n");
    }

    /// Runs the program; the words of its command line are split at white space.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("it starts")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortilege"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command
    }

    /// What the program prints when this comes through a pipe.
    pub(crate) fn fed(&self, line: &str, text: &str) -> String {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut pipe = child.stdin.take().expect("piped");
        pipe.write_all(text.as_bytes()).expect("it reads all");
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{line}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Has the program succeed, and gives what it prints.
    pub(crate) fn printed(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Has the program make a page, and gives its path.
    pub(crate) fn page(&self, line: &str) -> PathBuf {
        self.printed(&format!("{line} -o page.html"));
        self.path("page.html")
    }

    /// A log of the logits in `assets/`, in this file as JSON lines and as values.
    pub(crate) fn log_of_assets(&self, name: &str, command: &str) -> Vec<Value> {
        self.write_log(name, command);
        self.get(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The same log in the format of the file's ending.
    pub(crate) fn write_log(&self, name: &str, command: &str) {
        let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets");
        let tokens =
            if command.starts_with("log") { format!("--tokens {assets}/tokens.npy") } else { String::new() };
        let (verb, options) = command.split_once(' ').unwrap_or((command, ""));
        self.printed(&format!(
            "{verb} {assets}/logits.npy {tokens} --tokenizer {assets}/tokenizer.json --device cpu {options} -o {name}"
        ));
    }
}

/// A token of a list, with its bytes.
pub(crate) fn entry(token: u32, bytes: &[u8], logprob: f64) -> Value {
    json!({"token": token, "text": String::from_utf8_lossy(bytes), "bytes": bytes, "logprob": logprob})
}

/// A row of `sortilege log`, whose list these entries are.
pub(crate) fn row(
    request: u64,
    position: u64,
    token: u32,
    bytes: &[u8],
    logprob: f64,
    top: &[Value],
) -> Value {
    let rank = 1 + top.iter().filter(|entry| entry["logprob"].as_f64() > Some(logprob)).count();
    json!({
        "request": request, "position": position, "token": token, "text": String::from_utf8_lossy(bytes),
        "bytes": bytes, "logprob": logprob, "rank": rank, "logsumexp": 1.5, "entropy": 0.75, "top": top,
        "status": "ok",
    })
}
