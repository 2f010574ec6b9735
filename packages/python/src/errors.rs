//! What the library says is wrong, as exceptions of Python: `python/sortilege/_errors.py` defines them.

use pyo3::import_exception;
use pyo3::prelude::*;

import_exception!(sortilege._errors, DeviceError);
import_exception!(sortilege._errors, LogError);
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

/// The exception for an error of a log, at its path.
pub(crate) fn raised_of_log(path: &std::path::Path, error: impl std::fmt::Display) -> PyErr {
    LogError::new_err(format!("{}: {error}", path.display()))
}
