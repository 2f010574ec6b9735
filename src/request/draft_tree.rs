//! Speculative decoding with a tree: several continuations at once, verified in one call.

use super::draft::check_request;
use super::verified::Verified;
use super::{Request, Row};
use crate::answer::Sample;
use crate::error::{Error, Result};

/// Draft tokens of one request as a tree, of which the path is accepted that plain decoding takes
/// ([`Verification::SampleAndMatch`](crate::Verification::SampleAndMatch)): the output is, token by token, the one without a draft, whatever the
/// tree holds.
///
/// The target model has computed logits after each token of the tree and after the text before it, each with the tokens on
/// its path alone in sight (tree attention). Penalties, DRY, n-grams and bad words see those as if they were accepted. The
/// request is borrowed until the tree is dropped.
///
/// # Example
/// ```
/// use sortilege::{Cpu, DraftTree, Engine, Logits, Request, SampleInputs, SamplingParams};
/// let request = Request::new(SamplingParams { temperature: 0.0, ..SamplingParams::default() })?;
/// // First 2 or 0; after 2, 1.
/// let tree = DraftTree::new(&request, 0, &[2, 0, 1], &[None, None, Some(0)])?;
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
    /// The tokens from the first on to each of the tree, one path after the other, and where each path ends.
    paths: Vec<u32>,
    ends: Vec<usize>,
}

impl<'a> DraftTree<'a> {
    /// Most tokens of a tree.
    pub const MAX_TOKENS: usize = 4096;

    /// A tree for `request`, whose first tokens are drafts for `position`. `parents` says of each token which one of
    /// `tokens`, earlier in the list, stands before it; `None` where the text does.
    ///
    /// # Errors
    /// [`Error::Params`] if there are more than [`Self::MAX_TOKENS`] tokens or not a parent for each, one does not come before its child, or two children of one
    /// are equal; and as for [`DraftTokens::new`](crate::DraftTokens::new).
    pub fn new(
        request: &'a Request,
        position: u64,
        tokens: &'a [u32],
        parents: &'a [Option<usize>],
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
        Ok(Self { request, position, tokens, parents, paths, ends })
    }

    /// The tokens that lead to the one in this place, itself the last.
    fn path(&self, place: usize) -> &[u32] {
        &self.paths[place.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[place]]
    }

    /// The rows of the batch: the one after the text, then one after each token of the tree, in its order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let paths = (0..self.tokens.len()).map(|place| self.path(place));
        std::iter::once(&[][..])
            .chain(paths)
            .map(|ahead| Row { ahead, ..self.request.row(self.position.wrapping_add(ahead.len() as u64)) })
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
            let is_next = |&place: &usize| self.parents[place] == last && self.tokens[place] == drawn.token;
            (0..self.tokens.len()).find(is_next)
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
        let tree = DraftTree::new(&request, 7, &[5, 6, 5 + 1, 5, 8], &parents).expect("a tree");
        let rows: Vec<(u64, Vec<u32>)> = tree.rows().map(|row| (row.position, row.ahead.to_vec())).collect();
        let expected: [(u64, &[u32]); 6] =
            [(7, &[]), (8, &[5]), (9, &[5, 6]), (8, &[6]), (10, &[5, 6, 5]), (9, &[5, 8])];
        assert_eq!(rows, expected.map(|(position, ahead)| (position, ahead.to_vec())));
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
            let message = DraftTree::new(request, 0, tokens, parents).expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        let long = vec![1; DraftTree::MAX_TOKENS + 1];
        let chain: Vec<Option<usize>> = (0..long.len()).map(|place| place.checked_sub(1)).collect();
        let message = DraftTree::new(&request, 0, &long, &chain).expect_err("too long").to_string();
        assert!(message.contains("4097 tokens is over the limit of 4096"), "{message}");
        DraftTree::new(&request, 0, &long[1..], &chain[..4096]).expect("a chain of the most tokens");
        DraftTree::new(&request, 0, &[], &[]).expect("nothing is a tree too");
        DraftTree::new(&request, 0, &[2, 1, 2], &[None, Some(0), Some(1)])
            .expect("equal ones in other places");
    }
}
