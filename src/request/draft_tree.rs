//! Speculative decoding with a tree: several continuations at once, verified in one call.

use std::ops::Range;

use super::draft::{Verification, check_request};
use super::verified::Verified;
use super::{Request, Row};
use crate::answer::Sample;
use crate::error::{Error, Result};

/// Draft tokens of one request as a tree, of which a path is accepted: with [`Verification::SampleAndMatch`] the one that plain
/// decoding takes, so that the output is, token by token, the one without a draft, whatever the tree holds; with
/// [`Verification::Rejection`] one of the tokens after each accepted one, as long as one of them stands.
///
/// Tokens after the same one are siblings, in the order of the list. By rejection they are tried in that order, and must have
/// been drawn from the draft's probabilities after that token, each without those before it: by sampling without
/// replacement, or by drawing again with those forbidden. The probabilities are given whole, at the row after that token.
///
/// The target model has computed logits after each token of the tree and after the text before it, each with the tokens on
/// its path alone in sight (tree attention). Penalties, DRY, n-grams and bad words see those as if they were accepted. The
/// request is borrowed until the tree is dropped.
///
/// # Example
/// ```
/// use sortilege::{Cpu, DraftTree, Engine, Logits, Request, SampleInputs, SamplingParams, Verification};
/// let request = Request::new(SamplingParams { temperature: 0.0, ..SamplingParams::default() })?;
/// // First 2 or 0; after 2, 1.
/// let parents = [None, None, Some(0)];
/// let tree = DraftTree::new(&request, 0, &[2, 0, 1], &parents, Verification::SampleAndMatch)?;
/// // After the text, after 2, after 0, after 2 1.
/// let logits = [0.0f32, 1.0, 5.0, /**/ 0.0, 3.0, 1.0, /**/ 9.0, 0.0, 0.0, /**/ 0.0, 0.0, 7.0];
/// let rows: Vec<_> = tree.rows().collect();
/// let samples = Cpu.sample(&Logits::f32(&logits, 4, 3)?, &rows, &SampleInputs::default())?;
/// let verified = tree.verify(&samples);
/// assert_eq!((verified.accepted.clone(), verified.tokens()), (vec![0, 2], vec![2, 1, 2]));
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DraftTree<'a> {
    request: &'a Request,
    position: u64,
    tokens: &'a [u32],
    parents: &'a [Option<usize>],
    verification: Verification,
    /// The tokens from the first on to each of the tree, one path after the other, and where each path ends.
    paths: Vec<u32>,
    ends: Vec<usize>,
    /// Places of the tokens by what is before them, first the text, and the tokens in that order.
    places: Vec<usize>,
    siblings: Vec<u32>,
}

impl<'a> DraftTree<'a> {
    /// Most tokens of a tree.
    pub const MAX_TOKENS: usize = 4096;

    /// A tree for `request`, whose first tokens are drafts for `position`. `parents` says of each token which one of
    /// `tokens`, earlier in the list, stands before it; `None` where the text does.
    ///
    /// # Errors
    /// [`Error::Params`] if there are more than [`Self::MAX_TOKENS`] tokens or not a parent for each, one does not come before its child, two children of one
    /// are equal, or one has more than [`Row::MAX_DRAFT_TOKENS`] that are to be verified by rejection; and as for [`DraftTokens::new`](crate::DraftTokens::new).
    pub fn new(
        request: &'a Request,
        position: u64,
        tokens: &'a [u32],
        parents: &'a [Option<usize>],
        verification: Verification,
    ) -> Result<Self> {
        check_request(request)?;
        check_tree(tokens, parents)?;
        let (mut paths, mut ends) = (Vec::new(), Vec::<usize>::with_capacity(tokens.len()));
        for (&token, &parent) in tokens.iter().zip(parents) {
            if let Some(parent) = parent {
                let start = parent.checked_sub(1).map_or(0, |before| ends[before]);
                paths.extend_from_within(start..ends[parent]);
            }
            paths.push(token);
            ends.push(paths.len());
        }
        let mut places: Vec<usize> = (0..tokens.len()).collect();
        places.sort_by_key(|&place| parents[place]); // `None` first; equals stay in their order
        let tree = Self {
            request,
            position,
            tokens,
            parents,
            verification,
            paths,
            ends,
            siblings: places.iter().map(|&place| tokens[place]).collect(),
            places,
        };
        tree.check_siblings()?;
        Ok(tree)
    }

    /// Nothing, if no row has more siblings than it can try.
    fn check_siblings(&self) -> Result<()> {
        let most = Row::MAX_DRAFT_TOKENS;
        let before = std::iter::once(None).chain((0..self.tokens.len()).map(Some));
        for (parent, count) in before.map(|parent| (parent, self.after(parent).len())) {
            if self.verification == Verification::Rejection && count > most {
                let parent = parent.map_or("the text".to_owned(), |place| format!("token {place}"));
                return Err(Error::Params(format!(
                    "a tree has {count} tokens after {parent}, by rejection at most {most} are tried: leave out the last"
                )));
            }
        }
        Ok(())
    }

    /// Where the tokens lie, among all by what is before them, that come after the one in this place or after the text.
    fn after(&self, parent: Option<usize>) -> Range<usize> {
        let first = self.places.partition_point(|&place| self.parents[place] < parent);
        let behind = self.places[first..].partition_point(|&place| self.parents[place] == parent);
        first..first + behind
    }

    /// The tokens that lead to the one in this place, itself the last.
    fn path(&self, place: usize) -> &[u32] {
        &self.paths[place.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[place]]
    }

