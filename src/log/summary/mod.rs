//! What the records of a log come to: perplexity, spreads of logprob and entropy, calibration, runs of low confidence, for
//! each request and in all. It says how sure a model was, not whether it was right.

mod calibration;
mod runs;
mod spread;
mod totals;

use std::collections::BTreeMap;

use serde::Serialize;

use self::calibration::CalibrationTally;
pub use self::calibration::{Calibration, CalibrationBin};
use self::runs::{Longest, Run};
pub use self::runs::{LowConfidence, LowRun};
pub use self::spread::Spread;
use self::totals::Tally;
pub use self::totals::Totals;
use super::record::Record;

/// Sums up records as they come, in any order of their requests. It keeps 16 bytes of memory for each token, for the
/// percentiles, and some 300 for each request.
///
/// # Example
/// ```
/// use sortilege::log::{LowConfidence, Record, Summary, Texts};
/// use sortilege::{Cpu, Engine, Logits, LogprobsParams};
///
/// let (logits, targets) = ([0.0f32, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0], [Some(1), Some(0)]);
/// let params = LogprobsParams { entropy: true, ..LogprobsParams::default() };
/// let rows = Cpu.logprobs(&Logits::f32(&logits, 2, 4)?, &params, &targets)?;
/// let mut summary = Summary::new(LowConfidence::default());
/// for (position, (row, target)) in (0..).zip(rows.iter().zip(targets)) {
///     summary.add(&Record::logprobs(0, position, target, row, Texts::NONE));
/// }
/// let report = summary.finish();
/// assert_eq!((report.total.tokens, report.total.greedy_share), (2, Some(1.0)));
/// assert!((report.total.perplexity.unwrap() - 2.0).abs() < 1e-3); // one token of four, one nearly certain
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    low: LowConfidence,
    total: Tally,
    requests: BTreeMap<u64, (Tally, Run)>,
    logprobs: Vec<f64>,
    entropies: Vec<f64>,
    calibration: CalibrationTally,
    longest: Longest,
}

/// What the records came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SummaryReport {
    /// All of them.
    pub total: Totals,
    /// Of the chosen tokens' logprobs, nats.
    pub logprob: Option<Spread>,
    /// Of the entropies, nats.
    pub entropy: Option<Spread>,
    /// Of the most probable tokens, where tokens are known to be targets ([`Record::is_of_target`]) and the log lists at least
    /// one alternative.
    pub calibration: Option<Calibration>,
    /// What counts as low confidence.
    pub low_confidence: LowConfidence,
    /// The longest runs of it, ten at most, the longest first.
    pub longest_low_runs: Vec<LowRun>,
    /// Each request, by its number.
    pub requests: Vec<RequestSummary>,
}

/// What the records of a request came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequestSummary {
    /// Its number.
    pub request: u64,
    /// What they came to.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Summary {
    /// Nothing yet; runs are counted by these thresholds.
    #[must_use]
    pub fn new(low: LowConfidence) -> Self {
        Self {
            low,
            total: Tally::default(),
            requests: BTreeMap::new(),
            logprobs: Vec::new(),
            entropies: Vec::new(),
            calibration: CalibrationTally::default(),
            longest: Longest::default(),
        }
    }

    /// Adds a record. Of a sample, the first draw is its token.
    pub fn add(&mut self, record: &Record<'_>) {
        let request = record.request();
        let (tally, run) = self.requests.entry(request).or_default();
        tally.add(record);
        self.total.add(record);
        self.entropies.extend(record.entropy());
        self.logprobs.extend(record.chosen().and_then(|chosen| chosen.logprob));
        if record.is_of_target() {
            self.calibration.add(record);
        }
        if let Some(ended) = run.add(record, self.low) {
            self.longest.add(ended.of(request), [tally, &mut self.total]);
        }
    }

    /// What all of them came to.
    #[must_use]
    pub fn finish(mut self) -> SummaryReport {
        let mut requests = Vec::with_capacity(self.requests.len());
        for (request, (mut tally, mut run)) in self.requests {
            if let Some(ended) = run.end(self.low) {
                self.longest.add(ended.of(request), [&mut tally, &mut self.total]);
            }
            requests.push(RequestSummary { request, totals: tally.totals() });
        }
        SummaryReport {
            total: self.total.totals(),
            logprob: Spread::of(self.logprobs),
            entropy: Spread::of(self.entropies),
            calibration: self.calibration.calibration(),
            low_confidence: self.low,
            longest_low_runs: self.longest.runs(),
            requests,
        }
    }
}
