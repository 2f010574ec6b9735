//! No-repeat-ngram: the tokens that would complete a sequence of n tokens that is there already.

use std::collections::HashMap;

use super::history::History;
use crate::params::SamplingParams;

/// The sequences of n tokens of a history, kept from token to token.
#[derive(Clone, Debug)]
pub(crate) enum NGrams {
    /// n is 1: every token, once it was seen. The request keeps the bans.
    Seen,
    /// n is 1: the last tokens, so many.
    Last(usize),
    /// What followed the last n - 1 tokens wherever they stood before.
    Followers(Box<Followers>),
}

impl NGrams {
    /// Those of a history, without what is taken for accepted; `None` if all may come twice.
    pub(crate) fn new(params: &SamplingParams, history: &History<'_>) -> Option<Self> {
        let window = params.no_repeat_ngram_window.map(|last| last as usize);
        let length = params.no_repeat_ngram_size.checked_sub(1)? as usize;
        match window {
            Some(0) => None,
            None if length == 0 => Some(Self::Seen),
            Some(last) if length == 0 => Some(Self::Last(last)),
            _ => Some(Self::Followers(Box::new(Followers::new(length, window, history)))),
        }
    }

    /// Takes in the last token of a history whose others are known.
    pub(crate) fn see_last(&mut self, history: &History<'_>) {
        if let Self::Followers(followers) = self {
            followers.enter(history);
        }
    }

    /// Whether a token that was accepted may never come again.
    pub(crate) fn bans_seen(&self) -> bool {
        matches!(self, Self::Seen)
    }

    /// The last tokens of a history that a step looks at for itself, so many, where n is 1.
    pub(crate) fn last_of_step(&self, ahead: usize) -> Option<usize> {
        match self {
            Self::Seen => Some(ahead),
            Self::Last(last) => Some(*last),
            Self::Followers(_) => None,
        }
    }

    /// Tells the tokens that would complete a sequence once more, each perhaps several times, in no order; not those
    /// whose bans the request keeps.
    pub(crate) fn each(&self, history: &History<'_>, mut tell: impl FnMut(u32)) {
        if let Some(last) = self.last_of_step(history.ahead.len()) {
            let first = history.len().saturating_sub(last);
            (first..history.len()).for_each(|place| tell(history.at(place)));
        }
        if let Self::Followers(followers) = self {
            followers.each(history, &mut tell);
        }
    }
}

/// By the tokens of a gram, so many, what followed it. A step costs as much as there are different followers of its
/// last gram, however long the text is.
///
/// A gram is named by two blocks of a power of two that cover it, and each of these by its halves (Karp, Miller and
/// Rosenberg, Rapid identification of repeated patterns, 1972): equal names, equal tokens.
#[derive(Clone, Debug)]
pub(crate) struct Followers {
    /// Tokens of a gram.
    length: usize,
    window: Option<usize>,
    /// Names of the blocks of 2 tokens, of 4, and so on.
    blocks: Vec<Blocks>,
    /// By gram, its followers and where each stands, the last one last.
    after: HashMap<[u32; 2], Vec<(u32, usize)>>,
}

/// Blocks of one length.
#[derive(Clone, Debug, Default)]
struct Blocks {
    /// By the names of the halves.
    names: HashMap<[u32; 2], u32>,
    /// By the place of the last token; those before the first whole block are left out.
    at: Vec<u32>,
}

impl Followers {
    fn new(length: usize, window: Option<usize>, history: &History<'_>) -> Self {
        // Two blocks are as long as a gram, or longer.
        let levels = length.div_ceil(2).next_power_of_two().ilog2() as usize;
        let mut followers =
            Self { length, window, blocks: vec![Blocks::default(); levels], after: HashMap::new() };
        for place in 0..history.tokens.len() {
            followers.enter(&History { tokens: &history.tokens[..=place], ahead: &[], ..*history });
        }
        followers
    }

