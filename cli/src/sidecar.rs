//! Output files: written beside their place and renamed, with a sidecar that says how they were made.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::failure::{Failure, Result};

/// `FILE.meta.json`
#[derive(Serialize)]
pub(crate) struct Meta<'a> {
    pub(crate) sortilege: &'static str,
    pub(crate) arithmetic_version: u32,
    pub(crate) device: String,
    pub(crate) backend: String,
    pub(crate) driver: String,
    pub(crate) input: Source<'a>,
    pub(crate) dtype: &'static str,
    pub(crate) shape: &'a [usize],
    pub(crate) options: Options<'a>,
    pub(crate) rows: usize,
    pub(crate) output_sha256: String,
}

#[derive(Serialize)]
pub(crate) struct Source<'a> {
    pub(crate) file: String,
    pub(crate) tensor: Option<&'a str>,
    pub(crate) sha256: String,
}

#[derive(Serialize)]
pub(crate) struct Options<'a> {
    pub(crate) top: u32,
    pub(crate) temperature: f32,
    pub(crate) format: String,
    pub(crate) device: &'a str,
    pub(crate) tokens: Option<&'a str>,
    pub(crate) tokens_sha256: Option<String>,
    pub(crate) vocab_file: Option<String>,
    pub(crate) vocab_file_sha256: Option<String>,
    pub(crate) tokenizer: Option<String>,
    pub(crate) tokenizer_sha256: Option<String>,
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

    pub(crate) fn path(&self) -> &Path {
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
pub(crate) fn place(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".meta.json");
    PathBuf::from(name)
}
