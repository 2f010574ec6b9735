//! What is kept of a row where its logits are not: the most probable tokens and a few numbers. Which file it is kept in
//! is the matter of the program.

use crate::answer::{Logprobs, Status, TopLogprob};
use crate::error::{Error, Result};

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

    /// An error if no row of so many logits has these numbers. Of a row that is no distribution they do not count.
    ///
    /// # Errors
    /// [`Error::Params`], with what cannot be.
    pub fn check(&self, vocab: usize) -> Result<()> {
        match self.problem(vocab) {
            Some(problem) if self.status == Status::Ok => Err(Error::Params(problem)),
            _ => Ok(()),
        }
    }

    fn problem(&self, vocab: usize) -> Option<String> {
        // What logprobs and entropies may differ from the definition by: docs/exact.md, section 12.
        const ROUNDING: f64 = 1e-6;
        let Some(&(_, max)) = self.top.first() else { return Some("it lists no token".to_owned()) };
        if let Some((token, _)) = self.top.iter().find(|(token, _)| *token as usize >= vocab) {
            return Some(format!("it lists token {token} of a vocabulary of {vocab}"));
        }
        if let Some((token, logit)) = self.top.iter().find(|(_, logit)| !logit.is_finite()) {
            return Some(format!("it lists token {token} with the logit {logit}"));
        }
        let in_order =
            |pair: &[(u32, f32)]| pair[0].1 > pair[1].1 || (pair[0].1 == pair[1].1 && pair[0].0 < pair[1].0);
        if !self.top.windows(2).all(in_order) {
            return Some("its list is not in order".to_owned());
        }
        let mut tokens: Vec<u32> = self.top.iter().map(|entry| entry.0).collect();
        tokens.sort_unstable();
        if let Some(pair) = tokens.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("it lists token {} twice", pair[0]));
        }
        let most = (vocab as f64).ln() + ROUNDING;
        if !(-most..=0.0).contains(&self.max_logprob) {
            return Some(format!("the logprob of its first token is {}", self.max_logprob));
        }
        let listed = self.listed_mass();
        if listed > 1.0 + ROUNDING {
            return Some(format!("the probabilities that it lists add up to {listed}"));
        }
        // Whoever did not ask for it has none.
        if !self.entropy.is_nan() && !(0.0..=most).contains(&self.entropy) {
            return Some(format!("its entropy is {}", self.entropy));
        }
        let ReferenceTarget { token, logit, rank } = self.target?;
        let above = self.top.partition_point(|entry| entry.1 > logit);
        let own = self.top.iter().find(|entry| entry.0 == token);
        // What is not listed is above no listed token, and as large as the last one at most.
        let is_listed = own.is_some_and(|own| own.1 == logit && rank as usize == above + 1);
        let is_below =
            own.is_none() && above < rank as usize && self.top.last().is_some_and(|last| logit <= last.1);
        let fits =
            (token as usize) < vocab && rank as usize <= vocab && logit <= max && (is_listed || is_below);
        (!fits).then(|| format!("its target {token} has the logit {logit} and the rank {rank}"))
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
        (1.0 - self.listed_mass()).max(0.0)
    }

    fn listed_mass(&self) -> f64 {
        self.top.iter().map(|&(_, logit)| self.logprob(logit).exp()).sum()
    }
}
