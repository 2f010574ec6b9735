//! `sortilege log`: one record per row of a file of logits.

mod args;
mod job;
mod options;
mod output;
mod resume;

use std::cell::OnceCell;
use std::io::Write;
use std::path::Path;

use sortilege::log::{Format, Texts};

use self::args::LogFormat;
pub(crate) use self::args::{EXAMPLES, LogArgs};
pub(crate) use self::job::Job;
pub(crate) use self::options::Options;
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, Partial, deliver, meta, meta_within, once, with_sidecar};
use crate::input::is_stdin;
use crate::shared_args::{name_of, refuse_binary};
use crate::tally::Tally;

pub(crate) fn run(args: &LogArgs) -> Result<()> {
    let format = args.run.format(args.format, [LogFormat::Table, LogFormat::Jsonl]);
    check_options(args, format)?;
    refuse_binary(format == LogFormat::Parquet, args.run.output())?;
    let tokens = args.tokens.as_deref().map(Path::new);
    let inputs = [Some(args.logits.logits.as_path()), tokens, args.vocab.path()];
    let part = args.run.output().filter(|_| args.resume).map(Partial::paths);
    let outputs = with_sidecar(args.run.output()).into_iter().chain(part.into_iter().flatten().map(Some));
    let mut inputs = Inputs::of(outputs, inputs.into_iter().flatten())?;
    let job = Job::open(args)?;
    job.targets.tell_shift(&job.logits);
    inputs.add(job.logits.array.path())?;
    if args.run.output().is_some() {
        job.logits.hash_while_reading();
    }
    let (vocab, vocab_source) = args.vocab.load(job.logits.vocab)?.unzip();
    let vocab_source = vocab_source.unwrap_or_default();
    let chosen = Chosen::new(&args.run.device)?;
    job.check(&chosen)?;
    let made = OnceCell::new();
    let options = || once(&made, || Options::new(args, format, &job, vocab_source.clone()));
    let texts = vocab.as_ref().map_or(Texts::NONE, |vocab| Texts::new(vocab));
    let work = Work {
        job: &job,
        format,
        chosen: &chosen,
        texts,
        tally: Tally::new(&chosen),
        perplexity: Perplexity::default(),
    };
    let describe = |output: String| meta(&job.logits, &chosen, options()?, output);
    match with_sidecar(args.run.output()) {
        [Some(output), Some(sidecar)] if args.resume => {
            let run = resume::Run::new(&job.logits, options()?)?;
            let mut partial = Partial::open(&output, &run, &inputs)?;
            let (work, first) = work.after(&mut partial)?;
            partial.deliver(&output, &sidecar, &inputs, |out| work.write(out, first, no_room), describe)
        }
        _ => {
            let within = || meta_within(&describe(String::new())?);
            deliver(args.run.output(), &inputs, |out| work.write(out, None, within), describe)
        }
    }
}

/// What the formats that go on have of a sidecar within.
fn no_room() -> Result<String> {
    Ok(String::new())
}

/// The rows of a job as records in a format, and what is said of them at the end.
struct Work<'a> {
    job: &'a Job,
    format: LogFormat,
    chosen: &'a Chosen,
    texts: Texts<'a>,
    tally: Tally,
    perplexity: Perplexity,
}

impl Work<'_> {
    /// The work that is left after the records of an earlier run, and the row that it begins with, if there are any.
    fn after(mut self, partial: &mut Partial) -> Result<(Self, Option<usize>)> {
        let Self { job, format, tally, perplexity, .. } = &mut self;
        let rows = resume::go_on(partial, *format, job, |record| {
            perplexity.add(record.chosen().and_then(|chosen| chosen.logprob));
            tally.count(record.status());
        })?;
        if rows > 0 {
            note!("note: {rows} of {} records are there: it goes on", job.logits.rows);
        }
        Ok((self, partial.is_begun().then_some(rows)))
    }

    /// Writes the records from a row on, or all from the start of the output, and prints what is said at the end.
    fn write(
        mut self,
        out: Box<dyn Write + Send + '_>,
        first: Option<usize>,
        within: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        let failed = |error: std::io::Error| Failure::writing(&error);
        let mut writer = match first {
            Some(_) => output::append(out, self.format),
            None => output::writer(out, self.format).map_err(failed)?,
        };
        self.job.run(self.chosen, self.texts, first.unwrap_or(0), |record| {
            self.perplexity.add(record.chosen().and_then(|chosen| chosen.logprob));
            self.tally.count(record.status());
            writer.write(record).map_err(failed)
        })?;
        if self.format == LogFormat::Parquet {
            writer.describe(&within()?).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        self.tally.print(&self.job.logits, self.chosen, &self.perplexity);
        Ok(())
    }
}

/// An error if a format cannot have what the other options ask; what cannot act is told.
fn check_options(args: &LogArgs, format: LogFormat) -> Result<()> {
    let needs_tokens = format.of_library().is_some_and(Format::is_of_chosen_tokens);
    if needs_tokens && args.tokens.is_none() {
        return Err(Failure::Usage(format!(
            "--format {} needs --tokens: its entries are the chosen tokens",
            name_of(&format)
        )));
    }
    if format == LogFormat::Openai && args.top > 20 {
        return Err(Failure::Usage(
            "--format openai has at most 20 alternatives, and --top asks for more: give --top 20".to_owned(),
        ));
    }
    if args.resume && !matches!(format, LogFormat::Jsonl | LogFormat::Csv) {
        return Err(Failure::Usage(format!(
            "--resume goes on with jsonl and csv, whose records stand one after the other; {} is written whole",
            name_of(&format)
        )));
    }
    if args.resume && args.run.output().is_none() {
        return Err(Failure::Usage("--resume goes on with a file: -o - names no file".to_owned()));
    }
    // A list of tokens is no path, and a file that is missing is told by its reader.
    let is_stream = |path: &Path| is_stdin(path) || path.exists() && !path.is_file();
    let tokens = args.tokens.as_deref().map(Path::new);
    if args.resume && [Some(args.logits.logits.as_path()), tokens].into_iter().flatten().any(is_stream) {
        return Err(Failure::Usage(
            "--resume reads its inputs again: give files instead of streams".to_owned(),
        ));
    }
    if !args.token_ids.is_empty() && !matches!(format, LogFormat::Jsonl | LogFormat::Parquet) {
        let name = name_of(&format);
        note!("note: --token-ids are not written: --format {name} has no room for them, jsonl has");
    }
    let has_tokens = args.top > 0 || args.tokens.is_some() || !args.token_ids.is_empty();
    if !has_tokens && args.vocab.is_given() {
        note!("note: the texts of tokens are not written: with --top 0 and without --tokens there are none");
    }
    Ok(())
}

/// exp(−mean logprob) of the targets.
#[derive(Default)]
struct Perplexity {
    sum: f64,
    count: usize,
}

impl Perplexity {
    fn add(&mut self, logprob: Option<f64>) {
        self.sum += logprob.unwrap_or(0.0);
        self.count += usize::from(logprob.is_some());
    }
}

impl std::fmt::Display for Perplexity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.count {
            0 => Ok(()),
            count => write!(f, "perplexity {:.6} over {count} targets", (-self.sum / count as f64).exp()),
        }
    }
}
