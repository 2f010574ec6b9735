//! `sortilege sample`

mod fields;
mod mask;
mod output;
mod requests;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use sortilege::cpu::SampleInputs;
use sortilege::{Caps, Logits, Plan, Request, Row, Sample, Shape};

use self::fields::Fields;
pub(crate) use self::fields::SamplingArgs;
use self::mask::Mask;
use self::output::{Place, Writer};
use self::requests::Requests;
use crate::args::{SampleArgs, SampleFormat};
use crate::batch::{BLOCK_BYTES, Batch, Tally};
use crate::engine::Engine;
use crate::failure::{Failure, Result, note};
use crate::input::Array;
use crate::sidecar::{self, Meta};

/// What is sampled: rows of a file for requests.
struct Job<'a> {
    batch: &'a Batch,
    requests: &'a Requests,
    mask: Option<Mask>,
    /// Whether a row sees what the rows before it drew.
    feedback: bool,
}

pub(crate) fn run(args: &SampleArgs) -> Result<()> {
    let format = args.format.unwrap_or(if args.run.is_for_people() {
        SampleFormat::Table
    } else {
        SampleFormat::Jsonl
    });
    let prompt = args.prompt.as_deref().map(Path::new);
    let [vocab_file, tokenizer] = args.vocab.files();
    let files = [Some(&args.logits.logits), args.params.as_ref(), args.mask.as_ref(), vocab_file, tokenizer];
    let inputs = files.into_iter().flatten().map(|path| path.as_path()).chain(prompt);
    sidecar::check_output(args.run.output.as_deref(), inputs)?;
    let batch = Batch::open(&args.logits)?;
    let requests = Requests::new(args, &batch)?;
    let mask = args.mask.as_deref().map(|path| Mask::open(path, &batch)).transpose()?;
    let job = Job { batch: &batch, requests: &requests, mask, feedback: args.feedback };
    if args.plan {
        return job.print_plan();
    }
    let vocab = args.vocab.load()?;
    let engine = Engine::choose(&args.run.device)?;
    engine.check_sampling(batch.dtype)?;
    if let Some(seed) = requests.found_seed {
        note!("seed {seed}");
    }
    sidecar::deliver(
        args.run.output.as_deref(),
        |out| {
            let failed = |error: io::Error| Failure::writing(&error);
            let mut told = Told::default();
            let mut tally = Tally::new();
            let mut writer = Writer::new(out, format, vocab.as_ref()).map_err(failed)?;
            job.run(&engine, |place, sample| {
                tally.count(sample.status);
                told.add(sample);
                writer.write(place, sample).map_err(failed)
            })?;
            writer.finish().map_err(failed)?;
            tally.tell(&batch, &engine, &told);
            Ok(())
        },
        |output| Meta::new(&batch, &engine, options(args, &requests, format)?, output),
    )
}

