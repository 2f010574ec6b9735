//! SHA-256 hashes, which tie a sidecar to its files.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// A hash in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash in hexadecimal.
    pub(crate) fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The hash of bytes in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut digest = Digest::default();
    digest.update(bytes);
    digest.hex()
}

/// A writer or a reader that hashes what goes through it.
pub(crate) struct Hashed<T> {
    inner: T,
    digest: Digest,
}

impl<T> Hashed<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, digest: Digest::default() }
    }

    /// A writer or a reader after bytes that were hashed already.
    pub(crate) fn going_on(inner: T, digest: Digest) -> Self {
        Self { inner, digest }
    }

    /// The hash, in hexadecimal, of all that was written or read.
    pub(crate) fn hex(self) -> String {
        self.digest.hex()
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
