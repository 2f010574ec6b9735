//! The options of `sortilege log`.

use clap::{Args, ValueEnum};
use sortilege::log::Format;

use crate::failure::exit_codes;
use crate::shared_args::{LogitsArgs, RunArgs, VocabArgs, entries, float, within};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
Requests and positions are counted from 0: rows of [requests][positions][vocab] belong to requests, those of \
[rows][vocab] are one request. Row p is scored with token p: the one that it predicts. Of a text that the logits are of, \
that is the token after its own: --shift.

Examples:
  sortilege log logits.npy --tokens tokens.npy --tokenizer tokenizer.json
  sortilege log prompt_logits.npy --tokens prompt_ids.npy --shift
  sortilege log run.safetensors --tensor logits --top 20 --format jsonl -o run.jsonl
  sortilege log answers.npy --token-ids 32,33,34,35 --top 0
  sortilege log logits.bin --shape 512,128256 --dtype bf16 --device gpu"
);

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) logits: LogitsArgs,
    /// Target tokens, one per row, each of which its row predicts: a file of integers (.npy, .npz, .safetensors, text)
    /// or a list such as 5,17,-1; a negative one (-100 in padded labels) is no target
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true)]
    pub(crate) tokens: Option<String>,
    /// The tokens are the text that the logits are of: row p predicts token p + 1 of its request and is the record of
    /// that position; the first position has none, and the last row has no target
    #[arg(long, requires = "tokens")]
    pub(crate) shift: bool,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// Alternatives per row, 0 to 1048576, of which there are at most as many as tokens; -1 lists all; more than 1024
    /// take further passes
    #[arg(long, default_value_t = 5, allow_negative_numbers = true, value_parser = entries)]
    pub(crate) top: u32,
    /// Logprob and rank of each of these tokens in every row, at most 1024: in the distribution, and among themselves
    #[arg(long, value_name = "ID,ID", value_delimiter = ',', allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 0..=u64::from(u32::MAX)))]
    pub(crate) token_ids: Vec<u32>,
    /// Divide the logits by this before the softmax
    #[arg(long, value_parser = float, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Output format [default: by the name of the output file; table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<LogFormat>,
    /// Write to FILE.partial and FILE.partial.meta.json, which a crash leaves, and go on with what an interrupted run of the same options and inputs
    /// has left there; the log is the same byte for byte. JSON lines and CSV only
    #[arg(long, requires = "output")]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl LogFormat {
    /// The library's own name for it; none of the table, which is not its.
    pub(super) const fn of_library(self) -> Option<Format> {
        Some(match self {
            Self::Table => return None,
            Self::Jsonl => Format::Jsonl,
            Self::Csv => Format::Csv,
            Self::Openai => Format::OpenAi,
            Self::OpenaiCompletions => Format::OpenAiCompletions,
            Self::Vllm => Format::Vllm,
            Self::LlamaServer => Format::LlamaServer,
            Self::Parquet => Format::Parquet,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Table,
    /// One JSON object per row
    Jsonl,
    /// One line per row and alternative. In texts control characters and \ are spelled as in a JSON string, and ' goes
    /// before a formula (= + - @), so that no spreadsheet runs it; bytes are JSON lists
    Csv,
    /// One chat-completions `logprobs` object per request; needs --tokens, at most 20 alternatives; an entry for each
    /// target, -9999.0 where it is impossible or the row is no distribution
    Openai,
    /// One `logprobs` object of the older completions per request, which is in memory as a whole; needs --tokens
    OpenaiCompletions,
    /// vLLM's lists of Logprob by token id, one object per request; needs --tokens
    Vllm,
    /// llama-server's completion_probabilities, one object per request; needs --tokens
    LlamaServer,
    /// Parquet, one row per record, with all there is
    Parquet,
}
