//! A folder in which the program runs: its files, its command lines and how a run ended.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder in which the program runs; command lines name its files and are split at white space.
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

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortilege"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the program starts")
    }

    /// The outcome of a run that reads these bytes from a pipe.
    pub(crate) fn fed(&self, line: &str, bytes: &[u8]) -> Output {
        let mut child = self.started(self.command(line).stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("piped");
        // Who has read enough may close it.
        let feeding = bytes.to_vec();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&feeding)));
        let output = child.wait_with_output().expect("it ends");
        feeder.join().expect("it was fed");
        output
    }

    /// A run that has begun, whose output is kept.
    pub(crate) fn started(&self, command: &mut Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    /// What a run that must succeed prints.
    pub(crate) fn printed(&self, line: &str) -> Vec<u8> {
        successful(line, self.run(line)).stdout
    }

    /// What such a run prints, as text.
    pub(crate) fn text(&self, line: &str) -> String {
        String::from_utf8(self.printed(line)).expect("UTF-8")
    }
}

pub(crate) fn successful(what: &str, output: Output) -> Output {
    assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
    output
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
