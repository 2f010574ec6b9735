//! The sidecar of a converted log: that of the log, of the new bytes, and where these came from.

use std::path::Path;

use serde_json::{Map, Value, json};
use sortilege::log::Format;

use super::args::ConvertArgs;
use crate::failure::{Failure, Result};
use crate::files::{LogFile, read_sidecar};

/// What a sidecar says.
pub(super) fn read(sidecar: &Path) -> Result<Map<String, Value>> {
    let bytes = read_sidecar(sidecar)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::file(sidecar, format!("no sidecar: {error}: move it away to go on without it"))
    })
}

/// What the sidecar of the new log says: all that the old one says but the hash of its bytes.
pub(super) fn converted(
    meta: Option<&Map<String, Value>>,
    log: &LogFile,
    args: &ConvertArgs,
    format: Format,
    output_sha256: Option<String>,
) -> Result<Value> {
    let mut meta = meta.cloned().unwrap_or_default();
    let told = meta.remove("output_sha256");
    let mut from = json!({ "file": args.log.display().to_string(), "sha256": log.sha256()? });
    if let Some(earlier) = meta.remove("converted") {
        from["converted"] = earlier;
    }
    // Whether the sidecar was of these bytes.
    if let Some(told) = told {
        from["is_that_of_the_sidecar"] = json!(told == from["sha256"]);
    }
    from["by"] = json!(concat!("sortilege ", env!("CARGO_PKG_VERSION")));
    from["format"] = json!(format.name());
    meta.insert("converted".to_owned(), from);
    if let Some(sha256) = output_sha256 {
        meta.insert("output_sha256".to_owned(), json!(sha256));
    }
    Ok(Value::Object(meta))
}
