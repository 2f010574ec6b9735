//! A row of A or of B, whether its logits are there or a reference alone, and how two of them compare.

use super::reference::ReferenceRow;
use super::row::{RowComparison, RowDivergence, TargetComparison};
use crate::answer::{Distribution, Logprobs, Status, TopLogprob};
use crate::arithmetic::exact::key_or_nan;
use crate::logits::RowBits;

/// A mass outside the list below which it is the rounding of the listed ones.
const LEAST_MASS: f64 = 1e-7;

/// A row of A or of B.
pub(super) struct Side<'a> {
    status: Status,
    entropy: f64,
    top: Vec<TopLogprob>,
    /// Token, logprob and rank.
    target: Option<(u32, f64, u32)>,
    /// All logits, where they are there.
    logits: Option<RowBits<'a>>,
}

impl<'a> Side<'a> {
    pub(super) fn of_logits(answer: Logprobs, logits: RowBits<'a>) -> Self {
        let Logprobs { distribution, target } = answer;
        let Distribution { status, entropy, top_logprobs: top, .. } = distribution;
        let target = target.map(|target| (target.token, target.logprob, target.rank()));
        Self { status, entropy, top, target, logits: Some(logits) }
    }

    pub(super) fn of_reference(row: &ReferenceRow) -> Self {
        let target = row.target.map(|target| (target.token, row.logprob(target.logit), target.rank));
        Self { status: row.status, entropy: row.entropy, top: row.top_logprobs(), target, logits: None }
    }

    /// 1 plus the tokens with a larger logit, if that is known.
    fn rank(&self, token: u32) -> Option<u32> {
        let key = |logit: f32| key_or_nan(logit.to_bits());
        if let Some(entry) = self.top.iter().find(|entry| entry.token == token) {
            return u32::try_from(1 + self.top.partition_point(|other| key(other.logit) > key(entry.logit)))
                .ok();
        }
        let logits = self.logits?;
        let own = key_or_nan(logits.get(token as usize));
        u32::try_from(1 + logits.iter().filter(|&bits| key_or_nan(bits) > own).count()).ok()
    }

    /// The logprob of a token, by the one expression of every logprob.
    fn logprob(&self, token: u32) -> f64 {
        let (Some(logits), Some(best)) = (self.logits, self.top.first()) else { return f64::NAN };
        let logit = f32::from_bits(logits.get(token as usize));
        (f64::from(logit) - f64::from(best.logit)) + best.logprob
    }
}

/// The two rows compared, with the divergence that is found for them.
pub(super) fn compared(
    a: Side<'_>,
    b: Side<'_>,
    divergence: impl FnOnce(&Side<'_>, &Side<'_>) -> RowDivergence,
    top: u32,
) -> RowComparison {
    let status = [a.status, b.status];
    let ([best_a, ..], [best_b, ..], [Status::Ok, Status::Ok]) = (&a.top[..], &b.top[..], status) else {
        return RowComparison::unsound(status);
    };
    let divergence = divergence(&a, &b);
    let choice_rank = [b.rank(best_a.token), a.rank(best_b.token)];
    let target = a.target.zip(b.target).map(|(a, b)| TargetComparison {
        token: a.0,
        logprob: [a.1, b.1],
        rank: [a.2, b.2].map(Some),
        is_choice: [a.0 == best_a.token, b.0 == best_b.token].map(Some),
    });
    // A reference lists more than was asked for: its divergence is of all that.
    let shown = (top as usize).max(2);
    let (mut top_a, mut top_b) = (a.top, b.top);
    [&mut top_a, &mut top_b].into_iter().for_each(|list| list.truncate(shown));
    RowComparison {
        status,
        target,
        divergence,
        entropy: [a.entropy, b.entropy],
        choice_rank,
        overlap: overlap([&top_a, &top_b], top as usize),
        top_logprobs: [top_a, top_b],
    }
}

/// The share of the first `top` tokens that are among those of the other; of lists of two lengths that of the longer.
pub(super) fn overlap(lists: [&[TopLogprob]; 2], top: usize) -> f64 {
    let [a, b] = lists.map(|list| {
        let mut tokens: Vec<u32> = list.iter().take(top).map(|entry| entry.token).collect();
        tokens.sort_unstable();
        tokens
    });
    let common = a.iter().filter(|token| b.binary_search(token).is_ok()).count();
    common as f64 / a.len().max(b.len()) as f64
}

/// The divergence of the tokens that A lists, all others taken as one.
pub(super) fn coarse_divergence(a: &Side<'_>, b: &Side<'_>) -> RowDivergence {
    coarse(a.top.iter().map(|entry| [entry.logprob.exp(), b.logprob(entry.token).exp()]).collect())
}

/// The divergence of tokens with these probabilities, all others taken as one. By the data processing inequality it is at
/// most that of all tokens.
pub(super) fn coarse(mut pairs: Vec<[f64; 2]>) -> RowDivergence {
    let outside = |side: usize| (1.0 - pairs.iter().map(|pair| pair[side]).sum::<f64>()).max(LEAST_MASS);
    pairs.push([outside(0), outside(1)]);
    // Terms of p ln(p / q) at p = 0 are 0.
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let total = |term: &dyn Fn(&[f64; 2]) -> f64| pairs.iter().map(term).sum::<f64>().max(0.0);
    RowDivergence {
        kld: total(&|&[p, q]| term(p, q)),
        reverse_kld: total(&|&[p, q]| term(q, p)),
        jsd: total(&|&[p, q]| 0.5 * (term(p, (p + q) / 2.0) + term(q, (p + q) / 2.0))),
    }
}
