//! What is gathered on the way through the rows, request by request. Where the rows come from is not known here.

use std::collections::HashSet;

use sortilege::compare::{Comparison, ComparisonReport, Divergences, RowComparison};

use super::worst::{Place, Worst, WorstRow};
use crate::failure::{Result, note};

/// What a pass leaves.
pub(super) struct Outcome {
    pub(super) total: ComparisonReport,
    /// The worst rows, the worst first.
    pub(super) worst: Vec<WorstRow>,
    /// The target of every row.
    pub(super) targets: Vec<Option<u32>>,
}

impl Outcome {
    /// What the divergences are of.
    pub(super) fn divergences(&self) -> Divergences {
        self.total.divergence.map_or(Divergences::Absent, |divergence| divergence.kind)
    }
}

/// A pass in the making. `each_request` is called with the report of each request in turn.
pub(super) struct Pass<F> {
    /// One without rows.
    fresh: Comparison,
    /// Whether there is one request alone, which is the total.
    is_alone: bool,
    total: Comparison,
    request: Comparison,
    /// The request of the last row, and the number of its first.
    current: Option<(u64, usize)>,
    /// Requests before it.
    ended: HashSet<u64>,
    /// Whether one came again, which is told.
    is_scattered: bool,
    worst: Worst,
    targets: Vec<Option<u32>>,
    each_request: F,
}

impl<F: FnMut(u64, &ComparisonReport) -> Result<()>> Pass<F> {
    /// A pass before its first row, with a comparison that has none.
    pub(super) fn new(fresh: Comparison, is_alone: bool, worst: usize, each_request: F) -> Self {
        let [total, request] = [fresh.clone(), fresh.clone()];
        let (worst, targets) = (Worst::new(worst), Vec::new());
        Self {
            fresh,
            is_alone,
            total,
            request,
            current: None,
            ended: HashSet::new(),
            is_scattered: false,
            worst,
            targets,
            each_request,
        }
    }

    /// Takes the next row, and its target.
    pub(super) fn add(
        &mut self,
        request: u64,
        position: u64,
        target: Option<u32>,
        comparison: RowComparison,
    ) -> Result<()> {
        let row = self.targets.len();
        let first = match self.current {
            Some((current, first)) if current == request => first,
            _ => {
                self.end_request()?;
                if self.ended.contains(&request) && !std::mem::replace(&mut self.is_scattered, true) {
                    note!(
                        "note: row {row} is of request {request}, which ended before: the numbers of requests are of their \
                         parts; sort both logs by request"
                    );
                }
                row
            }
        };
        self.current = Some((request, first));
        self.total.add(&comparison);
        if !self.is_alone {
            self.request.add(&comparison);
        }
        self.targets.push(target);
        self.worst.add(Place { row, first, request, position }, comparison);
        Ok(())
    }

    /// What the rows say.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        self.end_request()?;
        Ok(Outcome { total: self.total.report(), worst: self.worst.into_sorted(), targets: self.targets })
    }

    fn end_request(&mut self) -> Result<()> {
        let Some((request, _)) = self.current else { return Ok(()) };
        self.ended.insert(request);
        let ended = std::mem::replace(&mut self.request, self.fresh.clone());
        let report = if self.is_alone { self.total.report() } else { ended.report() };
        (self.each_request)(request, &report)
    }
}
