//! An output that outlives a crash: `FILE.partial`, which a later run goes on with, and beside it `FILE.partial.meta.json`,
//! which says of what run it is a part. It does not know what a record is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sortilege::log::write_json_pretty;

use super::atomic_file::{AtomicFile, replaced, resolved, write_file};
use super::sidecar::Inputs;
use crate::failure::{Failure, Result};
use crate::input::{Digest, Hashed, describe_io};
use crate::shown::shown_path;

/// A part of an output.
pub(crate) struct Partial {
    /// The file, which no other program goes on with.
    file: File,
    path: PathBuf,
    state: PathBuf,
    /// Bytes that are there.
    bytes: u64,
}

/// Of what run a part is.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct State {
    /// What was asked, by name.
    run: Value,
    /// The inputs as they were: path, bytes, and when they were written.
    inputs: Vec<(String, u64, u64)>,
}

impl Partial {
    /// The files of the part of an output.
    pub(crate) fn paths(output: &Path) -> [PathBuf; 2] {
        let path = with_end(output, ".partial");
        [path.clone(), with_end(&path, ".meta.json")]
    }

    /// The part of an output that an earlier run of the same kind left, or an empty one.
    pub(crate) fn open(output: &Path, run: &impl Serialize, inputs: &Inputs) -> Result<Self> {
        let run = serde_json::to_value(run).map_err(|error| Failure::writing(&error.into()))?;
        let state = State { run, inputs: inputs.described() };
        let [path, state_path] = Self::paths(output);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Failure::file(&path, describe_io(&error)))?;
        if let Some(mode) = replaced(&resolved(output), output)? {
            file.set_permissions(mode).map_err(|error| Failure::file(&path, describe_io(&error)))?;
        }
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Failure::file(&path, "another run is writing it: wait for that"));
        }
        let bytes = file.metadata().map_err(|error| Failure::file(&path, describe_io(&error)))?.len();
        let partial = Self { file, state: state_path, path, bytes };
        if bytes > 0 {
            partial.check(&state)?;
        }
        let text = serde_json::to_vec_pretty(&state).map_err(|error| Failure::writing(&error.into()))?;
        write_file(&partial.state, &text)?;
        Ok(partial)
    }

    /// An error that names what differs, unless this is a part of such a run.
    fn check(&self, new: &State) -> Result<()> {
        let remedy = format!("remove {} to begin anew", shown_path(&self.path));
        let old =
            std::fs::read(&self.state).ok().and_then(|text| serde_json::from_slice::<State>(&text).ok());
        let Some(old) = old else {
            let state = shown_path(&self.state);
            return Err(Failure::file(
                &self.path,
                format!("{state}, which says of what run it is, cannot be read: {remedy}"),
            ));
        };
        let other =
            old.inputs.iter().zip(&new.inputs).find(|(old, new)| old != new).map(|(old, _)| old.0.clone());
        if let Some(input) = other.filter(|_| old.inputs.len() == new.inputs.len()) {
            let problem = format!("the run that began it read another {input}: {remedy}");
            return Err(Failure::file(&self.path, problem));
        }
        if let Some(difference) = difference("", &old.run, &new.run) {
            return Err(Failure::file(
                &self.path,
                format!("the run that began it had {difference}: {remedy}"),
            ));
        }
        if old.inputs.len() != new.inputs.len() {
            return Err(Failure::file(
                &self.path,
                format!("the run that began it had other inputs: {remedy}"),
            ));
        }
        Ok(())
    }

    /// Whether anything is there.
    pub(crate) const fn is_begun(&self) -> bool {
        self.bytes > 0
    }

    /// What is there, from its first byte.
    pub(crate) fn reader(&self) -> Result<impl Read> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(|error| self.failed(&error))?;
        Ok(BufReader::with_capacity(1 << 16, file.take(self.bytes)))
    }

    /// Leaves so many bytes of what is there.
    pub(crate) fn cut(&mut self, bytes: u64) -> Result<()> {
        self.file.set_len(bytes).map_err(|error| self.failed(&error))?;
        self.bytes = bytes;
        Ok(())
    }

    /// Writes the rest of the output, and puts it in its place with its sidecar.
    pub(crate) fn deliver<O: Serialize>(
        self,
        output: &Path,
        sidecar: &Path,
        inputs: &Inputs,
        write: impl FnOnce(Box<dyn Write + Send + '_>) -> Result<()>,
        describe: impl FnOnce(String) -> Result<O>,
    ) -> Result<()> {
        let mut digest = Digest::default();
        let mut buffer = vec![0; 1 << 16];
        let mut reader = self.reader()?;
        loop {
            let read = reader.read(&mut buffer).map_err(|error| self.failed(&error))?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
        }
        drop(reader);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.bytes)).map_err(|error| self.failed(&error))?;
        let mut hashed = Hashed::going_on(file, digest);
        write(Box::new(io::BufWriter::new(&mut hashed)))?;
        let mut text = Vec::new();
        write_json_pretty(&mut text, &describe(hashed.hex())?).map_err(|error| Failure::writing(&error))?;
        inputs.check_unchanged()?;
        let mut meta = AtomicFile::new(sidecar)?;
        meta.write_all(&text).map_err(|error| Failure::writing(&error))?;
        AtomicFile::keep_all([meta, AtomicFile::of(self.file, &self.path, output)?])?;
        // Nobody needs it any more; the next run would write it anew.
        let _ = std::fs::remove_file(&self.state);
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file(&self.path, describe_io(error))
    }
}

/// The file beside an output with this after its name.
fn with_end(output: &Path, end: &str) -> PathBuf {
    let mut name = resolved(output).into_os_string();
    name.push(end);
    PathBuf::from(name)
}

/// The first difference of two descriptions, as `name OLD and not NEW`.
fn difference(name: &str, old: &Value, new: &Value) -> Option<String> {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        let names = old.keys().chain(new.keys());
        let of = |members: &serde_json::Map<String, Value>, key: &str| {
            members.get(key).cloned().unwrap_or_default()
        };
        return names.into_iter().find_map(|key| difference(key, &of(old, key), &of(new, key)));
    }
    (old != new).then(|| format!("{name} {old} and not {new}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let run = json!({ "options": { "top": 5, "tokens": null }, "rows": 7 });
        assert_eq!(difference("", &run, &run.clone()), None);
        let other = json!({ "options": { "top": 5, "tokens": "a.npy" }, "rows": 7 });
        assert_eq!(difference("", &run, &other).as_deref(), Some("tokens null and not \"a.npy\""));
        let more = json!({ "options": { "top": 5, "tokens": null }, "rows": 7, "shape": [7] });
        assert_eq!(difference("", &run, &more).as_deref(), Some("shape null and not [7]"));
    }
}
