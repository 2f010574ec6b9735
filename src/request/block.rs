//! Rows whose draft tokens are verified as one block.

use std::ops::Range;

use super::{Inputs, Row};
use crate::error::{Error, Result};

/// Nothing, if the last of these rows is in no block, or goes on with the one of the row before it.
pub(super) fn check_block(rows: &[Row<'_>]) -> Result<()> {
    let [before @ .., row] = rows else { return Ok(()) };
    let Some(place) = row.block else { return Ok(()) };
    let number = before.len();
    if place > Row::MAX_DRAFT_TOKENS {
        return Err(Error::Params(format!(
            "row {number} has place {place} in a block of draft tokens, over the limit of {}: draft fewer",
            Row::MAX_DRAFT_TOKENS
        )));
    }
    if row.draft.len() > 1 {
        return Err(Error::Params(format!(
            "row {number} has {} draft tokens and is in a block, each of whose rows has one: leave out the others",
            row.draft.len()
        )));
    }
    let is_next = |before: &Row<'_>| before.block == place.checked_sub(1) && before.draft.len() == 1;
    if place > 0 && !before.last().is_some_and(is_next) {
        return Err(Error::Params(format!(
            "row {number} has place {place} in a block, and the row before it is no draft token's of place {}: give the rows \
             of a block one after the other",
            place - 1
        )));
    }
    Ok(())
}

/// Rows from this one on that are of the same block.
fn behind(rows: &[Row<'_>]) -> usize {
    rows.iter().take_while(|row| row.block.is_some_and(|place| place > 0)).count()
}

impl Inputs<'_> {
    /// Whether draft tokens are verified as blocks.
    pub(crate) fn has_blocks(&self) -> bool {
        self.rows.iter().any(|row| row.block.is_some())
    }

    /// The rows of each block.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + Send {
        let rows = self.rows;
        let begins = (0..rows.len()).filter(|&row| rows[row].block == Some(0));
        begins.map(|first| first..first + 1 + behind(&rows[first + 1..]))
    }

    /// Place of a row in its block, from 1 on, and how many are behind it in that; 0 outside.
    #[cfg(feature = "gpu")]
    pub(crate) fn block(&self, row: usize) -> [usize; 2] {
        self.rows[row].block.map_or([0; 2], |place| [place + 1, behind(&self.rows[row + 1..])])
    }

    /// Whether a row and the one before it are of the same block.
    #[cfg(feature = "gpu")]
    pub(crate) fn is_within_block(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|row| row.block.is_some_and(|place| place > 0))
    }
}
