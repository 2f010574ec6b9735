//! What a call is asked of its rows.

use crate::request::{Inputs, RequestWords};

/// What a call is asked, row by row.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// Nothing beside what the chunks are told.
    Nothing,
    /// To say something of the rows, for one request; of these targets and given tokens too, if there are some.
    Observe(&'a RequestWords, &'a [Option<u32>], &'a [&'a [u32]]),
    /// To draw.
    Sample(&'a Inputs<'a>),
    /// To draw a token a row, of which nothing is said.
    Tokens(&'a Inputs<'a>),
}

impl<'a> Asked<'a> {
    /// The rows that are drawn from, if any are.
    pub(super) fn inputs(&self) -> Option<&'a Inputs<'a>> {
        match *self {
            Self::Sample(inputs) | Self::Tokens(inputs) => Some(inputs),
            Self::Nothing | Self::Observe(..) => None,
        }
    }

    /// Quads of changes, allowed and given tokens: kept ones, and those of this step.
    pub(super) fn quads(&self) -> [usize; 2] {
        match self {
            Self::Nothing => [0, 0],
            Self::Observe(_, _, token_ids) => [0, token_ids.len() * self.given_quads()],
            Self::Sample(inputs) | Self::Tokens(inputs) => inputs.quads(),
        }
    }

    /// Quads of the given tokens of one row.
    pub(super) fn given_quads(&self) -> usize {
        let most = match self {
            Self::Observe(_, _, token_ids) => most_of(token_ids),
            Self::Nothing | Self::Tokens(_) => 0,
            Self::Sample(inputs) => inputs.most_token_ids(),
        };
        most.div_ceil(4)
    }
}

/// The most given tokens of any row.
pub(super) fn most_of(token_ids: &[&[u32]]) -> usize {
    token_ids.iter().map(|list| list.len()).max().unwrap_or(0)
}