    /// The rows of the batch: the one after the text, then one after each token of the tree, in its order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let before = std::iter::once(None).chain((0..self.tokens.len()).map(Some));
        before.map(|parent| {
            let ahead = parent.map_or(&[][..], |place| self.path(place));
            let draft = match self.verification {
                Verification::SampleAndMatch => &[],
                Verification::Rejection => &self.siblings[self.after(parent)],
            };
            Row { ahead, draft, ..self.request.row(self.position.wrapping_add(ahead.len() as u64)) }
        })
    }

    /// What the samples of these rows mean for the tree.
    ///
    /// # Panics
    /// If there is not one sample per row.
    #[must_use]
    pub fn verify<'s>(&self, samples: &'s [Sample]) -> Verified<'s> {
        assert_eq!(samples.len(), self.tokens.len() + 1, "one sample per row of the tree");
        Verified::new(samples, |last, sample| {
            let drawn = sample.draws.first()?;
            self.places[self.after(last)].iter().copied().find(|&place| self.tokens[place] == drawn.token)
        })
    }
}

/// Nothing, if these are a tree.
fn check_tree(tokens: &[u32], parents: &[Option<usize>]) -> Result<()> {
    if tokens.len() > DraftTree::MAX_TOKENS {
        return Err(Error::Params(format!(
            "a tree of {} tokens is over the limit of {}: leave out the less probable",
            tokens.len(),
            DraftTree::MAX_TOKENS
        )));
    }
    if tokens.len() != parents.len() {
        return Err(Error::Params(format!(
            "a tree of {} tokens has {} parents: give one for each, None for those after the text",
            tokens.len(),
            parents.len()
        )));
    }
    for (place, (token, parent)) in tokens.iter().zip(parents).enumerate() {
        if let Some(parent) = parent.filter(|parent| *parent >= place) {
            return Err(Error::Params(format!(
                "token {place} of a tree has the parent {parent}: it must stand earlier in the list"
            )));
        }
        let mut earlier = tokens.iter().zip(parents).take(place);
        if let Some(other) = earlier.position(|other| other == (token, parent)) {
            return Err(Error::Params(format!(
                "tokens {other} and {place} of a tree are both {token} after the same one: leave one out"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SamplingParams;

    #[test]
    fn rows_have_their_paths_ahead() {
        let request = Request::new(SamplingParams::default()).expect("sound");
        let parents = [None, Some(0), None, Some(1), Some(0)];
        let tree = DraftTree::new(&request, 7, &[5, 6, 5 + 1, 5, 8], &parents, Verification::Rejection)
            .expect("a tree");
        let rows: Vec<(u64, Vec<u32>)> = tree.rows().map(|row| (row.position, row.ahead.to_vec())).collect();
        let expected: [(u64, &[u32]); 6] =
            [(7, &[]), (8, &[5]), (9, &[5, 6]), (8, &[6]), (10, &[5, 6, 5]), (9, &[5, 8])];
        assert_eq!(rows, expected.map(|(position, ahead)| (position, ahead.to_vec())));
        let drafts: Vec<&[u32]> = tree.rows().map(|row| row.draft).collect();
        let expected: [&[u32]; 6] = [&[5, 6], &[6, 8], &[5], &[], &[], &[]];
        assert_eq!(drafts, expected);
        let matched =
            DraftTree::new(&request, 7, &[5], &[None], Verification::SampleAndMatch).expect("a tree");
        assert!(matched.rows().all(|row| row.draft.is_empty()));
    }

    #[test]
    fn what_is_no_tree_is_named() {
        let request = Request::new(SamplingParams::default()).expect("sound");
        let several = Request::new(SamplingParams { n: 2, ..SamplingParams::default() }).expect("sound");
        type Case<'a> = (&'a Request, &'a [u32], &'a [Option<usize>], &'a str);
        let cases: [Case<'_>; 5] = [
            (&request, &[1, 2], &[None], "2 tokens has 1 parents"),
            (&request, &[1, 2], &[None, Some(1)], "token 1 of a tree has the parent 1"),
            (&request, &[1], &[Some(4)], "token 0 of a tree has the parent 4"),
            (&request, &[1, 2, 2], &[None, Some(0), Some(0)], "tokens 1 and 2 of a tree are both 2"),
            (&several, &[1], &[None], "n is 2"),
        ];
        for (request, tokens, parents, words) in cases {
            let message = DraftTree::new(request, 0, tokens, parents, Verification::SampleAndMatch)
                .expect_err(words)
                .to_string();
            assert!(message.contains(words), "{message}");
        }
        let long = vec![1; DraftTree::MAX_TOKENS + 1];
        let chain: Vec<Option<usize>> = (0..long.len()).map(|place| place.checked_sub(1)).collect();
        let new = |tokens, parents| DraftTree::new(&request, 0, tokens, parents, Verification::Rejection);
        let message = new(&long, &chain).expect_err("too long").to_string();
        assert!(message.contains("4097 tokens is over the limit of 4096"), "{message}");
        new(&long[1..], &chain[..4096]).expect("a chain of the most tokens");
        new(&[], &[]).expect("nothing is a tree too");
        new(&[2, 1, 2], &[None, Some(0), Some(1)]).expect("equal ones in other places");
        let many: Vec<u32> = (0..66).collect();
        let after_one: Vec<Option<usize>> =
            (0..66usize).map(|place| place.checked_sub(1).map(|_| 0)).collect();
        new(&many[..65], &after_one[..65]).expect("the most siblings");
        let message = new(&many, &after_one).expect_err("too many").to_string();
        assert!(message.contains("65 tokens after token 0, by rejection at most 64"), "{message}");
        DraftTree::new(&request, 0, &many, &after_one, Verification::SampleAndMatch)
            .expect("nothing is tried");
    }
}
