//! How far two distributions are from each other, by the definition.

/// What the definition says of two rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrueDivergence {
    /// `KL(P‖Q)`, nats.
    pub kl: f64,
    /// The same, where no logit counts as further than 65 536 nats below the maximum of its row: an answer lies between
    /// the two.
    pub least_kl: f64,
    /// `KL(Q‖P)`.
    pub reverse_kl: f64,
    /// The least that it may be taken for.
    pub least_reverse_kl: f64,
    /// Jensen-Shannon divergence, nats.
    pub jensen_shannon: f64,
}

/// The truth about two distributions given by the logprobs of their tokens, `[vocab]` each, -infinity for impossible ones.
#[must_use]
pub fn divergence(log_p: &[f64], log_q: &[f64]) -> TrueDivergence {
    let (kl, least_kl) = kullback_leibler(log_p, log_q);
    let (reverse_kl, least_reverse_kl) = kullback_leibler(log_q, log_p);
    let to_mean = |log: f64, log_mean: f64| if log.exp() == 0.0 { 0.0 } else { log.exp() * (log - log_mean) };
    let of_token = |(&p, &q): (&f64, &f64)| {
        let log_mean = ((p.exp() + q.exp()) / 2.0).ln();
        to_mean(p, log_mean) + to_mean(q, log_mean)
    };
    let jensen_shannon = log_p.iter().zip(log_q).map(of_token).sum::<f64>() / 2.0;
    TrueDivergence { kl, least_kl, reverse_kl, least_reverse_kl, jensen_shannon }
}

/// `Σ p ln(p / q)`, and the least that it may be taken for.
fn kullback_leibler(log_p: &[f64], log_q: &[f64]) -> (f64, f64) {
    const MOST_DISTANT: f64 = 65_536.0;
    let largest = log_q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut least) = (0.0, 0.0);
    for (&p, &q) in log_p.iter().zip(log_q).filter(|(p, _)| **p > f64::NEG_INFINITY) {
        if q == f64::NEG_INFINITY {
            return (f64::INFINITY, f64::INFINITY);
        }
        sum += p.exp() * (p - q);
        least += p.exp() * (p - q.max(largest - MOST_DISTANT));
    }
    (sum, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: a coin against one that falls on a side three times of four.
    #[test]
    fn a_coin_is_as_computed_by_hand() {
        let coin = |p: f64| [p.ln(), (1.0 - p).ln()];
        let truth = divergence(&coin(0.5), &coin(0.75));
        let expected = [0.5 * (4.0f64 / 3.0).ln(), 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln()];
        assert!((truth.kl - expected[0]).abs() < 1e-15, "{truth:?}");
        assert!((truth.reverse_kl - expected[1]).abs() < 1e-15, "{truth:?}");
        let entropy = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        let mixed = entropy(0.625) - (entropy(0.5) + entropy(0.75)) / 2.0;
        assert!((truth.jensen_shannon - mixed).abs() < 1e-15, "{truth:?}");
        let disjoint = divergence(&[0.0, f64::NEG_INFINITY], &[f64::NEG_INFINITY, 0.0]);
        assert_eq!((disjoint.kl, disjoint.least_reverse_kl), (f64::INFINITY, f64::INFINITY));
        assert!((disjoint.jensen_shannon - std::f64::consts::LN_2).abs() < 1e-15, "{disjoint:?}");
    }

    #[test]
    fn what_is_too_far_away_counts_as_less() {
        let far = divergence(&[0.5f64.ln(), 0.5f64.ln()], &[0.0, -70_000.0]);
        assert!((far.kl - far.least_kl - 0.5 * 4464.0).abs() < 1e-9, "{far:?}");
        assert_eq!(far.reverse_kl, far.least_reverse_kl);
    }
}
