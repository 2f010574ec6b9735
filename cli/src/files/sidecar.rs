//! The sidecar of an output file, which says how it was made.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::draft::Draft;
use super::logits::LogitsFile;
use super::sha256::sha256;
use crate::engine::Chosen;
use crate::failure::{Failure, Result};

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
    /// The sidecar of the output that lies at `output` now.
    pub(crate) fn new(logits: &'a LogitsFile, chosen: &Chosen, options: O, output: &Path) -> Result<Self> {
        let (device, backend, driver) = chosen.describe();
        Ok(Self {
            sortilege: env!("CARGO_PKG_VERSION"),
            arithmetic_version: sortilege::ARITHMETIC_VERSION,
            device,
            backend,
            driver,
            input: Input {
                file: logits.array.path.display().to_string(),
                tensor: logits.array.tensor.as_deref(),
                sha256: sha256(&logits.array.path)?,
            },
            dtype: logits.dtype.name(),
            shape: &logits.array.shape,
            options,
            rows: logits.rows,
            output_sha256: sha256(output)?,
        })
    }
}

/// Writes to standard output, or to a file that comes with its sidecar.
pub(crate) fn deliver<'a, O: Serialize>(
    output: Option<&Path>,
    write: impl FnOnce(Box<dyn Write + '_>) -> Result<()>,
    describe: impl FnOnce(&Path) -> Result<Meta<'a, O>>,
) -> Result<()> {
    let Some(output) = output.filter(|output| output.as_os_str() != "-") else {
        return write(Box::new(BufWriter::new(std::io::stdout().lock())));
    };
    let mut draft = Draft::new(output)?;
    write(Box::new(BufWriter::new(draft.writer())))?;
    let mut meta = Draft::new(&sidecar_place(output))?;
    let mut text = serde_json::to_string_pretty(&describe(draft.path())?)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    text.push('\n');
    meta.writer().write_all(text.as_bytes()).map_err(|error| Failure::writing(&error))?;
    // The sidecar first: should the second rename fail, its hash tells that it is not of the older records.
    meta.keep()?;
    draft.keep()
}

/// An error if the output or its sidecar would take the place of what it is made from.
pub(crate) fn check_output<'a>(output: Option<&Path>, inputs: impl Iterator<Item = &'a Path>) -> Result<()> {
    let Some(output) = output else { return Ok(()) };
    let outputs = [output.to_owned(), sidecar_place(output)].map(|path| path.canonicalize().ok());
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| outputs.contains(&Some(input))) {
            return Err(Failure::Usage(format!(
                "-o {} would replace the input {}: choose another file",
                output.display(),
                input.display()
            )));
        }
    }
    Ok(())
}

/// Where the sidecar of an output lies.
fn sidecar_place(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".meta.json");
    PathBuf::from(name)
}
