//! Which tokens stand before the first position of a request.

use crate::failure::{Failure, Result};
use crate::files::{Form, Integers, read_integers};

/// Most tokens of a prompt.
const MOST_TOKENS: usize = 1 << 22;

/// Prompts of requests.
pub(super) enum Prompts {
    /// The same for all.
    All(Vec<u32>),
    /// One for each.
    Each(Vec<Vec<u32>>),
}

impl Prompts {
    /// Those of a file or a list: a prompt for each row of an array of rows, or one for all requests.
    pub(super) fn read(source: &str, requests: usize) -> Result<Self> {
        let integers = read_integers("--prompt", source, MOST_TOKENS.saturating_mul(requests.max(1)))?;
        let lengths: Vec<usize> = match &integers.form {
            Form::List => return tokens(source, &integers.values).map(Self::All),
            Form::Lists(lengths) => lengths.clone(),
            Form::Array(shape) => match shape[..] {
                [_] => return tokens(source, &integers.values).map(Self::All),
                [.., count, length] if shape[..shape.len() - 2].iter().all(|&n| n == 1) => {
                    vec![length; count]
                }
                _ => return Err(no_prompts(source, &integers, requests)),
            },
        };
        if ![1, requests].contains(&lengths.len()) {
            return Err(no_prompts(source, &integers, requests));
        }
        let mut rest = &integers.values[..];
        let prompt = |length: usize| {
            let (own, others) = rest.split_at(length);
            rest = others;
            tokens(source, without_padding(own))
        };
        let mut prompts: Vec<Vec<u32>> = lengths.into_iter().map(prompt).collect::<Result<_>>()?;
        Ok(if prompts.len() == 1 { Self::All(prompts.remove(0)) } else { Self::Each(prompts) })
    }

    /// The prompt of a request.
    pub(super) fn of(&self, request: usize) -> &[u32] {
        match self {
            Self::All(prompt) => prompt,
            Self::Each(prompts) => &prompts[request],
        }
    }

    /// Tokens of the longest.
    pub(super) fn longest(&self) -> usize {
        match self {
            Self::All(prompt) => prompt.len(),
            Self::Each(prompts) => prompts.iter().map(Vec::len).max().unwrap_or(0),
        }
    }
}

fn no_prompts(source: &str, integers: &Integers, requests: usize) -> Failure {
    Failure::Usage(format!(
        "--prompt {source} has {integers} for {requests} requests: give a row of tokens for each, or one list for all"
    ))
}

/// A row without the negative tokens at its ends, which make rows of an array equally long.
fn without_padding(row: &[i64]) -> &[i64] {
    let first = row.iter().position(|&token| token >= 0).unwrap_or(row.len());
    let last = row.iter().rposition(|&token| token >= 0).map_or(first, |last| last + 1);
    &row[first..last]
}

fn tokens(source: &str, integers: &[i64]) -> Result<Vec<u32>> {
    let token = |&token: &i64| {
        u32::try_from(token).map_err(|_| {
            Failure::Usage(format!("--prompt {source}: {token} is no token: ids are 0 to {}", u32::MAX))
        })
    };
    integers.iter().map(token).collect()
}
