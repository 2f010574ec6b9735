//! `sortilege score`: log-probabilities of sequences of tokens, and which of several the model prefers.

mod args;
mod candidates;
mod log;
mod logits;
mod output;

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::LogprobsParams;
use sortilege::log::Texts;

use self::args::ScoreFormat;
pub(crate) use self::args::{EXAMPLES, ScoreArgs};
use self::candidates::{Questions, Scored};
use self::output::{Answer, Writer};
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note, tell_idle};
use crate::files::{Inputs, LogFile, LogitsFile, deliver, meta, sha256, with_sidecar};
use crate::input::Opened;
use crate::shared_args::{VocabSource, name_of};
use crate::shown::shown_path;
use crate::tally::Tally;
use crate::text::Vocab;

/// The options, as the sidecar tells them.
#[derive(Serialize)]
struct Options<'a> {
    candidates: String,
    candidates_sha256: Option<String>,
    format: String,
    /// None of what is scored of a log.
    #[serde(flatten)]
    of_logits: Option<OfLogits<'a>>,
    #[serde(flatten)]
    vocab: VocabSource,
}

/// The options of what is scored of logits.
#[derive(Serialize)]
struct OfLogits<'a> {
    temperature: f32,
    device: &'a str,
    vocab_size: Option<usize>,
}

/// `FILE.meta.json` of what was scored of a log; how that was made is in its own sidecar.
#[derive(Serialize)]
struct LogMeta<'a> {
    sortilege: &'static str,
    log: String,
    log_sha256: String,
    options: Options<'a>,
    output_sha256: String,
}

pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    let format = args.run.format(args.format, [ScoreFormat::Table, ScoreFormat::Jsonl]);
    let temperatures = LogprobsParams::MIN_TEMPERATURE..=LogprobsParams::MAX_TEMPERATURE;
    if !temperatures.contains(&args.temperature) {
        return Err(Failure::Usage(format!(
            "temperature {} is outside {} to {}: take 1 for the scores of the model; is_greedy tells what greedy decoding \
             takes",
            args.temperature,
            temperatures.start(),
            temperatures.end()
        )));
    }
    let files = [Some(args.logits.logits.as_path()), Some(&args.candidates), args.vocab.path()];
    let inputs = Inputs::of(with_sidecar(args.run.output()), files.into_iter().flatten())?;
    let opened = Opened::new(&args.logits.logits)?;
    if LogFile::is_log(&opened) {
        run_log(args, &LogFile::of(opened)?, format, &inputs)
    } else {
        run_logits(args, LogitsFile::of(opened, &args.logits)?, format, inputs)
    }
}

fn run_logits(args: &ScoreArgs, logits: LogitsFile, format: ScoreFormat, mut inputs: Inputs) -> Result<()> {
    inputs.add(logits.array.path())?;
    let questions = Questions::read(&args.candidates)?;
    questions.check(&args.candidates, &logits)?;
    if args.run.output().is_some() {
        logits.hash_while_reading();
    }
    let (vocab, vocab_source) = args.vocab.load(logits.vocab)?.unzip();
    let chosen = Chosen::new(&args.run.device)?;
    deliver(
        args.run.output(),
        &inputs,
        |mut out| {
            let mut tally = Tally::new(&chosen);
            let scored = logits::score(&logits, &questions.asks(), args.temperature, &chosen, &mut tally)?;
            write_all(&mut out, format, &questions, &scored, vocab.as_ref())?;
            tally.print(&logits, &chosen, &Counts(&questions, &scored));
            Ok(())
        },
        |output| {
            let of_logits = OfLogits {
                temperature: args.temperature,
                device: &args.run.device,
                vocab_size: args.logits.vocab_size,
            };
            meta(&logits, &chosen, options(args, format, Some(of_logits), vocab_source)?, output)
        },
    )
}

fn options<'a>(
    args: &ScoreArgs,
    format: ScoreFormat,
    of_logits: Option<OfLogits<'a>>,
    vocab: Option<VocabSource>,
) -> Result<Options<'a>> {
    Ok(Options {
        candidates: args.candidates.display().to_string(),
        candidates_sha256: sha256(Some(&args.candidates))?,
        format: name_of(&format),
        of_logits,
        vocab: vocab.unwrap_or_default(),
    })
}

/// Scores what a log says.
fn run_log(args: &ScoreArgs, log: &LogFile, format: ScoreFormat, inputs: &Inputs) -> Result<()> {
    const WHY: &str = "the logprobs are those of the log";
    for (option, is_given) in [
        ("--temperature", args.temperature != 1.0),
        ("--device", args.run.device != "auto"),
        ("--vocab-size", args.logits.vocab_size.is_some()),
        ("--tensor", args.logits.tensor.is_some()),
        ("--shape", args.logits.shape.is_some()),
        ("--dtype", args.logits.dtype.is_some()),
    ] {
        if is_given {
            tell_idle(option, WHY);
        }
    }
    let asked = log.asked()?;
    if let Some(temperature) = asked.temperature.filter(|temperature| *temperature != 1.0) {
        note!(
            "note: {}: a log at temperature {temperature}, as its sidecar says: so are the scores",
            shown_path(log.path())
        );
    }
    let questions = Questions::read(&args.candidates)?;
    let (vocab, vocab_source) = args.vocab.open()?.unzip();
    let scored = log::score(log, asked, &questions.asks())?;
    deliver(
        args.run.output(),
        inputs,
        |mut out| write_all(&mut out, format, &questions, &scored, vocab.as_ref()),
        |output_sha256| {
            Ok(LogMeta {
                sortilege: env!("CARGO_PKG_VERSION"),
                log: log.path().display().to_string(),
                log_sha256: log.sha256()?,
                options: options(args, format, None, vocab_source)?,
                output_sha256,
            })
        },
    )?;
    note!("{}", Counts(&questions, &scored));
    Ok(())
}

/// Writes the answers to all questions.
fn write_all(
    out: &mut dyn Write,
    format: ScoreFormat,
    questions: &Questions,
    scored: &[Scored],
    vocab: Option<&Vocab>,
) -> Result<()> {
    let failed = |error: io::Error| Failure::writing(&error);
    let texts = vocab.map_or(Texts::NONE, |vocab| Texts::new(vocab));
    let mut writer = Writer::new(out, format, texts).map_err(failed)?;
    for (number, candidates) in questions.0.iter().enumerate() {
        writer.write(number, &Answer::new(candidates, scored, texts)).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// How much was scored, as the second line of what is said at the end: tokens of candidates that have a score.
struct Counts<'a>(&'a Questions, &'a [Scored]);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(questions, scored) = self;
        let (mut candidates, mut tokens, mut without) = (0, 0, 0);
        for candidate in questions.candidates() {
            let own = &scored[candidate.first_place..][..candidate.tokens.len()];
            candidates += 1;
            if own.iter().all(Result::is_ok) {
                tokens += own.len();
            } else {
                without += 1;
            }
        }
        write!(f, "{} questions, {candidates} candidates, {tokens} tokens scored", questions.0.len())?;
        match without {
            0 => Ok(()),
            _ => write!(f, "; {without} candidates have no score: a row of theirs is no distribution"),
        }
    }
}
