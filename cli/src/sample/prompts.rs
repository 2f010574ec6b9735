//! Which tokens stand before the first position of a request.

use crate::failure::{Failure, Result};
use crate::files::{Integers, Layout, read_integers};
use crate::shown::shown;

/// Most tokens of a prompt.
const MOST_TOKENS: usize = 1 << 22;

/// Names of prompts in a file of several arrays.
const DEFAULT_NAMES: &[&str] =
    &["prompt", "prompt_ids", "prompt_token_ids", "input_ids", "tokens", "token_ids"];

/// Prompts of requests.
pub(super) struct Prompts {
    rows: Rows,
    /// The name of their array, in a file with names.
    pub(super) tensor: Option<String>,
}

/// How many prompts there are.
enum Rows {
    /// The same for all.
    All(Vec<u32>),
    /// One for each.
    Each(Vec<Vec<u32>>),
}

impl Prompts {
    /// None.
    pub(super) fn none() -> Self {
        Self { rows: Rows::All(Vec::new()), tensor: None }
    }

    /// Those of a file or a list: a prompt for each row of an array of rows, or one for all requests.
    pub(super) fn read(source: &str, requests: usize) -> Result<Self> {
        let most = MOST_TOKENS.saturating_mul(requests.max(1));
        let integers = read_integers("--prompt", source, DEFAULT_NAMES, most)?;
        let rows = Rows::of(source, &integers, requests)?;
        Ok(Self { rows, tensor: integers.tensor })
    }

    /// Whether each request has its own.
    pub(super) fn are_for_each(&self) -> bool {
        matches!(self.rows, Rows::Each(_))
    }

    /// The prompt of a request.
    pub(super) fn of(&self, request: usize) -> &[u32] {
        match &self.rows {
            Rows::All(prompt) => prompt,
            Rows::Each(prompts) => &prompts[request],
        }
    }

    /// Tokens of the longest.
    pub(super) fn longest(&self) -> usize {
        match &self.rows {
            Rows::All(prompt) => prompt.len(),
            Rows::Each(prompts) => prompts.iter().map(Vec::len).max().unwrap_or(0),
        }
    }
}

impl Rows {
    fn of(source: &str, integers: &Integers, requests: usize) -> Result<Self> {
        let is_count = |count: usize| count == 1 || count == requests;
        let lengths = match &integers.layout {
            Layout::List => return tokens(source, &integers.values).map(Self::All),
            Layout::Lists(lengths) if is_count(lengths.len()) => lengths.clone(),
            Layout::Array(shape) => match shape[..] {
                [_] => return tokens(source, &integers.values).map(Self::All),
                [.., count, length]
                    if is_count(count) && shape[..shape.len() - 2].iter().all(|&n| n == 1) =>
                {
                    vec![length; count]
                }
                _ => return Err(no_prompts(source, integers, requests)),
            },
            Layout::Lists(_) => return Err(no_prompts(source, integers, requests)),
        };
        let mut rest = &integers.values[..];
        let prompt = |length: usize| {
            let (own, others) = rest.split_at(length);
            rest = others;
            tokens(source, without_padding(own))
        };
        let mut prompts: Vec<Vec<u32>> = lengths.into_iter().map(prompt).collect::<Result<_>>()?;
        Ok(if prompts.len() == 1 { Self::All(prompts.remove(0)) } else { Self::Each(prompts) })
    }
}

fn no_prompts(source: &str, integers: &Integers, requests: usize) -> Failure {
    Failure::Usage(format!(
        "--prompt {} has {integers} for {requests} requests: give a row of tokens for each, or one list for all",
        shown(source)
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
            let (source, most) = (shown(source), u32::MAX);
            Failure::Usage(format!("--prompt {source}: {token} is no token: ids are 0 to {most}"))
        })
    };
    integers.iter().map(token).collect()
}
