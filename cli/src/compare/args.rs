//! The options of `sortilege compare`.

use std::path::PathBuf;

use clap::Args;
use sortilege::Dtype;
use sortilege::{LogprobsParams, MAX_VOCAB};

use crate::failure::exit_codes;
use crate::shared_args::{LogitsArgs, ReportFormat, RunArgs, Said, VocabArgs, dtype_parser, within};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
A is the reference, llama-perplexity's \"base\", B what is held against it. Each is a file of logits as `log` reads it, or what \
`llama-perplexity --kl-divergence-base` wrote, which is approximate (16 bits, floored 16 nats below the largest). A may be \
a reference that --save wrote, too; or both are logs of `log` (JSON lines, CSV, Parquet), of which what they hold is compared. The report is \
printed when it is whole. docs/compare.md defines every number; --fail-if knows them by the names of --format json.

Examples:
  sortilege compare f16.npy q4.npy --tokens tokens.npy --tokenizer tokenizer.json
  sortilege compare f16.npy q4.npy --tokens ids.npy --shift --fail-if 'kld_mean > 0.01 or same_top < 0.98'
  sortilege compare f16.npy --tokens tokens.npy --save base.safetensors
  sortilege compare base.safetensors q4.npy --format json -o q4.json
  sortilege compare f16.jsonl q4.jsonl"
);

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The reference: logits [vocab], [rows][vocab] or [requests][positions][vocab] in .npy, .npz, .safetensors (or the
    /// .index.json of several), or raw little-endian numbers with --shape and --dtype; llama.cpp's --kl-divergence-base
    /// file; what --save wrote; - is standard input
    a: PathBuf,
    /// Logits of the same rows, to be held against A; with --save they may be left out
    #[arg(required_unless_present = "save")]
    b: Option<PathBuf>,
    /// The array's name in an .npz or .safetensors file [default: `logits`, or the only one]
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// Shape of a raw file, such as 512,128256
    #[arg(long, value_name = "N,N[,N]", value_delimiter = ',', allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 0..=1 << 48))]
    shape: Option<Vec<usize>>,
    /// Element type of a raw file, or of a .npy file that calls bf16 `V2`; f64 is rounded to f32
    #[arg(long, value_parser = dtype_parser())]
    dtype: Option<Dtype>,
    /// The same of B, where it is not what A's is; with one of these three none of A's is meant, without them A's count as
    /// far as B does not say them itself
    #[arg(long, value_name = "NAME", help_heading = "Options of B")]
    tensor_b: Option<String>,
    /// Shape of B, a raw file
    #[arg(long, value_name = "N,N[,N]", value_delimiter = ',', allow_negative_numbers = true, help_heading = "Options of B",
          value_parser = |text: &str| within::<usize>(text, 0..=1 << 48))]
    shape_b: Option<Vec<usize>>,
    /// Element type of B
    #[arg(long, value_parser = dtype_parser(), help_heading = "Options of B")]
    dtype_b: Option<Dtype>,
    /// Tokens of the vocabulary, where the logits are padded to more columns: those from N on take no part
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 1..=MAX_VOCAB as u64))]
    pub(super) vocab_size: Option<usize>,
    /// Target tokens, one per row, as in `log`: perplexity, probability change and direction are of them
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true)]
    pub(super) tokens: Option<String>,
    /// The tokens are the text that the logits are of: row p predicts token p + 1 of its request
    #[arg(long, requires = "tokens")]
    pub(super) shift: bool,
    #[command(flatten)]
    pub(super) vocab: VocabArgs,
    /// Tokens of the top-k overlap, and alternatives of the worst rows [default: 10, or what a reference lists]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = top)]
    top: Option<u32>,
    /// Rows to show, those with the largest divergence
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 0..=10_000))]
    pub(super) worst: usize,
    /// Fail (exit 3) where this holds: names of --format json, < <= > >= == !=, and, or, not, parentheses; a number that
    /// is none (NaN) fails too. May be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(super) fail_if: Vec<String>,
    /// Keep what later comparisons with A need, without its logits: the --save-top most probable tokens of each row with
    /// the mass outside, its target and its entropy (.safetensors)
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Tokens of a row that --save keeps: 8 bytes each
    #[arg(long, value_name = "K", default_value_t = 64, requires = "save", allow_negative_numbers = true,
          value_parser = top)]
    pub(super) save_top: u32,
    /// Output format [default: by the name of the output file; table on a terminal, otherwise json]
    #[arg(long)]
    pub(super) format: Option<ReportFormat>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// Reads how many tokens of a row there are, at least one.
fn top(text: &str) -> Result<u32, String> {
    within(text, 1..=u64::from(LogprobsParams::MAX_TOP_LOGPROBS))
}

impl CompareArgs {
    /// Tokens of the overlap.
    pub(super) fn top(&self) -> u32 {
        self.top.unwrap_or(10)
    }

    /// The same, of a reference that lists so many.
    pub(super) fn top_of(&self, listed: usize) -> u32 {
        self.top.unwrap_or_else(|| self.top().min(u32::try_from(listed).unwrap_or(u32::MAX)))
    }

    /// An option that is given and has no use for logs.
    pub(super) fn option_of_logits(&self) -> Option<&'static str> {
        let given = [
            ("--tensor", self.tensor.is_some()),
            ("--shape", self.shape.is_some()),
            ("--dtype", self.dtype.is_some()),
            ("--tensor-b", self.tensor_b.is_some()),
            ("--shape-b", self.shape_b.is_some()),
            ("--dtype-b", self.dtype_b.is_some()),
            ("--vocab-size", self.vocab_size.is_some()),
            ("--tokens", self.tokens.is_some()),
            ("--save", self.save.is_some()),
            ("--device", self.run.device != "auto"),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// An option that is given and has no use without B.
    pub(super) fn option_of_comparison(&self) -> Option<&'static str> {
        let given = [
            ("-o", self.run.output().is_some()),
            ("--format", self.format.is_some()),
            ("--fail-if", !self.fail_if.is_empty()),
            ("--tensor-b", self.tensor_b.is_some()),
            ("--shape-b", self.shape_b.is_some()),
            ("--dtype-b", self.dtype_b.is_some()),
            ("--top", self.top.is_some()),
            ("--worst", self.worst != 10),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// What is said of A's file.
    pub(super) fn a(&self) -> LogitsArgs {
        LogitsArgs {
            logits: self.a.clone(),
            tensor: self.tensor.clone(),
            shape: self.shape.clone(),
            dtype: self.dtype,
            vocab_size: self.vocab_size,
            ..LogitsArgs::default()
        }
    }

    /// What is said of B's file, if there is one.
    pub(super) fn b(&self) -> Option<LogitsArgs> {
        let logits = self.b.clone()?;
        let has_own = self.tensor_b.is_some() || self.shape_b.is_some() || self.dtype_b.is_some();
        let (tensor, shape, dtype) = if has_own {
            (&self.tensor_b, &self.shape_b, self.dtype_b)
        } else {
            (&self.tensor, &self.shape, self.dtype)
        };
        let (tensor, shape, vocab_size) = (tensor.clone(), shape.clone(), self.vocab_size);
        let (said, side) = if has_own { (Said::OfIt, "-b") } else { (Said::OfAnother, "") };
        Some(LogitsArgs { logits, tensor, shape, dtype, vocab_size, said, side })
    }
}
