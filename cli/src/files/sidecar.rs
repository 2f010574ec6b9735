//! The sidecar of an output file, which says how it was made.

use std::cell::OnceCell;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sortilege::log::{Meta, MetaInput, write_json_pretty};

use super::atomic_file::{AtomicFile, resolved};
use super::lasting::Lasting;
use super::logits::LogitsFile;
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::input::{Hashed, Opened, Stamp, changed, is_stdin, temporary};
use crate::shown::shown_path;

/// The sidecar, `FILE.meta.json`, of the output with this hash; the options are those of the subcommand.
pub(crate) fn meta<O>(
    logits: &LogitsFile,
    chosen: &Chosen,
    options: O,
    output_sha256: String,
) -> Result<Meta<O>> {
    let (device, backend, driver) = chosen.describe();
    Ok(Meta {
        sortilege: env!("CARGO_PKG_VERSION").to_owned(),
        arithmetic_version: sortilege::ARITHMETIC_VERSION,
        device,
        backend,
        driver,
        input: MetaInput {
            file: logits.array.path().display().to_string(),
            index: logits.array.index.clone(),
            tensor: logits.array.tensor.clone(),
            sha256: logits.array.sha256()?,
        },
        dtype: logits.dtype.name().to_owned(),
        shape: logits.array.shape.clone(),
        options,
        rows: logits.rows,
        output_sha256,
    })
}

/// The options of a sidecar, made when they are first asked for: the files among them are hashed once.
pub(crate) fn once<O>(made: &OnceCell<O>, make: impl FnOnce() -> Result<O>) -> Result<&O> {
    match made.get() {
        Some(options) => Ok(options),
        None => make().map(|options| made.get_or_init(|| options)),
    }
}

/// What a sidecar says, but for the hash of the output: for a format that has a place for it within.
pub(crate) fn meta_within<O: Serialize>(meta: &Meta<O>) -> Result<String> {
    let failed = |error: serde_json::Error| Failure::writing(&error.into());
    let mut value = serde_json::to_value(meta).map_err(failed)?;
    if let Some(members) = value.as_object_mut() {
        members.remove("output_sha256");
    }
    Ok(value.to_string())
}

