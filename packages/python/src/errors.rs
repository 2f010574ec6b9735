//! What the library says is wrong, as exceptions of Python: `python/sortilege/_errors.py` defines them.

use std::error::Error;
use std::io;
use std::path::Path;

use pyo3::import_exception;
use pyo3::prelude::*;

import_exception!(sortilege._errors, DeviceError);
import_exception!(sortilege._errors, LogError);
import_exception!(sortilege._errors, LogFileError);
import_exception!(sortilege._errors, LogitsError);
import_exception!(sortilege._errors, ParamsError);

/// The exception for an error of the library, with its message.
pub(crate) fn raised(error: sortilege::Error) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        sortilege::Error::Params(_) | sortilege::Error::Shard(_) => ParamsError::new_err(message),
        sortilege::Error::Logits(_) => LogitsError::new_err(message),
        _ => DeviceError::new_err(message),
    }
}

/// The exception for an error of a log, at its path: what the operating system says of a file is one of Python's `OSError` too.
pub(crate) fn raised_of_log(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> PyErr {
    let error = error.into();
    match code_of_system(&*error) {
        Some(code) => {
            let message = error.to_string();
            // Python writes the code itself. The last argument is that of Windows, which says `errno` there.
            let text = message.trim_end_matches(&format!(" (os error {code})")).to_owned();
            LogFileError::new_err((code, text, path.to_owned(), code))
        }
        None => LogError::new_err(format!("{}: {error}", path.display())),
    }
}

/// The operating system's code for an error of reading or writing.
fn code_of_system(error: &(dyn Error + 'static)) -> Option<i32> {
    let io = match error.downcast_ref::<sortilege::log::LogError>() {
        Some(sortilege::log::LogError::Reading(io)) => Some(io),
        _ => error.downcast_ref::<io::Error>(),
    };
    io?.raw_os_error()
}
