//! The rows of a comparison in which A and B are farthest apart. How they are shown is in `output`.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use sortilege::compare::RowComparison;

/// The worst rows so far, of which no more than so many are kept.
pub(super) struct Worst {
    most: usize,
    /// The mildest of them first.
    rows: BinaryHeap<Reverse<WorstRow>>,
}

/// Where a row stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its number, and that of the first row of its request.
    pub(super) row: usize,
    pub(super) first: usize,
    pub(super) request: u64,
    pub(super) position: u64,
}

/// A row and how it compares.
pub(super) struct WorstRow {
    pub(super) place: Place,
    pub(super) comparison: RowComparison,
}

impl Worst {
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: BinaryHeap::new() }
    }

    /// Keeps the row if it is one of the worst: by KL(A ‖ B), of equal ones the first. Rows that do not differ are not
    /// kept.
    pub(super) fn add(&mut self, place: Place, comparison: RowComparison) {
        if comparison.divergence.kld > 0.0 {
            self.rows.push(Reverse(WorstRow { place, comparison }));
        }
        if self.rows.len() > self.most {
            self.rows.pop();
        }
    }

    /// The rows, the worst first.
    pub(super) fn into_sorted(self) -> Vec<WorstRow> {
        self.rows.into_sorted_vec().into_iter().map(|Reverse(row)| row).collect()
    }
}

impl Ord for WorstRow {
    fn cmp(&self, other: &Self) -> Ordering {
        let [own, others] = [self, other].map(|row| row.comparison.divergence.kld);
        own.total_cmp(&others).then(other.place.row.cmp(&self.place.row))
    }
}

impl PartialOrd for WorstRow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for WorstRow {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for WorstRow {}
