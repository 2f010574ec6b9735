//! Counts and means over records, in one number each: no percentiles.

use serde::Serialize;

use crate::answer::Status;
use crate::log::record::Record;

/// What records come to, in one number each. What there is none of is none, and null in JSON, as are infinite numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Records, with a token or without.
    pub records: u64,
    /// Records of rows that are no distribution.
    pub unsound: u64,
    /// Tokens that have a logprob: given ones, or the first drawn ones.
    pub tokens: u64,
    /// Those of probability 0, each of which makes the perplexity infinite.
    pub impossible: u64,
    /// exp(−mean logprob).
    pub perplexity: Option<f64>,
    /// Mean logprob of the tokens, nats.
    pub logprob_mean: Option<f64>,
    /// The smallest.
    pub logprob_min: Option<f64>,
    /// Mean entropy of the rows that have one, nats.
    pub entropy_mean: Option<f64>,
    /// Share of the tokens than which no other was more probable (rank 1).
    pub greedy_share: Option<f64>,
    /// Runs of low confidence.
    pub low_runs: u64,
    /// Tokens in them.
    pub low_tokens: u64,
}

/// Such numbers in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    records: u64,
    unsound: u64,
    impossible: u64,
    greedy: u64,
    ranked: u64,
    logprob: Mean,
    logprob_min: Option<f64>,
    entropy: Mean,
    pub(super) low_runs: u64,
    pub(super) low_tokens: u64,
}

impl Tally {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.unsound += u64::from(!matches!(record.status(), Status::Ok | Status::Finished));
        if let Some(entropy) = record.entropy() {
            self.entropy.add(entropy);
        }
        let Some(chosen) = record.chosen() else { return };
        if let Some(logprob) = chosen.logprob {
            self.impossible += u64::from(logprob == f64::NEG_INFINITY);
            self.logprob.add(logprob);
            self.logprob_min = Some(self.logprob_min.map_or(logprob, |least| least.min(logprob)));
        }
        self.ranked += u64::from(chosen.rank.is_some());
        self.greedy += u64::from(chosen.rank == Some(1));
    }

    pub(super) fn totals(&self) -> Totals {
        let logprob_mean = self.logprob.mean();
        Totals {
            records: self.records,
            unsound: self.unsound,
            tokens: self.logprob.count,
            impossible: self.impossible,
            perplexity: logprob_mean.map(|mean| (-mean).exp()),
            logprob_mean,
            logprob_min: self.logprob_min,
            entropy_mean: self.entropy.mean(),
            greedy_share: (self.ranked > 0).then(|| self.greedy as f64 / self.ranked as f64),
            low_runs: self.low_runs,
            low_tokens: self.low_tokens,
        }
    }
}

/// A mean whose sum keeps what its additions round off (Neumaier, 1974): it does not grow worse with the records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    lost: f64,
    pub(super) count: u64,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        // Of an infinite sum nothing is lost.
        if sum.is_finite() {
            let (large, small) =
                if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
            self.lost += (large - sum) + small;
        }
        self.sum = sum;
        self.count += 1;
    }

    /// None of nothing.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum + self.lost) / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_keeps_what_a_plain_sum_loses() {
        let mut mean = Mean::default();
        [1e16, 1.0, 1.0, 1.0, 1.0, -1e16, 4.0, 4.0].into_iter().for_each(|value| mean.add(value));
        assert_eq!(mean.mean(), Some(1.5));
        mean.add(f64::NEG_INFINITY);
        mean.add(1.0);
        assert_eq!(mean.mean(), Some(f64::NEG_INFINITY));
        assert_eq!(Mean::default().mean(), None);
    }
}
