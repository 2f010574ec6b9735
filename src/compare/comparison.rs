//! The rows of a comparison as columns of numbers, from which the report is made. What one row says is in `row`.

use super::report::{
    ChoiceComparison, ComparisonReport, DivergenceComparison, Divergences, PerplexityComparison,
    ProbabilityChange,
};
use super::row::{NEAR_TIE, RowComparison, TargetComparison};
use super::statistics::{Estimate, Spread, correlation, mean, standard_error};
use crate::answer::Status;

/// Rows that were compared, as columns: 88 bytes a row, since quantiles need every number: a million rows take
/// 88 MB, however large their logits are.
///
/// The rows are added in the order of the file; then the report has the same bits on every device.
#[derive(Clone, Debug)]
pub struct Comparison {
    has_targets: bool,
    divergences: Divergences,
    rows: usize,
    unsound: [usize; 2],
    /// Minus the logprobs of the targets: A's, B's.
    nll: [Vec<f64>; 2],
    /// Probability of the target in B minus that in A.
    delta_p: Vec<f64>,
    /// KL(P ‖ Q), KL(Q ‖ P), Jensen-Shannon.
    apart: [Vec<f64>; 3],
    overlap: Vec<f64>,
    /// Rank of A's choice in B, of B's in A.
    choice_rank: [Vec<f64>; 2],
    entropy: [Vec<f64>; 2],
    /// Of the rows in which both choices are known.
    same_top: usize,
    changed: Count,
    near_ties: Count,
    /// Rows in which the target is the choice of A, of B.
    right: [Count; 2],
    right_to_wrong: Count,
    wrong_to_right: Count,
}

/// How many rows something holds of; none once a row leaves it open: what is left out would pass for what does not hold.
type Count = Option<usize>;

impl Comparison {
    /// A gap of A's two best tokens, in nats, below which their order is a near tie: a tenth, odds of 1.1 to 1.
    pub const NEAR_TIE: f64 = NEAR_TIE;

    /// One without rows. A report tells what there is, even of no rows.
    #[must_use]
    pub const fn new(has_targets: bool, divergences: Divergences) -> Self {
        Self {
            has_targets,
            divergences,
            rows: 0,
            unsound: [0; 2],
            nll: [const { Vec::new() }; 2],
            delta_p: Vec::new(),
            apart: [const { Vec::new() }; 3],
            overlap: Vec::new(),
            choice_rank: [const { Vec::new() }; 2],
            entropy: [const { Vec::new() }; 2],
            same_top: 0,
            changed: Some(0),
            near_ties: Some(0),
            right: [Some(0); 2],
            right_to_wrong: Some(0),
            wrong_to_right: Some(0),
        }
    }

    /// Takes one more row. Of a row that is no distribution in A or B only the number is kept.
    pub fn add(&mut self, row: &RowComparison) {
        self.rows += 1;
        for (count, status) in self.unsound.iter_mut().zip(row.status) {
            *count += usize::from(status != Status::Ok);
        }
        if !row.is_sound() {
            return;
        }
        if self.divergences != Divergences::Absent {
            let apart = [row.divergence.kld, row.divergence.reverse_kld, row.divergence.jsd];
            push(&mut self.apart, apart);
        }
        push(&mut self.entropy, row.entropy);
        // A log may be without lists.
        let is_changed = row.choices().map(|[a, b]| a != b);
        if let Some(is_changed) = is_changed {
            push(&mut self.choice_rank, row.choice_rank.map(|rank| rank.map_or(f64::NAN, f64::from)));
            self.overlap.push(row.overlap);
            self.same_top += usize::from(!is_changed);
        }
        count(&mut self.changed, is_changed);
        count(&mut self.near_ties, both(is_changed, row.is_near_tie()));
        if let Some(target) = &row.target {
            self.add_target(target);
        }
    }

    fn add_target(&mut self, target: &TargetComparison) {
        push(&mut self.nll, target.logprob.map(|logprob| -logprob));
        let [a, b] = target.logprob.map(f64::exp);
        self.delta_p.push(b - a);
        let [is_right, is_wrong] =
            [target.is_choice, target.is_choice.map(|is_right| is_right.map(|is| !is))];
        self.right.iter_mut().zip(is_right).for_each(|(right, is_right)| count(right, is_right));
        count(&mut self.right_to_wrong, both(is_right[0], is_wrong[1]));
        count(&mut self.wrong_to_right, both(is_wrong[0], is_right[1]));
    }

