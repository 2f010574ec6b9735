//! An output whose reader may go away before the verdict is known. Any other failure of a write stays one.

use std::io::{self, ErrorKind, Write};

/// An output that drops what comes after its reader went away.
pub(crate) struct Lasting<W> {
    out: W,
    is_closed: bool,
}

impl<W: Write> Lasting<W> {
    pub(crate) const fn new(out: W) -> Self {
        Self { out, is_closed: false }
    }

    fn told<T>(&mut self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(dropped)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Lasting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.told(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.told(flushed, ())
    }
}