impl Job<'_> {
    /// Calls `emit` with each row's sample, in order.
    fn run(&self, engine: &Engine, emit: impl FnMut(Place, &Sample) -> Result<()>) -> Result<()> {
        if self.feedback { self.step_by_step(engine, emit) } else { self.block_by_block(engine, emit) }
    }

    fn block_by_block(
        &self,
        engine: &Engine,
        mut emit: impl FnMut(Place, &Sample) -> Result<()>,
    ) -> Result<()> {
        let positions = self.requests.positions;
        self.batch.each_block(self.requests.row_bytes(), |block, logits| {
            let first = block.start / positions;
            let requests = self.requests.start(first..(block.end - 1) / positions + 1)?;
            let samples = self.sample(engine, logits, &requests, first, block.clone())?;
            for (row, sample) in block.zip(&samples) {
                emit(self.place(row, &requests[row / positions - first]), sample)?;
            }
            Ok(())
        })
    }

    /// One position after the other, of as many requests at once as memory holds samples of.
    fn step_by_step(
        &self,
        engine: &Engine,
        mut emit: impl FnMut(Place, &Sample) -> Result<()>,
    ) -> Result<()> {
        let Requests { count, positions, .. } = *self.requests;
        let Batch { dtype, vocab, .. } = *self.batch;
        let bar = self.batch.progress_bar();
        let together = self.requests_together();
        for first in (0..count).step_by(together) {
            let end = count.min(first + together);
            let mut requests = self.requests.start(first..end)?;
            let mut samples = Vec::with_capacity((end - first) * positions);
            for position in 0..positions {
                let rows = (first..end).map(|request| request * positions + position);
                let bytes = self.batch.gather(rows.clone())?;
                let logits = Logits::new(&bytes, dtype, end - first, vocab)?;
                let drawn = self.sample(engine, &logits, &requests, first, rows)?;
                for (request, sample) in requests.iter_mut().zip(&drawn) {
                    request.accept(sample);
                }
                samples.extend(drawn);
                bar.inc((end - first) as u64);
            }
            for (number, request) in requests.iter().enumerate() {
                for position in 0..positions {
                    let row = (first + number) * positions + position;
                    emit(self.place(row, request), &samples[position * requests.len() + number])?;
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Requests that take their steps together: their samples are kept to the last one.
    fn requests_together(&self) -> usize {
        let samples = self.requests.row_bytes().saturating_mul(self.requests.positions);
        (BLOCK_BYTES / self.batch.row_bytes().max(samples).max(1)).clamp(1, self.requests.count.max(1))
    }

    /// Samples these rows, of requests from the number `first` on.
    fn sample(
        &self,
        engine: &Engine,
        logits: &Logits<'_>,
        requests: &[Request],
        first: usize,
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Result<Vec<Sample>> {
        let mask = self.mask.as_ref().map(|mask| mask.rows(rows.clone())).transpose()?;
        let inputs = SampleInputs { mask: mask.as_deref(), ..SampleInputs::default() };
        Ok(engine.sample(logits, &self.rows(requests, first, rows), &inputs)?)
    }

    fn rows<'r>(
        &self,
        requests: &'r [Request],
        first: usize,
        rows: impl Iterator<Item = usize>,
    ) -> Vec<Row<'r>> {
        let positions = self.requests.positions;
        rows.map(|row| requests[row / positions - first].row(self.requests.position(row))).collect()
    }

    fn place(&self, row: usize, request: &Request) -> Place {
        Place {
            request: row / self.requests.positions,
            position: self.requests.position(row),
            stream: request.params().stream,
        }
    }

    /// Prints the plan of the first call, and says how many there are.
    fn print_plan(&self) -> Result<()> {
        let Requests { count, positions, .. } = *self.requests;
        let Batch { dtype, vocab, rows: all, .. } = *self.batch;
        let (rows, calls): (Vec<usize>, usize) = if self.feedback {
            let together = self.requests_together();
            let rows =
                if all > 0 { (0..together).map(|request| request * positions).collect() } else { Vec::new() };
            (rows, count.div_ceil(together) * positions)
        } else {
            let most = self.batch.rows_per_block(self.requests.row_bytes());
            ((0..most.min(all)).collect(), all.div_ceil(most))
        };
        let requests = self.requests.start(0..rows.last().map_or(0, |row| row / positions + 1))?;
        let shape = Shape { dtype, rows: rows.len(), vocab, row_stride: vocab, byte_offset: 0 };
        let rows = self.rows(&requests, 0, rows.into_iter());
        let plan = Plan::sampling(&shape, &rows, self.mask.is_some(), &Caps::default())?;
        if self.mask.is_some() {
            note!("note: planned for a mask that lies on the device; one in a file is uploaded too");
        }
        if calls > 1 {
            note!("note: this is the first of {calls} calls");
        }
        writeln!(io::stdout(), "{plan}").map_err(|error| Failure::writing(&error))
    }
}

/// The second line of what is told at the end.
#[derive(Default)]
struct Told {
    rows: usize,
    draws: usize,
    kept: f64,
    reopened: u64,
}

impl Told {
    fn add(&mut self, sample: &Sample) {
        self.rows += usize::from(!sample.draws.is_empty());
        self.draws += sample.draws.len();
        self.kept += f64::from(sample.kept);
        self.reopened += sample.reopened;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, draws, kept, reopened } = self;
        write!(f, "\n{draws} tokens drawn")?;
        if *rows > 0 {
            write!(f, ", {:.1} kept on average", kept / *rows as f64)?;
        }
        match reopened {
            0 => Ok(()),
            _ => write!(f, ", {reopened} logits read again"),
        }
    }
}

/// The options, in the sidecar.
#[derive(Serialize)]
struct Options<'a> {
    /// What the command line gives, with the seed that was found.
    sampling: Fields,
    params: Option<String>,
    params_sha256: Option<String>,
    prompt: Option<&'a str>,
    prompt_sha256: Option<String>,
    mask: Option<String>,
    mask_sha256: Option<String>,
    feedback: bool,
    format: String,
    device: &'a str,
    vocab_file: Option<String>,
    vocab_file_sha256: Option<String>,
    tokenizer: Option<String>,
    tokenizer_sha256: Option<String>,
}

fn options<'a>(args: &'a SampleArgs, requests: &Requests, format: SampleFormat) -> Result<Options<'a>> {
    let [vocab_file, tokenizer] = args.vocab.files();
    let name = |path: Option<&std::path::PathBuf>| path.map(|path| path.display().to_string());
    let sha256 = |path: Option<&std::path::PathBuf>| path.map(|path| Array::sha256(path)).transpose();
    let prompt_file = args.prompt.as_deref().map(Path::new).filter(|path| path.exists());
    let mut sampling = args.sampling.fields();
    sampling.seed = sampling.seed.or(requests.found_seed);
    Ok(Options {
        sampling,
        params: name(args.params.as_ref()),
        params_sha256: sha256(args.params.as_ref())?,
        prompt: args.prompt.as_deref(),
        prompt_sha256: prompt_file.map(Array::sha256).transpose()?,
        mask: name(args.mask.as_ref()),
        mask_sha256: sha256(args.mask.as_ref())?,
        feedback: args.feedback,
        format: format!("{format:?}").to_lowercase(),
        device: &args.run.device,
        vocab_file: name(vocab_file),
        vocab_file_sha256: sha256(vocab_file)?,
        tokenizer: name(tokenizer),
        tokenizer_sha256: sha256(tokenizer)?,
    })
}
