//! SHA-256 hashes, which tie a sidecar to its files.

use std::io::{self, Write};

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

/// A writer that hashes what goes through it.
pub(crate) struct Hashed<W> {
    to: W,
    digest: Digest,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, digest: Digest::default() }
    }

    /// A writer after bytes that were hashed already.
    pub(crate) fn going_on(to: W, digest: Digest) -> Self {
        Self { to, digest }
    }

    /// The hash, in hexadecimal, of all that was written.
    pub(crate) fn hex(self) -> String {
        self.digest.hex()
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
