//! How often the most probable token was the given one, beside its probability.

use serde::Serialize;

use super::totals::Mean;
use crate::log::record::Record;

/// Bins of probability, equally wide.
const BINS: usize = 10;

/// Reliability of the most probable token: its probability, binned, and how often it was the given one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Expected calibration error: the mean over all tokens of |accuracy − confidence| of their bin (Guo et al. 2017, with
    /// ten bins).
    pub error: f64,
    /// The bins, by probability.
    pub bins: Vec<CalibrationBin>,
}

/// Rows whose most probable token has a probability in `from..to`; the last bin has 1 too.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// The least probability.
    pub from: f64,
    /// The end of the bin.
    pub to: f64,
    /// Tokens in it.
    pub tokens: u64,
    /// Mean probability of the most probable token.
    pub confidence: Option<f64>,
    /// How often it was the given one.
    pub accuracy: Option<f64>,
}

/// Such bins in the making: probabilities, and hits.
#[derive(Clone, Debug, Default)]
pub(super) struct CalibrationTally([(Mean, u64); BINS]);

impl CalibrationTally {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let (Some(chosen), Some(first)) = (record.chosen(), record.top().first()) else { return };
        if chosen.logprob.is_none() {
            return;
        }
        let probability = first.logprob.exp();
        #[expect(clippy::cast_possible_truncation, reason = "a bin, once it is bounded")]
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        let (confidence, hits) = &mut self.0[bin];
        confidence.add(probability);
        // Logs of others may name tokens by their texts alone.
        let is_it = match first.token.zip(chosen.token) {
            Some((first, chosen)) => first == chosen,
            None => first.text.as_deref() == chosen.text,
        };
        *hits += u64::from(is_it);
    }

    /// None of nothing.
    pub(super) fn calibration(&self) -> Option<Calibration> {
        let tokens: u64 = self.0.iter().map(|(confidence, _)| confidence.count).sum();
        let edge = |bin: usize| bin as f64 / BINS as f64;
        let bin = |(number, (confidence, hits)): (usize, &(Mean, u64))| CalibrationBin {
            from: edge(number),
            to: edge(number + 1),
            tokens: confidence.count,
            confidence: confidence.mean(),
            accuracy: (confidence.count > 0).then(|| *hits as f64 / confidence.count as f64),
        };
        let bins: Vec<CalibrationBin> = self.0.iter().enumerate().map(bin).collect();
        let gap = |bin: &CalibrationBin| {
            let gap =
                bin.accuracy.zip(bin.confidence).map_or(0.0, |(accuracy, sure)| (accuracy - sure).abs());
            gap * bin.tokens as f64
        };
        let error = bins.iter().map(gap).sum::<f64>() / tokens as f64;
        (tokens > 0).then_some(Calibration { error, bins })
    }
}
