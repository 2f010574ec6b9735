//! What rows say of a sequence of tokens: the sum of its next-token logprobs, means of it, its least likely token. Which
//! row is asked about which token is for the caller to know.

use std::cmp::Ordering;

use super::{Distribution, TargetLogprob};

/// A token of a sequence, as the row that predicts it has it. Callers with logprobs of their own make it by its fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredToken {
    /// Token id.
    pub token: u32,
    /// Natural logarithm of its probability, given the tokens before it.
    pub logprob: f64,
    /// 1 plus the tokens with a larger logit; of one found in a log's list, with a larger logprob, to which two logits may
    /// round. None where a log tells the logprob alone.
    pub rank: Option<u32>,
    /// Whether greedy decoding takes it: the first of the total order, so that of equal logits only the smallest token is.
    /// `None` where others may tie with it and no list says which comes first.
    pub is_greedy: Option<bool>,
}

impl Distribution {
    /// A token that this distribution was asked about, as one of a sequence. Of equal logits the first of
    /// [`Self::top_logprobs`] is the greedy one: ask for one entry at least. Without a list it is unknown whether a token
    /// that ties for the first place is.
    #[must_use]
    pub fn scored(&self, target: &TargetLogprob) -> ScoredToken {
        let is_greedy = match self.top_logprobs.first() {
            Some(first) => Some(first.token == target.token),
            None if target.n_greater > 0 => Some(false),
            None => (target.n_equal == 1).then_some(true),
        };
        ScoredToken { token: target.token, logprob: target.logprob, rank: Some(target.rank()), is_greedy }
    }
}

/// The score of a sequence of tokens: its log-probability is the sum of the logprobs of its tokens, each given those
/// before it.
///
/// Sums go from the first token to the last, in f64. A logprob is within 1e-6 of the true one where its probability is
/// above 1e-9, so a total of n tokens is within n · 1e-6.
///
/// # Example
/// ```
/// use sortilege::{Cpu, Engine, Logits, LogprobsParams, SequenceScore};
/// // Two rows, and the token that each predicts.
/// let logits = [1.0f32, 3.0, 0.0, 2.0, 2.0, -1.0];
/// let params = LogprobsParams { top_logprobs: 1, ..LogprobsParams::default() };
/// let rows = Cpu.logprobs(&Logits::f32(&logits, 2, 3)?, &params, &[Some(1), Some(1)])?;
/// let tokens = rows.iter().map(|row| row.distribution.scored(row.target.as_ref().unwrap()));
/// let score = SequenceScore::new(tokens.collect());
/// assert!((score.total() - -0.8876).abs() < 1e-4);
/// assert_eq!(score.least_likely(), Some(1));
/// assert!(score.tokens()[0].is_greedy == Some(true) && score.is_greedy() == Some(false), "of equal logits the smaller token is greedy");
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequenceScore {
    tokens: Vec<ScoredToken>,
    total: f64,
}

impl SequenceScore {
    /// The score of these tokens, in order.
    #[must_use]
    pub fn new(tokens: Vec<ScoredToken>) -> Self {
        let total = tokens.iter().map(|token| token.logprob).sum::<f64>() + 0.0; // the sum of nothing is -0
        Self { tokens, total }
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &[ScoredToken] {
        &self.tokens
    }

    /// The log-probability of the sequence, in nats: 0 for an empty one, -infinity where a token is impossible.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Nats per token; NaN for an empty sequence.
    #[must_use]
    pub fn per_token(&self) -> f64 {
        self.total / self.tokens.len() as f64
    }

    /// Nats per byte of a text of so many bytes; NaN or infinite for one of none.
    #[must_use]
    pub fn per_byte(&self, bytes: usize) -> f64 {
        self.total / bytes as f64
    }

    /// `exp(−per_token)`, with the system's `exp`; NaN for an empty sequence.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        (-self.per_token()).exp()
    }

    /// The place of the token with the smallest logprob, the first of several.
    #[must_use]
    pub fn least_likely(&self) -> Option<usize> {
        let places = 0..self.tokens.len();
        places.min_by(|&a, &b| self.tokens[a].logprob.total_cmp(&self.tokens[b].logprob))
    }

