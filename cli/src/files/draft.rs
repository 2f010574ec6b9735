//! Output files: written beside their place and renamed once they are whole.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::input::Stamp;
use super::interrupt::Names;
use super::spool::words;
use crate::failure::{Failure, Result};
use crate::shown::shown_path;

/// How long another program may rename its outputs, which takes it milliseconds.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// A file in the making, invisible until it is whole.
pub(crate) struct Draft {
    /// None once it is in its place.
    file: Option<NamedTempFile>,
    place: PathBuf,
    /// The place as the user gives it.
    given: PathBuf,
}

impl Draft {
    /// A draft beside its place, which may be written.
    pub(crate) fn new(given: &Path) -> Result<Self> {
        // A link keeps pointing where it points; its target is replaced.
        let place = given.canonicalize().unwrap_or_else(|_| given.to_owned());
        if place.exists() && !place.is_file() {
            return Err(Failure::file(given, "is no regular file: leave -o out and redirect the output"));
        }
        let folder = folder(&place);
        if !folder.is_dir() {
            return Err(Failure::file(given, format!("there is no folder {}", shown_path(folder))));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sortilege-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a plain create would give; the system takes its umask off.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut names = Names::hold();
        let file = builder.tempfile_in(folder).map_err(|error| Failure::file(given, words(&error)))?;
        names.add(file.path());
        Ok(Self { file: Some(file), place, given: given.to_owned() })
    }

    /// Puts the file in its place.
    pub(crate) fn keep(self) -> Result<()> {
        Self::keep_all([self])
    }

    /// Puts the files, all of one folder, in their places in turn: whole, and neither interrupted nor between those of
    /// another program.
    pub(super) fn keep_all<const N: usize>(mut drafts: [Self; N]) -> Result<()> {
        for draft in &drafts {
            draft.temporary().as_file().sync_all().map_err(|error| draft.failed(&error))?;
        }
        let lock = drafts.first().map(|draft| lock(folder(&draft.place)));
        let mut names = Names::hold();
        let mut kept = Vec::new();
        for draft in &mut drafts {
            let Some(file) = draft.file.take() else { continue };
            names.remove(file.path());
            let file = file.persist(&draft.place).map_err(|error| draft.failed(&error.error))?;
            kept.push((file, &draft.place));
        }
        drop(names);
        // Should there have been no lock, two programs notice that they have mixed their files.
        for (file, place) in kept {
            let is_there = file.metadata().is_ok_and(|metadata| Stamp::of(&metadata).is_at(place));
            if !is_there {
                return Err(Failure::file(place, "another program wrote it at the same time: run it again"));
            }
        }
        drop(lock);
        Ok(())
    }

    fn temporary(&self) -> &NamedTempFile {
        self.file.as_ref().expect("it is not in its place yet")
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file(&self.given, words(error))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary().as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary().as_file().flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let mut names = Names::hold();
            names.remove(file.path());
            drop(file);
        }
    }
}

fn folder(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder, held against other programs of ours until it is dropped; none where the system has no such lock, or
/// somebody else keeps it.
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    let end = Instant::now() + MOST_WAIT;
    loop {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Err(_) => return None,
        }
    }
}
