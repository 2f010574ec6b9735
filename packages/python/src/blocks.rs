//! Long work in parts, between which signals such as Ctrl-C are heard: blocks of rows, of which progress is told, and records.

use std::ops::Range;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sortilege::Logits;

use crate::device::Device;
use crate::errors::raised;
use crate::threads::on_threads;

/// Bytes of the logits of a block: some 10 ms of the CPU engine's work.
const BLOCK_BYTES: usize = 64 << 20;

/// Rows of a block of logits.
pub(crate) fn block_rows(logits: &Logits<'_>) -> usize {
    (BLOCK_BYTES / (logits.vocab() * logits.dtype().bytes())).max(1)
}

/// A call of a device about logits.
pub(crate) struct Call<'a> {
    pub(crate) device: Device,
    pub(crate) logits: Logits<'a>,
    /// Whether tqdm shows a bar.
    pub(crate) progress: bool,
}

impl Call<'_> {
    /// What `compute` makes of each block of rows, one after the other. It runs without the interpreter.
    pub(crate) fn run<R: Send>(
        &self,
        py: Python<'_>,
        compute: impl Fn(&Device, Range<usize>, &Logits<'_>) -> sortilege::Result<Vec<R>> + Sync,
    ) -> PyResult<Vec<R>> {
        let Self { device, logits, progress } = self;
        let rows = logits.rows();
        let bar = progress.then(|| bar(py, rows)).transpose()?;
        let block_rows = block_rows(logits);
        let mut results = Vec::new();
        for first in (0..rows).step_by(block_rows) {
            if first > 0 {
                py.check_signals()?;
            }
            let range = first..rows.min(first + block_rows);
            let block = logits.slice_rows(first, range.len());
            let count = range.len();
            let found = py
                .detach(|| {
                    let work = || compute(device, range, &block);
                    // One row needs none.
                    let found = if count > 1 { on_threads(work).flatten() } else { work() };
                    found.inspect_err(|error| device.forget_if_lost(error))
                })
                .map_err(|error| raised(counted_from(first, error)))?;
            // Most work is of one block, whose results are not copied.
            if results.is_empty() {
                results = found
            } else {
                results.extend(found)
            }
            if let Some(bar) = &bar {
                bar.call_method1("update", (count,))?;
            }
        }
        if let Some(bar) = bar {
            bar.call_method0("close")?;
        }
        Ok(results)
    }
}

/// An error of a block of rows, whose numbers begin anew in each.
fn counted_from(first: usize, error: sortilege::Error) -> sortilege::Error {
    match error.kind() {
        sortilege::Error::Params(message) if first > 0 && error.row().is_some() => {
            sortilege::Error::Params(format!("{message} (rows are counted from row {first})"))
        }
        _ => error,
    }
}

/// Hears signals now and then, in work that runs without the interpreter.
pub(crate) struct Signals {
    heard: Instant,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self { heard: Instant::now() }
    }

    /// The exception of a signal that came meanwhile, such as KeyboardInterrupt. Mostly it looks at the clock alone.
    pub(crate) fn hear(&mut self) -> PyResult<()> {
        if self.heard.elapsed() < Duration::from_millis(20) {
            return Ok(());
        }
        Python::attach(|py| py.check_signals())?;
        self.heard = Instant::now();
        Ok(())
    }
}

/// tqdm's bar of so many rows.
fn bar(py: Python<'_>, rows: usize) -> PyResult<Bound<'_, PyAny>> {
    let words = PyDict::new(py);
    words.set_item("total", rows)?;
    words.set_item("unit", "row")?;
    py.import("tqdm.auto")?.getattr("tqdm")?.call((), Some(&words))
}
