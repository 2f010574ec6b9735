//! Input files, read block by block: neither a file that somebody truncates nor one that is overwritten meanwhile
//! passes for what it was, and what is hashed are the bytes that were read.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::digest::Digest;
use super::spool::spool;
use crate::failure::{Failure, Result};

/// Bytes at the start of a file that tell what it is.
const HEAD_BYTES: usize = 512;

/// Bytes that are hashed at a time.
const HASH_BYTES: usize = 1 << 20;

/// A file that was opened, and its first bytes.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) head: Vec<u8>,
    file: File,
    /// What it was before its first byte was read.
    stamp: Option<Stamp>,
}

impl Opened {
    /// The file at a path, or standard input for `-`.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let bad = |error| Failure::file(path, error);
        let mut file = if is_stdin(path) { stdin() } else { File::open(path) }.map_err(bad)?;
        let metadata = file.metadata().map_err(bad)?;
        // Whoever handed over a file from its middle on means a stream.
        let is_whole = metadata.is_file() && file.stream_position().is_ok_and(|place| place == 0);
        let mut head = Vec::new();
        file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(bad)?;
        Ok(Self { path: path.to_owned(), head, file, stamp: is_whole.then(|| Stamp::of(&metadata)) })
    }

    /// Whether its bytes come once, as through a pipe.
    pub(crate) fn is_stream(&self) -> bool {
        self.stamp.is_none()
    }

    /// The file, to be read anywhere; a stream goes to a temporary file first, if it has no more than `most` bytes.
    pub(crate) fn seekable(self, most: Option<u64>) -> Result<Input> {
        let Self { path, head, file, stamp } = self;
        if let Some(stamp) = stamp {
            let bytes = stamp.bytes;
            let reader = Mutex::new(Reader { file, hashed: None });
            return Ok(Input { path, bytes, stamp: Some(stamp), reader, sha256: None });
        }
        let mut digest = Digest::default();
        let stream = (&head[..]).chain(file);
        let (file, bytes) = spool(&path, stream, most, Some(&mut digest), |error| error.to_string())?;
        Ok(Input { sha256: Some(digest.hex()), ..Input::private(path, file, bytes) })
    }

    /// Its bytes, from the first one.
    pub(crate) fn reader(&self) -> impl Read {
        (&self.head[..]).chain(&self.file)
    }

    /// All bytes, if there are no more than `most`, of which `remedy` says more.
    pub(crate) fn all(self, most: u64, remedy: &str) -> Result<Vec<u8>> {
        let Self { path, head, file, stamp } = self;
        let bad = |error| Failure::file(&path, error);
        let mut bytes = Vec::new();
        (&head[..]).chain(&file).take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(bad)?;
        if bytes.len() as u64 > most {
            return Err(Failure::file(&path, format!("holds more than {most} bytes: {remedy}")));
        }
        stamp.map_or(Ok(()), |stamp| stamp.check(&file, &path))?;
        Ok(bytes)
    }
}

/// A file whose bytes can be read in any order.
#[derive(Debug)]
pub(crate) struct Input {
    /// As the user gives it.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// What it was when it was opened; none where nobody else can change it.
    stamp: Option<Stamp>,
    reader: Mutex<Reader>,
    /// The hash, where it was made on the way into a temporary file.
    sha256: Option<String>,
}

#[derive(Debug)]
struct Reader {
    file: File,
    /// The hash of so many bytes from the start, where it is made while reading.
    hashed: Option<(Digest, u64)>,
}

impl Input {
    /// What was made of the input at `path`, in a temporary file.
    pub(crate) fn private(path: PathBuf, file: File, bytes: u64) -> Self {
        let reader = Mutex::new(Reader { file, hashed: None });
        Self { path, bytes, stamp: None, reader, sha256: None }
    }