/// Writes to standard output, or to a file that comes with its sidecar, which `describe` makes for the file's hash.
pub(crate) fn deliver<M: Serialize>(
    output: Option<&Path>,
    inputs: &Inputs,
    write: impl FnOnce(Box<dyn Write + Send + '_>) -> Result<()>,
    describe: impl FnOnce(String) -> Result<M>,
) -> Result<()> {
    let [Some(output), Some(sidecar)] = with_sidecar(output) else {
        return write(Box::new(BufWriter::new(io::stdout())));
    };
    let failed = |error: io::Error| Failure::writing(&error);
    let mut records = AtomicFile::new(&output)?;
    let mut meta = AtomicFile::new(&sidecar)?;
    let mut hashed = Hashed::new(&mut records);
    write(Box::new(BufWriter::new(&mut hashed)))?;
    let sha256 = hashed.hex();
    let mut text = Vec::new();
    write_json_pretty(&mut text, &describe(sha256)?).map_err(failed)?;
    inputs.check_unchanged()?;
    meta.write_all(&text).map_err(failed)?;
    // The sidecar first: should the second rename fail, its hash tells that it is not of the older records.
    AtomicFile::keep_all([meta, records])
}

/// As `deliver`, of what is a document as a whole alone: standard output gets it when it is whole, through a temporary file.
pub(crate) fn deliver_whole<M: Serialize>(
    output: Option<&Path>,
    inputs: &Inputs,
    write: impl FnOnce(Box<dyn Write + Send + '_>) -> Result<()>,
    describe: impl FnOnce(String) -> Result<M>,
) -> Result<()> {
    if output.is_some() {
        return deliver(output, inputs, write, describe);
    }
    let mut whole = temporary(Path::new("standard output"))?;
    write(Box::new(BufWriter::new(&whole)))?;
    // All is done: whoever reads no further has seen enough.
    let copied = whole.rewind().and_then(|()| io::copy(&mut whole, &mut Lasting::new(io::stdout())));
    copied.map(drop).map_err(|error| Failure::writing(&error))
}

/// The files that outputs are made from, as they were before the first of them was read.
pub(crate) struct Inputs {
    outputs: Vec<PathBuf>,
    stamps: Vec<(PathBuf, Stamp)>,
}

impl Inputs {
    /// The inputs of these outputs. An error if an output cannot be written, or would take the place of an input.
    pub(crate) fn of<'a>(
        outputs: impl IntoIterator<Item = Option<PathBuf>>,
        inputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self> {
        let inputs: Vec<&Path> = inputs.into_iter().collect();
        if inputs.iter().filter(|input| is_stdin(input)).count() > 1 {
            return Err(Failure::Usage(
                "standard input holds one of the inputs: give the others as files".to_owned(),
            ));
        }
        let mut all = Self { outputs: outputs.into_iter().flatten().collect(), stamps: Vec::new() };
        all.check_outputs()?;
        inputs.into_iter().try_for_each(|input| all.add(input))?;
        all.check_sidecars()?;
        all.outputs.iter().try_for_each(|output| AtomicFile::new(output).map(drop))?;
        Ok(all)
    }

    /// An error if two outputs, or an output and the sidecar of another one, are one file.
    fn check_outputs(&self) -> Result<()> {
        let places: Vec<PathBuf> = self.outputs.iter().map(|output| resolved(output)).collect();
        let twice = (0..places.len()).find(|&later| places[..later].contains(&places[later]));
        twice.map_or(Ok(()), |place| {
            Err(Failure::Usage(format!(
                "{} would be written twice: choose another file for one of the outputs",
                shown_path(&self.outputs[place])
            )))
        })
    }

    /// An error if an output without a sidecar would leave that of an older log, which would tell of something else.
    fn check_sidecars(&self) -> Result<()> {
        let is_written =
            |sidecar: &PathBuf| self.outputs.iter().any(|output| resolved(output) == resolved(sidecar));
        let left = |output: &PathBuf| {
            sidecar_beside(output)
                .filter(|sidecar| !is_written(sidecar))
                .map(|sidecar| (output.clone(), sidecar))
        };
        self.outputs.iter().find_map(left).map_or(Ok(()), |(output, sidecar)| {
            Err(Failure::Usage(format!(
                "{} tells of an older {}, and would tell of something else: choose another output file, or remove both",
                shown_path(&sidecar),
                shown_path(&output)
            )))
        })
    }

    /// One more, such as the file that an index leads to.
    pub(crate) fn add(&mut self, input: &Path) -> Result<()> {
        // Of a list of tokens, or of what is to be refused by its reader, there is no file.
        let Some(stamp) = Stamp::at(input).filter(|_| !self.outputs.is_empty()) else { return Ok(()) };
        self.check_kept(&stamp, &format!("the input {}", shown_path(input)))?;
        // It tells how the input was made, whether it is read here or not; and what is put there is taken for it.
        if let [_, Some(sidecar)] = with_sidecar(Some(input).filter(|input| !is_stdin(input))) {
            let what = format!("the sidecar of {}", shown_path(input));
            Stamp::at(&sidecar).map_or(Ok(()), |stamp| self.check_kept(&stamp, &what))?;
            let is_output = |output: &&PathBuf| resolved(output) == resolved(&sidecar);
            self.outputs.iter().find(is_output).map_or(Ok(()), |output| Err(replaces(output, &what)))?;
        }
        self.stamps.push((input.to_owned(), stamp));
        Ok(())
    }

    /// An error if an output would take the place of this file.
    fn check_kept(&self, stamp: &Stamp, what: &str) -> Result<()> {
        let is_replaced =
            |output: &&PathBuf| Stamp::at(output).is_some_and(|output| output.is_of_same_file(stamp));
        self.outputs.iter().find(is_replaced).map_or(Ok(()), |output| Err(replaces(output, what)))
    }

    /// What can be told of them later: path, bytes, and when each was written, in nanoseconds.
    pub(super) fn described(&self) -> Vec<(String, u64, u64)> {
        let of = |(path, stamp): &(PathBuf, Stamp)| {
            let (bytes, modified) = stamp.described();
            (path.display().to_string(), bytes, modified)
        };
        self.stamps.iter().map(of).collect()
    }

    /// An error unless all of them are what they were.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let other = self.stamps.iter().find(|(path, stamp)| !stamp.is_at(path));
        other.map_or(Ok(()), |(path, _)| Err(changed(path)))
    }
}

fn replaces(output: &Path, what: &str) -> Failure {
    Failure::Usage(format!("{} would replace {what}: choose another output file", shown_path(output)))
}

/// The hash of a file that an output is made from, if there is one and it still holds what was read from it: a pipe
/// does not. That nobody wrote to it meanwhile is the matter of `deliver`.
pub(crate) fn sha256(path: Option<&Path>) -> Result<Option<String>> {
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
    Opened::new(path)?.seekable(None)?.sha256().map(Some)
}

/// Bytes of the longest sidecar: a list of tokens on a command line is below it.
const MAX_SIDECAR: u64 = 64 << 20;

/// The sidecar beside a log, if there is one.
pub(crate) fn sidecar_beside(log: &Path) -> Option<PathBuf> {
    let [_, sidecar] = with_sidecar(Some(log).filter(|log| !is_stdin(log)));
    sidecar.filter(|sidecar| sidecar.is_file())
}

/// What a sidecar says of how the numbers of its log were asked for, as far as it says it.
#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) struct Asked {
    /// The temperature of all rows.
    pub(crate) temperature: Option<f64>,
    /// Whether positions count from 1.
    pub(crate) shift: Option<bool>,
}

/// What the sidecar beside a log says, and the hash of the log that it is of; nothing where there is none that can be read.
pub(super) fn asked_of(log: &Path) -> Option<(Asked, Option<String>)> {
    #[derive(Deserialize)]
    struct Told {
        options: Asked,
        output_sha256: Option<String>,
    }
    let told: Told = serde_json::from_slice(&read_sidecar(&sidecar_beside(log)?).ok()?).ok()?;
    Some((told.options, told.output_sha256))
}

/// The bytes of a sidecar.
pub(crate) fn read_sidecar(path: &Path) -> Result<Vec<u8>> {
    Opened::new(path)?.all(MAX_SIDECAR, "this is no sidecar of a log")
}

/// An output and its sidecar, which lies beside it wherever a link leads.
pub(crate) fn with_sidecar(output: Option<&Path>) -> [Option<PathBuf>; 2] {
    let sidecar = |output: &Path| {
        let mut name = resolved(output).into_os_string();
        name.push(".meta.json");
        PathBuf::from(name)
    };
    [output.map(Path::to_owned), output.map(sidecar)]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn options_are_made_once_and_an_error_is_not_kept() {
        let (made, calls) = (OnceCell::new(), Cell::new(0));
        let options = |problem: Option<&str>| {
            once(&made, || {
                calls.set(calls.get() + 1);
                problem.map_or(Ok(calls.get()), |problem| Err(Failure::Failed(problem.to_owned())))
            })
        };
        assert!(options(Some("gone")).is_err_and(|failure| failure.to_string() == "gone"));
        for _ in 0..3 {
            assert_eq!(options(None).ok(), Some(&2));
        }
        assert_eq!(calls.get(), 2);
    }
}
