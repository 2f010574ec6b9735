//! `sortilege log`

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use sortilege::{Logits, Params, Status};

use crate::args::{Format, LogArgs};
use crate::engine::Engine;
use crate::failure::{Failure, Result, note};
use crate::input::{Array, Element, Hints};
use crate::output::{Place, Writer};
use crate::sidecar::{self, Draft, Meta, Options, Source};
use crate::tokens;
use crate::vocab::Vocab;

/// Bytes of logits that are mapped at a time.
const BLOCK_BYTES: usize = 64 << 20;
/// Rough bytes of a record in memory, and of each of its alternatives: they stay below a block too.
const RECORD_BYTES: [usize; 2] = [256, 64];

/// A batch in a file: rows, cut into requests of so many positions.
struct Batch {
    array: Array,
    dtype: sortilege::Dtype,
    positions: usize,
    rows: usize,
    vocab: usize,
}

pub(crate) fn run(args: &LogArgs) -> Result<()> {
    let format = args.format.unwrap_or(match &args.output {
        None if std::io::stdout().is_terminal() => Format::Table,
        _ => Format::Jsonl,
    });
    check_options(args, format)?;
    check_output(args)?;
    let params = Params { top_k: args.top, temperature: args.temperature };
    params.validate()?;
    let batch = open(args)?;
    let leading = &batch.array.shape[..batch.array.shape.len() - 1];
    let targets = match &args.tokens {
        Some(source) => tokens::load(source, batch.rows, leading, batch.vocab)?,
        None => vec![None; batch.rows],
    };
    let vocab = match (&args.vocab_file, &args.tokenizer) {
        (Some(path), _) => Some(Vocab::from_vocab_file(path)?),
        (_, Some(path)) => Some(Vocab::from_tokenizer(path)?),
        _ => None,
    };
    let engine = Engine::choose(&args.device)?;

    let Some(place) = args.output.as_ref().filter(|place| place.as_os_str() != "-") else {
        let out = Box::new(BufWriter::new(std::io::stdout().lock()));
        return write(&batch, &targets, &params, &engine, out, format, vocab.as_ref());
    };
    let mut draft = Draft::new(place)?;
    write(
        &batch,
        &targets,
        &params,
        &engine,
        Box::new(BufWriter::new(draft.writer())),
        format,
        vocab.as_ref(),
    )?;
    let mut meta = Draft::new(&sidecar::place(place))?;
    let text = describe(args, &batch, &engine, format, draft.path())?;
    meta.writer().write_all(text.as_bytes()).map_err(|error| Failure::writing(&error))?;
    // The sidecar first: should the second rename fail, its hash tells that it is not of the older records.
    meta.keep()?;
    draft.keep()
}

fn check_options(args: &LogArgs, format: Format) -> Result<()> {
    if format == Format::Openai && args.tokens.is_none() {
        return Err(Failure::Usage(
            "--format openai needs --tokens: its entries are the chosen tokens".to_owned(),
        ));
    }
    if format == Format::Openai && args.top > 20 {
        return Err(Failure::Usage(format!(
            "--format openai has at most 20 alternatives, --top is {}",
            args.top
        )));
    }
    Ok(())
}

/// An output must not take the place of what it is made from.
fn check_output(args: &LogArgs) -> Result<()> {
    let Some(output) = &args.output else { return Ok(()) };
    let outputs = [output.clone(), sidecar::place(output)].map(|path| path.canonicalize().ok());
    let tokens = args.tokens.as_deref().map(Path::new);
    let inputs = [Some(args.logits.as_path()), tokens, args.vocab_file.as_deref(), args.tokenizer.as_deref()];
    for input in inputs.into_iter().flatten() {
        if input.canonicalize().is_ok_and(|input| outputs.contains(&Some(input))) {
            return Err(Failure::Usage(format!(
                "-o {} would replace the input {}: choose another file",
                output.display(),
                input.display()
            )));
        }
    }
    Ok(())
}

fn open(args: &LogArgs) -> Result<Batch> {
    let hints = Hints {
        tensor: args.tensor.clone(),
        shape: args.shape.clone(),
        dtype: args.dtype.map(sortilege::Dtype::from),
    };
    let path = &args.logits;
    let array = Array::open(path, &hints)?;
    let Element::Logit(dtype) = array.element else {
        return Err(Failure::file(
            path,
            "these are integers, not logits: give the logits first, --tokens for the tokens",
        ));
    };
    if hints.dtype.is_some_and(|wanted| wanted != dtype) {
        return Err(Failure::file(path, format!("the file says {dtype}: leave --dtype out")));
    }
    let (positions, rows, vocab) = match array.shape[..] {
        [vocab] => (1, 1, vocab),
        [rows, vocab] => (rows, rows, vocab),
        [requests, positions, vocab] => (positions, requests * positions, vocab),
        _ => {
            return Err(Failure::file(
                path,
                format!(
                    "shape {:?} is none of [vocab], [rows][vocab], [requests][positions][vocab]",
                    array.shape
                ),
            ));
        }
    };
    // The library's own words on a vocabulary that cannot be.
    Logits::new(&[], dtype, 0, vocab).map_err(|error| Failure::file(path, error))?;
    Ok(Batch { array, dtype, positions, rows, vocab })
}

