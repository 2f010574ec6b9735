//! Logs in a folder, and the pages that the program makes of them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::folder::Folder;

impl Folder {
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    /// Writes rows as JSON lines.
    pub(crate) fn put_log(&self, name: &str, rows: &[Value]) {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        self.put(name, lines.join("\n") + "\n");
    }

    /// Has the program make a page, and gives its path.
    pub(crate) fn page(&self, line: &str) -> PathBuf {
        self.text(&format!("{line} -o page.html"));
        self.path("page.html")
    }

    /// A log of the logits in `assets/`, in this file as JSON lines and as values.
    pub(crate) fn log_of_assets(&self, name: &str, command: &str) -> Vec<Value> {
        self.write_log(name, command);
        self.read(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The same log in the format of the file's ending.
    pub(crate) fn write_log(&self, name: &str, command: &str) {
        let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets");
        let tokens =
            if command.starts_with("log") { format!("--tokens {assets}/tokens.npy") } else { String::new() };
        let (verb, options) = command.split_once(' ').unwrap_or((command, ""));
        self.text(&format!(
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
