//! What a request does to single logits, as a list sorted by token.

use std::collections::{BTreeMap, HashSet};

use super::Request;
use crate::arithmetic::exact;
use crate::params::Dry;

/// What happens to one token's logit, on the device too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) token: u32,
    /// Becomes impossible.
    pub(crate) is_banned: bool,
    /// Added first.
    pub(crate) bias: f32,
    /// The repetition penalty applies, second.
    pub(crate) is_repeated: bool,
    /// Subtracted last.
    pub(crate) penalty: f32,
}

/// Everything that a request does to the logits of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// By token, each once.
    pub(crate) list: Vec<Change>,
    pub(crate) repetition: f32,
    /// The allowed tokens, of the request and of a grammar mask in host memory, as bits: words of 32 tokens, a
    /// multiple of four words.
    pub(crate) allowed: Option<Vec<u32>>,
}

impl Changes {
    /// Bits of a token's logit after the changes: binary32 operations, each rounded to nearest even (docs/sampling.md).
    pub(crate) fn apply(&self, token: u32, bits: u32) -> u32 {
        let allows = |words: &[u32]| words[token as usize / 32] >> (token % 32) & 1 == 1;
        if !self.allowed.as_deref().is_none_or(allows) {
            return exact::BITS_NEG_INFINITY;
        }
        let Ok(place) = self.list.binary_search_by_key(&token, |change| change.token) else { return bits };
        let Change { is_banned, bias, is_repeated, penalty, .. } = self.list[place];
        if is_banned {
            return exact::BITS_NEG_INFINITY;
        }
        let logit = f32::from_bits(bits);
        if !logit.is_finite() {
            return bits;
        }
        let biased = logit + bias;
        let repeated = match is_repeated {
            true if biased > 0.0 => biased / self.repetition,
            true => biased * self.repetition,
            false => biased,
        };
        (repeated - penalty).to_bits()
    }
}

/// Changes in the making, by token, each with its penalty not yet rounded.
#[derive(Default)]
struct ChangeList(BTreeMap<u32, (Change, f64)>);

impl ChangeList {
    fn of(&mut self, token: u32) -> &mut (Change, f64) {
        let plain = Change { token, is_banned: false, bias: 0.0, is_repeated: false, penalty: 0.0 };
        self.0.entry(token).or_insert((plain, 0.0))
    }

    fn bias(&mut self, request: &Request) {
        for &(token, bias) in &request.params.logit_bias {
            self.of(token).0.bias += bias;
        }
    }

    /// The repetition penalty, presence and frequency penalties, and DRY: of the tokens that were seen.
    fn penalties(&mut self, request: &Request) {
        let params = &request.params;
        let history = || request.prompt.iter().chain(&request.output).copied();
        let length = request.prompt.len() + request.output.len();
        let (repeated_from, counted_from) = match params.penalty_last_n {
            None => (0, request.prompt.len()),
            Some(last) => (length.saturating_sub(last as usize), length.saturating_sub(last as usize)),
        };
        if params.repetition_penalty != 1.0 {
            for token in history().skip(repeated_from) {
                self.of(token).0.is_repeated = true;
            }
        }
        if params.frequency_penalty != 0.0 || params.presence_penalty != 0.0 {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for token in history().skip(counted_from) {
                *counts.entry(token).or_default() += 1;
            }
            for (token, count) in counts {
                self.of(token).1 += f64::from(params.frequency_penalty) * f64::from(count)
                    + f64::from(params.presence_penalty);
            }
        }
        if let Some(dry) = &params.dry {
            let tokens: Vec<u32> = history().collect();
            for (token, penalty) in dry.penalties(&tokens) {
                self.of(token).1 += penalty;
            }
        }
    }

    /// Bad words that the next token would complete, and stop tokens that come too early.
    fn bans(&mut self, request: &Request, position: u64) {
        let params = &request.params;
        for word in &params.bad_words {
            if let [before @ .., last] = &word[..]
                && request.output.ends_with(before)
            {
                self.of(*last).0.is_banned = true;
            }
        }
        if position < params.min_tokens {
            for &token in &params.stop_token_ids {
                self.of(token).0.is_banned = true;
            }
        }
    }

    /// The changes of the tokens that the vocabulary has: a prompt may hold others, such as images.
    fn list(self, vocab: usize) -> Vec<Change> {
        #[expect(clippy::cast_possible_truncation, reason = "rounded once, from double to single")]
        let rounded = |(change, penalty): (Change, f64)| Change { penalty: penalty as f32, ..change };
        self.0.into_values().map(rounded).filter(|change| (change.token as usize) < vocab).collect()
    }
}

impl Request {
    /// The changes for the token at `position`.
    pub(crate) fn changes(&self, position: u64, vocab: usize) -> Changes {
        let mut changes = ChangeList::default();
        changes.bias(self);
        changes.penalties(self);
        changes.bans(self, position);
        Changes {
            list: changes.list(vocab),
            repetition: self.params.repetition_penalty,
            allowed: self.params.allowed_token_ids.as_ref().map(|tokens| {
                let mut words = vec![0; vocab.div_ceil(128) * 4];
                for &token in tokens {
                    words[token as usize / 32] |= 1 << (token % 32);
                }
                words
            }),
        }
    }
}

