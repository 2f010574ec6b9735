//! `sortilege log`: one record per row of a file of logits.

mod args;
mod output;

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use sortilege::log::{Format, Record, Texts};
use sortilege::{Kernels, LogprobsParams};

use self::args::LogFormat;
pub(crate) use self::args::{EXAMPLES, LogArgs};
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, LogitsFile, deliver, meta, meta_within, sha256, with_sidecar};
use crate::shared_args::{VocabSource, name_of, refuse_binary};
use crate::tally::Tally;
use crate::targets::Targets;
use crate::text::Vocab;

/// Rough bytes of a record in memory, and of each of its alternatives: they stay below a block too.
const RECORD_BYTES: [usize; 2] = [256, 64];

/// The options, as the sidecar tells them.
#[derive(Serialize)]
struct Options<'a> {
    top: u32,
    temperature: f32,
    format: String,
    device: &'a str,
    tokens: Option<&'a str>,
    tokens_tensor: Option<&'a str>,
    shift: bool,
    token_ids: &'a [u32],
    tokens_sha256: Option<String>,
    vocab_size: Option<usize>,
    #[serde(flatten)]
    vocab: VocabSource,
}

pub(crate) fn run(args: &LogArgs) -> Result<()> {
    let format = args.run.format(args.format, [LogFormat::Table, LogFormat::Jsonl]);
    check_options(args, format)?;
    refuse_binary(format == LogFormat::Parquet, args.run.output())?;
    let tokens = args.tokens.as_deref().map(Path::new);
    let files = args.vocab.files().map(|path| path.map(|path| path.as_path()));
    let inputs = [Some(args.logits.logits.as_path()), tokens].into_iter().chain(files);
    let mut inputs = Inputs::of(with_sidecar(args.run.output()), inputs.flatten())?;
    let params = LogprobsParams { top_logprobs: args.top, temperature: args.temperature, entropy: true };
    params.validate()?;
    let logits = LogitsFile::open(&args.logits)?;
    inputs.add(logits.array.path())?;
    let targets = match &args.tokens {
        Some(source) => Targets::read(source, &logits, args.shift)?,
        None => Targets::none(logits.rows),
    };
    if args.run.output().is_some() {
        logits.hash_while_reading();
    }
    let (vocab, vocab_source) = args.vocab.load(logits.vocab)?.unzip();
    let vocab_source = vocab_source.unwrap_or_default();
    let chosen = Chosen::new(&args.run.device)?;
    if args.top > 1024 {
        chosen.check(Kernels::LongLists, logits.dtype)?;
    }
    if !args.token_ids.is_empty() {
        chosen.check(Kernels::TokenRanks, logits.dtype)?;
    }
    let describe = |output: String| {
        let options = options(args, format, &targets, vocab_source.clone())?;
        meta(&logits, &chosen, options, output)
    };
    deliver(
        args.run.output(),
        &inputs,
        |out| {
            let asked = Asked { targets: &targets, token_ids: &args.token_ids, params: &params };
            let within = || meta_within(&describe(String::new())?);
            write(&logits, &asked, &chosen, out, format, vocab.as_ref(), within)
        },
        describe,
    )
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
        return Err(Failure::Usage(format!(
            "--format openai has at most 20 alternatives, --top is {}",
            args.top
        )));
    }
    if !args.token_ids.is_empty() && !matches!(format, LogFormat::Jsonl | LogFormat::Parquet) {
        let name = name_of(&format);
        note!("note: --token-ids are not written: --format {name} has no room for them, jsonl has");
    }
    let [vocab_file, tokenizer] = args.vocab.files();
    let has_tokens = args.top > 0 || args.tokens.is_some() || !args.token_ids.is_empty();
    if !has_tokens && (vocab_file.is_some() || tokenizer.is_some()) {
        note!("note: the texts of tokens are not written: with --top 0 and without --tokens there are none");
    }
    Ok(())
}

/// What is asked of the rows.
struct Asked<'a> {
    targets: &'a Targets,
    /// Of every row.
    token_ids: &'a [u32],
    params: &'a LogprobsParams,
}

/// Writes the records of all rows, and prints what is said at the end.
fn write(
    logits: &LogitsFile,
    asked: &Asked<'_>,
    chosen: &Chosen,
    out: Box<dyn Write + Send + '_>,
    format: LogFormat,
    vocab: Option<&Vocab>,
    within: impl FnOnce() -> Result<String>,
) -> Result<()> {
    let failed = |error: std::io::Error| Failure::writing(&error);
    let texts = vocab.map_or(Texts::NONE, |vocab| Texts::new(vocab));
    let mut writer = output::writer(out, format).map_err(failed)?;
    let mut perplexity = Perplexity::default();
    let mut tally = Tally::new(chosen);
    let Asked { targets, token_ids, params } = *asked;
    let listed = params.top_logprobs as usize + token_ids.len();
    let record_bytes = RECORD_BYTES[0] + RECORD_BYTES[1] * listed;
    logits.each_block(record_bytes, |rows, block| {
        let tokens = &targets.tokens[rows.clone()];
        let of_rows = vec![token_ids; rows.len()];
        let records = chosen.engine().logprobs_of(block, params, tokens, &of_rows)?;
        for (row, (record, target)) in rows.zip(records.iter().zip(tokens)) {
            let [request, number] = [row / logits.positions, row % logits.positions];
            let position = (targets.first + number) as u64;
            let line = Record::logprobs(request as u64, position, *target, record, texts);
            writer.write(&line).map_err(failed)?;
            perplexity.add(record.target.map(|target| target.logprob));
            tally.count(record.distribution.status);
        }
        Ok(())
    })?;
    if format == LogFormat::Parquet {
        writer.describe(&within()?).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    tally.print(logits, chosen, &perplexity);
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

fn options<'a>(
    args: &'a LogArgs,
    format: LogFormat,
    targets: &'a Targets,
    vocab: VocabSource,
) -> Result<Options<'a>> {
    let tokens_file = args.tokens.as_deref().map(Path::new).filter(|path| path.exists());
    Ok(Options {
        top: args.top,
        temperature: args.temperature,
        format: name_of(&format),
        device: &args.run.device,
        tokens: args.tokens.as_deref(),
        tokens_tensor: targets.tensor.as_deref(),
        shift: args.shift,
        token_ids: &args.token_ids,
        tokens_sha256: sha256(tokens_file)?,
        vocab_size: args.logits.vocab_size,
        vocab,
    })
}
