//! What can be wrong with a log that is read.

use std::io;

/// What can be wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It cannot be read.
    #[error(transparent)]
    Reading(#[from] io::Error),
    /// It is no log of a known format.
    #[error("{0}")]
    Format(String),
    /// A record is none.
    #[error("line {line}: {problem}")]
    Record {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// The log ends within a record, as that of an interrupted run does. All records before it were given.
    #[error("line {line}: the log ends within a record: it was cut, or its run was interrupted")]
    Truncated {
        /// Counted from 1.
        line: u64,
    },
    /// A JSON document of another program is none of a log.
    #[error("document {document}: {problem}")]
    Document {
        /// Counted from 1.
        document: u64,
        /// What is wrong.
        problem: String,
    },
}

/// Result of reading a log.
pub type LogResult<T> = Result<T, LogError>;
