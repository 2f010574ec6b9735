//! Output files: written beside their place and renamed, with a sidecar that says how they were made.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::batch::Batch;
use crate::engine::Engine;
use crate::failure::{Failure, Result};
use crate::input::Array;

/// `FILE.meta.json`; the options are those of the subcommand.
#[derive(Serialize)]
pub(crate) struct Meta<'a, O> {
    sortilege: &'static str,
    arithmetic_version: u32,
    device: String,
    backend: String,
    driver: String,
    input: Source<'a>,
    dtype: &'static str,
    shape: &'a [usize],
    options: O,
    rows: usize,
    output_sha256: String,
}

#[derive(Serialize)]
pub(crate) struct Source<'a> {
    pub(crate) file: String,
    pub(crate) tensor: Option<&'a str>,
    pub(crate) sha256: String,
}

impl<'a, O> Meta<'a, O> {
    /// Of the output that lies at `output` now.
    pub(crate) fn new(batch: &'a Batch, engine: &Engine, options: O, output: &Path) -> Result<Self> {
        let (device, backend, driver) = engine.describe();
        Ok(Self {
            sortilege: env!("CARGO_PKG_VERSION"),
            arithmetic_version: sortilege::ARITHMETIC_VERSION,
            device,
            backend,
            driver,
            input: batch.source()?,
            dtype: batch.dtype.name(),
            shape: &batch.array.shape,
            options,
            rows: batch.rows,
            output_sha256: Array::sha256(output)?,
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
    let mut meta = Draft::new(&place(output))?;
    let mut text = serde_json::to_string_pretty(&describe(draft.path())?)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    text.push('\n');
    meta.writer().write_all(text.as_bytes()).map_err(|error| Failure::writing(&error))?;
    // The sidecar first: should the second rename fail, its hash tells that it is not of the older records.
    meta.keep()?;
    draft.keep()
}

/// An output must not take the place of what it is made from.
pub(crate) fn check_output<'a>(output: Option<&Path>, inputs: impl Iterator<Item = &'a Path>) -> Result<()> {
    let Some(output) = output else { return Ok(()) };
    let outputs = [output.to_owned(), place(output)].map(|path| path.canonicalize().ok());
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

/// A file in the making, invisible until it is whole.
pub(crate) struct Draft {
    file: NamedTempFile,
    place: PathBuf,
}

impl Draft {
    pub(crate) fn new(place: &Path) -> Result<Self> {
        // A link keeps pointing where it points; its target is replaced.
        let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
        if place.exists() && !place.is_file() {
            return Err(Failure::file(&place, "is no regular file: leave -o out and redirect the output"));
        }
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sortilege-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a plain create would give; the system takes its umask off.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|error| Failure::file(&place, error))?;
        Ok(Self { file, place })
    }

    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the file in its place.
    pub(crate) fn keep(self) -> Result<()> {
        let Self { file, place } = self;
        file.as_file().sync_all().map_err(|error| Failure::file(&place, error))?;
        file.persist(&place).map_err(|error| Failure::file(&place, error.error))?;
        Ok(())
    }
}

/// Where the sidecar of an output lies.
fn place(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".meta.json");
    PathBuf::from(name)
}
