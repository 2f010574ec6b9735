//! What an error scope of wgpu told, as our error.

use crate::error::Error;

/// What a scope told.
pub(super) fn complaint(error: wgpu::Error, doing: &'static str) -> Error {
    match error {
        wgpu::Error::OutOfMemory { source } => Error::OutOfMemory { doing, message: source.to_string() },
        error => Error::Validation { doing, message: error.to_string() },
    }
}
