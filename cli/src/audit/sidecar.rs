//! The sidecar of a log, read back: how it was made, in the options of its command.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sortilege::ARITHMETIC_VERSION;
use sortilege::log::{Format, Meta};

use crate::failure::{Failure, Result};
use crate::files::{read_sidecar, sidecar_beside};
use crate::shown::shown;
use crate::{log, sample};

/// How a log was made.
pub(super) struct Sidecar {
    pub(super) meta: Meta,
    pub(super) options: Options,
    /// Whether the log was CSV before it got its format.
    pub(super) was_csv: bool,
}

/// From what a log was converted, and into what.
#[derive(Deserialize)]
struct Converted {
    file: String,
    format: String,
    converted: Option<Box<Self>>,
}

/// The formats that a log had before its own, from the last to the first, each with the file that it was in.
fn earlier(text: &[u8], meta: &Meta) -> Result<Vec<(String, String)>, String> {
    #[derive(Deserialize)]
    struct Told {
        converted: Option<Converted>,
    }
    let told: Told = serde_json::from_slice(text).map_err(|error| format!("its chain: {error}"))?;
    let (mut steps, mut files, mut formats) = (told.converted.map(Box::new), Vec::new(), Vec::new());
    while let Some(step) = steps {
        files.push(step.file);
        formats.push(step.format);
        steps = step.converted;
    }
    let first = meta.options.get("format").and_then(Value::as_str).unwrap_or_default();
    formats.push(first.to_owned());
    Ok(formats.into_iter().skip(1).zip(files).collect())
}

/// The options of its command.
pub(super) enum Options {
    Log(Box<log::Options>),
    Sample(Box<sample::Options>),
}

impl Sidecar {
    /// The sidecar at this path, or else beside the log, if its numbers can be derived again.
    pub(super) fn read(path: Option<&Path>, log: &Path) -> Result<Self> {
        let path = path.map_or_else(|| beside(log), |path| Ok(path.to_owned()))?;
        let text = read_sidecar(&path)?;
        let bad = |problem: String| Failure::file(&path, problem);
        let meta: Meta = serde_json::from_slice(&text)
            .map_err(|error| bad(other_version(&text).unwrap_or_else(|| format!("no sidecar: {error}"))))?;
        meta.check_arithmetic().map_err(bad)?;
        let options = if meta.options.get("sampling").is_some() {
            Options::Sample(Box::new(options(&text, &meta).map_err(bad)?))
        } else if meta.options.get("top").is_some() {
            Options::Log(Box::new(options(&text, &meta).map_err(bad)?))
        } else {
            return Err(bad("this is the sidecar of neither `log` nor `sample`".to_owned()));
        };
        let earlier = earlier(&text, &meta).map_err(bad)?;
        let is_of_others = |name: &str| {
            Format::ALL.iter().any(|format| format.name() == name && format.is_of_chosen_tokens())
        };
        if let Some((format, file)) = earlier.iter().find(|(format, _)| is_of_others(format)) {
            return Err(Failure::file(
                log,
                format!(
                    "it was converted through {format} ({}), which lost entropies and rows without a token: audit the log \
                     before it",
                    shown(file)
                ),
            ));
        }
        let was_csv = earlier.iter().any(|(format, _)| format == Format::Csv.name());
        Ok(Self { meta, options, was_csv })
    }
}

/// The path of the sidecar beside a log, which is there.
fn beside(log: &Path) -> Result<PathBuf> {
    sidecar_beside(log).ok_or_else(|| {
        Failure::file(
            log,
            "there is no sidecar beside it, which says how it was made: -o FILE writes it to FILE.meta.json; where it \
             is elsewhere, give it with --meta",
        )
    })
}

/// What is said of a sidecar of another version, in which other things may stand.
fn other_version(text: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let version = value.get("arithmetic_version")?.as_u64()?;
    (version != u64::from(ARITHMETIC_VERSION)).then(|| {
        format!(
            "the log is of arithmetic version {version}, this program computes version {ARITHMETIC_VERSION}"
        )
    })
}

/// The options in the words of their command, all of which are known. They are read from the text, so that a number of 32
/// bits is the one that was written.
fn options<O: DeserializeOwned + Serialize>(text: &[u8], meta: &Meta) -> std::result::Result<O, String> {
    #[derive(Deserialize)]
    struct Told<O> {
        options: O,
    }
    let told = serde_json::from_slice::<Told<O>>(text).map_err(|error| format!("its options: {error}"))?;
    let known = serde_json::to_value(&told.options).map_err(|error| error.to_string())?;
    let mut given = meta.options.as_object().into_iter().flatten();
    match given.find(|(key, _)| known.get(key).is_none()) {
        None => Ok(told.options),
        Some((key, _)) => Err(format!(
            "its option {} is none of this version's: audit it with sortilege {}, which made it",
            shown(key),
            shown(&meta.sortilege)
        )),
    }
}
