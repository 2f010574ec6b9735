//! What is kept of a row where its logits are not: the most probable tokens and a few numbers. Which file it is kept in
//! is the matter of the program.

use crate::answer::{Logprobs, Status, TopLogprob};

/// A row of A without its logits: the most probable tokens with theirs, and what else of it answers exactly. Its logprobs
/// come out with the same bits as those of the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceRow {
    /// Whether the row is a distribution; if not, nothing else counts.
    pub status: Status,
    /// Entropy of the whole distribution, in nats.
    pub entropy: f64,
    /// Logprob of the most probable token, `top[0]`: minus the logarithm of Σ exp(x − max).
    pub max_logprob: f64,
    /// The most probable tokens and their logits: logit descending, then token ascending.
    pub top: Vec<(u32, f32)>,
    /// The target, where the row has one.
    pub target: Option<ReferenceTarget>,
}

/// The target of a [`ReferenceRow`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceTarget {
    /// Token id.
    pub token: u32,
    /// Its logit; -infinity for a token that is impossible.
    pub logit: f32,
    /// 1 plus the tokens with a larger logit.
    pub rank: u32,
}

impl ReferenceRow {
    /// What is kept of a row at temperature 1: its list, whose length is the caller's choice, and its target.
    #[must_use]
    pub fn new(row: &Logprobs) -> Self {
        let distribution = &row.distribution;
        Self {
            status: distribution.status,
            entropy: distribution.entropy,
            max_logprob: distribution.top_logprobs.first().map_or(f64::NAN, |best| best.logprob),
            top: distribution.top_logprobs.iter().map(|entry| (entry.token, entry.logit)).collect(),
            target: row.target.as_ref().map(|target| ReferenceTarget {
                token: target.token,
                logit: target.logit,
                rank: target.rank(),
            }),
        }
    }

    /// The logprob of a token with this logit: the expression of `docs/exact.md`, 9, at temperature 1.
    pub(super) fn logprob(&self, logit: f32) -> f64 {
        let max = self.top.first().map_or(f32::NAN, |(_, logit)| *logit);
        (f64::from(logit) - f64::from(max)) + self.max_logprob
    }

    /// The list with its logprobs.
    pub(super) fn top_logprobs(&self) -> Vec<TopLogprob> {
        let entry = |&(token, logit)| TopLogprob { token, logit, logprob: self.logprob(logit) };
        self.top.iter().map(entry).collect()
    }

    /// Probability of all tokens that are not listed.
    #[must_use]
    pub fn mass_outside(&self) -> f64 {
        let listed: f64 = self.top.iter().map(|&(_, logit)| self.logprob(logit).exp()).sum();
        (1.0 - listed).max(0.0)
    }
}
