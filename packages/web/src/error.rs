//! The library's errors as JavaScript's, with their kind.

use sortilege::Error;
use wasm_bindgen::JsValue;

pub(crate) type Result<T> = std::result::Result<T, JsValue>;

/// An error of this kind.
pub(crate) fn error(kind: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message).into();
    put(&error, "kind", kind);
    error
}

/// A property of an error; it takes any.
fn put(error: &JsValue, name: &str, value: impl Into<JsValue>) {
    let _ = js_sys::Reflect::set(error, &name.into(), &value.into());
}

/// What a caller asked for that cannot be.
pub(crate) fn refused(message: impl std::fmt::Display) -> JsValue {
    error("Params", &message.to_string())
}

/// The library's own.
pub(crate) fn js(cause: Error) -> JsValue {
    let kind = match cause.kind() {
        Error::Params(_) => "Params",
        Error::Logits(_) => "Logits",
        Error::Limit(_) => "Limit",
        Error::NoAdapter(_) => "NoAdapter",
        Error::OutOfMemory { .. } => "OutOfMemory",
        Error::Validation { .. } => "Validation",
        Error::DeviceLost { .. } => "DeviceLost",
        Error::Mismatch(_) => "Mismatch",
        Error::NotSubmitted => "NotSubmitted",
        Error::Timeout { .. } => "Timeout",
        _ => "Other",
    };
    let error = error(kind, &cause.to_string());
    if let Some(row) = cause.row() {
        put(&error, "row", row as f64);
    }
    error
}
