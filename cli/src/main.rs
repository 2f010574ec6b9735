//! `sortilege`: token-probability records and drawn tokens from files of logits, kernel validation, benchmarks, device listing.

mod args;
mod batch;
mod bench;
mod engine;
mod failure;
mod info;
mod input;
mod log;
mod output;
mod sample;
mod sidecar;
mod texts;
mod tokens;
mod validate;
mod vocab;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::{Failure, note};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Info(args) => info::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions { shell } => args::completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough.
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            note!("error: {failure}");
            failure.exit_code()
        }
    }
}