fn write(
    batch: &Batch,
    targets: &[Option<u32>],
    params: &Params,
    engine: &Engine,
    out: Box<dyn Write + '_>,
    format: Format,
    vocab: Option<&Vocab>,
) -> Result<()> {
    let &Batch { ref array, dtype, positions, rows, vocab: width } = batch;
    let failed = |error: std::io::Error| Failure::writing(&error);
    let mut writer = Writer::new(out, format, vocab).map_err(failed)?;
    let mut perplexity = Perplexity::default();
    let mut unsound: Vec<(&str, usize)> = Vec::new();
    let start = Instant::now();
    let bar = progress_bar(rows);
    let record_bytes = RECORD_BYTES[0] + RECORD_BYTES[1] * params.top_k as usize;
    let rows_per_block = (BLOCK_BYTES / (width * dtype.bytes()).max(record_bytes)).max(1);
    for first in (0..rows).step_by(rows_per_block) {
        let count = rows_per_block.min(rows - first);
        let block = array.block(first * width, count * width)?;
        let logits = Logits::new(block.bytes(), dtype, count, width)?;
        let targets = &targets[first..first + count];
        let records = engine.record(&logits, params, targets)?;
        for (row, (record, target)) in (first..).zip(records.iter().zip(targets)) {
            let position = row % positions;
            let place = Place {
                request: row / positions,
                position,
                is_first: position == 0,
                is_last: position + 1 == positions,
            };
            writer.write(place, record, *target).map_err(failed)?;
            perplexity.add(record.target.map(|target| target.logprob));
            if record.status != Status::Ok {
                let name = record.status.name();
                match unsound.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, count)) => *count += 1,
                    None => unsound.push((name, 1)),
                }
            }
        }
        bar.inc(count as u64);
    }
    writer.finish().map_err(failed)?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let device = engine.describe().0;
    let speed = rows as f64 / seconds.max(1e-9);
    let read_back = engine.bytes_back().map_or_else(String::new, |bytes| {
        let share = bytes as f64 / (rows * width * dtype.bytes()).max(1) as f64 * 100.0;
        format!(", {bytes} bytes read back ({share:.3} % of the logits)")
    });
    for (name, count) in unsound {
        note!("note: {count} of {rows} rows are no distribution: {name}");
    }
    note!("{rows} rows in {seconds:.3} s on {device}, {speed:.0} rows/s{read_back}{perplexity}");
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
            count => write!(f, "\nperplexity {:.6} over {count} targets", (-self.sum / count as f64).exp()),
        }
    }
}

fn progress_bar(rows: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} rows, {per_sec}, {eta} left");
    let bar = ProgressBar::new(rows as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn describe(args: &LogArgs, batch: &Batch, engine: &Engine, format: Format, output: &Path) -> Result<String> {
    let (device, backend, driver) = engine.describe();
    let sha256 = |path: &Option<std::path::PathBuf>| path.as_deref().map(Array::sha256).transpose();
    let tokens_file = args.tokens.as_deref().map(Path::new).filter(|path| path.exists());
    let meta = Meta {
        sortilege: env!("CARGO_PKG_VERSION"),
        arithmetic_version: sortilege::ARITHMETIC_VERSION,
        device,
        backend,
        driver,
        input: Source {
            file: batch.array.path.display().to_string(),
            tensor: batch.array.tensor.as_deref(),
            sha256: Array::sha256(&batch.array.path)?,
        },
        dtype: batch.dtype.name(),
        shape: &batch.array.shape,
        options: Options {
            top: args.top,
            temperature: args.temperature,
            format: format!("{format:?}").to_lowercase(),
            device: &args.device,
            tokens: args.tokens.as_deref(),
            tokens_sha256: tokens_file.map(Array::sha256).transpose()?,
            vocab_file: args.vocab_file.as_ref().map(|path| path.display().to_string()),
            vocab_file_sha256: sha256(&args.vocab_file)?,
            tokenizer_sha256: sha256(&args.tokenizer)?,
            tokenizer: args.tokenizer.as_ref().map(|path| path.display().to_string()),
        },
        rows: batch.rows,
        output_sha256: Array::sha256(output)?,
    };
    let mut text = serde_json::to_string_pretty(&meta).map_err(|error| Failure::Failed(error.to_string()))?;
    text.push('\n');
    Ok(text)
}
