//! What the fuzz targets drive, a function of bytes each: no bytes may make it panic, hang or fill the memory. Readers
//! also answer in few words, and what is read is what it says.
//!
//! The readers belong to a program, and what a device says is read in a private room of the library. Their modules are
//! included here under their own names, so that `crate::` means the same: nothing becomes public, and no code is there
//! for fuzzing alone.

#![expect(dead_code, unused_imports, reason = "targets drive a part of the modules")]

#[path = "../../src/answer/mod.rs"]
mod answer;
mod answers;
#[path = "../../src/arithmetic/mod.rs"]
mod arithmetic;
mod arrays;
#[path = "../../cli/src/failure.rs"]
mod failure;
mod files;
#[path = "../../cli/src/foreign.rs"]
mod foreign;
#[path = "../../cli/src/input/mod.rs"]
mod input;
mod log;
mod logs;
mod masks;
mod parameters;
#[path = "../../cli/src/progress.rs"]
mod progress;
mod requests;
mod sample;
mod shards;
#[path = "../../cli/src/shared_args.rs"]
mod shared_args;
#[path = "../../cli/src/shown.rs"]
mod shown;
#[path = "../../cli/src/targets.rs"]
mod targets;
#[path = "../../cli/src/text/mod.rs"]
mod text;
mod texts;

pub use answers::answers;
pub use arrays::{llama, npy, npz, raw, safetensors};
pub use logs::logs;
pub use masks::masks;
pub use parameters::params;
pub use requests::requests;
pub use shards::shards;
pub use texts::{tokens, vocabularies};

/// A target and its name, which is that of its corpus too.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("answers", answers),
    ("llama", llama),
    ("logs", logs),
    ("masks", masks),
    ("npy", npy),
    ("npz", npz),
    ("params", params),
    ("raw", raw),
    ("requests", requests),
    ("safetensors", safetensors),
    ("shards", shards),
    ("tokens", tokens),
    ("vocabularies", vocabularies),
];

/// A folder for the files of one run.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder: set TMPDIR to one with room")
}

/// A file in a folder, with these bytes.
fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}

/// What was read, if it was; otherwise the message must fit a few lines, and hold nothing that steers a terminal.
fn told<T>(outcome: failure::Result<T>) -> Option<T> {
    outcome.map_err(|failure| assert!(failure.to_string().len() < 4096, "{failure}")).ok()
}
