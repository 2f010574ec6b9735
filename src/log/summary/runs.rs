//! Runs of low confidence. Such a run says that the model found a passage improbable, and no more: names, numbers and
//! quotations are improbable and may be right, and what is confidently wrong makes no run.

use serde::Serialize;

use super::totals::{Mean, Tally};
use crate::log::record::Record;

/// Runs that are kept.
const MOST_RUNS: usize = 10;
/// Bytes of a run's text that are kept.
const MOST_BYTES: usize = 256;

/// What counts as a run of low confidence: consecutive positions of a request whose tokens are improbable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LowConfidence {
    /// A token is improbable if its probability is below this.
    pub below: f64,
    /// Tokens that a run has at least.
    pub length: u64,
}

impl Default for LowConfidence {
    /// Three tokens, each below a tenth.
    fn default() -> Self {
        Self { below: 0.1, length: 3 }
    }
}

/// A run of low confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LowRun {
    /// Its request.
    pub request: u64,
    /// The position of its first token.
    pub position: u64,
    /// Its tokens.
    pub length: u64,
    /// Their mean logprob, nats.
    pub logprob_mean: f64,
    /// Its text, of which the first 256 bytes, where the bytes of its tokens are known.
    pub text: Option<String>,
}

/// The run that a request is in, if it has tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    position: u64,
    logprob: Mean,
    bytes: Vec<u8>,
    is_spelled: bool,
}

impl Run {
    /// Goes on with a record of the request, or gives the run that ended before it.
    pub(super) fn add(&mut self, record: &Record<'_>, low: LowConfidence) -> Option<Self> {
        let position = record.position();
        let chosen = record.chosen();
        let improbable = chosen
            .and_then(|chosen| chosen.logprob.filter(|logprob| logprob.exp() < low.below).zip(Some(chosen)));
        let goes_on = improbable.is_some() && self.position.checked_add(self.logprob.count) == Some(position);
        let ended = if goes_on { None } else { self.end(low) };
        if let Some((logprob, chosen)) = improbable {
            if self.logprob.count == 0 {
                (self.position, self.is_spelled) = (position, true);
            }
            self.logprob.add(logprob);
            self.is_spelled &= chosen.bytes.is_some();
            let room = MOST_BYTES - self.bytes.len();
            let bytes = chosen.bytes.unwrap_or_default();
            self.bytes.extend(&bytes[..bytes.len().min(room)]);
        }
        ended
    }

    /// Ends the run, and gives it if it is long enough.
    pub(super) fn end(&mut self, low: LowConfidence) -> Option<Self> {
        Some(std::mem::take(self)).filter(|run| run.logprob.count > 0 && run.logprob.count >= low.length)
    }

    /// What is told of it.
    pub(super) fn of(self, request: u64) -> LowRun {
        LowRun {
            request,
            position: self.position,
            length: self.logprob.count,
            logprob_mean: self.logprob.mean().unwrap_or_default(),
            text: self.is_spelled.then(|| String::from_utf8_lossy(&self.bytes).into_owned()),
        }
    }
}

/// The longest runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Longest(Vec<LowRun>);

impl Longest {
    /// Counts a run in these tallies, and keeps it if it is one of the longest.
    pub(super) fn add(&mut self, run: LowRun, tallies: [&mut Tally; 2]) {
        for tally in tallies {
            tally.low_runs += 1;
            tally.low_tokens += run.length;
        }
        let Self(runs) = self;
        // Behind those that are as long: the first of them stays.
        let place = runs.partition_point(|other| other.length >= run.length);
        if place < MOST_RUNS {
            runs.insert(place, run);
            runs.truncate(MOST_RUNS);
        }
    }

    pub(super) fn runs(self) -> Vec<LowRun> {
        self.0
    }
}
