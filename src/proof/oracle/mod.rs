//! The definition, in f64: sort everything, sum everything, no cleverness. It shares with the engines no
//! mathematics, only which steps act and in which order; it bounds their error.
#![expect(clippy::cast_possible_truncation, reason = "tokens and counts of a row fit u32")]

mod changes;
mod divergence;
mod finish;
mod sampling;

pub use changes::changed_logits;
pub use divergence::{TrueDivergence, divergence};
pub use finish::finish_reason;
pub use sampling::{Truncated, sampling, steps};

/// What the definition says of one row.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Truth {
    /// Tokens with a finite logit, in order: logit descending, then token ascending.
    pub order: Vec<u32>,
    /// Natural logarithm of each token's probability under `softmax(x / T)`, by token.
    pub logprobs: Vec<f64>,
    /// `ln Σ exp(x / T)`.
    pub logsumexp: f64,
    /// `−Σ p ln p`.
    pub entropy: f64,
}

impl Truth {
    /// How many tokens have a larger logit than `token`, and how many an equal one (itself included).
    ///
    /// # Panics
    /// If `token` is not in the row.
    #[must_use]
    pub fn rank_counts(row: &[f32], token: u32) -> (u32, u32) {
        let target = row[token as usize];
        let count = |holds: &dyn Fn(f32) -> bool| row.iter().filter(|&&x| holds(x)).count() as u32;
        (count(&|x| x > target), count(&|x| x == target))
    }
}

/// The truth about one row of logits at a temperature, or `None` if the row is no distribution: a NaN, +infinity, or
/// nothing finite.
#[must_use]
pub fn truth(row: &[f32], temperature: f32) -> Option<Truth> {
    if row.iter().any(|x| x.is_nan() || *x == f32::INFINITY) || row.iter().all(|x| *x == f32::NEG_INFINITY) {
        return None;
    }
    let temperature = f64::from(temperature);
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let distance: Vec<f64> = row.iter().map(|&x| (f64::from(x) - max) / temperature).collect();
    // Smallest terms first, so that a long tail is not lost against the sum.
    let mut terms: Vec<f64> = distance.iter().map(|d| d.exp()).collect();
    terms.sort_by(f64::total_cmp);
    let ln_sum = terms.iter().sum::<f64>().ln();
    let logprobs: Vec<f64> = distance.iter().map(|d| d - ln_sum).collect();
    let mut order: Vec<u32> =
        (0..row.len() as u32).filter(|&i| row[i as usize] > f32::NEG_INFINITY).collect();
    order.sort_by(|&a, &b| {
        let (x, y) = (row[a as usize] + 0.0, row[b as usize] + 0.0); // -0 + 0 is +0
        y.total_cmp(&x).then(a.cmp(&b))
    });
    let entropy = -logprobs.iter().filter(|lp| lp.is_finite()).map(|lp| lp.exp() * lp).sum::<f64>();
    Some(Truth { order, logsumexp: max / temperature + ln_sum, logprobs, entropy })
}
