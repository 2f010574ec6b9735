//! Output files: written beside their place and renamed once they are whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Failure, Result};

/// A file in the making, invisible until it is whole.
pub(crate) struct Draft {
    file: NamedTempFile,
    place: PathBuf,
}

impl Draft {
    /// A draft beside its place, which may be written.
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

    /// Where the draft lies.
    pub(super) fn path(&self) -> &Path {
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
