//! `compare` and `compare_logs`: two models beside each other, by their logits or by their logs.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sortilege::compare::{
    Comparison as Statistics, Divergences, RowComparison, records as compared_records, rows as compared_rows,
};
use sortilege::log::LogReader;
use sortilege::{Kernels, LogprobsParams};

use crate::blocks::{Call, Signals};
use crate::columns::{Columns, id};
use crate::device::Device;
use crate::errors::{ParamsError, raised, raised_of_log};
use crate::input::LogitsInput;
use crate::operations::check_same_shape;
use crate::params::count;
use crate::tokens;

/// Two models beside each other: what each row of both says, and the statistics of all rows.
///
/// Arrays begin with the dimensions that the logits have before their vocabulary, `(...)`, of logs with the number of records;
/// those of both end with 2: the first model's, the second's. A row of which one is no distribution is NaN.
#[pyclass(frozen, module = "sortilege")]
pub(crate) struct Comparison {
    columns: Columns<RowComparison>,
    statistics: Statistics,
    /// What computed it: `cpu`, or an adapter's name.
    #[pyo3(get)]
    device: String,
}

/// Compares two models' logits of the same rows at temperature 1: the first is the reference (llama.cpp's base), the second
/// what is held against it.
///
/// Parameters
/// ----------
/// first, second : array of shape (..., vocab)
///     As of `logprobs`; their types may differ.
/// targets : array of shape (...), optional
///     The tokens that perplexity and the change of probability are of.
/// top : int
///     How many of the most probable tokens `overlap` is of.
///
/// >>> import numpy as np, sortilege
/// >>> found = sortilege.compare(np.float32([[8, 6, 5, -1]]), np.float32([[8, 6.5, 5, -1]]), targets=[1], top=2)
/// >>> found.kld.round(6).tolist(), found["same_top"]
/// ([0.014366], 1.0)
#[pyfunction]
#[pyo3(signature = (first, second, targets = None, top = 10, device = "auto", *, progress = false))]
pub(crate) fn compare(
    py: Python<'_>,
    first: &Bound<'_, PyAny>,
    second: &Bound<'_, PyAny>,
    targets: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = count)] top: u32,
    device: &str,
    progress: bool,
) -> PyResult<Comparison> {
    let inputs = [LogitsInput::new(first)?, LogitsInput::new(second)?];
    check_same_shape(&inputs)?;
    let shape = inputs[0].shape.clone();
    let targets = tokens::per_row("targets", targets, &shape)?;
    let other = inputs[1].logits()?;
    let call = Call { device: Device::named(py, device)?, logits: inputs[0].logits()?, progress };
    tokens::check_targets(&targets, call.logits.vocab())?;
    let rows = call.run(py, |device, range, block| {
        for dtype in [block.dtype(), other.dtype()] {
            device.check(Kernels::Logprobs, dtype)?;
            device.check(Kernels::Divergence, dtype)?;
            if top > LogprobsParams::MAX_SHORT_LIST {
                device.check(Kernels::LongLists, dtype)?;
            }
        }
        let second = other.slice_rows(range.start, range.len());
        compared_rows(device.engine(), block, &second, targets.get(range).unwrap_or(&[]), top)
    })?;
    let mut statistics = Statistics::new(!targets.is_empty(), Divergences::Exact);
    rows.iter().for_each(|row| statistics.add(row));
    Ok(Comparison { columns: Columns::new(rows, shape), statistics, device: call.device.name() })
}

/// Compares two logs of given tokens, record by record: what both hold of the same rows, without the logits.
///
/// Divergences are those of the tokens that both logs list, all others taken as one: at most those of `compare`. The overlap
/// is of lists as long as the shorter one.
///
/// Parameters
/// ----------
/// first, second : path
///     Logs of the same rows in the same order, in any format of `write_log` that tells the ids of tokens.
/// top : int
///     How many of the most probable tokens `overlap` is of.
///
/// Raises
/// ------
/// sortilege.ParamsError
///     The logs are of different rows or tokens, or of drawn tokens, which differ by the draws.
///
/// >>> import tempfile, pathlib, numpy as np, sortilege
/// >>> folder = pathlib.Path(tempfile.mkdtemp())
/// >>> sortilege.write_log(folder / "a.jsonl", sortilege.logprobs(np.float32([[8, 6, 5, -1]]), targets=[1]))
/// >>> sortilege.write_log(folder / "b.jsonl", sortilege.logprobs(np.float32([[8, 6.5, 5, -1]]), targets=[1]))
/// >>> found = sortilege.compare_logs(folder / "a.jsonl", folder / "b.jsonl", top=2)
/// >>> found.kld.round(6).tolist(), found["same_top"]
/// ([0.014366], 1.0)
#[pyfunction]
#[pyo3(signature = (first, second, top = 10))]
pub(crate) fn compare_logs(
    py: Python<'_>,
    first: PathBuf,
    second: PathBuf,
    #[pyo3(from_py_with = count)] top: u32,
) -> PyResult<Comparison> {
    if top == 0 {
        return Err(ParamsError::new_err("top 0 leaves no token to compare: take at least 1"));
    }
    let rows = py.detach(|| rows_of_logs([&first, &second], top as usize))?;
    let mut statistics = Statistics::new(true, Divergences::Coarse);
    rows.iter().for_each(|row| statistics.add(row));
    let shape = vec![rows.len()];
    Ok(Comparison { columns: Columns::new(rows, shape), statistics, device: Device::Cpu.name() })
}

