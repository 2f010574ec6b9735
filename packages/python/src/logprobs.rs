//! `logprobs`: what rows say of their tokens, and its result.

use pyo3::prelude::*;
use sortilege::shard::ShardStats;
use sortilege::{Kernels, Logprobs as Row, LogprobsParams, TargetLogprob};

use crate::blocks::Call;
use crate::columns::{Columns, id, of_no_token, rank, status_code};
use crate::device::Device;
use crate::errors::raised;
use crate::input::LogitsInput;
use crate::params::count;
use crate::table::{Table, is_table};
use crate::tokens::AskedTokens;

/// What each row of logits says: its distribution, and the token that was asked about.
///
/// Every array begins with the dimensions that the logits have before their vocabulary, `(...)`. Logprobs, entropies and
/// log-sum-exps are float64, in nats; tokens are int32, -1 for none.
///
/// It is a table of a row each, too: `to_arrow()`, `to_pandas()`, `to_polars()`, or anything that takes
/// `__arrow_c_stream__`; and `sortilege.write_log(path, result)` makes a log of it.
#[pyclass(frozen, extends = Table, module = "sortilege")]
pub(crate) struct Logprobs {
    pub(crate) columns: Columns<Row>,
    pub(crate) targets: Vec<Option<u32>>,
    top: usize,
    token_ids: usize,
    /// What computed it: `cpu`, or an adapter's name.
    #[pyo3(get)]
    device: String,
    /// The temperature of the distributions.
    #[pyo3(get)]
    temperature: f32,
    /// Tokens of a row.
    #[pyo3(get)]
    vocab: usize,
}

/// Log-probabilities of the most probable tokens of each row, and of targets, with their ranks.
///
/// Parameters
/// ----------
/// logits : array of shape (..., vocab)
///     Float32, float16 or bfloat16, read where they lie: a NumPy array (bfloat16 by ml_dtypes), or a tensor on the CPU that
///     speaks DLPack (torch, JAX). Rows may be any distance apart. float64 is rounded to float32, in a copy.
/// targets : array of shape (...), optional
///     A token for each row, of which logprob and rank are told; -1 or -100 is none.
/// top : int
///     So many of the most probable tokens, at most 2**20: logit descending, then token ascending.
/// token_ids : array of shape (n,) or (..., n), optional
///     At most 1024 tokens of which logprob and rank are told too.
/// temperature : float
///     Divides the logits, 0.001 to 1000.
/// device : str
///     "auto" (a hardware GPU if there is one, otherwise the CPU), "cpu", "gpu", the number of an adapter, or a part of its
///     name, driver or backend (`sortilege.devices()`). Every one gives the same bits.
/// entropy : bool
///     Whether to sum up the entropies, which takes a quarter to two fifths more work.
/// progress : bool
///     Whether tqdm shows a bar.
///
/// Returns
/// -------
/// Logprobs
///     Logprobs in nats, within 1e-6 where the probability is above 1e-9. A row with a NaN, with +infinity or without a
///     finite logit is no distribution: its `status` says so, and its numbers are NaN.
///
/// Raises
/// ------
/// sortilege.LogitsError
///     The logits are on a device, or no rows of adjacent tokens.
/// sortilege.ParamsError
///     A parameter is out of its range, or a token outside the vocabulary.
///
/// Examples
/// --------
/// >>> import numpy as np, sortilege
/// >>> logits = np.array([[8.0, 6.0, 5.0, -1.0], [0.0, 2.0, 2.0, -np.inf]], np.float32)
/// >>> found = sortilege.logprobs(logits, targets=[1, 2], top=2)
/// >>> found.target_logprobs.round(4).tolist()
/// [-2.17, -0.7586]
/// >>> found.target_ranks.tolist()
/// [2, 1]
/// >>> found.top_tokens.tolist()
/// [[0, 1], [1, 2]]
#[pyfunction]
#[pyo3(signature = (logits, targets = None, top = 20, token_ids = None, temperature = 1.0, device = "auto", *, entropy = false, progress = false))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn logprobs(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    targets: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = count)] top: u32,
    token_ids: Option<&Bound<'_, PyAny>>,
    temperature: f32,
    device: &str,
    entropy: bool,
    progress: bool,
) -> PyResult<Logprobs> {
    let input = LogitsInput::new(logits)?;
    let asked = AskedTokens::new(targets, token_ids, &input.shape)?;
    let call = Call { device: Device::named(py, device)?, logits: input.logits()?, progress };
    let vocab = call.logits.vocab();
    asked.check(vocab)?;
    let params = LogprobsParams { top_logprobs: top, temperature, entropy };
    // No rows make no call that would check it.
    params.validate().map_err(raised)?;
    let rows = call.run(py, |device, range, block| {
        let dtype = block.dtype();
        device.check(Kernels::Logprobs, dtype)?;
        if top > LogprobsParams::MAX_SHORT_LIST {
            device.check(Kernels::LongLists, dtype)?;
        }
        if asked.width > 0 {
            device.check(Kernels::TokenRanks, dtype)?;
        }
        let lists = asked.lists_of(range.clone());
        device.engine().logprobs_of(block, &params, asked.targets_of(range), &lists)
    })?;
    let top = vocab.min(top as usize);
    let (device, shape) = (call.device.name(), input.shape.clone());
    Ok(Logprobs {
        columns: Columns::new(rows, shape),
        targets: asked.targets,
        top,
        token_ids: asked.width,
        device,
        temperature,
        vocab,
    })
}

