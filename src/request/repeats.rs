//! DRY: how far what stands before each place of a history equals its end, kept from token to token.

use std::collections::{HashMap, HashSet};

use super::history::History;
use crate::params::Dry;

/// A place of the history before which so many tokens equal its last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Repeat {
    place: usize,
    length: usize,
}

/// Longest run of tokens that is looked up at once; what is longer grows from it, a token a step.
const MOST_GRAM: usize = 4;
/// In place of a place.
const NONE: u32 = u32::MAX;

/// The repeats of a history. A step costs as much as its last tokens, [`MOST_GRAM`] of them or
/// [`Dry::allowed_length`] if that is less, occurred within the last [`Dry::last_n`]; nothing where a breaker stands among
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Repeats {
    allowed_length: usize,
    last_n: Option<usize>,
    breakers: HashSet<u32>,
    /// Of the shortest repeat that counts, and of longer ones.
    penalties: Vec<f32>,
    /// Tokens of a gram.
    gram: usize,
    /// The last place before which a gram stands.
    last: HashMap<[u32; MOST_GRAM], u32>,
    /// By place, the one before it with an equal gram.
    earlier: Vec<u32>,
    /// Places behind the last breaker.
    reach: usize,
    /// Those of the history, of a gram at least, the last place first.
    repeats: Vec<Repeat>,
    before: Vec<Repeat>,
}

impl Repeats {
    /// Those of a history, without what is taken for accepted.
    pub(crate) fn new(dry: &Dry, history: &History<'_>) -> Self {
        let history = &history.with_ahead(0);
        let mut repeats = Self {
            allowed_length: dry.allowed_length as usize,
            last_n: dry.last_n.map(|last| last as usize),
            breakers: dry.sequence_breakers.iter().copied().collect(),
            penalties: penalties(dry),
            gram: MOST_GRAM.min(dry.allowed_length as usize),
            last: HashMap::new(),
            earlier: vec![NONE],
            reach: 0,
            repeats: Vec::new(),
            before: Vec::new(),
        };
        for place in 0..history.tokens.len() {
            repeats.enter(&History { tokens: &history.tokens[..=place], ..*history });
        }
        repeats.repeats = repeats.all(history);
        repeats
    }

    /// The repeats of a history by itself: the Z-function of its last tokens, reversed (Gusfield 1997, 1.3).
    fn all(&self, history: &History<'_>) -> Vec<Repeat> {
        let first = self.first(history);
        let reversed: Vec<u32> = history.tokens[first..].iter().rev().copied().collect();
        let lengths = z_function(&reversed);
        let end = history.tokens.len();
        let repeats =
            lengths.iter().enumerate().skip(1).map(|(i, &length)| Repeat { place: end - i, length });
        repeats.filter(|repeat| repeat.length >= self.gram && self.reach >= self.gram).collect()
    }

    /// Of the shortest repeat that counts, and of longer ones.
    #[cfg(feature = "gpu")]
    pub(super) fn penalties(&self) -> &[f32] {
        &self.penalties
    }

    /// Tokens behind the last breaker.
    #[cfg(feature = "gpu")]
    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    /// The first place that is looked at.
    fn first(&self, history: &History<'_>) -> usize {
        self.last_n.map_or(0, |last| history.len().saturating_sub(last))
    }

    /// Takes in the last token of a history whose others are known.
    pub(crate) fn see_last(&mut self, history: &History<'_>) {
        let mut repeats = std::mem::take(&mut self.before);
        self.extend(history, &self.repeats, self.reach_after(self.reach, history), &mut repeats);
        self.before = std::mem::replace(&mut self.repeats, repeats);
        self.enter(history);
    }

    /// Makes the place behind the last token known.
    fn enter(&mut self, history: &History<'_>) {
        let end = history.len();
        self.reach = self.reach_after(self.reach, history);
        #[expect(clippy::cast_possible_truncation, reason = "2^32 tokens would not fit the memory")]
        let place = end as u32;
        let earlier = self.gram_before(history, end).and_then(|gram| self.last.insert(gram, place));
        self.earlier.push(earlier.unwrap_or(NONE));
    }