impl Dry {
    /// Penalties of the tokens that would continue a repetition.
    ///
    /// Before each earlier token stands a sequence; as far as it equals the end of the history, the token continues a
    /// repetition of that length. All lengths at once: the Z-function of the reversed history (Gusfield 1997, 1.3).
    fn penalties(&self, history: &[u32]) -> Vec<(u32, f64)> {
        let length = self.last_n.map_or(history.len(), |last| history.len().min(last as usize));
        let reversed: Vec<u32> = history[history.len() - length..].iter().rev().copied().collect();
        let breakers: HashSet<u32> = self.sequence_breakers.iter().copied().collect();
        let reach = reversed.iter().position(|token| breakers.contains(token)).unwrap_or(length);
        let mut longest: BTreeMap<u32, usize> = BTreeMap::new();
        let shortest = self.allowed_length as usize;
        let lengths = z_function(&reversed);
        for (i, &repeated) in lengths.iter().enumerate().skip(1) {
            let repeated = repeated.min(reach);
            let token = reversed[i - 1];
            if repeated >= shortest && !breakers.contains(&token) {
                let longest = longest.entry(token).or_default();
                *longest = repeated.max(*longest);
            }
        }
        longest
            .into_iter()
            .map(|(token, repeated)| {
                // A power by multiplications, whose bits every system agrees on; it stops where binary32 ends.
                let mut penalty = f64::from(self.multiplier);
                for _ in shortest..repeated.min(shortest + 2000) {
                    penalty = (penalty * f64::from(self.base)).min(f64::from(f32::MAX));
                }
                (token, penalty)
            })
            .collect()
    }
}

/// For each place, how far what begins there equals the beginning.
fn z_function(items: &[u32]) -> Vec<usize> {
    let mut z = vec![0; items.len()];
    let (mut left, mut right) = (0, 0);
    for i in 1..items.len() {
        let known = if i < right { z[i - left].min(right - i) } else { 0 };
        let further = items[known..].iter().zip(&items[i + known..]).take_while(|(a, b)| a == b).count();
        z[i] = known + further;
        if i + z[i] > right {
            (left, right) = (i, i + z[i]);
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SamplingParams;

    #[test]
    fn the_z_function_is_the_definition() {
        let items: Vec<u32> = (0..200u32).map(|i| i * i % 7 % 3).collect();
        for (i, &z) in z_function(&items).iter().enumerate().skip(1) {
            assert_eq!(z, items.iter().zip(&items[i..]).take_while(|(a, b)| a == b).count(), "{i}");
        }
    }

    fn logits(params: SamplingParams, prompt: &[u32], output: &[u32], position: u64) -> Vec<f32> {
        let mut request = Request::with_prompt(params, prompt).expect("sound");
        for &token in output {
            request.accept_token(token);
        }
        let changes = request.changes(position, 8);
        let plain = [2.0f32, -2.0, 1.0, 0.5, 0.0, 3.0, -1.0, 4.0];
        (0..8).map(|token| f32::from_bits(changes.apply(token, plain[token as usize].to_bits()))).collect()
    }

    #[test]
    fn penalties_follow_their_formulas() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            presence_penalty: 0.25,
            frequency_penalty: 0.5,
            logit_bias: vec![(2, 1.0), (2, 0.5), (6, -1.0)],
            ..SamplingParams::default()
        };
        // Prompt 0, 1; output 1, 2, 2: token 1 is repeated and counted once, 2 twice, 0 only repeated.
        let got = logits(params.clone(), &[0, 1], &[1, 2, 2], 0);
        assert_eq!(got, [1.0, -4.75, (1.0 + 1.5) / 2.0 - 1.25, 0.5, 0.0, 3.0, -2.0, 4.0]);
        // The last two tokens of all, for all three.
        let got = logits(SamplingParams { penalty_last_n: Some(2), ..params }, &[0, 1], &[1, 2, 2], 0);
        assert_eq!(got, [2.0, -2.0, (1.0 + 1.5) / 2.0 - 1.25, 0.5, 0.0, 3.0, -2.0, 4.0]);
    }

    #[test]
    fn bans_come_and_go() {
        let params = SamplingParams {
            bad_words: vec![vec![7], vec![3, 4, 5]],
            min_tokens: 2,
            stop_token_ids: vec![0],
            allowed_token_ids: Some(vec![0, 1, 5, 7]),
            ..SamplingParams::default()
        };
        let infinity = f32::NEG_INFINITY;
        let n = infinity;
        assert_eq!(logits(params.clone(), &[3, 4], &[], 0), [n, -2.0, n, n, n, 3.0, n, n]);
        assert_eq!(logits(params.clone(), &[], &[3, 4], 2), [2.0, -2.0, n, n, n, n, n, n]);
        assert_eq!(logits(params, &[], &[3, 4, 6], 3), [2.0, -2.0, n, n, n, 3.0, n, n]);
    }

    #[test]
    fn dry_punishes_what_continues_a_repetition() {
        let dry = Dry { multiplier: 1.0, base: 2.0, allowed_length: 2, ..Dry::default() };
        // "1 2 3 … 1 2": 3 would continue a repetition of two.
        assert_eq!(dry.penalties(&[1, 2, 3, 9, 1, 2]), [(3, 1.0)]);
        // "5 1 2 3 … 5 1 2" is one longer; "1 2 4" matches two.
        assert_eq!(dry.penalties(&[1, 2, 4, 5, 1, 2, 3, 9, 5, 1, 2]), [(3, 2.0), (4, 1.0)]);
        assert_eq!(dry.penalties(&[1, 2, 3, 9, 2]), [], "too short");
        let broken = Dry { sequence_breakers: vec![1], ..dry.clone() };
        assert_eq!(broken.penalties(&[5, 1, 2, 3, 9, 5, 1, 2]), [], "the breaker cuts the end to one token");
        let last = Dry { last_n: Some(4), ..dry };
        assert_eq!(last.penalties(&[1, 2, 3, 9, 1, 2]), [], "the first is out of sight");
    }
}
