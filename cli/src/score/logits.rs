//! What rows of logits say of the tokens that they are asked about, block by block.

use sortilege::{Kernels, Logprobs, LogprobsParams, SamplingParams, Status};

use super::candidates::{Ask, Scored};
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::tally::Tally;

/// Rough bytes of a row's answer in memory, and of each token that it is asked about.
const ANSWER_BYTES: [usize; 2] = [256, 64];

/// Answers in the order of the places of the asks, which come row by row.
pub(super) fn score(
    logits: &LogitsFile,
    asks: &[Ask],
    temperature: f32,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<Vec<Scored>> {
    // Of equal logits the first of the list is the greedy one.
    let params = LogprobsParams { top_logprobs: 1, temperature, entropy: false };
    let row_of = |ask: &Ask| ask.request * logits.positions + ask.row;
    let is_same_row = |a: &Ask, b: &Ask| row_of(a) == row_of(b);
    let most = asks.chunk_by(is_same_row).map(<[Ask]>::len).max().unwrap_or(0);
    if most > 1 {
        chosen.check(Kernels::TokenRanks, logits.dtype)?;
    }
    let mut scored = vec![Err(Status::NothingFinite); asks.len()];
    logits.each_block(ANSWER_BYTES[0] + ANSWER_BYTES[1] * most, |rows, block| {
        let [start, end] = [rows.start, rows.end].map(|row| asks.partition_point(|ask| row_of(ask) < row));
        if start == end {
            return Ok(());
        }
        let mut asked = RowTokens::none(rows.len());
        for own in asks[start..end].chunk_by(is_same_row) {
            asked.put(row_of(&own[0]) - rows.start, own)?;
        }
        let answers = chosen.engine().logprobs_of(block, &params, &asked.targets, &asked.further())?;
        for own in asks[start..end].chunk_by(is_same_row) {
            let answer = &answers[row_of(&own[0]) - rows.start];
            tally.count(answer.distribution.status);
            own.iter().for_each(|ask| scored[ask.place] = of_token(answer, ask.token));
        }
        Ok(())
    })?;
    Ok(scored)
}

/// What an answer says of a token that it was asked about.
fn of_token(answer: &Logprobs, token: u32) -> Scored {
    let said = answer.target.iter().chain(&answer.distribution.token_logprobs);
    let found = said.into_iter().find(|said| said.token == token);
    found.map(|said| answer.distribution.scored(said)).ok_or(answer.distribution.status)
}

/// The tokens that rows are asked about: one of each is its target, and there may be more.
struct RowTokens {
    targets: Vec<Option<u32>>,
    lists: Vec<Vec<u32>>,
}

impl RowTokens {
    fn none(rows: usize) -> Self {
        Self { targets: vec![None; rows], lists: vec![Vec::new(); rows] }
    }

    /// What the row of this number is asked, each token once.
    fn put(&mut self, number: usize, asks: &[Ask]) -> Result<()> {
        let mut tokens: Vec<u32> = asks.iter().map(|ask| ask.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        self.targets[number] = tokens.pop();
        if tokens.len() > SamplingParams::MAX_LOGPROB_TOKEN_IDS {
            return Err(Failure::Usage(format!(
                "row {} of request {} is asked about {} tokens, the limit is {}: score some of the candidates at a time",
                asks[0].row,
                asks[0].request,
                tokens.len() + 1,
                SamplingParams::MAX_LOGPROB_TOKEN_IDS + 1
            )));
        }
        self.lists[number] = tokens;
        Ok(())
    }

    fn further(&self) -> Vec<&[u32]> {
        self.lists.iter().map(Vec::as_slice).collect()
    }
}
