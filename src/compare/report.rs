//! What a comparison says, and the names of its numbers: one list serves JSON, gates and tables. How the numbers are made
//! is in `comparison` and `statistics`.

use super::statistics::{Estimate, QUANTILES, Spread};

/// Which divergences the rows of a comparison have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Divergences {
    /// None.
    Absent,
    /// Those of all tokens.
    Exact,
    /// Those of the listed tokens, all others as one: lower bounds.
    Coarse,
}

impl Divergences {
    /// What the name of a divergence begins with. A lower bound must not pass for the number itself, least of all at a gate.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Coarse => "coarse_",
            Self::Absent | Self::Exact => "",
        }
    }
}

/// The statistics of a comparison. In every pair A's number comes first. `docs/compare.md` defines each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ComparisonReport {
    /// Rows.
    pub rows: usize,
    /// Rows that are no distribution, in each.
    pub unsound: [usize; 2],
    /// Rows that are distributions in both: those that everything else is of.
    pub compared: usize,
    /// Perplexities, where rows may have targets.
    pub perplexity: Option<PerplexityComparison>,
    /// Divergences, where there are any.
    pub divergence: Option<DivergenceComparison>,
    /// Probabilities of the targets, where rows may have some.
    pub probability: Option<ProbabilityChange>,
    /// The most probable tokens.
    pub choice: ChoiceComparison,
    /// Mean entropies, in nats.
    pub entropy: [f64; 2],
}

/// Perplexity of the targets: exp(−mean logprob).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PerplexityComparison {
    /// Rows with a target.
    pub targets: usize,
    /// Of A.
    pub a: Estimate,
    /// Of B.
    pub b: Estimate,
    /// ln(PPL(B) / PPL(A)).
    pub ln_ratio: Estimate,
    /// PPL(B) / PPL(A).
    pub ratio: Estimate,
    /// PPL(B) − PPL(A).
    pub difference: Estimate,
    /// Correlation of the targets' logprobs, which is that of the two ln PPL.
    pub correlation: f64,
}

/// How far the distributions are apart, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DivergenceComparison {
    /// What they are of.
    pub kind: Divergences,
    /// KL(A ‖ B).
    pub kld: Spread,
    /// KL(B ‖ A).
    pub reverse_kld: Spread,
    /// Jensen-Shannon.
    pub jsd: Spread,
    /// Rows whose KL(A ‖ B), whose KL(B ‖ A) is infinite: a token is possible in one and impossible in the other.
    pub infinite: [usize; 2],
}

/// How the probability of the target changed: B's minus A's.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbabilityChange {
    /// Δp.
    pub change: Spread,
    /// √ mean Δp².
    pub rms: Estimate,
    /// Rows in which it is more probable in B.
    pub up: usize,
    /// Rows in which it is less probable in B.
    pub down: usize,
    /// Rows in which it is the most probable token of A, of B; these and the next two are none where logs leave one open.
    pub right: [Option<usize>; 2],
    /// Rows in which it is that of A, and not that of B.
    pub right_to_wrong: Option<usize>,
    /// Rows in which it is that of B, and not that of A.
    pub wrong_to_right: Option<usize>,
}

/// The most probable tokens of both.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChoiceComparison {
    /// Share of rows in which both have the same one.
    pub same_top: Estimate,
    /// Rows in which they do not; none where a log has a row without a list.
    pub changed: Option<usize>,
    /// Those of them in which A's two best are closer than [`Comparison::NEAR_TIE`](super::Comparison::NEAR_TIE); none where
    /// the second of one is not listed.
    pub near_ties: Option<usize>,
    /// Mean share of the first tokens of each that are among those of the other.
    pub overlap: Estimate,
    /// Mean rank of A's most probable token in B, of B's in A; NaN where a reference does not list one.
    pub rank: [f64; 2],
    /// The largest of these ranks.
    pub max_rank: [f64; 2],
}

/// Names and numbers in order.
type Named = Vec<(String, f64)>;