is_table!(Logprobs);

/// Arrays: each is made when it is first asked for.
#[pymethods]
impl Logprobs {
    /// `(...)` uint8: whether each row is a distribution, and if not why: a `sortilege.Status`.
    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "status", |row| status_code(row.distribution.status))
    }

    /// `(...)` float32: the largest logit.
    #[getter]
    fn max(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "max", |row| row.distribution.max)
    }

    /// `(...)` float64: log-sum-exp of the logits, divided by the temperature.
    #[getter]
    fn logsumexp(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "logsumexp", |row| row.distribution.logsumexp)
    }

    /// `(...)` float64: entropy; NaN unless it was asked for.
    #[getter]
    fn entropy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "entropy", |row| row.distribution.entropy)
    }

    /// `(...)` int32: the targets, -1 for none.
    #[getter]
    fn target_tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut targets = self.targets.iter();
        let next = std::cell::RefCell::new(|| targets.next().copied().flatten().map_or(-1, id));
        self.columns.each(py, "target_tokens", |_| (next.borrow_mut())())
    }

    /// `(...)` float64: logprobs of the targets, -infinity where one is impossible; NaN for none.
    #[getter]
    fn target_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "target_logprobs", |row| row.target.map_or(f64::NAN, |target| target.logprob))
    }

    /// `(...)` int32: ranks of the targets, 1 plus the tokens with a larger logit; 0 for none.
    #[getter]
    fn target_ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "target_ranks", |row| row.target.as_ref().map_or(0, rank))
    }

    /// `(..., top)` int32: the most probable tokens; -1 where no further one is possible.
    #[getter]
    fn top_tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "top_tokens",
            self.top,
            |_| -1,
            |row, out| {
                out.extend(row.distribution.top_logprobs.iter().map(|entry| id(entry.token)));
            },
        )
    }

    /// `(..., top)` float32: their logits, -infinity where no further token is possible; NaN in a row that is no distribution.
    #[getter]
    fn top_logits(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "top_logits",
            self.top,
            |row| of_no_token(Some(row.distribution.status)),
            |row, out| {
                out.extend(row.distribution.top_logprobs.iter().map(|entry| entry.logit));
            },
        )
    }

    /// `(..., top)` float64: their logprobs, -infinity where no further token is possible; NaN in a row that is no distribution.
    #[getter]
    fn top_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "top_logprobs",
            self.top,
            |row| of_no_token(Some(row.distribution.status)).into(),
            |row, out| {
                out.extend(row.distribution.top_logprobs.iter().map(|entry| entry.logprob));
            },
        )
    }

    /// `(..., n)` float64: logprobs of `token_ids`, -infinity where one is impossible.
    #[getter]
    fn token_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "token_logprobs", f64::NAN, |token| token.logprob)
    }

    /// `(..., n)` int32: ranks of `token_ids`.
    #[getter]
    fn token_ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "token_ranks", 0, rank)
    }

    /// `(..., n)` float64: logprobs of `token_ids` among themselves, for a set of labels.
    #[getter]
    fn token_set_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "token_set_logprobs",
            self.token_ids,
            |_| f64::NAN,
            |row, out| {
                out.extend(row.distribution.token_set_logprobs());
            },
        )
    }

    fn __len__(&self) -> usize {
        self.columns.rows.len()
    }

    fn __repr__(&self) -> String {
        let Self { columns, vocab, top, device, .. } = self;
        format!("<sortilege.Logprobs of shape {:?}, vocab {vocab}, top {top}, by {device}>", columns.shape)
    }

    /// The rows as a stream of Arrow's C interface.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema; // the interface lets a producer have its own
        crate::arrow::stream(py, crate::arrow::logprobs(&self.columns, &self.targets)?)
    }
}

impl Logprobs {
    /// The rows that shards have merged to.
    pub(crate) fn of_shards(stats: &ShardStats) -> sortilege::Result<Self> {
        let (rows, params, vocab) = (stats.logprobs()?, stats.params(), stats.vocab());
        let shape = vec![rows.len()];
        Ok(Self {
            token_ids: stats.token_ids().map(|tokens| tokens.len()).max().unwrap_or(0),
            columns: Columns::new(rows, shape),
            targets: stats.targets().collect(),
            top: vocab.min(params.top_logprobs as usize),
            device: Device::Cpu.name(),
            temperature: params.temperature,
            vocab,
        })
    }

    fn given<T: numpy::Element + Clone>(
        &self,
        py: Python<'_>,
        name: &'static str,
        filling: T,
        number: impl Fn(&TargetLogprob) -> T + Copy,
    ) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            name,
            self.token_ids,
            |_| filling.clone(),
            |row, out| {
                out.extend(row.distribution.token_logprobs.iter().map(number));
            },
        )
    }
}
