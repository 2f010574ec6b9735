//! What `log` of the program reads.

use crate::failure::Result;
use crate::files::LogitsFile;
use crate::targets;

/// Reads the targets of a file of logits, one for each row.
pub(crate) fn read_targets(source: &str, logits: &LogitsFile, shift: bool) -> Result<()> {
    let targets = targets::Targets::read(source, logits, shift)?.tokens;
    assert_eq!(targets.len(), logits.rows);
    assert!(targets.iter().flatten().all(|&token| (token as usize) < logits.vocab));
    Ok(())
}
