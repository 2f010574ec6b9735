//! The options of `sortilege audit`.

use std::path::PathBuf;

use clap::Args;

use crate::failure::exit_codes;
use crate::shared_args::{ReportFormat, VocabArgs};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
What was asked is read from the log's sidecar, LOG.meta.json, and asked again: every token, rank, logprob, seed and list is \
derived from the logits, on whichever device, and compared bit for bit. Files that the sidecar names are looked for where \
they were, and by the options where they are now; each must have the hash that the sidecar tells. Texts are compared if \
the tokenizer is there.

An audit says that a log follows from these logits and parameters, not that a model computed these logits.

Examples:
  sortilege audit run.jsonl logits.npy
  sortilege audit drawn.csv /data/run.safetensors --params /data/requests.json --device gpu
  sortilege audit run.jsonl logits.npy --tokens /data/tokens.npy --format json"
);

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// A log of `log` or `sample` in JSON lines, CSV or Parquet, with its sidecar; - is standard input, with --meta
    pub(crate) log: PathBuf,
    /// The logits that it was made from, raw ones in the shape that the sidecar tells; - is standard input
    pub(crate) logits: PathBuf,
    /// The sidecar [default: LOG.meta.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) meta: Option<PathBuf>,
    /// Where --tokens of the log are now; a list where it was made with standard input
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true)]
    pub(crate) tokens: Option<String>,
    /// Where --params of the log are now, or what it held where that was standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<String>,
    /// Where --prompt of the log is now; a list where it was made with standard input
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// Where --mask of the log is now, or what it held where that was standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) mask: Option<String>,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// auto, cpu, gpu, the number of an adapter, or a part of its name, driver or backend (see
    /// `sortilege info`)
    #[arg(long, default_value = "auto", value_parser = crate::shared_args::device)]
    pub(crate) device: String,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub(crate) format: ReportFormat,
}
