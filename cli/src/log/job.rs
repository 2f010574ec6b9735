//! The records of a file of logits, one for each row. It does not know where records go.

use sortilege::log::{Record, Texts};
use sortilege::{Kernels, LogprobsParams};

use super::args::LogArgs;
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::targets::Targets;

/// Rough bytes of a record in memory, and of each of its alternatives: they stay below a block too.
const RECORD_BYTES: [usize; 2] = [256, 64];

/// What is logged: rows of a file with their targets.
pub(crate) struct Job {
    pub(crate) logits: LogitsFile,
    pub(super) targets: Targets,
    /// Tokens that are asked for in every row.
    token_ids: Vec<u32>,
    params: LogprobsParams,
}

impl Job {
    /// What the options ask, if the library takes it for these logits.
    pub(crate) fn open(args: &LogArgs) -> Result<Self> {
        let params = LogprobsParams { top_logprobs: args.top, temperature: args.temperature, entropy: true };
        params.validate()?;
        let logits = LogitsFile::open(&args.logits)?;
        if let Some(token) = args.token_ids.iter().find(|&&token| token as usize >= logits.vocab) {
            return Err(Failure::Usage(format!(
                "--token-ids: {token} is outside the vocabulary of {}: leave it out",
                logits.vocab
            )));
        }
        let targets = match &args.tokens {
            Some(source) => Targets::read(source, &logits, args.shift)?,
            None => Targets::none(logits.rows),
        };
        Ok(Self { logits, targets, token_ids: args.token_ids.clone(), params })
    }

    /// The name of the array of targets, in a file that names its own.
    pub(crate) fn tensor(&self) -> Option<&str> {
        self.targets.tensor.as_deref()
    }

    /// A device proves itself, before it works for anybody.
    pub(crate) fn check(&self, chosen: &Chosen) -> Result<()> {
        if self.params.top_logprobs > LogprobsParams::MAX_SHORT_LIST {
            chosen.check(Kernels::LongLists, self.logits.dtype)?;
        }
        if !self.token_ids.is_empty() {
            chosen.check(Kernels::TokenRanks, self.logits.dtype)?;
        }
        Ok(())
    }

    /// Calls `emit` with the record of each row from the first so many on, in order.
    pub(crate) fn run(
        &self,
        chosen: &Chosen,
        texts: Texts<'_>,
        first: usize,
        mut emit: impl FnMut(&Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { logits, targets, token_ids, params } = self;
        let listed = params.top_logprobs as usize + token_ids.len();
        let record_bytes = RECORD_BYTES[0] + RECORD_BYTES[1] * listed;
        logits.each_block_from(first, record_bytes, |rows, block| {
            let tokens = &targets.tokens[rows.clone()];
            let of_rows = vec![&token_ids[..]; rows.len()];
            let answers = chosen.engine().logprobs_of(block, params, tokens, &of_rows)?;
            for (row, (answer, target)) in rows.zip(answers.iter().zip(tokens)) {
                let (request, position) = self.place(row);
                emit(&Record::logprobs(request, position, *target, answer, texts))?;
            }
            Ok(())
        })
    }

    /// The request of a row, and its position there.
    pub(super) fn place(&self, row: usize) -> (u64, u64) {
        let [request, number] = [row / self.logits.positions, row % self.logits.positions];
        (request as u64, (self.targets.first + number) as u64)
    }
}