    /// The statistics of the rows so far.
    #[must_use]
    pub fn report(&self) -> ComparisonReport {
        // Of some rows alone they would pass for numbers of all.
        let (same_top, chosen) =
            if self.changed.is_some() { (self.same_top, self.overlap.len()) } else { (0, 0) };
        let divergence = (self.divergences != Divergences::Absent).then(|| {
            let [kld, reverse_kld, jsd] = self.apart.each_ref().map(|column| Spread::of(column));
            let infinite = [&self.apart[0], &self.apart[1]]
                .map(|column| column.iter().filter(|value| **value == f64::INFINITY).count());
            DivergenceComparison { kind: self.divergences, kld, reverse_kld, jsd, infinite }
        });
        ComparisonReport {
            rows: self.rows,
            unsound: self.unsound,
            compared: self.entropy[0].len(),
            perplexity: self.has_targets.then(|| self.perplexity()),
            divergence,
            probability: self.has_targets.then(|| self.probability()),
            choice: ChoiceComparison {
                same_top: Estimate::share(same_top, chosen),
                changed: self.changed,
                near_ties: self.near_ties,
                overlap: Estimate::mean_of(&self.overlap[..chosen]),
                rank: self.choice_rank.each_ref().map(|column| mean(&column[..chosen])),
                max_rank: self.choice_rank.each_ref().map(|column| largest(&column[..chosen])),
            },
            entropy: self.entropy.each_ref().map(|column| mean(column)),
        }
    }

    fn perplexity(&self) -> PerplexityComparison {
        let [a, b] = &self.nll;
        let of = |nll: &[f64]| {
            let perplexity = mean(nll).exp();
            Estimate::new(perplexity, perplexity * standard_error(nll))
        };
        let (ppl_a, ppl_b) = (of(a), of(b));
        // By pairs: what both have in common cancels, and equal inputs differ by exactly nothing.
        let pairs = |difference: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            a.iter().zip(b).map(|(&a, &b)| difference(a, b)).collect()
        };
        let ln_ratio = Estimate::mean_of(&pairs(&|a, b| b - a));
        let ratio = ln_ratio.value.exp();
        let slopes = pairs(&|a, b| ppl_b.value * b - ppl_a.value * a);
        PerplexityComparison {
            targets: a.len(),
            a: ppl_a,
            b: ppl_b,
            ln_ratio,
            ratio: Estimate::new(ratio, ratio * ln_ratio.standard_error),
            difference: Estimate::new(ppl_b.value - ppl_a.value, standard_error(&slopes)),
            correlation: correlation(a, b),
        }
    }

    fn probability(&self) -> ProbabilityChange {
        let count = |holds: fn(f64) -> bool| self.delta_p.iter().filter(|change| holds(**change)).count();
        ProbabilityChange {
            change: Spread::of(&self.delta_p),
            rms: Estimate::rms_of(&self.delta_p),
            up: count(|change| change > 0.0),
            down: count(|change| change < 0.0),
            right: self.right,
            right_to_wrong: self.right_to_wrong,
            wrong_to_right: self.wrong_to_right,
        }
    }
}

/// Counts a row if it is known whether it counts.
fn count(rows: &mut Count, holds: Option<bool>) {
    *rows = rows.zip(holds).map(|(rows, holds)| rows + usize::from(holds));
}

/// Whether both hold, as far as that is known: one that does not is enough.
fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        _ => a.zip(b).map(|_| true),
    }
}

fn push<const N: usize>(columns: &mut [Vec<f64>; N], values: [f64; N]) {
    for (column, value) in columns.iter_mut().zip(values) {
        column.push(value);
    }
}

/// NaN where there is no number, or one of them is NaN.
fn largest(values: &[f64]) -> f64 {
    let wider = |most: f64, &value: &f64| if value > most || value.is_nan() { value } else { most };
    if values.is_empty() { f64::NAN } else { values.iter().fold(f64::NEG_INFINITY, wider) }
}
