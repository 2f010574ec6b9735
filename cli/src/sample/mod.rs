//! `sortilege sample`: tokens that are drawn from the rows of a file. `requests` says what is asked, `job` draws,
//! `output` writes.

mod args;
mod idle;
mod job;
mod mask;
mod numbers;
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

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sortilege::log::{Record, Texts};
use sortilege::{Kernels, Sample};

use self::args::SampleFormat;
pub(crate) use self::args::{EXAMPLES, SampleArgs};
use self::job::{Job, Place};
use self::mask::Mask;
use self::numbers::Seed;
use self::params::PartialParams;
use self::requests::Requests;
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note, tell_idle};
use crate::files::{Inputs, LogitsFile, deliver, meta, meta_within, sha256, with_sidecar};
use crate::shared_args::{VocabSource, name_of, refuse_binary};
use crate::tally::Tally;

pub(crate) fn run(args: &SampleArgs) -> Result<()> {
    let format = args.run.format(args.format, [SampleFormat::Table, SampleFormat::Jsonl]);
    refuse_binary(format == SampleFormat::Parquet && !args.plan, args.run.output())?;
    let prompt = args.prompt.as_deref().map(Path::new);
    let [vocab_file, tokenizer] = args.vocab.files();
    let files = [Some(&args.logits.logits), args.params.as_ref(), args.mask.as_ref(), vocab_file, tokenizer];
    let inputs = files.into_iter().flatten().map(|path| path.as_path()).chain(prompt);
    let mut inputs = Inputs::of(with_sidecar(args.run.output()), inputs)?;
    let logits = LogitsFile::open(&args.logits)?;
    inputs.add(logits.array.path())?;
    let requests = Requests::new(args, &logits)?;
    if args.run.output().is_some() && !args.feedback {
        logits.hash_while_reading();
    }
    let mask = args.mask.as_deref().map(|path| Mask::open(path, &logits)).transpose()?;
    mask.iter().try_for_each(|mask| inputs.add(mask.array.path()))?;
    let job = Job { logits: &logits, requests: &requests, mask, feedback: args.feedback };
    if args.plan {
        tell_unplanned(args);
        return job.print_plan();
    }
    tell_unwritten(args, &requests, format);
    let (vocab, vocab_source) = args.vocab.load(logits.vocab)?.unzip();
    let vocab_source = vocab_source.unwrap_or_default();
    let chosen = Chosen::new(&args.run.device)?;
    chosen.check(Kernels::Sample, logits.dtype)?;
    if requests.asks_for_token_ids() {
        chosen.check(Kernels::TokenRanks, logits.dtype)?;
    }
    if let Some(seed) = requests.found_seed.filter(|_| requests.draw()) {
        note!("seed {seed}");
    }
    let describe = |output: String| {
        let options = options(args, &job, format, vocab_source.clone())?;
        meta(&logits, &chosen, options, output)
    };
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
                let Place { request, position, stream } = place;
                writer.write(&Record::sample(request as u64, position, stream, sample, texts)).map_err(failed)
            })?;
            if format == SampleFormat::Parquet {
                writer.describe(&meta_within(&describe(String::new())?)?).map_err(failed)?;
            }
            writer.finish().map_err(failed)?;
            tally.print(&logits, &chosen, &drawn);
            Ok(())
        },
        describe,
    )
}

/// Says which options a plan takes no notice of.
fn tell_unplanned(args: &SampleArgs) {
    let [vocab_file, tokenizer] = args.vocab.files();
    for (option, is_given) in [
        ("--device", args.run.device != "auto"),
        ("--output", args.run.output().is_some()),
        ("--format", args.format.is_some()),
        ("--vocab-file", vocab_file.is_some()),
        ("--tokenizer", tokenizer.is_some()),
    ] {
        if is_given {
            tell_idle(option, "--plan prints a plan and does nothing");
        }
    }
}

/// Says what is asked for and the format has no room for.
fn tell_unwritten(args: &SampleArgs, requests: &Requests, format: SampleFormat) {
    let name = name_of(&format);
    let [vocab_file, tokenizer] = args.vocab.files();
    if format == SampleFormat::Tokens && (vocab_file.is_some() || tokenizer.is_some()) {
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
}

impl DrawTally {
    fn count(&mut self, sample: &Sample) {
        self.rows += usize::from(!sample.draws.is_empty());
        self.draws += sample.draws.len();
        self.kept += f64::from(sample.kept);
        self.reopened += sample.reopened;
    }
}

impl fmt::Display for DrawTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, draws, kept, reopened } = self;
        write!(f, "{draws} tokens drawn")?;
        if *rows > 0 {
            write!(f, ", {:.1} kept on average", kept / *rows as f64)?;
        }
        match reopened {
            0 => Ok(()),
            _ => write!(f, ", {reopened} logits read again"),
        }
    }
}

/// The options, as the sidecar tells them.
#[derive(Serialize)]
struct Options<'a> {
    /// What the command line gives, with the seed that was found.
    sampling: PartialParams,
    params: Option<String>,
    params_sha256: Option<String>,
    prompt: Option<&'a str>,
    prompt_tensor: Option<&'a str>,
    prompt_sha256: Option<String>,
    mask: Option<String>,
    mask_tensor: Option<&'a str>,
    mask_sha256: Option<String>,
    feedback: bool,
    format: String,
    device: &'a str,
    vocab_size: Option<usize>,
    #[serde(flatten)]
    vocab: VocabSource,
}

fn options<'a>(
    args: &'a SampleArgs,
    job: &'a Job<'_>,
    format: SampleFormat,
    vocab: VocabSource,
) -> Result<Options<'a>> {
    let name = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
    let hash = |path: Option<&PathBuf>| sha256(path.map(PathBuf::as_path));
    let prompt_file = args.prompt.as_deref().map(Path::new).filter(|path| path.exists());
    let mut sampling = args.sampling.given();
    if !matches!(sampling.seed, Some(Seed(Some(_)))) {
        sampling.seed = job.requests.found_seed.map(|seed| Seed(Some(seed)));
    }
    Ok(Options {
        sampling,
        params: name(args.params.as_ref()),
        params_sha256: hash(args.params.as_ref())?,
        prompt: args.prompt.as_deref(),
        prompt_tensor: job.requests.prompts.tensor.as_deref(),
        prompt_sha256: sha256(prompt_file)?,
        mask: name(args.mask.as_ref()),
        mask_tensor: job.mask.as_ref().and_then(|mask| mask.array.tensor.as_deref()),
        mask_sha256: hash(args.mask.as_ref())?,
        feedback: args.feedback,
        format: name_of(&format),
        device: &args.run.device,
        vocab_size: args.logits.vocab_size,
        vocab,
    })
}