    /// Takes in the last token of a history whose others are known.
    fn enter(&mut self, history: &History<'_>) {
        let place = history.len() - 1;
        if let Some(gram) = self.gram_before(history, place) {
            let (token, after) = (history.at(place), self.after.entry(gram).or_default());
            after.retain(|(other, _)| *other != token);
            after.push((token, place));
        }
        for level in 0..self.blocks.len() {
            let Some(halves) = self.halves(history, level, place) else { return };
            let Blocks { names, at } = &mut self.blocks[level];
            #[expect(clippy::cast_possible_truncation, reason = "2^32 blocks would not fit the memory")]
            let next = names.len() as u32;
            at.push(*names.entry(halves).or_insert(next));
        }
    }

    /// The name of the gram that ends before a place; `None` before the first, or where one of its blocks is new.
    fn gram_before(&self, history: &History<'_>, place: usize) -> Option<[u32; 2]> {
        let first_end = (place.checked_sub(self.length)? + (1 << self.blocks.len())).checked_sub(1)?;
        let level = self.blocks.len();
        Some([self.block(history, level, first_end)?, self.block(history, level, place - 1)?])
    }

    /// The name of the block of 2^`level` tokens that ends with this place; `None` where it is new.
    fn block(&self, history: &History<'_>, level: usize, place: usize) -> Option<u32> {
        let Some(below) = level.checked_sub(1) else { return Some(history.at(place)) };
        let Blocks { names, at } = &self.blocks[below];
        let number = place.checked_sub((1 << level) - 1)?;
        at.get(number).copied().or_else(|| names.get(&self.halves(history, below, place)?).copied())
    }

    /// The names of the two halves, of 2^`level` tokens each, of what ends with this place.
    fn halves(&self, history: &History<'_>, level: usize, place: usize) -> Option<[u32; 2]> {
        let first = place.checked_sub(1 << level)?;
        Some([self.block(history, level, first)?, self.block(history, level, place)?])
    }

