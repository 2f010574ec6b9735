use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::bench::{self, BenchArgs};
use crate::failure::{Failure, Result};
use crate::sample::SamplingArgs;

/// Token probabilities from logits, on the GPU and on the CPU, with the same bits.
#[derive(Debug, Parser)]
#[command(name = "sortilege", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 no adapter";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the adapters of this machine, and the one that `auto` takes
    Info(InfoArgs),
    /// Write one record per row of logits: logprobs, rank, entropy, alternatives
    #[command(after_help = LOG_EXAMPLES)]
    Log(LogArgs),
    /// Draw tokens from each row of logits: filters, penalties, grammar masks, repeatable under a seed
    #[command(after_help = SAMPLE_EXAMPLES)]
    Sample(Box<SampleArgs>),
    /// Compare every kernel with the CPU engine bit for bit, and with an f64 oracle
    #[command(after_help = EXIT_CODES)]
    Validate(ValidateArgs),
    /// Measure the operations on devices and on the CPU engine, after a check of their outputs; compare and plot results
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const LOG_EXAMPLES: &str = "\
Examples:
  sortilege log logits.npy --tokens tokens.npy --tokenizer tokenizer.json
  sortilege log run.safetensors --tensor logits --top 20 --format jsonl -o run.jsonl
  sortilege log logits.bin --shape 512,128256 --dtype bf16 --device gpu

Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 no adapter";

const SAMPLE_EXAMPLES: &str = "\
Rows of [requests][positions][vocab] belong to requests: a row's position is its place in its request. Each row of \
[rows][vocab] is a request of its own, at position 0; with --feedback they are one request. Request r draws from stream \
S + r of --stream S, so that requests draw independently under one seed: the randomness of a draw comes from seed, \
stream and position alone. Without --feedback every row sees the prompt only: penalties, DRY, bad words and Mirostat \
take no notice of what other rows drew.

Without --seed one is found, and told as `seed N`: give it to draw the same tokens again.

Examples:
  sortilege sample logits.npy --temperature 0.8 --top-p 0.95 --seed 1 --tokenizer tokenizer.json
  sortilege sample run.safetensors --profile llama --top-k 40 --min-p 0.05 --feedback -o drawn.jsonl
  sortilege sample logits.npy --params requests.json --mask grammar.npy --format tokens
  sortilege sample logits.npy --draws 4 --raw-logprobs 5 --plan

Exit codes: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 no adapter";

#[derive(Args, Debug)]
pub(crate) struct InfoArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// List OpenGL adapters too; some drivers abort when they are closed
    #[arg(long)]
    pub(crate) gl: bool,
}

/// Where the logits are.
#[derive(Args, Debug)]
pub(crate) struct LogitsArgs {
    /// Logits [vocab], [rows][vocab] or [requests][positions][vocab]: .npy, .npz, .safetensors, or raw little-endian numbers
    /// with --shape and --dtype
    pub(crate) logits: PathBuf,
    /// The array's name in an .npz or .safetensors file [default: `logits`, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) tensor: Option<String>,
    /// Shape of a raw file, such as 512,128256
    #[arg(long, value_name = "N,N[,N]", value_delimiter = ',')]
    pub(crate) shape: Option<Vec<usize>>,
    /// Element type of a raw file, or of a .npy file that calls bf16 `V2`
    #[arg(long)]
    pub(crate) dtype: Option<DtypeArg>,
}

/// Where the texts of the tokens are.
#[derive(Args, Debug)]
pub(crate) struct VocabArgs {
    /// Texts of the tokens: JSON object text -> id, JSON array, or one per line
    #[arg(long, value_name = "FILE", conflicts_with = "tokenizer")]
    pub(crate) vocab_file: Option<PathBuf>,
    /// Texts of the tokens: a tokenizer.json of Hugging Face's tokenizers
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
}

/// Who does the work, and where it goes.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// auto, cpu, gpu, the number or a part of the name of an adapter (see `sortilege info`)
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Write to this file, and how it was made to FILE.meta.json; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

impl RunArgs {
    /// Whether people read the output.
    pub(crate) fn is_for_people(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }
}

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) logits: LogitsArgs,
    /// Target tokens, one per row: a file of integers (.npy, .npz, .safetensors, text) or a list such as 5,17,-1;
    /// negative where unknown
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true)]
    pub(crate) tokens: Option<String>,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// Alternatives per row, 0 to 1048576, of which there are at most as many as tokens; more than 1024 take further passes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub(crate) top: u32,
    /// Divide the logits by this before the softmax
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Output format [default: table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) logits: LogitsArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Parameters of each request, over those of the command line: a JSON array of objects, or one object for all. Keys
    /// are the options' names with _ for -, save `n`, `mirostat`: {tau, eta}, `dry`: {multiplier, base, allowed_length,
    /// last_n, sequence_breakers}, `order`: "vllm", "llama" or a list; `prompt`: [ids]; `position`: of the first row
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) params: Option<PathBuf>,
    /// Tokens before the first position, which penalties and DRY look at: a file of integers (.npy, .npz, .safetensors,
    /// text) or a list such as 5,17
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true, help_heading = "Requests")]
    pub(crate) prompt: Option<String>,
    /// Grammar bitmask, integers of 32 bits [rows][ceil(vocab / 32)], the lowest bit first: a token is possible where
    /// its bit is set
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) mask: Option<PathBuf>,
    /// Draw the rows of a request one after the other: penalties, DRY, bad words and Mirostat see what was drawn before
    #[arg(long, help_heading = "Requests")]
    pub(crate) feedback: bool,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// Output format [default: table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<SampleFormat>,
    /// Print what a device would be asked to do at WebGPU's least limits, and do nothing
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// all (every adapter, OpenGL included, and the CPU engine), auto, cpu, gpu, the number or a part of the name of
    /// an adapter
    #[arg(long, default_value = "all")]
    pub(crate) device: String,
    /// Smaller sizes only: half a minute on a software adapter for each text of the kernels (with and without 64-bit integers),
    /// twice that until it has compiled them once
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DtypeArg {
    F32,
    F16,
    Bf16,
}

impl From<DtypeArg> for sortilege::Dtype {
    fn from(dtype: DtypeArg) -> Self {
        match dtype {
            DtypeArg::F32 => Self::F32,
            DtypeArg::F16 => Self::F16,
            DtypeArg::Bf16 => Self::Bf16,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON object per row
    Jsonl,
    /// One line per row and alternative
    Csv,
    /// One chat-completions `logprobs` object per request; needs --tokens, at most 20 alternatives; -9999.0 where a
    /// token is impossible or the row is no distribution
    Openai,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleFormat {
    /// For people
    Table,
    /// One JSON object per row
    Jsonl,
    /// One line per draw
    Csv,
    /// One line of token ids per row, - for a row without
    Tokens,
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sortilege", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(|error| Failure::writing(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
