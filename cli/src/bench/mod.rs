//! `sortilege bench`: times of the operations on devices and on the CPU engine, whose outputs are checked first.

mod cell;
mod check;
mod compare;
mod cpu;
mod data;
mod gpu;
mod link;
mod options;
mod output;
mod plot;
mod read;
mod task;
mod times;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressStyle};
use sortilege::Dtype;
use sortilege::device::{Candidate, candidates};

use self::cell::Cell;
use self::check::Truths;
use self::cpu::Host;
use self::data::Source;
use self::gpu::Device;
pub(crate) use self::options::{BenchArgs, EXAMPLES};
use self::output::Writer;
use self::task::Asked;
use self::times::Budget;
use crate::engine;
use crate::failure::{Failure, Result, note};
use crate::sidecar::{Draft, check_output};

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    args.validate()?;
    if let Some([a, b]) = args.compare.as_deref() {
        return compare::run(a, b);
    }
    if let Some(output) = &args.plot {
        return plot::run(output, &args.files, args.x);
    }
    check_output(args.output.as_deref(), args.input.as_deref().into_iter())?;
    let sources = sources(args)?;
    let targets = targets(args)?;
    let format = args.format();
    let Some(output) = args.output.as_deref().filter(|output| output.as_os_str() != "-") else {
        let stdout = Writer::new(io::stdout(), format).map_err(|error| Failure::writing(&error))?;
        let (_, complaint) = Bench::new(args, &targets, &sources, stdout).run(targets, &sources)?;
        return complaint.map_or(Ok(()), Err);
    };
    // Whether the file can be written is better known before the work.
    drop(Draft::new(output)?);
    // In memory until all is there: nothing lies about if it is interrupted.
    let writer = Writer::new(Vec::new(), format).map_err(|error| Failure::writing(&error))?;
    let (text, complaint) = Bench::new(args, &targets, &sources, writer).run(targets, &sources)?;
    deliver(output, &text)?;
    complaint.map_or(Ok(()), Err)
}

fn deliver(output: &Path, text: &[u8]) -> Result<()> {
    let mut draft = Draft::new(output)?;
    draft.writer().write_all(text).map_err(|error| Failure::writing(&error))?;
    draft.keep()
}

/// The batches to measure with.
fn sources(args: &BenchArgs) -> Result<Vec<Source>> {
    if let Some(path) = &args.input {
        return Ok(vec![Source::file(path, &args.dtype)?]);
    }
    let asked: Vec<Dtype> = args.dtype.iter().copied().map(Dtype::from).collect();
    let dtypes = if asked.is_empty() { Dtype::ALL.to_vec() } else { asked };
    let mut sources = Vec::new();
    for &vocab in &args.vocab {
        for &rows in &args.rows {
            let source = |&dtype| Source::synthetic(args.data, dtype, rows as usize, vocab as usize);
            sources.extend(dtypes.iter().map(source));
        }
    }
    Ok(sources)
}

/// What to measure on: an adapter, or the CPU engine.
type Target = Option<Candidate>;

fn targets(args: &BenchArgs) -> Result<Vec<Target>> {
    match args.device.as_str() {
        "cpu" => Ok(vec![None]),
        "auto" => {
            // The hardware comes first.
            let fits = |candidate: &Candidate| {
                candidate.unfit.is_none() && (args.allow_software || !candidate.is_software())
            };
            let best = candidates(false).into_iter().find(fits);
            match &best {
                Some(best) if best.is_software() => {
                    note!("note: no hardware GPU found; {}, a software adapter, is measured", best.id);
                }
                None => {
                    note!("note: no hardware GPU found; the CPU engine is measured");
                }
                _ => {}
            }
            Ok(vec![best])
        }
        "all" => {
            let fits = |candidate: &Candidate| {
                let why = match &candidate.unfit {
                    Some(reason) => reason,
                    None if candidate.is_software() && !args.allow_software => {
                        "it is a software adapter, see --allow-software"
                    }
                    None => return true,
                };
                note!("note: {} is left out: {why}", candidate.id);
                false
            };
            Ok(candidates(false).into_iter().filter(fits).map(Some).chain([None]).collect())
        }
        name => {
            let candidate = engine::candidate(name)?;
            if candidate.is_software() && !args.allow_software {
                return Err(Failure::Usage(format!(
                    "{} is a software adapter, whose times say nothing about a GPU's: --device cpu measures the CPU \
                     engine, --allow-software measures the adapter all the same",
                    candidate.id
                )));
            }
            Ok(vec![Some(candidate)])
        }
    }
}

/// A run of measurements, and what came of it so far.
struct Bench<W: Write> {
    asked: Vec<Asked>,
    threads: Vec<u32>,
    is_portable: bool,
    temperature: f32,
    budget: Budget,
    writer: Writer<W>,
    bar: ProgressBar,
    /// Of the whole run.
    date: String,
    commit: Option<String>,
    /// Cells and devices.
    unmeasured: usize,
    /// Why the first of them.
    error: Option<String>,
}

impl<W: Write> Bench<W> {
    fn new(args: &BenchArgs, targets: &[Target], sources: &[Source], writer: Writer<W>) -> Self {
        let asked = Asked::all(args);
        let threads =
            if args.threads.is_empty() { vec![cpu::default_threads()] } else { args.threads.clone() };
        let per_target = |target: &Target| if target.is_some() { 2 } else { threads.len() };
        let cells = targets.iter().map(per_target).sum::<usize>() * sources.len() * asked.len();
        Self {
            bar: progress_bar(cells),
            asked,
            threads,
            is_portable: args.portable,
            temperature: args.temperature,
            budget: Budget { repeat: args.repeat, seconds: args.seconds },
            writer,
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: commit(),
            unmeasured: 0,
            error: None,
        }
    }

