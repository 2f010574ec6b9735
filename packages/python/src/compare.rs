//! `compare` and `score`: two models' logits of the same rows; log-probabilities of sequences.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sortilege::compare::{Comparison as Statistics, Divergences, RowComparison, rows as compared_rows};
use sortilege::{Kernels, LogprobsParams, SequenceScore};

use crate::blocks::Call;
use crate::columns::{Columns, id};
use crate::device::Device;
use crate::errors::{ParamsError, raised};
use crate::input::LogitsInput;
use crate::operations::check_same_shape;
use crate::params::count;
use crate::tokens;

/// Two models' logits of the same rows: what each row of both says, and the statistics of all rows.
///
/// Arrays begin with the dimensions that the logits have before their vocabulary, `(...)`; those of both end with 2: the first
/// model's, the second's. A row of which one is no distribution is NaN.
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
    let rows = call.run(py, |device, range, block| {
        for dtype in [block.dtype(), other.dtype()] {
            device.check(Kernels::Logprobs, dtype)?;
            device.check(Kernels::Divergence, dtype)?;
            if top > sortilege::SamplingParams::MAX_LOGPROBS {
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

#[pymethods]
impl Comparison {
    /// `(...)` float64: KL(P‖Q) in nats, llama.cpp's KLD.
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
        self.columns.lists(py, "entropy", 2, f64::NAN, |row, out| out.extend(row.entropy))
    }

    /// `(..., 2)` int32: the most probable tokens, -1 where one is no distribution.
    #[getter]
    fn choices(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns
            .lists(py, "choices", 2, -1, |row, out| out.extend(row.choices().into_iter().flatten().map(id)))
    }

    /// `(..., 2)` float64: logprobs of the targets; NaN for none.
    #[getter]
    fn target_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(py, "target_logprobs", 2, f64::NAN, |row, out| {
            out.extend(row.target.iter().flat_map(|target| target.logprob));
        })
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

/// What rows say of a sequence of tokens.
#[pyclass(frozen, module = "sortilege")]
pub(crate) struct Score {
    score: SequenceScore,
}

/// The log-probability of a sequence of tokens: row `i` of the logits predicts token `i`.
///
/// Parameters
/// ----------
/// logits : array of shape (positions, vocab)
///     As of `logprobs`, at least as many rows as tokens. Of a model's output for a context of C tokens and a continuation,
///     `logits[C - 1:]` are the rows that predict the continuation.
/// tokens : list of int
/// temperature : float
///     Divides the logits, 0.001 to 1000.
///
/// >>> import numpy as np, sortilege
/// >>> score = sortilege.score(np.float32([[1, 3, 0], [2, 2, -1]]), [1, 1])
/// >>> round(score.total, 4), score.is_greedy, score.ranks
/// (-0.8876, False, [1, 1])
#[pyfunction]
#[pyo3(signature = (logits, tokens, temperature = 1.0, device = "auto"))]
pub(crate) fn score(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    tokens: &Bound<'_, PyAny>,
    temperature: f32,
    device: &str,
) -> PyResult<Score> {
    let input = LogitsInput::new(logits)?;
    let tokens = tokens::list("tokens", tokens)?;
    if input.shape.len() != 1 || input.rows() < tokens.len() {
        return Err(ParamsError::new_err(format!(
            "{} tokens need as many rows of logits [positions][vocab], these have shape {:?}: score one sequence at a time",
            tokens.len(),
            input.full_shape()
        )));
    }
    let logits = input.logits()?.slice_rows(0, tokens.len());
    let targets: Vec<Option<u32>> = tokens.into_iter().map(Some).collect();
    // Of equal logits the first of the list is the greedy one.
    let params = LogprobsParams { top_logprobs: 1, temperature, entropy: false };
    params.validate().map_err(raised)?;
    let call = Call { device: Device::named(py, device)?, logits, progress: false };
    let rows = call.run(py, |device, range, block| {
        device.check(Kernels::Logprobs, block.dtype())?;
        device.engine().logprobs(block, &params, &targets[range])
    })?;
    let scored = rows.iter().enumerate().map(|(position, row)| match &row.target {
        Some(target) => Ok(row.distribution.scored(target)),
        None => Err(ParamsError::new_err(format!(
            "row {position} is no distribution ({}): nothing can be said of its token",
            row.distribution.status
        ))),
    });
    Ok(Score { score: SequenceScore::new(scored.collect::<PyResult<_>>()?) })
}

#[pymethods]
impl Score {
    /// The log-probability of the sequence, in nats: 0 for an empty one, -infinity where a token is impossible.
    #[getter]
    fn total(&self) -> f64 {
        self.score.total()
    }

    /// Nats per token; NaN for an empty sequence.
    #[getter]
    fn per_token(&self) -> f64 {
        self.score.per_token()
    }

    /// Nats per byte of a text of so many bytes.
    fn per_byte(&self, bytes: usize) -> f64 {
        self.score.per_byte(bytes)
    }

    /// exp(-per_token).
    #[getter]
    fn perplexity(&self) -> f64 {
        self.score.perplexity()
    }

    /// Whether greedy decoding takes every token: of equal logits only the smallest token is.
    #[getter]
    fn is_greedy(&self) -> Option<bool> {
        self.score.is_greedy()
    }

    /// The place of the token with the smallest logprob, the first of several.
    #[getter]
    fn least_likely(&self) -> Option<usize> {
        self.score.least_likely()
    }

    /// Natural logprobs of the tokens.
    #[getter]
    fn logprobs(&self) -> Vec<f64> {
        self.score.tokens().iter().map(|token| token.logprob).collect()
    }

    /// Their ranks: 1 plus the tokens with a larger logit.
    #[getter]
    fn ranks(&self) -> Vec<u32> {
        self.score.tokens().iter().map(|token| token.rank).collect()
    }

    fn __repr__(&self) -> String {
        let score = &self.score;
        format!("<sortilege.Score: {} nats of {} tokens>", score.total(), score.tokens().len())
    }
}
