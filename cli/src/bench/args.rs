//! The options of `sortilege bench`, and what they mean together.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sortilege::synthetic::{Kind, LIKE_A_MODEL};
use sortilege::{Dtype, LogprobsParams, MAX_VOCAB, SamplingParams};

use super::filters::Filters;
use super::op::{Op, OpArg};
use crate::failure::{Failure, Result, exit_codes};
use crate::shared_args::{choose_format, device, dtype_parser, file_of, float, within};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
Every cell is checked before it is timed: the results of a device must have the bits of the CPU engine's, those of the CPU \
engine must agree with the definition in f64 (within 1e-6). All rows of a batch of up to 4194304 logits are looked at, of \
a larger one the first, the middle and the last; by the definition at most these three.

A cell of a GPU is measured twice: `warm` repeats one call on the same logits, `cold` writes 256 MiB before \
each call and takes turns with copies of the logits. GPU time is from the start of the first dispatch to \
the end of the copy to staging, by timestamps; without them it is null, and GB/s come from the wall time. \
Wall time is from the start of recording to the results on the host (for sample-tokens, log-softmax and top-k: to \
their completion on the device), one call at a time; it contains the wait's polling, which adds up to a tenth of \
the time, at most 1 ms. The ring has 4 calls in flight while another one is recorded; its time is the mean \
from the end of a call to that of the next. Other times are medians; p95 is that of the GPU time, or of the \
wall time where there is none. GB/s count the logits once (log-softmax reads them twice, and writes as \
well); the ceiling is a plain read of the same buffer, in the same cache and, on the CPU, with the same \
threads.

A cell that cannot be measured says why in `error`; the others are, and the exit code is 1. The environment variable \
SORTILEGE_COMMIT names the commit in the results, at run time or when the program was built.

Examples:
  sortilege bench
  sortilege bench --device all --rows 1,64 --vocab 32768,128256 --op all --format md
  sortilege bench --device cpu --threads 1,2 --dtype f16 --input logits.npy -o after.jsonl
  sortilege bench --compare before.jsonl after.jsonl
  sortilege bench --rows 1,8,64,512 --vocab 32768 -o rows.json && sortilege bench --plot rows.svg rows.json"
);

/// What measures, and so has no meaning for files of results.
const MEASURING: [&str; 20] = [
    "device",
    "allow_software",
    "integers",
    "op",
    "rows",
    "vocab",
    "dtype",
    "top",
    "draws",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "data",
    "input",
    "threads",
    "repeat",
    "seconds",
    "format",
    "output",
];

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// auto (the best hardware GPU, or the CPU engine), cpu, gpu, all (every hardware GPU and the CPU engine), the
    /// number of an adapter, or a part of its name, driver or backend
    #[arg(long, default_value = "auto", value_parser = device)]
    pub(crate) device: String,
    /// Measure software adapters too, whose times say nothing about a GPU's: with auto one before the CPU engine
    #[arg(long)]
    pub(crate) allow_software: bool,
    /// Weights by integers alone: the kernels for a device whose floats do not round to nearest
    #[arg(long)]
    pub(crate) integers: bool,
    /// Operations
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "log,sample")]
    pub(crate) op: Vec<OpArg>,
    /// Rows
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,8,64,512", allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 1..=1 << 24))]
    pub(crate) rows: Vec<u32>,
    /// Tokens of a row, 1 to 1048576
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "128256", allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 1..=MAX_VOCAB as u64))]
    pub(crate) vocab: Vec<u32>,
    /// Element types [default: f32,f16,bf16]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = dtype_parser())]
    pub(crate) dtype: Vec<Dtype>,
    /// Alternatives per row, for log, sample (raw logprobs; 0 asks for none) and top-k (where 0 is left out)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "20", allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 0..=u64::from(LogprobsParams::MAX_TOP_LOGPROBS)))]
    pub(crate) top: Vec<u32>,
    /// Draws per row, for sample
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1", allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 1..=u64::from(SamplingParams::MAX_DRAWS)))]
    pub(crate) draws: Vec<u32>,
    /// Divide the logits by this, for log, sample and sample-tokens: 0.001 to 1000, and for the last two 0, which is greedy
    /// and draws once
    #[arg(long, value_parser = float, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Synthetic logits, from a fixed seed
    #[arg(long, default_value = "normal")]
    pub(crate) data: DataArg,
    /// Measure with these logits (.npy, .npz or .safetensors): rows, vocabulary and element type are the file's; one
    /// that calls bf16 `V2` needs --dtype bf16
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "vocab", "data"])]
    pub(crate) input: Option<PathBuf>,
    /// Threads of the CPU engine [default: one per core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 1..=1024))]
    pub(crate) threads: Vec<u32>,
    /// Calls to time at most, after a quarter as many to warm up
    #[arg(long, value_name = "N", default_value_t = 200, allow_negative_numbers = true,
          value_parser = |text: &str| within::<u32>(text, 1..=u64::from(u32::MAX)))]
    pub(crate) repeat: u32,
    /// Seconds after which a measurement stops before that; it has at least 3 calls, or as many as --repeat says
    #[arg(long, value_name = "S", default_value_t = 0.5, allow_negative_numbers = true)]
    pub(crate) seconds: f64,
    /// Output format [default: by the name of the output file; table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<BenchFormat>,
    /// Write to this file, once all is measured; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compare two result files (json or jsonl) cell by cell: times of B over those of A
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = MEASURING,
          conflicts_with = "plot", help_heading = "Results")]
    pub(crate) compare: Option<Vec<PathBuf>>,
    /// Draw the result files (json or jsonl) into this SVG: time against --x, one line per series
    #[arg(long, value_name = "OUT.svg", requires = "files", conflicts_with_all = MEASURING,
          help_heading = "Results")]
    pub(crate) plot: Option<PathBuf>,
    /// What the plot's horizontal axis is
    #[arg(long, default_value = "rows", requires = "plot", help_heading = "Results")]
    pub(crate) x: Axis,
    /// Result files for --plot
    #[arg(value_name = "FILE", requires = "plot", help_heading = "Results")]
    pub(crate) files: Vec<PathBuf>,
}

