//! The options of `sortilege summary`.

use std::path::PathBuf;

use clap::Args;
use sortilege::log::LowConfidence;

use crate::failure::exit_codes;
use crate::shared_args::{ReportFormat, within};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
Conditions compare names and numbers by < <= > >= == !=, joined by and, or, not and parentheses.

Names of a record, for --where: request, position, token, logprob, prob, surprisal (-logprob), rank, entropy, top_logprob \
and top_prob (of the most probable token), margin (of it over the second, nats), gap (of it over the token, nats); of drawn tokens \
kept, kept_mass and temperature too. The token is the given one, or the first that was drawn; logs are natural. A record \
without a number does not match, and is counted.

Names of the summary, for --fail-if: records, unsound, tokens, impossible, perplexity, greedy_share, logprob_mean, \
logprob_min, logprob_p1, p5, p10, p25, p50, p75, p90, p95, p99, logprob_max, the same of entropy, calibration_error, \
low_runs, low_tokens, longest_low_run, and share (of the log's records, those that --where keeps). A condition on a number \
that there is none of fails.

Runs of low confidence say where the model found the text improbable. That may be a hallucination; it proves none: names, \
numbers and quotations are improbable and may be right, and what is confidently wrong makes no run.

Examples:
  sortilege summary run.jsonl
  sortilege summary run.jsonl --where 'logprob < -4.6 and entropy > 3'
  sortilege summary run.csv --fail-if 'perplexity > 20' --fail-if 'low_tokens > 0' --format json"
);

#[derive(Args, Debug)]
pub(crate) struct SummaryArgs {
    /// A log of `log` or `sample`, or logprobs as OpenAI, vLLM and llama-server give them; - is standard input
    pub(crate) log: PathBuf,
    /// Sum up the records for which this holds, and list them
    #[arg(long = "where", value_name = "CONDITION", allow_hyphen_values = true)]
    pub(crate) condition: Option<String>,
    /// Exit with 3 if this holds of the summary; may be repeated
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    pub(crate) fail_if: Vec<String>,
    /// Low confidence is a token whose probability is below this
    #[arg(long, value_name = "P", default_value_t = LowConfidence::default().below, allow_negative_numbers = true,
          value_parser = probability)]
    pub(crate) low_below: f64,
    /// Tokens that a run of low confidence has at least
    #[arg(long, value_name = "N", default_value_t = LowConfidence::default().length, allow_negative_numbers = true,
          value_parser = |text: &str| within::<u64>(text, 1..=u64::MAX))]
    pub(crate) low_length: u64,
    /// Requests and matching records that are listed
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 0..=1 << 20))]
    pub(crate) list: usize,
    /// For people or for programs; JSON has all requests
    #[arg(long, default_value = "table")]
    pub(crate) format: ReportFormat,
}

/// Reads a probability.
fn probability(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is no probability from 0 to 1"))
}
