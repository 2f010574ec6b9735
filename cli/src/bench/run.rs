//! A run of measurements: every workload on every batch on every target, written as they come. A mismatch ends it;
//! whatever else cannot be measured does not.

use std::io::Write;
use std::time::SystemTime;

use indicatif::ProgressBar;
use sortilege::device::Adapter;

use super::args::BenchArgs;
use super::cell::Cell;
use super::check::KnownRows;
use super::cpu::{self, Host};
use super::data::Source;
use super::gpu::{Device, measure};
use super::output::Writer;
use super::targets::Target;
use super::task::Workload;
use super::times::Budget;
use crate::failure::{Failure, Result, note};
use crate::progress;

/// A run of measurements, and what came of it so far.
pub(super) struct Run<W: Write> {
    workloads: Vec<Workload>,
    threads: Vec<u32>,
    integers: bool,
    budget: Budget,
    writer: Writer<W>,
    bar: ProgressBar,
    /// When the whole run started.
    date: String,
    commit: Option<String>,
    /// How many cells and devices could not be measured.
    unmeasured: usize,
    /// Why the first of them could not.
    error: Option<String>,
}

impl<W: Write> Run<W> {
    /// A run of all that the options ask, before its first measurement.
    pub(super) fn new(args: &BenchArgs, targets: &[Target], sources: &[Source], writer: Writer<W>) -> Self {
        let workloads = Workload::all(args);
        let threads =
            if args.threads.is_empty() { vec![cpu::default_threads()] } else { args.threads.clone() };
        let per_target = |target: &Target| if target.is_some() { 2 } else { threads.len() };
        let cells = targets.iter().map(per_target).sum::<usize>() * sources.len() * workloads.len();
        Self {
            bar: progress::bar(cells, "{msg} {wide_bar} {pos}/{len} cells, {eta} left"),
            workloads,
            threads,
            integers: args.integers,
            budget: Budget { repeat: args.repeat, seconds: args.seconds },
            writer,
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: commit(),
            unmeasured: 0,
            error: None,
        }
    }

    /// Measures everything. Returns what was written, and the failure to end with if a cell could not be measured.
    pub(super) fn measure_all(
        mut self,
        targets: Vec<Target>,
        sources: &[Source],
    ) -> Result<(W, Option<Failure>)> {
        let is_one = targets.len() == 1;
        for target in targets {
            match target {
                None => self.measure_cpu(sources)?,
                Some(adapter) => self.measure_gpu(adapter, sources, is_one)?,
            }
        }
        self.bar.finish_and_clear();
        let Self { writer, unmeasured, error, .. } = self;
        let complaint =
            error.map(|error| Failure::Failed(format!("{unmeasured} not measured; the first: {error}")));
        Ok((writer.finish().map_err(|error| Failure::writing(&error))?, complaint))
    }

    fn measure_gpu(&mut self, adapter: Adapter, sources: &[Source], is_one: bool) -> Result<()> {
        let id = adapter.id.clone();
        self.bar.set_message(id.clone());
        let device = match Device::open(adapter, self.integers, self.budget) {
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
            for workload in self.workloads.clone() {
                self.bar.set_message(format!("{id} {}", describe(workload, source)));
                let measured = match &loaded {
                    Ok(loaded) => measure(loaded, workload),
                    Err(failure) => Err(Failure::Failed(failure.to_string())),
                };
                let unmeasured = || device.cell(workload, source);
                self.write(measured.map(Vec::from), unmeasured)?;
                self.bar.inc(2);
            }
        }
        Ok(())
    }

    fn measure_cpu(&mut self, sources: &[Source]) -> Result<()> {
        for source in sources {
            let known_rows = KnownRows::new(source);
            let bytes = source.read(0..source.rows);
            for threads in self.threads.clone() {
                let host = match (&known_rows, &bytes) {
                    (Ok(known_rows), Ok(bytes)) => Host::new(source, known_rows, bytes, threads, self.budget),
                    (Err(failure), _) | (_, Err(failure)) => Err(Failure::Failed(failure.to_string())),
                };
                for workload in self.workloads.clone() {
                    self.bar.set_message(format!("cpu {}", describe(workload, source)));
                    let measured = match &host {
                        Ok(host) => host.measure(workload),
                        Err(failure) => Err(Failure::Failed(failure.to_string())),
                    };
                    self.write(measured.map(|cell| vec![cell]), || cpu::cell(workload, source, threads))?;
                    self.bar.inc(1);
                }
            }
        }
        Ok(())
    }

    /// Writes cells, or one that says why there are none. A mismatch ends everything.
    fn write(&mut self, measured: Result<Vec<Cell>>, unmeasured: impl FnOnce() -> Cell) -> Result<()> {
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

fn describe(workload: Workload, source: &Source) -> String {
    format!("{} [{}][{}] {}", workload.op.name(), source.rows, source.vocab, source.dtype)
}

/// What the one who runs or who built the program calls the commit. A repository that happens to lie around may be
/// another's.
fn commit() -> Option<String> {
    let now = std::env::var("SORTILEGE_COMMIT").ok();
    now.or_else(|| option_env!("SORTILEGE_COMMIT").map(str::to_owned)).filter(|commit| !commit.is_empty())
}

#[cfg(test)]
mod tests {
    use sortilege::Dtype;

    use super::super::args::{BenchFormat, DataArg};
    use super::*;

    #[test]
    fn logits_that_cannot_be_had_do_not_end_the_run() {
        let args = BenchArgs::of(&["--op", "log", "--repeat", "1", "--threads", "1"]);
        let source = |vocab| Source::synthetic(DataArg::Normal, Dtype::F32, 1, vocab);
        // A row over the largest allocation, and one that fits.
        let sources = [source(1 << 61), source(5)];
        let writer = Writer::new(Vec::new(), BenchFormat::Json).expect("memory");
        let (text, complaint) =
            Run::new(&args, &[None], &sources, writer).measure_all(vec![None], &sources).expect("it ends");
        let cells: Vec<Cell> = serde_json::from_slice(&text).expect("cells");
        let errors: Vec<bool> = cells.iter().map(|cell| cell.error.is_some()).collect();
        assert_eq!(errors, [true, false]);
        assert!(complaint.expect("one is missing").to_string().starts_with("1 not measured; the first: "));
    }
}