impl BenchArgs {
    /// What these options mean after `sortilege bench`.
    #[cfg(test)]
    pub(crate) fn of(options: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: BenchArgs,
        }
        let words = std::iter::once("bench").chain(options.iter().copied());
        <Line as clap::Parser>::parse_from(words).args
    }

    /// An error unless the numbers that clap does not look at make sense.
    pub(crate) fn validate(&self) -> Result<()> {
        if !(self.seconds > 0.0 && self.seconds <= 3600.0) {
            return Err(Failure::Usage(format!(
                "--seconds {} is outside 0 (excluded) to 3600: give the time of one measurement, such as 0.5",
                self.seconds
            )));
        }
        self.ops().into_iter().try_for_each(|op| self.validate_temperature(op))
    }

    /// An error unless the operation has the temperature, or none at all.
    fn validate_temperature(&self, op: Op) -> Result<()> {
        let temperature = self.temperature;
        let checked = match op {
            Op::Log => LogprobsParams { temperature, ..LogprobsParams::default() }.validate(),
            Op::Sample | Op::SampleTokens => {
                SamplingParams { temperature, ..self.filters.params() }.validate()
            }
            Op::LogSoftmax | Op::TopK => Ok(()),
        };
        checked.map_err(|error| Failure::Usage(format!("--op {}: {error}", op.name())))
    }

    /// Options that cannot act on these targets, and why.
    pub(crate) fn idle(&self, has_cpu: bool, has_gpu: bool) -> Vec<(&'static str, &'static str)> {
        let ops = self.ops();
        let has = |op| ops.contains(&op);
        let draws = ops.iter().any(|op| op.draws());
        let is_greedy = self.temperature == 0.0;
        let rules = [
            (
                self.temperature != 1.0 && !has(Op::Log) && !draws,
                "--temperature",
                "log, sample and sample-tokens have one",
            ),
            (self.draws != [1] && !has(Op::Sample), "--draws", "sample draws"),
            (self.draws != [1] && has(Op::Sample) && is_greedy, "--draws", "a greedy row has one draw"),
            (self.top != [20] && !ops.iter().any(|op| op.lists()), "--top", "no operation lists anything"),
            (
                !self.threads.is_empty() && !has_cpu,
                "--threads",
                "the CPU engine has some, and is not measured",
            ),
            (self.integers && !has_gpu, "--integers", "no GPU is measured"),
            (self.allow_software && self.device == "cpu", "--allow-software", "the CPU engine is measured"),
        ];
        let mut idle: Vec<_> = rules
            .into_iter()
            .filter(|(is_idle, ..)| *is_idle)
            .map(|(_, option, why)| (option, why))
            .collect();
        let filters = self.filters.set().into_iter().map(|(option, _)| option);
        if !draws {
            idle.extend(filters.map(|option| (option, "sample and sample-tokens have filters")));
        } else if is_greedy {
            idle.extend(filters.map(|option| (option, "a greedy row is the most probable token")));
        }
        idle
    }

    /// The file to write to; none means standard output.
    pub(crate) fn output(&self) -> Option<&Path> {
        file_of(self.output.as_deref())
    }

    /// The format that is asked for, or that fits the output.
    pub(crate) fn format(&self) -> BenchFormat {
        choose_format(self.format, self.output(), [BenchFormat::Table, BenchFormat::Jsonl])
    }

    /// The operations, each once.
    pub(crate) fn ops(&self) -> Vec<Op> {
        let asks = |op| self.op.iter().any(|arg| *arg == OpArg::All || *arg == op);
        let all = [
            (OpArg::Log, Op::Log),
            (OpArg::Sample, Op::Sample),
            (OpArg::SampleTokens, Op::SampleTokens),
            (OpArg::LogSoftmax, Op::LogSoftmax),
            (OpArg::TopK, Op::TopK),
        ];
        all.into_iter().filter(|(arg, _)| asks(*arg)).map(|(_, op)| op).collect()
    }
}

/// A kind of synthetic logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataArg {
    /// Mean 0, standard deviation 3
    Normal,
    /// The same with a few likely tokens per row, as a model's
    Peaked,
    /// The same rounded to bf16: many equal logits
    Tied,
}

impl DataArg {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Peaked => "peaked",
            Self::Tied => "tied",
        }
    }

    /// The kind of this name.
    pub(crate) fn kind(self) -> &'static Kind {
        Kind::find(self.name(), LIKE_A_MODEL).expect("the library's kinds have these names")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchFormat {
    /// For people
    Table,
    /// One array
    Json,
    /// One object per line
    Jsonl,
    /// One line per cell
    Csv,
    /// A table for GitHub
    Md,
}

/// A horizontal axis of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Axis {
    Rows,
    Vocab,
    Top,
    Draws,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args, Command};

    use super::{BenchArgs, MEASURING};

    #[test]
    fn every_option_but_those_of_results_measures() {
        let command = BenchArgs::augment_args(Command::new("bench"));
        let measures = command.get_arguments().filter(|arg| arg.get_help_heading().is_none());
        let names: BTreeSet<&str> = measures.map(|arg| arg.get_id().as_str()).collect();
        assert_eq!(names, BTreeSet::from(MEASURING));
    }
}
