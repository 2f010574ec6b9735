//! Speculative decoding: what became of draft tokens, in a chain or in a tree.

use crate::answer::Sample;

/// What became of draft tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified<'a> {
    /// Places among the draft tokens of those that were accepted, in order: of a chain the first so many, of a tree a path. The
    /// engine keeps these in its cache and drops the other draft tokens; the last new token is not in it yet.
    pub accepted: Vec<usize>,
    /// The samples of the new tokens, in order: the accepted ones, then the one that is drawn in place of the next draft token, or
    /// where no more was drafted the bonus token. Give them to [`Request::accept`](crate::Request::accept) one by one. Shorter
    /// where a row was no distribution, or where the request finishes with a draft token.
    pub samples: Vec<&'a Sample>,
}

impl<'a> Verified<'a> {
    /// Out of the sample after the text and one after each draft token. `next` hears of the last accepted draft token and of
    /// the sample after it, and says which one this accepts.
    pub(super) fn new(samples: &'a [Sample], next: impl Fn(Option<usize>, &Sample) -> Option<usize>) -> Self {
        let mut verified = Self { accepted: Vec::new(), samples: Vec::new() };
        loop {
            let last = verified.accepted.last().copied();
            let sample = &samples[last.map_or(0, |place| place + 1)];
            if sample.draws.is_empty() {
                return verified;
            }
            verified.samples.push(sample);
            let Some(place) = next(last, sample) else { return verified };
            verified.accepted.push(place);
        }
    }

    /// Out of the samples of a block, of which the last row that accepts says how far it stands.
    pub(super) fn of_block(samples: &'a [Sample]) -> Self {
        let last = samples.iter().rposition(|sample| sample.accepted == Some(true));
        let drawn = samples.iter().take(last.map_or(0, |last| last + 1));
        Self {
            accepted: (0..last.unwrap_or(0)).collect(),
            samples: drawn.filter(|sample| !sample.draws.is_empty()).collect(),
        }
    }

    /// The new tokens.
    #[must_use]
    pub fn tokens(&self) -> Vec<u32> {
        self.samples.iter().filter_map(|sample| sample.draws.first()).map(|drawn| drawn.token).collect()
    }
}
