//! What every writer of a log does.

use std::io;

use super::record::Record;

/// Writes the records of a log in one format, in the order in which they come.
pub trait WriteRecord {
    /// Writes a record.
    ///
    /// # Errors
    /// What the output says; `InvalidInput` for a record that the format has no place for.
    fn write(&mut self, record: &Record<'_>) -> io::Result<()>;

    /// Takes what is to be said of the whole log, as JSON, where a format has a place for it; others leave it.
    ///
    /// # Errors
    /// What the output says.
    fn describe(&mut self, meta: &str) -> io::Result<()> {
        let _ = meta;
        Ok(())
    }

    /// Writes what comes after the last record, and flushes the output.
    ///
    /// # Errors
    /// What the output says.
    fn finish(&mut self) -> io::Result<()>;
}