    /// Fills the buffer with the bytes from `offset` on, of the file as it was when it was opened.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut reader = self.reader();
        reader.read(offset, buffer).map_err(|error| self.failed(&error))?;
        self.check(&reader.file)
    }

    /// A reader of the whole file, for libraries; errors of it are told by `check_unchanged`.
    pub(crate) fn file(&self) -> Result<File> {
        self.reader().file.try_clone().map_err(|error| Failure::file(&self.path, error))
    }

    /// An error if it is not what it was.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.check(&self.reader().file)
    }

    /// From now on, what is read is hashed at once: everything up to the end of each read, so that reads must follow
    /// each other.
    pub(crate) fn hash_what_is_read(&self) {
        self.reader().hashed = Some((Digest::default(), 0));
    }

    /// The hash of the whole file in hexadecimal, of the bytes that were read.
    pub(crate) fn sha256(&self) -> Result<String> {
        if let Some(sha256) = &self.sha256 {
            return Ok(sha256.clone());
        }
        let mut reader = self.reader();
        reader.hashed.get_or_insert_default();
        reader.hash_to(self.bytes).map_err(|error| self.failed(&error))?;
        self.check(&reader.file)?;
        Ok(reader.hashed.clone().unwrap_or_default().0.hex())
    }

    fn check(&self, file: &File) -> Result<()> {
        self.stamp.as_ref().map_or(Ok(()), |stamp| stamp.check(file, &self.path))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::file(&self.path, "was truncated while it was read"),
            _ => Failure::file(&self.path, error),
        }
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.hash_to(offset)?;
        self.file.seek(SeekFrom::Start(offset))?;
        let Some((digest, end)) = &mut self.hashed else { return self.file.read_exact(buffer) };
        assert_eq!(*end, offset, "reads follow each other while they are hashed");
        // Hashed while they are in the processor's cache.
        for bytes in buffer.chunks_mut(HASH_BYTES) {
            self.file.read_exact(bytes)?;
            digest.update(bytes);
            *end += bytes.len() as u64;
        }
        Ok(())
    }

    /// Hashes the bytes up to `place` that were not, if anything is hashed.
    fn hash_to(&mut self, place: u64) -> io::Result<()> {
        let Some((digest, end)) = &mut self.hashed else { return Ok(()) };
        self.file.seek(SeekFrom::Start(*end))?;
        let mut buffer = Vec::new();
        while *end < place {
            let rest = usize::try_from(place - *end).unwrap_or(usize::MAX);
            buffer.resize(rest.min(HASH_BYTES), 0);
            self.file.read_exact(&mut buffer)?;
            digest.update(&buffer);
            *end += buffer.len() as u64;
        }
        Ok(())
    }
}

/// What tells a file from another one, and from itself after somebody wrote to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// When anything of it changed last, which nobody can set.
    #[cfg(unix)]
    changed: (i64, i64),
    /// Device and number.
    #[cfg(unix)]
    place: (u64, u64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            #[cfg(unix)]
            place: (metadata.dev(), metadata.ino()),
        }
    }

    /// The stamp of the file that a path names, of standard input for `-`; none of a pipe or a device.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let metadata =
            if is_stdin(path) { stdin().and_then(|file| file.metadata()) } else { path.metadata() };
        metadata.ok().filter(Metadata::is_file).map(|metadata| Self::of(&metadata))
    }

    /// Bytes, and when they were written, in nanoseconds since 1970: what a later run can compare.
    pub(crate) fn described(&self) -> (u64, u64) {
        let since = self.modified.and_then(|modified| modified.duration_since(SystemTime::UNIX_EPOCH).ok());
        (self.bytes, since.and_then(|since| since.as_nanos().try_into().ok()).unwrap_or(0))
    }

    /// Whether both are of one file, whatever was written to it.
    #[cfg(unix)]
    pub(crate) fn is_of_same_file(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// Here no number tells files apart.
    #[cfg(not(unix))]
    pub(crate) fn is_of_same_file(&self, other: &Self) -> bool {
        self == other
    }

    /// An error unless the open file, and the one that its path names, still are this one.
    fn check(&self, file: &File, path: &Path) -> Result<()> {
        if file.metadata().is_ok_and(|now| Self::of(&now) == *self) && self.is_at(path) {
            return Ok(());
        }
        Err(changed(path))
    }

    /// Whether a path names what this is.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        Self::at(path).is_some_and(|now| now == *self)
    }
}

/// The failure of a file that is not what it was when it was read.
pub(crate) fn changed(path: &Path) -> Failure {
    Failure::file(path, "was changed or replaced while it was read: run it again when nobody writes to it")
}

/// Whether a path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[cfg(unix)]
fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}
