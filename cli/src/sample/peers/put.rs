//! A value of theirs in our key.

use serde_json::{Map, Value};

/// Puts a value in its place, if that is free.
pub(super) fn put(
    object: &mut Map<String, Value>,
    theirs: &str,
    ours: &str,
    value: Value,
) -> Result<(), String> {
    match object.insert(ours.to_owned(), value) {
        None => Ok(()),
        Some(other) if Some(&other) == object.get(ours) => Ok(()),
        Some(_) => Err(format!("{theirs} and {ours} say the same: keep one of them")),
    }
}
