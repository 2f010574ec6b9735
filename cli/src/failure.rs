//! How the program ends without success, and what it says on stderr.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::shown::shown_path;

/// Why the program ends without success. The exit codes are documented in the help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Mismatch(String),
    #[error("{0}")]
    NoAdapter(String),
    #[error("the output was closed")]
    OutputClosed,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Says something in one line on stderr; whoever closed it does not want to hear.
macro_rules! note {
    ($($words:tt)*) => {
        let words = crate::shown::message(&format!($($words)*));
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{words}\n"));
    };
}
pub(crate) use note;

/// Says that something was asked for and cannot act, and why.
pub(crate) fn tell_idle(what: &str, why: &str) {
    note!("note: {what} cannot act: {why}");
}

/// How the program ends, as the help says it; behind another text of the help.
macro_rules! exit_codes {
    () => {
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, or a --fail-if that holds, 4 no adapter"
    };
    ($text:literal) => {
        concat!($text, "\n\n", exit_codes!())
    };
}
pub(crate) use exit_codes;

impl Failure {
    /// A file that cannot be used, and why.
    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{}: {problem}", shown_path(path)))
    }

    /// A failed write: quietly if a pipe was closed.
    pub(crate) fn writing(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(format!("writing the output: {error}"))
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Mismatch(_) => 3,
            Self::NoAdapter(_) => 4,
        })
    }
}

impl From<sortilege::Error> for Failure {
    fn from(error: sortilege::Error) -> Self {
        match error.kind() {
            sortilege::Error::Params(_) => Self::Usage(error.to_string()),
            sortilege::Error::Mismatch(_) => Self::Mismatch(error.to_string()),
            sortilege::Error::NoAdapter(_) => Self::NoAdapter(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