impl ComparisonReport {
    /// Every number with its name, in the order in which reports have them. Counts are numbers too, shares lie between
    /// 0 and 1.
    #[must_use]
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut all = Named::new();
        let [unsound_a, unsound_b] = self.unsound;
        let counts = [("rows", self.rows), ("compared", self.compared)];
        counts.into_iter().for_each(|(name, count)| push(&mut all, name, count as f64));
        push(&mut all, "unsound_a", unsound_a as f64);
        push(&mut all, "unsound_b", unsound_b as f64);
        if let Some(perplexity) = &self.perplexity {
            perplexity.name(&mut all);
        }
        if let Some(divergence) = &self.divergence {
            divergence.name(&mut all);
        }
        if let Some(probability) = &self.probability {
            probability.name(&mut all);
        }
        self.choice.name(&mut all);
        push(&mut all, "entropy_a", self.entropy[0]);
        push(&mut all, "entropy_b", self.entropy[1]);
        all
    }

    /// The number of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.named().into_iter().find(|(known, _)| known == name).map(|(_, number)| number)
    }
}

impl PerplexityComparison {
    fn name(&self, all: &mut Named) {
        push(all, "targets", self.targets as f64);
        push_estimate(all, "ppl_a", self.a);
        push_estimate(all, "ppl_b", self.b);
        push_estimate(all, "ppl_ratio", self.ratio);
        push_estimate(all, "ln_ppl_ratio", self.ln_ratio);
        push_estimate(all, "ppl_diff", self.difference);
        push(all, "ln_ppl_cor", self.correlation);
    }
}

impl DivergenceComparison {
    fn name(&self, all: &mut Named) {
        let prefix = self.kind.prefix();
        for (name, spread) in [("kld", self.kld), ("reverse_kld", self.reverse_kld), ("jsd", self.jsd)] {
            push_spread(all, &format!("{prefix}{name}"), spread);
        }
        push(all, &format!("{prefix}kld_infinite"), self.infinite[0] as f64);
        push(all, &format!("{prefix}reverse_kld_infinite"), self.infinite[1] as f64);
    }
}

impl ProbabilityChange {
    fn name(&self, all: &mut Named) {
        push_spread(all, "delta_p", self.change);
        push_estimate(all, "delta_p_rms", self.rms);
        push(all, "delta_p_up", self.up as f64);
        push(all, "delta_p_down", self.down as f64);
        push_count(all, "right_a", self.right[0]);
        push_count(all, "right_b", self.right[1]);
        push_count(all, "right_to_wrong", self.right_to_wrong);
        push_count(all, "wrong_to_right", self.wrong_to_right);
    }
}

impl ChoiceComparison {
    fn name(&self, all: &mut Named) {
        push_estimate(all, "same_top", self.same_top);
        push_count(all, "top_changed", self.changed);
        push_count(all, "top_changed_near_tie", self.near_ties);
        push_estimate(all, "top_overlap", self.overlap);
        for (side, name) in ["rank_in_b", "rank_in_a"].into_iter().enumerate() {
            push(all, &format!("{name}_mean"), self.rank[side]);
            push(all, &format!("{name}_max"), self.max_rank[side]);
        }
    }
}

fn push(all: &mut Named, name: &str, number: f64) {
    all.push((name.to_owned(), number));
}

/// A count; NaN where it is not known.
fn push_count(all: &mut Named, name: &str, count: Option<usize>) {
    push(all, name, count.map_or(f64::NAN, |count| count as f64));
}

fn push_estimate(all: &mut Named, name: &str, estimate: Estimate) {
    push(all, name, estimate.value);
    push(all, &format!("{name}_se"), estimate.standard_error);
}

fn push_spread(all: &mut Named, name: &str, spread: Spread) {
    push_estimate(all, &format!("{name}_mean"), spread.mean);
    push(all, &format!("{name}_max"), spread.max);
    for ((quantile, _), number) in QUANTILES.iter().zip(spread.quantiles) {
        push(all, &format!("{name}_{quantile}"), number);
    }
    push(all, &format!("{name}_min"), spread.min);
}
