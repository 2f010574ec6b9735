//! Rows whose draft tokens are verified as one block.

use std::ops::Range;

use super::{Inputs, Row};

/// Rows from this one on that are of the same block.
fn behind(rows: &[Row<'_>]) -> usize {
    rows.iter().take_while(|row| row.block_place.is_some_and(|place| place > 0)).count()
}

impl Inputs<'_> {
    /// Whether draft tokens are verified as blocks.
    pub(crate) fn has_blocks(&self) -> bool {
        self.rows.iter().any(|row| row.block_place.is_some())
    }

    /// The rows of each block.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + Send {
        let rows = self.rows;
        let begins = (0..rows.len()).filter(|&row| rows[row].block_place == Some(0));
        begins.map(|first| first..first + 1 + behind(&rows[first + 1..]))
    }

    /// Place of a row in its block, from 1 on, and how many are behind it in that; 0 outside.
    #[cfg(feature = "gpu")]
    pub(crate) fn block(&self, row: usize) -> [usize; 2] {
        self.rows[row].block_place.map_or([0; 2], |place| [place + 1, behind(&self.rows[row + 1..])])
    }

    /// Whether a row and the one before it are of the same block.
    pub(crate) fn is_within_block(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|row| row.block_place.is_some_and(|place| place > 0))
    }
}