    /// Whether greedy decoding takes every token; `None` where that hangs on a token of which it is unknown.
    #[must_use]
    pub fn is_greedy(&self) -> Option<bool> {
        let mut each = self.tokens.iter().map(|token| token.is_greedy);
        if each.clone().any(|is_greedy| is_greedy == Some(false)) {
            return Some(false);
        }
        each.all(|is_greedy| is_greedy.is_some()).then_some(true)
    }
}

/// Places of scores, the best first: largest value, then earliest place; what is NaN comes last.
///
/// # Example
/// ```
/// assert_eq!(sortilege::best_first(&[-2.4, f64::NAN, -2.3, -2.4]), [2, 0, 3, 1]);
/// ```
#[must_use]
pub fn best_first(values: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| match (values[a].is_nan(), values[b].is_nan()) {
        (false, false) => values[b].partial_cmp(&values[a]).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Status, TopLogprob};

    fn token(logprob: f64, is_greedy: impl Into<Option<bool>>) -> ScoredToken {
        ScoredToken { token: 3, logprob, rank: Some(1), is_greedy: is_greedy.into() }
    }

    #[test]
    fn a_score_is_a_sum_of_logprobs() {
        let score = SequenceScore::new(vec![token(-0.5, true), token(-1.5, true), token(-1.5, false)]);
        assert_eq!((score.total(), score.per_token()), (-3.5, -3.5 / 3.0));
        assert_eq!(score.per_byte(7), -0.5);
        assert!((score.perplexity() - (3.5f64 / 3.0).exp()).abs() < 1e-12);
        assert_eq!((score.least_likely(), score.is_greedy()), (Some(1), Some(false)));
        let impossible = SequenceScore::new(vec![token(-1.0, true), token(f64::NEG_INFINITY, true)]);
        assert_eq!(impossible.total(), f64::NEG_INFINITY);
        assert_eq!((impossible.perplexity(), impossible.is_greedy()), (f64::INFINITY, Some(true)));
        let unknown = SequenceScore::new(vec![token(-1.0, None), token(-1.0, true)]);
        assert_eq!(unknown.is_greedy(), None);
        let not = SequenceScore::new(vec![token(-1.0, None), token(-1.0, false)]);
        assert_eq!(not.is_greedy(), Some(false), "whatever the other is");
        let empty = SequenceScore::new(Vec::new());
        assert_eq!((empty.total().to_bits(), empty.least_likely()), (0, None));
        assert!(empty.per_token().is_nan() && empty.perplexity().is_nan());
    }

    /// The order of totals is not that of means, and ties go to the earlier.
    #[test]
    fn scores_are_ordered_by_value_then_place() {
        assert_eq!(best_first(&[-1.0, -3.0, -1.0]), [0, 2, 1]);
        assert_eq!(best_first(&[0.0, -0.0]), [0, 1], "zeros are equal");
        assert_eq!(best_first(&[f64::NAN, f64::NEG_INFINITY, f64::NAN]), [1, 0, 2]);
        assert_eq!(best_first(&[]), [0; 0]);
    }

    #[test]
    fn of_equal_logits_the_first_of_the_list_is_greedy() {
        let target = |token, n_greater, n_equal| TargetLogprob {
            token,
            logit: 1.0,
            logprob: -1.0,
            n_greater,
            n_equal,
        };
        let mut row = Distribution::none(Status::Ok);
        for (given, alone) in
            [(target(4, 0, 2), None), (target(4, 0, 1), Some(true)), (target(4, 1, 1), Some(false))]
        {
            assert_eq!(row.scored(&given).is_greedy, alone, "{given:?}");
        }
        row.top_logprobs = vec![TopLogprob { token: 2, logit: 1.0, logprob: -1.0 }];
        assert_eq!([2, 4].map(|token| row.scored(&target(token, 0, 2)).is_greedy), [Some(true), Some(false)]);
    }
}
