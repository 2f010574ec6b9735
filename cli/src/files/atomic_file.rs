//! Output files: written beside their place and renamed once they are whole.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempPath};

use super::interrupt::Names;
use crate::failure::{Failure, Result};
use crate::input::{Stamp, describe_io};
use crate::shown::shown_path;

/// How long another program may rename its outputs, which takes it milliseconds.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// A file in the making, invisible until it is whole.
pub(super) struct AtomicFile {
    /// None once it is in its place.
    file: Option<NamedTempFile>,
    place: PathBuf,
    /// The place as the user gives it.
    given: PathBuf,
}

impl AtomicFile {
    /// A file beside its place, which may be written; it has the mode of the one that it replaces.
    pub(super) fn new(given: &Path) -> Result<Self> {
        let place = resolved(given);
        if place.is_symlink() {
            return Err(Failure::file(given, "is a link that leads nowhere: choose another file"));
        }
        // A link such as /dev/stdout may lead to what has no path.
        if given.exists() && !given.is_file() {
            return Err(Failure::file(given, "is no regular file: leave -o out and redirect the output"));
        }
        let replaced = replaced(&place, given)?;
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
            builder.permissions(Permissions::from_mode(0o666));
        }
        let bad = |error| Failure::file(given, describe_io(&error));
        let mut names = Names::hold();
        let file = builder.tempfile_in(folder).map_err(bad)?;
        if let Some(mode) = replaced {
            // Before its first byte: what nobody else may read is never theirs to read.
            file.as_file().set_permissions(mode).map_err(bad)?;
        }
        names.add(file.path());
        Ok(Self { file: Some(file), place, given: given.to_owned() })
    }

    /// A file that a failure leaves where it is, to be put in its place.
    pub(super) fn of(file: File, path: &Path, given: &Path) -> Result<Self> {
        let path = TempPath::try_from_path(path).map_err(|error| Failure::file(path, describe_io(&error)))?;
        let mut file = NamedTempFile::from_parts(file, path);
        file.disable_cleanup(true);
        Ok(Self { file: Some(file), place: resolved(given), given: given.to_owned() })
    }

    /// Puts the files in their places in turn: whole, and neither interrupted nor between those of another program.
    pub(super) fn keep_all<const N: usize>(mut files: [Self; N]) -> Result<()> {
        for file in &files {
            file.temporary().as_file().sync_all().map_err(|error| file.failed(&error))?;
        }
        let folder_of = |file: &Self| {
            let folder = folder(&file.place);
            folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
        };
        let mut folders: Vec<PathBuf> = files.iter().map(folder_of).collect();
        // In one order, so that no two programs wait for each other.
        folders.sort();
        folders.dedup();
        let locks: Vec<Option<File>> = folders.iter().map(|folder| lock(folder)).collect();
        let mut names = Names::hold();
        let mut kept = Vec::new();
        for output in &mut files {
            let Some(file) = output.file.take() else { continue };
            names.remove(file.path());
            let file = file.persist(&output.place).map_err(|error| output.failed(&error.error))?;
            kept.push((file, &output.place));
        }
        drop(names);
        // Should there have been no lock, two programs notice that they have mixed their files.
        for (file, place) in kept {
            let ours = file.metadata().map(|metadata| Stamp::of(&metadata));
            let is_there =
                Stamp::at(place).is_some_and(|stamp| ours.is_ok_and(|ours| ours.is_of_same_file(&stamp)));
            if !is_there {
                return Err(Failure::file(place, "another program wrote it at the same time: run it again"));
            }
        }
        // The names last too, where the system can be asked for it.
        for folder in &folders {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        drop(locks);
        Ok(())
    }

    fn temporary(&self) -> &NamedTempFile {
        self.file.as_ref().expect("it is not in its place yet")
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file(&self.given, describe_io(error))
    }
}

/// Writes a file that has no sidecar.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::new(path)?;
    file.write_all(bytes).map_err(|error| Failure::writing(&error))?;
    AtomicFile::keep_all([file])
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary().as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary().as_file().flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let mut names = Names::hold();
            names.remove(file.path());
            drop(file);
        }
    }
}

/// The mode of the file that an output takes the place of, if there is one: an error if nobody may write to that.
pub(super) fn replaced(place: &Path, given: &Path) -> Result<Option<Permissions>> {
    let Ok(metadata) = place.metadata() else { return Ok(None) };
    let is_denied = || {
        let opened = OpenOptions::new().append(true).open(place);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let mode = metadata.permissions();
    // Whoever owns the folder could replace it all the same.
    if mode.readonly() || is_denied() {
        return Err(Failure::file(given, "is read-only: make it writable, or choose another file"));
    }
    Ok(Some(mode))
}

/// Where a path leads through links, also through one to what is not there yet: a link keeps pointing where it points.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    // Linux follows as many.
    for _ in 0..40 {
        if let Ok(place) = place.canonicalize() {
            return place;
        }
        let Ok(target) = place.read_link() else { break };
        place = folder(&place).join(target);
    }
    // One name for what is not there yet.
    match (folder(&place).canonicalize(), place.file_name()) {
        (Ok(folder), Some(name)) if folder.is_dir() => folder.join(name),
        _ => place,
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
