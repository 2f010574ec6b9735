//! What one row of A and the same row of B say together. How it is found is in `side` and `rows`.

use crate::answer::{Status, TopLogprob};

/// A gap of A's two best tokens, in nats, below which their order is a near tie: a tenth, odds of 1.1 to 1.
pub(super) const NEAR_TIE: f64 = 0.1;

/// One row of A and of B. In every pair A's number comes first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RowComparison {
    /// Whether each is a distribution. Where one is not, nothing below is there: NaN, `None`, empty.
    pub status: [Status; 2],
    /// What both say of the target, where the row has one.
    pub target: Option<TargetComparison>,
    /// How far the two distributions are apart.
    pub divergence: RowDivergence,
    /// Entropies in nats.
    pub entropy: [f64; 2],
    /// The most probable tokens of each, at least two where there are two; logs and references may list fewer.
    pub top_logprobs: [Vec<TopLogprob>; 2],
    /// Rank of A's most probable token in B, and of B's in A: 1 plus the tokens with a larger logit. None where a
    /// reference does not list it.
    pub choice_rank: [Option<u32>; 2],
    /// Share of the first `top` tokens of each that are among those of the other.
    pub overlap: f64,
}

/// What A and B say of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TargetComparison {
    /// Token id.
    pub token: u32,
    /// Its logprobs.
    pub logprob: [f64; 2],
    /// Its ranks: 1 plus the tokens with a larger logit. None where a log tells none.
    pub rank: [Option<u32>; 2],
    /// Whether it is the most probable token of each. None where a log without a list leaves that open.
    pub is_choice: [Option<bool>; 2],
}

/// How far B's distribution Q is from A's, P, in nats. Of a reference it is that of the listed tokens and all others as
/// one, which is never more than that of all tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RowDivergence {
    /// KL(P ‖ Q) = Σ p ln(p / q): llama.cpp's KLD.
    pub kld: f64,
    /// KL(Q ‖ P).
    pub reverse_kld: f64,
    /// Jensen-Shannon: ½ KL(P ‖ M) + ½ KL(Q ‖ M), M = (P + Q) / 2; at most ln 2.
    pub jsd: f64,
}

impl RowComparison {
    /// Whether both are distributions.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.status == [Status::Ok; 2]
    }

    /// The most probable token of each; none where one is no distribution.
    #[must_use]
    pub fn choices(&self) -> Option<[u32; 2]> {
        let [a, b] = &self.top_logprobs;
        Some([a.first()?.token, b.first()?.token])
    }

    /// Logprob of the best token minus that of the second best, in each; infinity where there is no second, NaN where it is
    /// not listed.
    #[must_use]
    pub fn gaps(&self) -> [f64; 2] {
        self.top_logprobs.each_ref().map(|top| match top[..] {
            [best, second, ..] => best.logprob - second.logprob,
            // Nothing is left for a second one.
            [best] if best.logprob >= 0.0 => f64::INFINITY,
            _ => f64::NAN,
        })
    }

    /// Whether A's two best are closer than [`Comparison::NEAR_TIE`](super::Comparison::NEAR_TIE); none where its second is not listed.
    #[must_use]
    pub fn is_near_tie(&self) -> Option<bool> {
        let [gap, _] = self.gaps();
        (!gap.is_nan()).then_some(gap < NEAR_TIE)
    }

    /// What is left of rows of which one is no distribution.
    pub(super) const fn unsound(status: [Status; 2]) -> Self {
        Self {
            status,
            target: None,
            divergence: RowDivergence::NONE,
            entropy: [f64::NAN; 2],
            top_logprobs: [Vec::new(), Vec::new()],
            choice_rank: [None; 2],
            overlap: f64::NAN,
        }
    }
}

impl RowDivergence {
    const NONE: Self = Self { kld: f64::NAN, reverse_kld: f64::NAN, jsd: f64::NAN };
}
