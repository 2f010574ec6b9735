//! A distribution, and what it says of one token, against the definition.

use super::verdict::Verdict;
use crate::answer::{Distribution, Status, TargetLogprob};
use crate::proof::oracle::Truth;

/// What the definition says of a distribution.
pub(super) struct Expected<'a> {
    /// By token.
    pub(super) logits: &'a [f32],
    /// Its tokens, in order.
    pub(super) order: &'a [u32],
    /// The first of them that are to be listed, with their logprobs.
    pub(super) listed: Vec<(u32, f64)>,
    /// The given tokens, with their logprobs: -infinity for one that is not kept.
    pub(super) given: Vec<(u32, f64)>,
    pub(super) logsumexp: f64,
    pub(super) entropy: f64,
    /// Whether the entropy is to be there.
    pub(super) asks_entropy: bool,
    /// Relative error of the temperature.
    pub(super) drift: f64,
}

impl<'a> Expected<'a> {
    /// A whole row, of which so many entries are asked, these tokens, and the entropy or not.
    pub(super) fn whole(
        logits: &'a [f32],
        truth: &'a Truth,
        listed: u32,
        given: &[u32],
        asks_entropy: bool,
    ) -> Self {
        let logprob = |token: u32| truth.logprobs.get(token as usize).copied().unwrap_or(f64::NAN);
        let listed = truth.order.iter().take(listed as usize);
        Self {
            logits,
            order: &truth.order,
            listed: listed.map(|&token| (token, truth.logprobs[token as usize])).collect(),
            given: given.iter().map(|&token| (token, logprob(token))).collect(),
            logsumexp: truth.logsumexp,
            entropy: truth.entropy,
            asks_entropy,
            drift: 0.0,
        }
    }

    /// What an error of the temperature makes of a logprob, whose derivative by ln T is its surprise less the entropy.
    pub(super) fn allowance(&self, logprob: f64) -> f64 {
        if self.drift == 0.0 { 0.0 } else { 2.0 * self.drift * (-logprob - self.entropy).abs() }
    }

    /// Of what must be a distribution.
    pub(super) fn judge(&self, got: &Distribution) -> Verdict {
        let mut verdict = Verdict::default();
        if !verdict.same("status", got.status, Status::Ok) {
            return verdict;
        }
        let tokens =
            got.top_logprobs.iter().map(|entry| entry.token).zip(self.listed.iter().map(|(token, _)| *token));
        if let Some((place, (got, expected))) =
            tokens.enumerate().find(|(_, (got, expected))| got != expected)
        {
            verdict.fails(|| format!("entry {place} is token {got} instead of {expected}"));
        }
        verdict.same("number of entries", got.top_logprobs.len(), self.listed.len());
        for (entry, &(token, truth)) in got.top_logprobs.iter().zip(&self.listed) {
            let logit = self.logits[token as usize] + 0.0; // -0 comes back as 0
            verdict.same_bits("a listed logit", entry.logit, logit);
            let what = || format!("logprob of token {token}");
            verdict.logprob(what, entry.logprob, truth, self.allowance(truth));
        }
        verdict.same("number of given tokens", got.token_logprobs.len(), self.given.len());
        for (got, &(token, truth)) in got.token_logprobs.iter().zip(&self.given) {
            verdict.and(self.judge_target(Some(got), token, truth).within("given"));
        }
        let max = self.order.first().map_or(f32::NAN, |&token| self.logits[token as usize] + 0.0);
        verdict.same_bits("max", got.max, max);
        // f64 itself has 16 digits. A derivative by ln T is the entropy less the log-sum-exp, and of the entropy a
        // variance.
        let allowance =
            self.logsumexp.abs() * 1e-15 + 2.0 * self.drift * (self.logsumexp - self.entropy).abs();
        verdict.near(|| "logsumexp".to_owned(), got.logsumexp, self.logsumexp, allowance);
        if self.asks_entropy {
            verdict.near(|| "entropy".to_owned(), got.entropy, self.entropy, 100.0 * self.drift);
        } else if !got.entropy.is_nan() {
            verdict.fails(|| format!("entropy is {} instead of NaN: nobody asked", got.entropy));
        }
        verdict
    }

    /// Of a token, of which something must be said, and which has this logprob by the definition.
    pub(super) fn judge_target(&self, got: Option<&TargetLogprob>, token: u32, truth: f64) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(got) = got else {
            verdict.fails(|| format!("nothing is said of token {token}"));
            return verdict;
        };
        let Some(&logit) = self.logits.get(token as usize) else {
            verdict.fails(|| format!("token {token} is outside the row of {}", self.logits.len()));
            return verdict;
        };
        // One that is not kept is as if it were masked.
        let logit = if truth == f64::NEG_INFINITY { f32::NEG_INFINITY } else { logit };
        if verdict.same("the token", got.token, token) {
            verdict.same_bits("its logit", got.logit, logit + 0.0);
            verdict.logprob(
                || format!("logprob of token {token}"),
                got.logprob,
                truth,
                self.allowance(truth),
            );
            let ranks = (got.n_greater, got.n_equal);
            verdict.same("numbers of greater and of equal logits", ranks, self.rank_counts(logit));
        }
        verdict
    }

    /// How many tokens of the distribution have a larger logit, and how many an equal one; impossible ones count with
    /// the equal ones of their kind.
    #[expect(clippy::cast_possible_truncation, reason = "tokens of a row")]
    fn rank_counts(&self, logit: f32) -> (u32, u32) {
        let count = |holds: &dyn Fn(f32) -> bool| {
            self.order.partition_point(|&token| holds(self.logits[token as usize]))
        };
        let greater = count(&|x| x > logit);
        let equal = match logit {
            f32::NEG_INFINITY => self.logits.len() - self.order.len(),
            _ => count(&|x| x >= logit) - greater,
        };
        (greater as u32, equal as u32)
    }
}

/// Of what must be no distribution: every number NaN, and no list.
pub(super) fn judge_none(got: &Distribution, status: Status) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.same("status", got.status, status);
    verdict.same("number of entries", got.top_logprobs.len(), 0);
    verdict.same("number of given tokens", got.token_logprobs.len(), 0);
    verdict.same_bits("max", got.max, f32::NAN);
    for (what, value) in [("logsumexp", got.logsumexp), ("entropy", got.entropy)] {
        verdict.none(what, value);
    }
    verdict
}

/// Whether a row is a distribution.
pub(super) fn status_of(logits: &[f32]) -> Status {
    if logits.iter().any(|x| x.is_nan()) {
        Status::Nan
    } else if logits.contains(&f32::INFINITY) {
        Status::PositiveInfinity
    } else if logits.iter().all(|x| *x == f32::NEG_INFINITY) {
        Status::NothingFinite
    } else {
        Status::Ok
    }
}
