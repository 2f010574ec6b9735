//! Speculative decoding with a tree: several continuations at once, verified in one call.

use super::draft::{Verification, check_position, check_request};
use super::verified::Verified;
use super::{Request, Row};
use crate::answer::Sample;
use crate::error::{Error, Result};

/// Draft tokens of one request as a tree, of which a path is accepted: with [`Verification::SampleAndMatch`] the one that plain
/// decoding takes, so that the output is, token by token, the one without a draft, whatever the tree holds; with
/// [`Verification::Rejection`] one of the tokens after each accepted one, as long as one of them stands.
///
/// Tokens after the same one are siblings, in the order of the list. By rejection they are tried in that order, at most
/// [`Row::MAX_DRAFT_TOKENS`] of them, and must have been drawn without replacement, in that order, from the draft's
/// probabilities, which are given whole at the row after the token before them. To draw them
/// with this library, make a request for each place among siblings, the first with stream 0, the second with stream 1 and
/// so on, with a temperature alone. Draw all first siblings in one call, all second ones in the next, each from the same
/// logits as the first (`row_offsets`), with a grammar mask that leaves out those before it. No filters and no penalties:
/// the given probabilities would not have them.
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
    /// The tokens from the first on to each of the tree, one path after the other, and where each path ends.
    paths: Vec<u32>,
    ends: Vec<usize>,
    /// The tokens that are tried, by the row that they come after, and where those of each row begin and those of the last end.
    siblings: Vec<u32>,
    firsts: Vec<usize>,
}

/// The row after the token in this place, or after the text.
fn row_after(parent: Option<usize>) -> usize {
    parent.map_or(0, |place| place + 1)
}

impl<'a> DraftTree<'a> {
    /// Most tokens of a tree.
    pub const MAX_TOKENS: usize = 4096;

    /// A tree for `request`, whose first tokens are drafts for `position`. `parents` says of each token which one of
    /// `tokens`, earlier in the list, stands before it; `None` where the text does.
    ///
    /// # Errors
    /// [`Error::Params`] if there are more than [`Self::MAX_TOKENS`] tokens or not a parent for each, one does not come before its child, or two children of one
    /// are equal; for [`Verification::Block`]; and as for [`DraftTokens::new`](crate::DraftTokens::new).
    pub fn new(
        request: &'a Request,
        position: u64,
        tokens: &'a [u32],
        parents: &'a [Option<usize>],
        verification: Verification,
    ) -> Result<Self> {
        check_request(request)?;
        if verification == Verification::Block {
            return Err(Error::Params(
                "a block is a chain of draft tokens, and these are a tree: verify it by rejection".to_owned(),
            ));
        }
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
        let longest = (0..tokens.len())
            .map(|place| ends[place] - place.checked_sub(1).map_or(0, |before| ends[before]))
            .max();
        check_position(position, longest.unwrap_or(0))?;
        // By the row they come after, in their order.
        let tried = match verification {
            Verification::SampleAndMatch => &[],
            Verification::Rejection | Verification::Block => parents,
        };
        let mut firsts = vec![0; tokens.len() + 2];
        tried.iter().for_each(|&parent| firsts[row_after(parent) + 1] += 1);
        (1..firsts.len()).for_each(|row| firsts[row] += firsts[row - 1]);
        let (mut siblings, mut next) = (vec![0; tried.len()], firsts.clone());
        for (&token, &parent) in tokens.iter().zip(tried) {
            let next = &mut next[row_after(parent)];
            siblings[*next] = token;
            *next += 1;
        }
        Ok(Self { request, position, tokens, parents, paths, ends, siblings, firsts })
    }

    /// The tokens that are tried after the one in this place, or after the text.
    fn siblings(&self, parent: Option<usize>) -> &[u32] {
        let row = row_after(parent);
        &self.siblings[self.firsts[row]..self.firsts[row + 1]]
    }

    /// The tokens that lead to the one in this place, itself the last.
    fn path(&self, place: usize) -> &[u32] {
        &self.paths[place.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[place]]
    }

    /// The rows of the batch: the one after the text, then one after each token of the tree, in its order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        std::iter::once(None).chain((0..self.tokens.len()).map(Some)).map(|parent| {
            let ahead = parent.map_or(&[][..], |place| self.path(place));
            let draft = self.siblings(parent);
            Row { ahead, draft, ..self.request.row(self.position + ahead.len() as u64) }
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
    use crate::request::DraftTokens;
    use crate::{Cpu, Engine, Logits, SampleInputs, SamplingParams};

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
        // Behind the last position there is none.
        let at =
            |position| DraftTree::new(&request, position, &[1, 2], &[None, Some(0)], Verification::Rejection);
        let message = at(u64::MAX - 2).expect_err("two more").to_string();
        assert!(message.contains("2 draft tokens from position 18446744073709551613"), "{message}");
        DraftTree::new(&request, u64::MAX - 2, &[1, 2], &[None, None], Verification::Rejection)
            .expect("siblings are at one position");
        let chain = DraftTokens::new(&request, u64::MAX, &[1], Verification::Rejection);
        assert!(chain.expect_err("one more").to_string().contains("go past the last one"));
        let row = [request.row(u64::MAX)];
        let logits = [0.0; 3];
        let logits = Logits::f32(&logits, 1, 3).expect("a row");
        let message =
            Cpu.sample(&logits, &row, &SampleInputs::default()).expect_err("none is behind").to_string();
        assert!(message.contains("row 0 draws token 18446744073709551615"), "{message}");
        let last = at(u64::MAX - 3).expect("the last one is free");
        assert_eq!(last.rows().map(|row| row.position).max(), Some(u64::MAX - 1));
        new(&[2, 1, 2], &[None, Some(0), Some(1)]).expect("equal ones in other places");
    }
}
