//! A row with its truth: what every operation must say of it.

use std::sync::{Arc, Mutex, PoisonError};

use super::distribution::{Expected, judge_none, status_of};
use super::verdict::{KL_RELATIVE, Verdict};
use crate::answer::{Divergence, Logprobs, Status};
use crate::arithmetic::format::NO_TOKEN;
use crate::logits::Logits;
use crate::params::LogprobsParams;
use crate::proof::oracle::{Truth, divergence, truth};

/// A row of logits and, once per temperature that is asked about, what the definition says of it.
#[derive(Debug)]
pub struct KnownRow {
    logits: Vec<f32>,
    status: Status,
    /// By the bits of the temperature.
    truths: Mutex<Vec<(u32, Arc<Truth>)>>,
}

impl KnownRow {
    /// A row of a batch.
    ///
    /// # Panics
    /// If the batch has no such row.
    #[must_use]
    pub fn new(logits: &Logits<'_>, row: usize) -> Self {
        assert!(row < logits.rows(), "row {row} of {}", logits.rows());
        let logits: Vec<f32> = logits.row_bits(row).iter().map(f32::from_bits).collect();
        Self { status: status_of(&logits), logits, truths: Mutex::default() }
    }

    /// Its logits as f32, `[vocab]`.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Whether it is a distribution, and if not why.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What the definition says at a temperature; `None` if the row is no distribution.
    #[must_use]
    pub fn truth(&self, temperature: f32) -> Option<Arc<Truth>> {
        if self.status != Status::Ok {
            return None;
        }
        let mut truths = self.truths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = truths.iter().find(|(bits, _)| *bits == temperature.to_bits()) {
            return Some(known.clone());
        }
        let made = Arc::new(truth(&self.logits, temperature)?);
        truths.push((temperature.to_bits(), made.clone()));
        Some(made)
    }

    /// Verdict about the [`Logprobs`] of this row, for these parameters and this target.
    pub fn logprobs(&self, answer: &Logprobs, params: &LogprobsParams, target: Option<u32>) -> Verdict {
        self.logprobs_of(answer, params, target, &[])
    }

    /// The same, for given tokens too.
    pub fn logprobs_of(
        &self,
        answer: &Logprobs,
        params: &LogprobsParams,
        target: Option<u32>,
        token_ids: &[u32],
    ) -> Verdict {
        let Some(truth) = self.truth(params.temperature) else {
            let mut verdict = judge_none(&answer.distribution, self.status);
            verdict.same("target", answer.target.map(|target| target.token), None);
            return verdict;
        };
        let expected = Expected::whole(&self.logits, &truth, params.top_logprobs, token_ids, params.entropy);
        let mut verdict = expected.judge(&answer.distribution);
        match target {
            Some(token) => {
                let logprob = truth.logprobs.get(token as usize).copied().unwrap_or(f64::NAN);
                verdict.and(expected.judge_target(answer.target.as_ref(), token, logprob));
            }
            None => {
                verdict.same("target", answer.target.map(|target| target.token), None);
            }
        }
        verdict
    }