    /// Measures everything. Returns what was written, and the failure to end with if a cell could not be measured.
    fn run(mut self, targets: Vec<Target>, sources: &[Source]) -> Result<(W, Option<Failure>)> {
        let is_one = targets.len() == 1;
        for target in targets {
            match target {
                None => self.on_cpu(sources)?,
                Some(candidate) => self.on_gpu(candidate, sources, is_one)?,
            }
        }
        self.bar.finish_and_clear();
        let Self { writer, unmeasured, error, .. } = self;
        let complaint =
            error.map(|error| Failure::Failed(format!("{unmeasured} not measured; the first: {error}")));
        Ok((writer.finish().map_err(|error| Failure::writing(&error))?, complaint))
    }

    fn on_gpu(&mut self, candidate: Candidate, sources: &[Source], is_one: bool) -> Result<()> {
        let id = candidate.id.clone();
        self.bar.set_message(id.clone());
        let device = match Device::open(candidate, self.is_portable, self.budget) {
            Ok(device) => device,
            // One broken driver among several must not hide what the others do.
            Err(failure) if !is_one && !matches!(failure, Failure::Mismatch(_)) => {
                note!("error: {id}: {failure}");
                self.unmeasured += 1;
                self.error.get_or_insert(format!("{id}: {failure}"));
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        for source in sources {
            let loaded = device.load(source);
            for asked in self.asked.clone() {
                self.bar.set_message(format!("{id} {}", describe(asked, source)));
                let measured = match &loaded {
                    Ok(loaded) => loaded.measure(asked),
                    Err(failure) => Err(Failure::Failed(failure.to_string())),
                };
                let unmeasured = || device.cell(asked, source);
                self.emit(measured.map(Vec::from), unmeasured)?;
                self.bar.inc(2);
            }
        }
        Ok(())
    }

    fn on_cpu(&mut self, sources: &[Source]) -> Result<()> {
        for source in sources {
            let truths = Truths::new(source, self.temperature);
            let bytes = source.read(0..source.rows);
            for threads in self.threads.clone() {
                let host = match (&truths, &bytes) {
                    (Ok(truths), Ok(bytes)) => Host::new(source, truths, bytes, threads, self.budget),
                    (Err(failure), _) | (_, Err(failure)) => Err(Failure::Failed(failure.to_string())),
                };
                for asked in self.asked.clone() {
                    self.bar.set_message(format!("cpu {}", describe(asked, source)));
                    let measured = match &host {
                        Ok(host) => host.measure(asked),
                        Err(failure) => Err(Failure::Failed(failure.to_string())),
                    };
                    self.emit(measured.map(|cell| vec![cell]), || cpu::cell(asked, source, threads))?;
                    self.bar.inc(1);
                }
            }
        }
        Ok(())
    }

    /// Writes cells, or one that says why there are none. A mismatch ends everything.
    fn emit(&mut self, measured: Result<Vec<Cell>>, unmeasured: impl FnOnce() -> Cell) -> Result<()> {
        let cells = match measured {
            Ok(cells) => cells,
            Err(Failure::Mismatch(message)) => return Err(Failure::Mismatch(message)),
            Err(failure) => {
                let error = failure.to_string();
                self.unmeasured += 1;
                self.error.get_or_insert(error.clone());
                vec![Cell { error: Some(error), ..unmeasured() }]
            }
        };
        for cell in cells {
            let cell = Cell {
                commit: self.commit.clone(),
                date: Some(self.date.clone()),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                ..cell
            };
            let writer = &mut self.writer;
            self.bar.suspend(|| writer.write(&cell)).map_err(|error| Failure::writing(&error))?;
        }
        Ok(())
    }
}

fn describe(asked: Asked, source: &Source) -> String {
    format!("{} [{}][{}] {}", asked.op.name(), source.rows, source.vocab, source.dtype)
}

/// Of cells, on a terminal.
fn progress_bar(cells: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} cells, {eta} left");
    let bar = ProgressBar::new(cells as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What the one who runs or who built the program calls the commit. A repository that happens to lie around may be another's.
fn commit() -> Option<String> {
    let now = std::env::var("SORTILEGE_COMMIT").ok();
    now.or_else(|| option_env!("SORTILEGE_COMMIT").map(str::to_owned)).filter(|commit| !commit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::options::DataArg;
    use super::*;

    #[test]
    fn logits_that_cannot_be_had_do_not_end_the_run() {
        let args = BenchArgs::of(&["--op", "log", "--repeat", "1", "--threads", "1"]);
        let source = |vocab| Source::synthetic(DataArg::Normal, Dtype::F32, 1, vocab);
        // A row over the largest allocation, and one that fits.
        let sources = [source(1 << 61), source(5)];
        let writer = Writer::new(Vec::new(), options::BenchFormat::Json).expect("memory");
        let (text, complaint) =
            Bench::new(&args, &[None], &sources, writer).run(vec![None], &sources).expect("it ends");
        let cells: Vec<Cell> = serde_json::from_slice(&text).expect("cells");
        let errors: Vec<bool> = cells.iter().map(|cell| cell.error.is_some()).collect();
        assert_eq!(errors, [true, false]);
        assert!(complaint.expect("one is missing").to_string().starts_with("1 not measured; the first: "));
    }
}
