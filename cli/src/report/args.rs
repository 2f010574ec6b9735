//! The options of `sortilege report`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::exit_codes;
use crate::shared_args::{file_of, within};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
The page holds everything it needs: it loads nothing, and runs from a file. A link to a token is its address with \
#request:position. Of two logs, rows of one request and position stand together.

Examples:
  sortilege report log.jsonl -o report.html
  sortilege report f32.jsonl bf16.jsonl -o both.html
  sortilege sample logits.npy --raw-logprobs 10 --processed-logprobs 10 | sortilege report - -o sample.html"
);

/// The largest whole number that a browser's numbers tell from its neighbours.
pub(super) const LARGEST: u64 = (1 << 53) - 1;

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// A log of `sortilege log` or `sortilege sample` (JSON lines, CSV, Parquet), or a response with logprobs of OpenAI,
    /// vLLM or llama-server; or two of them to be shown side by side; - is standard input
    #[arg(required = true, num_args = 1..=2, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Write the page to this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show this request; may be repeated [default: all of them]
    #[arg(long = "request", value_name = "N", allow_negative_numbers = true,
          value_parser = |text: &str| within::<u64>(text, 0..=LARGEST))]
    pub(crate) requests: Vec<u64>,
    /// Show the first N rows of each request
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 1..=u64::from(u32::MAX)))]
    pub(crate) first: Option<usize>,
    /// Show at most N alternatives of a row
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 0..=1 << 20))]
    pub(crate) top: usize,
    /// Title of the page [default: the names of the logs]
    #[arg(long)]
    pub(crate) title: Option<String>,
}

impl ReportArgs {
    /// The file to write to; none means standard output.
    pub(crate) fn output(&self) -> Option<&Path> {
        file_of(self.output.as_deref())
    }
}
