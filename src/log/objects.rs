//! One JSON object for each request, written as its records come: the frame that formats of other programs share.

use std::io::{self, Write};

use serde::Serialize;

use super::json::write_json;

/// Writes objects whose first member is a list with an entry for each token.
#[derive(Debug)]
pub(super) struct Objects<W> {
    out: W,
    /// What comes before the first entry.
    head: &'static str,
    /// The request whose object is open, and whether that has an entry.
    open: Option<(u64, bool)>,
}

impl<W: Write> Objects<W> {
    pub(super) const fn new(out: W, head: &'static str) -> Self {
        Self { out, head, open: None }
    }

    /// Opens the object of a request, unless it is open; the one before it ends with `tail`.
    pub(super) fn open(&mut self, request: u64, tail: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        if self.open.is_some_and(|(open, _)| open == request) {
            return Ok(());
        }
        self.close(tail)?;
        self.open = Some((request, false));
        self.out.write_all(self.head.as_bytes())
    }

    /// Adds an entry to the list of the open object.
    pub(super) fn entry(&mut self, entry: &impl Serialize) -> io::Result<()> {
        if let Some((_, has_entry)) = &mut self.open
            && std::mem::replace(has_entry, true)
        {
            self.out.write_all(b",")?;
        }
        write_json(&mut self.out, entry)
    }

    fn close(&mut self, tail: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        match self.open.take() {
            Some(_) => self.out.write_all(&[&tail()[..], b"\n"].concat()),
            None => Ok(()),
        }
    }

    /// Ends the last object, and flushes the output.
    pub(super) fn finish(&mut self, tail: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        self.close(tail)?;
        self.out.flush()
    }
}

/// The token at a position, and its alternatives, in the words of a format.
#[derive(Serialize)]
pub(super) struct Entry<T> {
    #[serde(flatten)]
    pub(super) token: T,
    pub(super) top_logprobs: Vec<T>,
}
