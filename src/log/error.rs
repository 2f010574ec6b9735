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

/// The first name in which columns differ from those that they must be, in words.
pub(super) fn other_column(theirs: &[String], ours: &[String]) -> Option<String> {
    let missing = ours.iter().find(|name| !theirs.contains(name));
    let surplus = theirs.iter().find(|name| !ours.contains(name));
    let moved = || ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    match (missing, surplus) {
        (Some(missing), Some(surplus)) => {
            Some(format!("{missing} is missing, and {surplus} is none of them"))
        }
        (Some(missing), None) => Some(format!("{missing} is missing")),
        (None, Some(surplus)) => Some(format!("{surplus} is none of them")),
        (None, None) => match moved() {
            Some((ours, theirs)) => Some(format!("{theirs} stands where {ours} must stand")),
            None => theirs.get(ours.len()).map(|twice| format!("{twice} is there twice")),
        },
    }
}
