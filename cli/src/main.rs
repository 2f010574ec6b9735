//! `sortilege`: token-probability records, drawn tokens and scores of sequences from files of logits, kernel validation,
//! benchmarks, device listing.
//!
//! Each command has a room of its own, a file or a folder with its options, its work and its formats: `info`, `log`,
//! `sample`, `score`, `audit`, `summary`, `compare`, `convert`, `report`, `validate`, `bench`. Below them are `files`,
//! `text`, `engine` and what else several of them share; none of these knows a command.

mod audit;
mod bench;
mod compare;
mod convert;
mod engine;
mod failure;
mod files;
mod foreign;
mod gate;
mod info;
mod input;
mod log;
mod progress;
mod report;
mod sample;
mod score;
mod shared_args;
mod shown;
mod summary;
mod tally;
mod targets;
mod text;
mod validate;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::{Failure, Result, exit_codes, note};

/// Token probabilities from logits, on the GPU and on the CPU, with the same bits.
#[derive(Debug, Parser)]
#[command(name = "sortilege", version, after_help = exit_codes!(
    "Environment: RAYON_NUM_THREADS, threads of the CPU engine [default: one a core]; WGPU_BACKEND, which backends are \
     looked at, such as vulkan,gl"
))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the adapters of this machine, and the one that `auto` takes
    Info(info::InfoArgs),
    /// Write one record per row of logits: logprobs, rank, entropy, alternatives
    #[command(after_help = log::EXAMPLES)]
    Log(log::LogArgs),
    /// Draw tokens from each row of logits: filters, penalties, grammar masks, repeatable under a seed
    #[command(after_help = sample::EXAMPLES)]
    Sample(Box<sample::SampleArgs>),
    /// Score sequences of tokens: log-probability in total, per token and per byte, and which the model prefers
    #[command(after_help = score::EXAMPLES)]
    Score(score::ScoreArgs),
    /// Derive every record of a log again from its logits, and compare it bit for bit
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::AuditArgs),
    /// Perplexity, percentiles, calibration and runs of low confidence of a log, and gates on them
    #[command(after_help = summary::EXAMPLES)]
    Summary(summary::SummaryArgs),
    /// Write a log in another format, and say what is lost
    #[command(after_help = convert::EXAMPLES)]
    Convert(convert::ConvertArgs),
    /// Make a page for a browser of a log, or of two side by side: tokens by probability, alternatives, what stands out
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportArgs),
    /// Compare two models' logits: perplexity, KL divergence, probability changes, the worst rows; a gate for CI
    #[command(after_help = compare::EXAMPLES)]
    Compare(Box<compare::CompareArgs>),
    /// Compare every kernel with the CPU engine bit for bit, and with an f64 oracle
    #[command(after_help = exit_codes!())]
    Validate(validate::ValidateArgs),
    /// Measure the operations on devices and on the CPU engine, after a check of their outputs; compare and plot
    /// results
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<bench::BenchArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if let Err(error) = files::leave_nothing_behind() {
        note!("note: signals are not watched ({error}): an interrupted run may leave a temporary file");
    }
    let outcome = match cli.command {
        Command::Info(args) => info::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions { shell } => print_completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough.
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            files::yield_to_signal();
            note!("error: {failure}");
            failure.exit_code()
        }
    }
}

/// The command line. A name that would steer the terminal, as a shell may find it in a folder, or one that would fill it,
/// does so in no message.
fn parse() -> std::result::Result<Cli, ExitCode> {
    let is_harmless = |arg: std::ffi::OsString| shown::is_harmless(&arg.to_string_lossy());
    Cli::try_parse().map_err(|error| {
        if !error.use_stderr() || std::env::args_os().all(is_harmless) {
            error.exit();
        }
        for line in error.render().to_string().lines() {
            note!("{line}");
        }
        ExitCode::from(2)
    })
}

/// Prints the completion script.
fn print_completions(shell: clap_complete::Shell) -> Result<()> {
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