fn rows_of_logs(paths: [&Path; 2], top: usize) -> PyResult<Vec<RowComparison>> {
    let open = |path: &Path| LogReader::open(path).map_err(|error| raised_of_log(path, error));
    let [mut first, mut second] = [open(paths[0])?, open(paths[1])?];
    let (mut rows, mut signals) = (Vec::new(), Signals::new());
    loop {
        signals.hear()?;
        let next =
            |log: &mut LogReader<_>, path| log.next().transpose().map_err(|error| raised_of_log(path, error));
        match (next(&mut first, paths[0])?, next(&mut second, paths[1])?) {
            (Some(a), Some(b)) => rows.push(compared_records(&a, &b, top).map_err(raised)?),
            (None, None) => return Ok(rows),
            (a, _) => {
                return Err(ParamsError::new_err(format!(
                    "{} has more records than the other log, which has {}: compare logs of the same rows",
                    paths[usize::from(a.is_none())].display(),
                    rows.len()
                )));
            }
        }
    }
}

#[pymethods]
impl Comparison {
    /// `(...)` float64: KL(P‖Q) in nats, llama.cpp's KLD; of logs a lower bound.
    #[getter]
    fn kld(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "kld", |row| row.divergence.kld)
    }

    /// `(...)` float64: KL(Q‖P) in nats.
    #[getter]
    fn reverse_kld(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "reverse_kld", |row| row.divergence.reverse_kld)
    }

    /// `(...)` float64: Jensen-Shannon divergence in nats, at most ln 2.
    #[getter]
    fn jsd(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "jsd", |row| row.divergence.jsd)
    }

    /// `(...)` float64: share of the first `top` tokens of each that are among those of the other.
    #[getter]
    fn overlap(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "overlap", |row| row.overlap)
    }

    /// `(..., 2)` float64: entropies in nats.
    #[getter]
    fn entropy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(py, "entropy", 2, |_| f64::NAN, |row, out| out.extend(row.entropy))
    }

    /// `(..., 2)` int32: the most probable tokens, -1 where one is no distribution.
    #[getter]
    fn choices(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "choices",
            2,
            |_| -1,
            |row, out| out.extend(row.choices().into_iter().flatten().map(id)),
        )
    }

    /// `(..., 2)` float64: logprobs of the targets; NaN for none.
    #[getter]
    fn target_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "target_logprobs",
            2,
            |_| f64::NAN,
            |row, out| {
                out.extend(row.target.iter().flat_map(|target| target.logprob));
            },
        )
    }

    /// The statistics of all rows by name, in order: `kld_mean`, `kld_p99`, `ppl_ratio`, `same_top` ...; a name with `_se` is
    /// a standard error. docs/compare.md has the formula of each.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        for (name, number) in self.statistics.report().named() {
            report.set_item(name, number)?;
        }
        Ok(report)
    }

    /// The statistic of this name.
    fn __getitem__(&self, name: &str) -> PyResult<f64> {
        let unknown = || pyo3::exceptions::PyKeyError::new_err(name.to_owned());
        self.statistics.report().get(name).ok_or_else(unknown)
    }

    fn __repr__(&self) -> String {
        let report = self.statistics.report();
        let number = |name| report.get(name).unwrap_or(f64::NAN);
        format!(
            "<sortilege.Comparison of shape {:?}: mean KL {:.3e}, same top {:.4}>",
            self.columns.shape,
            number("kld_mean"),
            number("same_top")
        )
    }
}