    /// Tokens behind the last breaker, out of those before the last token.
    fn reach_after(&self, reach: usize, history: &History<'_>) -> usize {
        if self.breakers.contains(&history.at(history.len() - 1)) { 0 } else { reach + 1 }
    }

    /// The repeats at the end of a history, out of those at the end of the history without its last token.
    fn extend(&self, history: &History<'_>, before: &[Repeat], reach: usize, out: &mut Vec<Repeat>) {
        out.clear();
        let (first, end) = (self.first(history), history.len());
        let Some(gram) = self.gram_before(history, end).filter(|_| reach >= self.gram) else { return };
        let mut before = before.iter().peekable();
        let mut push = |place: usize| {
            while before.next_if(|earlier| earlier.place >= place).is_some() {}
            let earlier = before.peek().filter(|earlier| earlier.place + 1 == place);
            out.push(Repeat { place, length: earlier.map_or(self.gram, |earlier| earlier.length + 1) });
        };
        // Those that are not known yet, among the tokens that a row takes for accepted; then the known ones.
        let known = self.earlier.len() - 1;
        for place in (known.max(first) + 1..end).rev() {
            if self.gram_before(history, place) == Some(gram) {
                push(place);
            }
        }
        let mut place = self.last.get(&gram).copied().unwrap_or(NONE);
        while place != NONE && place as usize > first {
            push(place as usize);
            place = self.earlier[place as usize];
        }
    }

    /// The gram that stands before a place.
    fn gram_before(&self, history: &History<'_>, place: usize) -> Option<[u32; MOST_GRAM]> {
        let first = place.checked_sub(self.gram)?;
        Some(std::array::from_fn(|i| if i < self.gram { history.at(first + i) } else { 0 }))
    }

    /// Tells the tokens that would go on with a repeat and what they lose by it, each perhaps several times, in no order.
    pub(crate) fn each(&self, history: &History<'_>, mut tell: impl FnMut(u32, f32)) {
        if history.ahead.is_empty() {
            return self.each_of(history, &self.repeats, self.reach, &mut tell);
        }
        let (mut repeats, mut next, mut reach) = (self.repeats.clone(), Vec::new(), self.reach);
        for count in 1..=history.ahead.len() {
            let history = history.with_ahead(count);
            reach = self.reach_after(reach, &history);
            self.extend(&history, &repeats, reach, &mut next);
            std::mem::swap(&mut repeats, &mut next);
        }
        self.each_of(history, &repeats, reach, &mut tell);
    }

