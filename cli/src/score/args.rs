//! The options of `sortilege score`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::failure::exit_codes;
use crate::shared_args::{LogitsArgs, RunArgs, VocabArgs, float};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
A candidate is a sequence of tokens whose log-probability is asked for: the sum of its next-token logprobs. Its token i is \
scored with row first_row + i of its request, which predicts it. Requests and rows are counted from 0: those of \
[requests][positions][vocab] are requests, [rows][vocab] is one request.

The file of candidates holds JSON, a question after the other. A question is an array of candidates, which are compared, or \
one candidate alone; an array of arrays is a list of questions. A candidate is an object:
  tokens     its token ids, at least one
  request    whose rows score it [default: the number of the candidate in the file: a forward pass for each]
  first_row  the row that predicts its first token [default: 0]; where the logits are of a whole text, a context of C tokens \
and then the candidate, that is C - 1
  name       what it is called [default: its text, or its number]
  bytes      bytes of its text, for logprobs per byte [default: those of its tokens, with --tokenizer]

Candidates of one row, such as the labels of a multiple choice, name the same request and row.

In place of logits a log of `sortilege log` or `sample` will do, JSON lines, CSV or Parquet, which says something of the tokens: they are its own, or in its lists. The rows of a request are its records, in order.

Examples:
  echo '[{\"tokens\": [5, 17], \"name\": \"Paris\"}, {\"tokens\": [9], \"name\": \"London\"}]' > q.json
  sortilege score logits.npy --candidates q.json
  sortilege log logits.npy --token-ids 5,17,9 --format jsonl | sortilege score - --candidates q.json
  sortilege score logits.npy --candidates q.json --tokenizer tokenizer.json --format json
  echo '[{\"tokens\": [32], \"request\": 0, \"first_row\": 7}, {\"tokens\": [33], \"request\": 0, \"first_row\": 7}]' | \
sortilege score logits.npy --candidates -"
);

#[derive(Args, Debug)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) logits: LogitsArgs,
    /// The sequences to score, JSON as said below; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) candidates: PathBuf,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// Divide the logits by this before the softmax
    #[arg(long, value_parser = float, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Output format [default: by the name of the output file; table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<ScoreFormat>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoreFormat {
    /// For people
    Table,
    /// One JSON object per question
    #[value(alias = "json")]
    Jsonl,
}
