//! The sidecar of an output file, which says how it was made.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::digest::Hashed;
use super::draft::Draft;
use super::input::{Opened, Stamp, changed};
use super::logits::LogitsFile;
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::shown::shown_path;

/// `FILE.meta.json`; the options are those of the subcommand.
#[derive(Serialize)]
pub(crate) struct Meta<'a, O> {
    sortilege: &'static str,
    arithmetic_version: u32,
    device: String,
    backend: String,
    driver: String,
    input: Input<'a>,
    dtype: &'static str,
    shape: &'a [usize],
    options: O,
    rows: usize,
    output_sha256: String,
}

/// The file of logits that an output was made from.
#[derive(Serialize)]
struct Input<'a> {
    file: String,
    tensor: Option<&'a str>,
    sha256: String,
}

impl<'a, O> Meta<'a, O> {
    /// The sidecar of the output with this hash.
    pub(crate) fn new(
        logits: &'a LogitsFile,
        chosen: &Chosen,
        options: O,
        output_sha256: String,
    ) -> Result<Self> {
        let (device, backend, driver) = chosen.describe();
        Ok(Self {
            sortilege: env!("CARGO_PKG_VERSION"),
            arithmetic_version: sortilege::ARITHMETIC_VERSION,
            device,
            backend,
            driver,
            input: Input {
                file: logits.array.path().display().to_string(),
                tensor: logits.array.tensor.as_deref(),
                sha256: logits.array.sha256()?,
            },
            dtype: logits.dtype.name(),
            shape: &logits.array.shape,
            options,
            rows: logits.rows,
            output_sha256,
        })
    }
}

/// Writes to standard output, or to a file that comes with its sidecar, which `describe` makes for the file's hash.
pub(crate) fn deliver<'a, O: Serialize>(
    output: Option<&Path>,
    inputs: &Inputs,
    write: impl FnOnce(Box<dyn Write + '_>) -> Result<()>,
    describe: impl FnOnce(String) -> Result<Meta<'a, O>>,
) -> Result<()> {
    let Some(output) = output.filter(|output| !is_stdout(output)) else {
        return write(Box::new(BufWriter::new(io::stdout().lock())));
    };
    let failed = |error: io::Error| Failure::writing(&error);
    let mut draft = Draft::new(output)?;
    let mut meta = Draft::new(&sidecar_place(output))?;
    let mut hashed = Hashed::new(&mut draft);
    write(Box::new(BufWriter::new(&mut hashed)))?;
    let sha256 = hashed.hex();
    let mut text = serde_json::to_string_pretty(&describe(sha256)?)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    text.push('\n');
    inputs.check()?;
    meta.write_all(text.as_bytes()).map_err(failed)?;
    // The sidecar first: should the second rename fail, its hash tells that it is not of the older records.
    Draft::keep_all([meta, draft])
}

/// The files that an output is made from, as they were before the first of them was read.
#[derive(Default)]
pub(crate) struct Inputs(Vec<(PathBuf, Stamp)>);

impl Inputs {
    /// An error unless all of them are what they were.
    fn check(&self) -> Result<()> {
        self.0.iter().find(|(path, stamp)| !stamp.is_at(path)).map_or(Ok(()), |(path, _)| Err(changed(path)))
    }
}

/// The hash of a file that an output is made from, if there is one and it still holds what was read from it: a pipe does not. That nobody
/// wrote to it meanwhile is the matter of `deliver`.
pub(crate) fn sha256(path: Option<&Path>) -> Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Ok(None);
    }
    Opened::new(path)?.seekable(None)?.sha256().map(Some)
}

/// The inputs of an output. An error if it or its sidecar cannot be written, or would take the place of one of them.
pub(crate) fn check_output<'a>(
    output: Option<&Path>,
    inputs: impl Iterator<Item = &'a Path>,
) -> Result<Inputs> {
    let Some(output) = output.filter(|output| !is_stdout(output)) else { return Ok(Inputs::default()) };
    let outputs = [output.to_owned(), sidecar_place(output)];
    let places = outputs.each_ref().map(|path| path.canonicalize().ok());
    let mut stamped = Vec::new();
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| places.contains(&Some(input))) {
            return Err(Failure::Usage(format!(
                "-o {} would replace the input {}: choose another file",
                shown_path(output),
                shown_path(input)
            )));
        }
        let metadata = std::fs::metadata(input).ok().filter(std::fs::Metadata::is_file);
        stamped.extend(metadata.map(|metadata| (input.to_owned(), Stamp::of(&metadata))));
    }
    outputs.iter().try_for_each(|path| Draft::new(path).map(drop))?;
    Ok(Inputs(stamped))
}

fn is_stdout(output: &Path) -> bool {
    output.as_os_str() == "-"
}

/// Where the sidecar of an output lies.
fn sidecar_place(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".meta.json");
    PathBuf::from(name)
}
