//! The sidecar of a log, which says how it was made.

use serde::{Deserialize, Serialize};

use crate::arithmetic::format::ARITHMETIC_VERSION;

/// How a log was made; its options are those of whoever made it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Meta<O = serde_json::Value> {
    /// Version of sortilege.
    pub sortilege: String,
    /// Version of the arithmetic: logs of one version can be compared bit for bit.
    pub arithmetic_version: u32,
    /// What computed: an adapter's name, or `cpu`.
    pub device: String,
    /// Its interface.
    pub backend: String,
    /// Its driver.
    pub driver: String,
    /// The logits.
    pub input: MetaInput,
    /// Type of the logits.
    pub dtype: String,
    /// Shape of the logits.
    pub shape: Vec<usize>,
    /// What was asked.
    pub options: O,
    /// Rows of logits.
    pub rows: usize,
    /// SHA-256 of the log's bytes.
    pub output_sha256: String,
}

/// The file of logits that a log was made from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MetaInput {
    /// Its path.
    pub file: String,
    /// The index that led to the file.
    pub index: Option<HashedFile>,
    /// The array's name in a file with names.
    pub tensor: Option<String>,
    /// SHA-256 of the file's bytes.
    pub sha256: String,
}

/// A file and its hash.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct HashedFile {
    /// Its path.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl<O> Meta<O> {
    /// Nothing, if this version of the library gives the bits that the log was made with.
    ///
    /// # Errors
    /// Both versions, in words.
    pub fn check_arithmetic(&self) -> Result<(), String> {
        if self.arithmetic_version == ARITHMETIC_VERSION {
            return Ok(());
        }
        Err(format!(
            "the log is of arithmetic version {}, this program computes version {ARITHMETIC_VERSION}: its numbers can \
             only be checked by sortilege {}, which made it",
            self.arithmetic_version, self.sortilege
        ))
    }
}