    fn each_of(
        &self,
        history: &History<'_>,
        repeats: &[Repeat],
        reach: usize,
        tell: &mut dyn FnMut(u32, f32),
    ) {
        let first = self.first(history);
        for &Repeat { place, length } in repeats.iter().take_while(|repeat| repeat.place > first) {
            let length = length.min(reach).min(place - first);
            let token = history.at(place);
            if let Some(further) = length.checked_sub(self.allowed_length)
                && !self.breakers.contains(&token)
            {
                tell(token, self.penalties[further.min(self.penalties.len() - 1)]);
            }
        }
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

/// What a token that repeats the shortest length loses, one more, and so on: powers by multiplications, whose bits every
/// system agrees on, rounded once; they stop where they grow no more, at the end of binary32 at the latest.
fn penalties(dry: &Dry) -> Vec<f32> {
    let next = |penalty: &f64| {
        let grown = (penalty * f64::from(dry.base)).min(f64::from(f32::MAX));
        (grown > *penalty).then_some(grown)
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded to single, of which none is past the largest"
    )]
    let rounded = |penalty: f64| penalty as f32;
    std::iter::successors(Some(f64::from(dry.multiplier)), next).take(2001).map(rounded).collect()
}

/// By distance from the end, how many tokens before that place equal the last ones.
#[cfg(feature = "gpu")]
pub(super) fn lengths_by_distance(tokens: &[u32]) -> Vec<usize> {
    let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
    z_function(&reversed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What each token loses: after all of the tokens, and as if the last of them were taken for accepted.
    fn lost(dry: &Dry, tokens: &[u32]) -> Vec<(u32, f32)> {
        let of = |accepted: usize| {
            let (tokens, ahead) = tokens.split_at(accepted);
            let history = History { tokens, prompt: 0, ahead };
            let mut lost: BTreeMap<u32, f32> = BTreeMap::new();
            Repeats::new(dry, &history).each(&history, |token, penalty| {
                let most = lost.entry(token).or_default();
                *most = most.max(penalty);
            });
            lost.into_iter().collect::<Vec<_>>()
        };
        let whole = of(tokens.len());
        for accepted in 0..tokens.len() {
            assert_eq!(of(accepted), whole, "{accepted} of {tokens:?}");
        }
        whole
    }

    #[test]
    fn dry_punishes_what_continues_a_repetition() {
        let dry = Dry { multiplier: 1.0, base: 2.0, allowed_length: 2, ..Dry::default() };
        // "1 2 3 … 1 2": 3 would continue a repetition of two.
        assert_eq!(lost(&dry, &[1, 2, 3, 9, 1, 2]), [(3, 1.0)]);
        // "5 1 2 3 … 5 1 2" is one longer; "1 2 4" matches two.
        assert_eq!(lost(&dry, &[1, 2, 4, 5, 1, 2, 3, 9, 5, 1, 2]), [(3, 2.0), (4, 1.0)]);
        assert_eq!(lost(&dry, &[1, 2, 3, 9, 2]), [], "too short");
        let broken = Dry { sequence_breakers: vec![1], ..dry.clone() };
        assert_eq!(lost(&broken, &[5, 1, 2, 3, 9, 5, 1, 2]), [], "the breaker cuts the end to one token");
        let last = Dry { last_n: Some(4), ..dry.clone() };
        assert_eq!(lost(&last, &[1, 2, 3, 9, 1, 2]), [], "the first is out of sight");
        let long = Dry { allowed_length: 6, ..dry };
        assert_eq!(
            lost(&long, &[1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6]),
            [(7, 1.0)],
            "longer than what is looked up"
        );
        assert_eq!(lost(&long, &[1, 2, 3, 4, 5, 6, 7, 0, 2, 3, 4, 5, 6]), [], "one less");
    }

    /// The lengths are those of the definition, token by token, in text that repeats itself a lot.
    #[test]
    fn repeats_are_those_of_the_definition() {
        let tokens: Vec<u32> = (0..300u32).map(|i| i * i % 7 % 3).chain([1, 1, 1, 2, 1, 2, 1, 2]).collect();
        for allowed_length in [1, 2, 5] {
            let dry = Dry { allowed_length, ..Dry::default() };
            for end in 1..tokens.len() {
                let history = History { tokens: &tokens[..end], prompt: 0, ahead: &[] };
                let got = Repeats::new(&dry, &history).repeats;
                let start = History { tokens: &tokens[..end - 1], prompt: 0, ahead: &[] };
                let mut stepped = Repeats::new(&dry, &start);
                stepped.see_last(&history);
                assert_eq!(stepped.repeats, got, "a step to {end}");
                let least = MOST_GRAM.min(allowed_length as usize);
                let length = |place: usize| {
                    let pairs = tokens[..place].iter().rev().zip(tokens[..end].iter().rev());
                    pairs.take_while(|(a, b)| a == b).count()
                };
                let all = (1..end).rev().map(|place| Repeat { place, length: length(place) });
                assert_eq!(got, all.filter(|repeat| repeat.length >= least).collect::<Vec<_>>(), "{end}");
            }
        }
    }
}
