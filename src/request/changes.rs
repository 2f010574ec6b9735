//! What a row does to single logits: the changes that its request keeps, those of this step alone, and the allowed tokens.

use super::change::{BUCKET, Bucket, Change};
use super::table::{ChangeTable, find};
use crate::arithmetic::exact;
use crate::logits::RowBits;
use crate::params::SamplingParams;

/// Everything that a row does to its logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes<'a> {
    pub(crate) kept: &'a ChangeTable,
    /// Buckets of a table of those that stand in place of the kept ones.
    pub(crate) step: &'a [Bucket],
    pub(crate) repetition: f32,
    /// The request's allowed tokens as bits, and the row's grammar mask. What lies past their end is not allowed.
    pub(crate) allowed: [Option<&'a [u32]>; 2],
    /// What XTC spares: no change, but looked up beside them.
    pub(crate) xtc_exempt: &'a [u32],
}

impl Changes<'_> {
    /// Whether there is something to change.
    pub(crate) fn is_some(&self) -> bool {
        !self.kept.is_empty() || !self.step.is_empty() || self.allowed.iter().any(Option::is_some)
    }

    /// Quads of words on a device of what the request keeps.
    pub(crate) fn kept_quads(&self, vocab: usize) -> usize {
        self.kept.buckets().len() * BUCKET + self.allowed[0].map_or(0, |_| vocab.div_ceil(128))
    }

    /// Quads of words on a device of what is of this step alone.
    pub(crate) fn step_quads(&self, vocab: usize) -> usize {
        self.step.len() * BUCKET
            + self.allowed[1].map_or(0, |_| vocab.div_ceil(128))
            + self.xtc_exempt.len().div_ceil(4)
    }

    /// Bits of a token's logit after the changes.
    #[cfg(feature = "validate")]
    pub(crate) fn apply(&self, token: u32, bits: u32) -> u32 {
        let is_allowed =
            |words: &[u32]| words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1);
        if !self.allowed.iter().flatten().all(|words| is_allowed(words)) {
            return exact::BITS_NEG_INFINITY;
        }
        match find(self.step, token).or_else(|| self.kept.get(token)) {
            Some(change) => self.change(&change, bits),
            None => bits,
        }
    }

    /// Bits of a logit after its change: binary32 operations, each rounded to nearest even (docs/sampling.md).
    fn change(&self, change: &Change, bits: u32) -> u32 {
        if change.is_banned() {
            return exact::BITS_NEG_INFINITY;
        }
        let logit = f32::from_bits(bits);
        if !logit.is_finite() {
            return bits;
        }
        let biased = logit + change.bias;
        let repeated = match change.is_repeated() {
            true if biased > 0.0 => biased / self.repetition,
            true => biased * self.repetition,
            false => biased,
        };
        (repeated - change.penalty).to_bits()
    }

    /// Bits of all logits of a row after the changes.
    pub(crate) fn applied(&self, row: RowBits<'_>) -> Vec<u32> {
        let mut changed: Vec<u32> = row.iter().collect();
        let in_step = self.step.iter().flat_map(Bucket::iter);
        let kept = self.kept.iter().filter(|change| find(self.step, change.token()).is_none());
        for change in in_step.chain(kept) {
            if let Some(bits) = changed.get_mut(change.token() as usize) {
                *bits = self.change(&change, *bits);
            }
        }
        for words in self.allowed.into_iter().flatten() {
            for (i, tokens) in changed.chunks_mut(32).enumerate() {
                let word = words.get(i).copied().unwrap_or(0);
                let forbidden = (0..32).zip(tokens).filter(|(token, _)| word >> token & 1 == 0);
                forbidden.for_each(|(_, bits)| *bits = exact::BITS_NEG_INFINITY);
            }
        }
        changed
    }
}

/// Whether these ask for the same changes of logits.
pub(super) fn has_same_changes(a: &SamplingParams, b: &SamplingParams) -> bool {
    let penalties = |p: &SamplingParams| {
        [p.repetition_penalty, p.presence_penalty, p.frequency_penalty].map(f32::to_bits)
    };
    penalties(a) == penalties(b)
        && a.penalty_last_n == b.penalty_last_n
        && a.penalty_exempt_token_ids == b.penalty_exempt_token_ids
        && a.dry == b.dry
        && a.logit_bias == b.logit_bias
        && a.bad_words == b.bad_words
        && a.no_repeat_ngram_size == b.no_repeat_ngram_size
        && a.no_repeat_ngram_window == b.no_repeat_ngram_window
        && a.stop_token_ids == b.stop_token_ids
        && a.allowed_token_ids == b.allowed_token_ids
}
