//! The options of `sortilege convert`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sortilege::log::Format;

use crate::failure::exit_codes;
use crate::shared_args::file_of;

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
What the target has no place for is lost, and told with the number of records that had it. A sidecar beside the log is \
carried along. Of a served response each choice is a request. Of jsonl and csv lines are printed as they come, of other programs' \
formats all objects when they are whole.

Examples:
  sortilege convert log.jsonl -o log.parquet
  sortilege convert response.json --to jsonl
  sortilege convert drawn.csv --to vllm -o drawn.json"
);

#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// A log: JSON lines, CSV or Parquet of `log` or `sample`, or JSON with logprobs of OpenAI's API, vLLM or
    /// llama-server, told by what it holds; - is standard input
    pub(crate) log: PathBuf,
    /// Format to write [default: by the name of the output file, otherwise jsonl]
    #[arg(long, visible_alias = "format", value_name = "FORMAT")]
    pub(super) to: Option<ConvertFormat>,
    /// Write to this file, and how it was made to FILE.meta.json; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ConvertArgs {
    /// The file to write to; none means standard output.
    pub(crate) fn output(&self) -> Option<&Path> {
        file_of(self.output.as_deref())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConvertFormat {
    /// One JSON object per record, with all there is
    Jsonl,
    /// One line per alternative, or per draw
    Csv,
    /// The `logprobs` object of OpenAI's chat completions, one per request
    Openai,
    /// That of OpenAI's older completions; a request at a time is in memory
    OpenaiCompletions,
    /// vLLM's lists of Logprob by token id, one object per request
    Vllm,
    /// llama-server's completion_probabilities, one object per request
    LlamaServer,
    /// Parquet, one row per record, with all there is
    Parquet,
}

impl ConvertFormat {
    /// The library's own name for it.
    pub(super) const fn of_library(self) -> Format {
        match self {
            Self::Jsonl => Format::Jsonl,
            Self::Csv => Format::Csv,
            Self::Openai => Format::OpenAi,
            Self::OpenaiCompletions => Format::OpenAiCompletions,
            Self::Vllm => Format::Vllm,
            Self::LlamaServer => Format::LlamaServer,
            Self::Parquet => Format::Parquet,
        }
    }
}