    /// Verdict about the maximum of this row: equal bits, -0 as 0; NaN for a row with a NaN.
    pub fn row_max(&self, answer: f32) -> Verdict {
        let mut verdict = Verdict::default();
        let max = match self.status {
            Status::Nan => f32::NAN,
            _ => self.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) + 0.0,
        };
        verdict.same_bits("max", answer, max);
        verdict
    }

    /// Verdict about the log-sum-exp of this row at temperature 1, nats, rounded to f32.
    pub fn log_sum_exp(&self, answer: f32) -> Verdict {
        let mut verdict = Verdict::default();
        match self.truth(1.0) {
            Some(truth) => verdict.near(
                || "log-sum-exp".to_owned(),
                widened(answer, truth.logsumexp),
                truth.logsumexp,
                half_ulp(truth.logsumexp),
            ),
            // +infinity, -infinity or NaN, as the maximum is.
            None => verdict.and(self.row_max(answer)),
        }
        verdict
    }

    /// Verdict about the log-softmax of this row at temperature 1, `[vocab]`, nats, rounded to f32.
    pub fn log_softmax(&self, answer: &[f32]) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.same("number of logprobs", answer.len(), self.logits.len());
        let Some(truth) = self.truth(1.0) else {
            for (token, &got) in answer.iter().enumerate().filter(|(_, got)| !got.is_nan()) {
                verdict.fails(|| format!("logprob of token {token} is {got} instead of NaN"));
            }
            return verdict;
        };
        for (token, (&got, &truth)) in answer.iter().zip(&truth.logprobs).enumerate() {
            verdict.near(|| format!("logprob of token {token}"), widened(got, truth), truth, half_ulp(truth));
        }
        verdict
    }

    /// Verdict about the `k` largest logits of this row and their tokens, both `[k]`: value descending, then token
    /// ascending; after the last possible token -infinity and [`NO_TOKEN`].
    pub fn top_k(&self, logits: &[f32], tokens: &[u32], k: u32) -> Verdict {
        let mut verdict = Verdict::default();
        let k = k as usize;
        verdict.same("number of tokens", tokens.len(), k);
        verdict.same("number of logits", logits.len(), k);
        let truth = self.truth(1.0);
        let order = truth.as_ref().map_or(&[][..], |truth| &truth.order);
        let logit = |&token: &u32| (token, self.logits[token as usize] + 0.0); // -0 comes back as 0
        let expected = order.iter().map(logit).chain(std::iter::repeat((NO_TOKEN, f32::NEG_INFINITY)));
        for (place, ((&value, &token), expected)) in logits.iter().zip(tokens).zip(expected).enumerate() {
            let got = (token, value);
            if token != expected.0 || value.to_bits() != expected.1.to_bits() {
                verdict.fails(|| {
                    format!("token and logit of place {place} are {got:?} instead of {expected:?}")
                });
            }
        }
        verdict
    }
}

impl KnownRow {
    /// Verdict about the [`Divergence`] of this row, P, from the row of another batch, Q: each number within the promise, and
    /// of the Kullback-Leibler divergences [`KL_RELATIVE`] of them more.
    pub fn divergence(&self, other: &Self, answer: &Divergence) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.same("statuses", answer.statuses, [self.status, other.status]);
        let Divergence { kl, reverse_kl, jensen_shannon, .. } = *answer;
        let (Some(p), Some(q)) = (self.truth(1.0), other.truth(1.0)) else {
            for (what, value) in [("kl", kl), ("reverse kl", reverse_kl), ("jensen-shannon", jensen_shannon)]
            {
                verdict.none(what, value);
            }
            return verdict;
        };
        let truth = divergence(&p.logprobs, &q.logprobs);
        for (what, got, least, most) in [
            ("kl", kl, truth.least_kl, truth.kl),
            ("reverse kl", reverse_kl, truth.least_reverse_kl, truth.reverse_kl),
        ] {
            // What lies between the two is right; a NaN is not, and stays one.
            let truth = if got < least { least } else { got.min(most) };
            verdict.near(|| what.to_owned(), got, truth, KL_RELATIVE * truth);
            if got < 0.0 {
                verdict.fails(|| format!("{what} is {got}, below 0"));
            }
        }
        verdict.near(|| "jensen-shannon".to_owned(), jensen_shannon, truth.jensen_shannon, 0.0);
        if !(0.0..=std::f64::consts::LN_2).contains(&jensen_shannon) {
            verdict.fails(|| format!("jensen-shannon is {jensen_shannon}, outside 0 to ln 2"));
        }
        verdict
    }
}

/// Half a unit in the last place of an f32 of this value.
fn half_ulp(truth: f64) -> f64 {
    truth.abs() * f64::from(f32::EPSILON) / 2.0
}

/// An f32 answer; what is too large for one is infinite.
fn widened(answer: f32, truth: f64) -> f64 {
    let is_beyond = truth < f64::from(f32::MIN) && answer == f32::NEG_INFINITY;
    if is_beyond { truth } else { f64::from(answer) }
}
