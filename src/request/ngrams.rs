//! No-repeat-ngram: the tokens that would complete a sequence of n tokens that is there already.

use super::history::History;
use super::repeats::Repeats;
use crate::params::{Dry, SamplingParams};

/// The sequences of n tokens of a history, kept from token to token.
#[derive(Clone, Debug)]
pub(crate) enum NGrams {
    /// n is 1: the tokens themselves, of the last so many.
    Tokens(usize),
    /// The last n − 1 tokens, wherever they stood before: DRY's repeats of at least that length.
    Sequences(Box<Repeats>),
}

impl NGrams {
    /// Those of a history, without what is taken for accepted; `None` if all may come twice.
    pub(crate) fn new(params: &SamplingParams, history: &History<'_>) -> Option<Self> {
        let window = params.no_repeat_ngram_window;
        if window == Some(0) {
            return None;
        }
        Some(match params.no_repeat_ngram_size.checked_sub(1)? {
            0 => Self::Tokens(window.map_or(usize::MAX, |last| last as usize)),
            allowed_length => {
                let repeats = Dry { multiplier: 0.0, allowed_length, last_n: window, ..Dry::default() };
                Self::Sequences(Box::new(Repeats::new(&repeats, history)))
            }
        })
    }

    /// Takes in the last token of a history whose others are known.
    pub(crate) fn see_last(&mut self, history: &History<'_>) {
        if let Self::Sequences(repeats) = self {
            repeats.see_last(history);
        }
    }

    /// Tells the tokens that would complete a sequence once more, each perhaps several times, in no order.
    pub(crate) fn each(&self, history: &History<'_>, mut tell: impl FnMut(u32)) {
        match self {
            Self::Tokens(window) => {
                let first = history.len().saturating_sub(*window);
                (first..history.len()).for_each(|place| tell(history.at(place)));
            }
            Self::Sequences(repeats) => repeats.each(history, |token, _| tell(token)),
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
}