    /// Tells what followed the last gram, if all of it lies in the window.
    fn each(&self, history: &History<'_>, tell: &mut dyn FnMut(u32)) {
        let (end, known) = (history.len(), history.tokens.len());
        let Some(begin) = end.checked_sub(self.length) else { return };
        let first = self.window.map_or(0, |last| end.saturating_sub(last)) + self.length;
        let after = self.gram_before(history, end).and_then(|gram| self.after.get(&gram));
        let recent = after.into_iter().flatten().rev().take_while(|(_, place)| *place >= first);
        recent.for_each(|(token, _)| tell(*token));
        // Those that are taken for accepted are in no table.
        for place in known.max(first)..end {
            if (0..self.length).all(|i| history.at(place - self.length + i) == history.at(begin + i)) {
                tell(history.at(place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The banned tokens, whether the last tokens are accepted or taken for accepted.
    fn banned(size: u32, window: Option<u32>, tokens: &[u32]) -> Vec<u32> {
        let params = SamplingParams {
            no_repeat_ngram_size: size,
            no_repeat_ngram_window: window,
            ..SamplingParams::default()
        };
        let of = |accepted: usize| {
            let (tokens, ahead) = tokens.split_at(accepted);
            let history = History { tokens, prompt: 0, ahead };
            let mut banned = BTreeSet::new();
            if let Some(ngrams) = NGrams::new(&params, &history) {
                if ngrams.bans_seen() {
                    banned.extend(tokens);
                }
                ngrams.each(&history, |token| {
                    banned.insert(token);
                });
            }
            banned.into_iter().collect::<Vec<_>>()
        };
        let whole = of(tokens.len());
        for accepted in 0..tokens.len() {
            assert_eq!(of(accepted), whole, "{accepted} of {tokens:?}, size {size}, window {window:?}");
        }
        whole
    }

    #[test]
    fn the_last_token_of_a_sequence_is_banned_at_its_boundaries() {
        const NONE: [u32; 0] = [];
        let text = [1, 2, 3, 1, 2, 4, 1, 2];
        assert_eq!(banned(0, None, &text), NONE, "off");
        assert_eq!(banned(1, None, &text), [1, 2, 3, 4], "every token");
        assert_eq!(banned(1, Some(3), &text), [1, 2, 4]);
        assert_eq!(banned(2, None, &text), [3, 4]);
        assert_eq!(banned(3, None, &text), [3, 4], "both sequences");
        assert_eq!(banned(4, None, &text), NONE, "3 1 2 and 4 1 2 differ");
        // 1 2 4 begins five tokens from the end, 1 2 3 eight.
        assert_eq!(banned(3, Some(5), &text), [4]);
        assert_eq!(banned(3, Some(4), &text), NONE, "the first token is out of sight");
        assert_eq!(banned(3, Some(8), &text), [3, 4]);
        assert_eq!(banned(3, Some(7), &text), [4]);
        assert_eq!(banned(3, Some(0), &text), NONE);
        // Sequences may overlap: 5 5 5 is there once 5 5 is followed by 5.
        assert_eq!(banned(3, None, &[5, 5, 5]), [5]);
        assert_eq!(banned(3, None, &[5, 5]), NONE, "shorter than a sequence");
        assert_eq!(banned(2, None, &[]), NONE);
        // Longer than what is looked up at once.
        assert_eq!(banned(7, None, &[1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6]), [7]);
        assert_eq!(banned(7, None, &[9, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6]), NONE);
        assert_eq!(banned(u32::MAX, None, &text), NONE);
    }

    /// The bans of tokens that were accepted are the request's: a step adds those that are taken for accepted.
    #[test]
    fn single_tokens_are_told_once() {
        let params = SamplingParams { no_repeat_ngram_size: 1, ..SamplingParams::default() };
        let history = History { tokens: &[4, 5, 4], prompt: 1, ahead: &[7, 5] };
        let ngrams = NGrams::new(&params, &history).expect("on");
        let mut told = Vec::new();
        ngrams.each(&history, |token| told.push(token));
        assert!(ngrams.bans_seen() && told == [7, 5], "{told:?}");
        let params = SamplingParams { no_repeat_ngram_window: Some(9), ..params };
        let ngrams = NGrams::new(&params, &history).expect("on");
        told.clear();
        ngrams.each(&history, |token| told.push(token));
        assert!(!ngrams.bans_seen() && told == [4, 5, 4, 7, 5], "{told:?}");
    }

    /// Whatever the size and the window, token by token or looked back at: what the definition bans.
    #[test]
    fn bans_are_those_of_the_definition() {
        let tokens: Vec<u32> =
            (0..200u32).map(|i| i * i % 11 % 3).chain([2, 2, 2, 2, 2, 1, 2, 2, 2, 2]).collect();
        for size in [2, 3, 4, 5, 6, 7, 9, 10, 17, 18, 300] {
            for window in [None, Some(size), Some(size + 1), Some(40)] {
                let params = SamplingParams {
                    no_repeat_ngram_size: size,
                    no_repeat_ngram_window: window,
                    ..SamplingParams::default()
                };
                let nothing = History { tokens: &[], prompt: 0, ahead: &[] };
                let mut ngrams = NGrams::new(&params, &nothing).expect("on");
                let length = size as usize - 1;
                for end in 1..tokens.len() {
                    let history = History { tokens: &tokens[..end], ..nothing };
                    ngrams.see_last(&history);
                    let first = window.map_or(0, |last| end.saturating_sub(last as usize));
                    let runs = tokens[first..end].windows(size as usize);
                    let expected: BTreeSet<u32> = runs
                        .filter(|run| tokens[..end].ends_with(&run[..length]))
                        .map(|run| run[length])
                        .collect();
                    let mut got = Vec::new();
                    ngrams.each(&history, |token| got.push(token));
                    assert_eq!(got.len(), expected.len(), "none is told twice");
                    assert_eq!(BTreeSet::from_iter(got), expected, "{size}, {window:?}, {end}");
                }
            }
        }
    }
}
