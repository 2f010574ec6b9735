//! Bad words: sequences of tokens that must not come about.

use std::collections::HashMap;

use super::history::History;

/// Bad words by the token before their last.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadWords(HashMap<u32, Vec<usize>>);

impl BadWords {
    pub(crate) fn new(words: &[Vec<u32>]) -> Self {
        let mut by_token: HashMap<u32, Vec<usize>> = HashMap::new();
        for (number, word) in words.iter().enumerate() {
            if let [.., before, _] = word[..] {
                by_token.entry(before).or_default().push(number);
            }
        }
        Self(by_token)
    }

    /// Whether there is a word of several tokens.
    pub(crate) fn look_back(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells the tokens that would complete a word of several tokens.
    pub(crate) fn each(&self, words: &[Vec<u32>], history: &History<'_>, tell: impl FnMut(u32)) {
        let ending = history.last_of_output().and_then(|token| self.0.get(&token));
        let completed = ending.into_iter().flatten().filter_map(|&number| {
            let (last, before) = words[number].split_last()?;
            history.output_ends_with(before).then_some(*last)
        });
        completed.for_each(tell);
    }
}
