//! `sortilege sample`: tokens that are drawn from the rows of a file. `requests` says what is asked, `job` draws,
//! `output` writes.

mod args;
mod breakers;
mod idle;
mod job;
mod mask;
pub(crate) mod numbers;
mod options;
mod output;
mod params;
mod params_file;
#[cfg(test)]
mod params_tests;
mod peers;
mod prompts;
mod requests;
mod unique;
mod values;

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::path::Path;

use sortilege::log::Texts;
use sortilege::{FinishReason, Sample};

use self::args::SampleFormat;
pub(crate) use self::args::{EXAMPLES, SampleArgs};
pub(crate) use self::job::Job;
pub(crate) use self::options::{Files, Options};
use self::requests::Requests;
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note, tell_idle};
use crate::files::{Inputs, deliver, meta, meta_within, once, with_sidecar};
use crate::shared_args::{name_of, refuse_binary};
use crate::tally::Tally;

pub(crate) fn run(args: &SampleArgs) -> Result<()> {
    let format = args.run.format(args.format, [SampleFormat::Table, SampleFormat::Jsonl]);
    refuse_binary(format == SampleFormat::Parquet && !args.plan, args.run.output())?;
    let prompt = args.prompt.as_deref().map(Path::new);
    let files = [Some(&args.logits.logits), args.params.as_ref(), args.mask.as_ref()];
    let inputs =
        files.into_iter().flatten().map(|path| path.as_path()).chain(args.vocab.path()).chain(prompt);
    let mut inputs = Inputs::of(with_sidecar(args.run.output()), inputs)?;
    let job = Job::open(args)?;
    inputs.add(job.logits.array.path())?;
    job.mask.iter().try_for_each(|mask| inputs.add(mask.array.path()))?;
    if args.plan {
        tell_unplanned(args);
        return job.print_plan();
    }
    if args.run.output().is_some() {
        job.hash_while_reading();
    }
    tell_unwritten(args, &job.requests, format);
    let (vocab, vocab_source) = args.vocab.load(job.logits.vocab)?.unzip();
    let vocab_source = vocab_source.unwrap_or_default();
    let chosen = Chosen::new(&args.run.device)?;
    job.check(&chosen)?;
    if let Some(seed) = job.requests.found_seed.filter(|_| job.requests.draw()) {
        note!("seed {seed}");
    }
    let made = OnceCell::new();
    let options = || once(&made, || Options::new(args, &job, format, vocab_source.clone()));
    let describe = |output: String| meta(&job.logits, &chosen, options()?, output);
    deliver(
        args.run.output(),
        &inputs,
        |out| {
            let failed = |error: io::Error| Failure::writing(&error);
            let mut drawn = DrawTally::default();
            let mut tally = Tally::new(&chosen);
            let texts = vocab.as_ref().map_or(Texts::NONE, |vocab| Texts::new(vocab));
            let mut writer = output::writer(out, format).map_err(failed)?;
            job.run(&chosen, |place, sample| {
                tally.count(sample.status);
                drawn.count(sample);
                writer.write(&place.record(sample, texts)).map_err(failed)
            })?;
            if format == SampleFormat::Parquet {
                writer.describe(&meta_within(&describe(String::new())?)?).map_err(failed)?;
            }
            writer.finish().map_err(failed)?;
            tally.print(&job.logits, &chosen, &drawn);
            Ok(())
        },
        describe,
    )
}

/// Says which options a plan takes no notice of.
fn tell_unplanned(args: &SampleArgs) {
    for (option, is_given) in [
        ("--device", args.run.device != "auto"),
        ("--seed", args.sampling.given().seed.is_some()),
        ("--output", args.run.output().is_some()),
        ("--format", args.format.is_some()),
        ("--vocab-file", args.vocab.vocab_file.is_some()),
        ("--tokenizer", args.vocab.tokenizer.is_some()),
    ] {
        if is_given {
            tell_idle(option, "--plan prints a plan and does nothing");
        }
    }
}

/// Says what is asked for and the format has no room for.
fn tell_unwritten(args: &SampleArgs, requests: &Requests, format: SampleFormat) {
    let name = name_of(&format);
    if format == SampleFormat::Tokens && args.vocab.is_given() {
        note!("note: the texts of tokens are not written: --format {name} has ids alone");
    }
    let [raw, processed] = requests.asks_for_logprobs();
    let has_raw = matches!(format, SampleFormat::Jsonl | SampleFormat::Csv | SampleFormat::Parquet);
    if raw.is_some() && !has_raw {
        note!("note: raw_logprobs are not written: --format {name} has no room for them, jsonl has");
    }
    if requests.asks_for_token_ids() && !matches!(format, SampleFormat::Jsonl | SampleFormat::Parquet) {
        note!("note: logprob_token_ids are not written: --format {name} has no room for them, jsonl has");
    }
    if (raw > Some(0) && has_raw || processed.is_some())
        && !matches!(format, SampleFormat::Jsonl | SampleFormat::Parquet)
    {
        note!("note: lists of logprobs are not written: --format {name} has no room for them, jsonl has");
    }
}

/// Tokens that were drawn, as the second line of what is said at the end.
#[derive(Default)]
struct DrawTally {
    rows: usize,
    draws: usize,
    kept: f64,
    reopened: u64,
    /// Requests that finished at a stop token and at their length, and rows behind the ends.
    stopped: usize,
    at_length: usize,
    behind: usize,
}

impl DrawTally {
    fn count(&mut self, sample: &Sample) {
        self.rows += usize::from(!sample.draws.is_empty());
        self.draws += sample.draws.len();
        self.kept += f64::from(sample.kept);
        self.reopened += sample.reopened;
        match sample.finish_reason {
            Some(_) if sample.draws.is_empty() => self.behind += 1,
            Some(FinishReason::Stop) => self.stopped += 1,
            Some(_) => self.at_length += 1,
            None => {}
        }
    }
}

impl fmt::Display for DrawTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, draws, kept, reopened, stopped, at_length, behind } = self;
        write!(f, "{draws} tokens drawn")?;
        if *rows > 0 {
            write!(f, ", {:.1} kept on average", kept / *rows as f64)?;
        }
        if *reopened > 0 {
            write!(f, ", {reopened} logits read again")?;
        }
        if stopped + at_length + behind > 0 {
            write!(
                f,
                "\n{stopped} stop tokens drawn, {at_length} requests at max_tokens, {behind} rows behind an end not drawn"
            )?;
        }
        Ok(())
    }
}
