//! `Samples`: the result of `sample`, row by row and as arrays.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyString};
use sortilege::{Distribution, Request, Sample, SamplingParams, TargetLogprob};

use crate::columns::{Columns, id, of_no_token, rank, status_code};
use crate::table::{Table, is_table};

/// What was drawn from each row of logits, and from which distribution.
///
/// Every array begins with the dimensions that the logits have before their vocabulary, `(...)`. Logprobs are float64, in
/// nats; tokens are int32, -1 for none. `samples[i]` is row i, of all rows one after the other, as samples of its own.
///
/// It is a table of a row each, too: `to_arrow()`, `to_pandas()`, `to_polars()`, or anything that takes
/// `__arrow_c_stream__`; and `sortilege.write_log(path, result)` makes a log of it.
#[pyclass(frozen, extends = Table, module = "sortilege", sequence)]
pub(crate) struct Samples {
    pub(crate) columns: Columns<Sample>,
    /// Request and position of each row.
    pub(crate) places: Vec<(u64, u64)>,
    pub(crate) widths: Widths,
    /// What computed it: `cpu`, or an adapter's name.
    #[pyo3(get)]
    pub(crate) device: String,
}

is_table!(Samples);

/// The last dimension of arrays of lists: the most that any request asked for, whatever the rows have.
#[derive(Clone, Copy)]
pub(crate) struct Widths {
    draws: usize,
    processed: usize,
    raw: usize,
    token_ids: usize,
}

impl Widths {
    /// Those of requests about rows of so many tokens.
    pub(crate) fn new(requests: &[&Request], vocab: usize) -> Self {
        let most = |asked: fn(&SamplingParams) -> usize| {
            requests.iter().map(|request| asked(request.params())).max().unwrap_or(0)
        };
        Self {
            draws: most(|params| params.n as usize),
            processed: vocab.min(most(|params| params.processed_logprobs.unwrap_or(0) as usize)),
            raw: vocab.min(most(|params| params.raw_logprobs.unwrap_or(0) as usize)),
            token_ids: most(|params| params.logprob_token_ids.len()),
        }
    }
}

/// Arrays: each is made when it is first asked for.
#[pymethods]
impl Samples {
    /// `(...)` uint8: whether there was something to draw from: a `sortilege.Status`.
    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "status", |row| status_code(row.status))
    }

    /// `(...)` of `"stop"`, `"length"` or None: why the request has finished, with this row or before it.
    #[getter]
    fn finish_reason(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "finish_reason", |row| match row.finish_reason {
            Some(reason) => PyString::intern(py, reason.name()).into_any().unbind(),
            None => py.None(),
        })
    }

    /// `(...)` int32: the drawn tokens, the first of several; -1 where there was nothing to draw from, or no more to draw.
    #[getter]
    fn tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "tokens", |row| row.draws.first().map_or(-1, |drawn| id(drawn.token)))
    }

    /// `(...)` float64: their logprobs in the distribution that was drawn from.
    #[getter]
    fn logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "logprobs", |row| row.draws.first().map_or(f64::NAN, |drawn| drawn.logprob))
    }

    /// `(...)` int32: their ranks among the kept tokens; 0 for none.
    #[getter]
    fn ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "ranks", |row| row.draws.first().map_or(0, |drawn| rank(&drawn.processed)))
    }

    /// `(...)` float64: their logprobs in the raw distribution, that of the logits as they are; NaN unless `raw_logprobs`
    /// asks for it.
    #[getter]
    fn raw_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "raw_logprobs", |row| {
            row.draws.first().and_then(|drawn| drawn.raw).map_or(f64::NAN, |raw| raw.logprob)
        })
    }

    /// `(...)` int32: their ranks in the raw distribution; 0 unless `raw_logprobs` asks for it.
    #[getter]
    fn raw_ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "raw_ranks", |row| {
            row.draws.first().and_then(|drawn| drawn.raw).as_ref().map_or(0, rank)
        })
    }

    /// `(..., n)` int32: all drawn tokens; -1 where a row has fewer.
    #[getter]
    fn draws(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "draws",
            self.widths.draws,
            |_| -1,
            |row, out| out.extend(row.draws.iter().map(|drawn| id(drawn.token))),
        )
    }

    /// `(..., n)` float64: their logprobs.
    #[getter]
    fn draw_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "draw_logprobs",
            self.widths.draws,
            |_| f64::NAN,
            |row, out| {
                out.extend(row.draws.iter().map(|drawn| drawn.logprob));
            },
        )
    }

    /// `(...)` uint64: the seeds: with position and stream they give the draws again.
    #[getter]
    fn seed(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "seed", |row| row.seed)
    }

    /// `(...)` float64: the temperatures that were drawn at.
    #[getter]
    fn temperature(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "temperature", |row| row.temperature)
    }

    /// `(...)` int32: how many tokens the filters kept.
    #[getter]
    fn kept(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "kept", |row| row.kept.cast_signed())
    }

    /// `(...)` float64: the probability that they had before the filters.
    #[getter]
    fn kept_mass(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "kept_mass", |row| row.kept_mass)
    }

    /// `(...)` float64: entropy of what was drawn from; NaN unless `entropy` asks for it.
    #[getter]
    fn entropy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "entropy", |row| row.processed.entropy)
    }

    /// `(..., processed_logprobs)` int32: the most probable tokens of what was drawn from.
    #[getter]
    fn top_tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "top_tokens",
            self.widths.processed,
            |_| -1,
            |row, out| out.extend(top_tokens(Some(&row.processed))),
        )
    }

    /// `(..., processed_logprobs)` float64: their logprobs, -infinity where no further token is kept; NaN in a row that is no
    /// distribution.
    #[getter]
    fn top_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "top_logprobs",
            self.widths.processed,
            |row| of_no_token(Some(row.processed.status)).into(),
            |row, out| out.extend(top_logprobs(Some(&row.processed))),
        )
    }

    /// `(..., n)` float64: logprobs of `logprob_token_ids` in what was drawn from, -infinity where one is impossible; NaN where
    /// a row has fewer.
    #[getter]
    fn token_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "token_logprobs", f64::NAN, |row| Some(&row.processed), |token| token.logprob)
    }

    /// `(..., n)` int32: ranks of `logprob_token_ids` in what was drawn from; 0 where a row has fewer.
    #[getter]
    fn token_ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "token_ranks", 0, |row| Some(&row.processed), rank)
    }

    /// `(..., n)` float64: logprobs of `logprob_token_ids` among themselves in what was drawn from, for a set of labels.
    #[getter]
    fn token_set_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given_among(py, "token_set_logprobs", |row| Some(&row.processed))
    }

    /// `(..., raw_logprobs)` int32: the most probable tokens of the raw distribution.
    #[getter]
    fn raw_top_tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "raw_top_tokens",
            self.widths.raw,
            |_| -1,
            |row, out| out.extend(top_tokens(row.raw.as_ref())),
        )
    }

    /// `(..., raw_logprobs)` float64: their logprobs, -infinity where no further token is possible; NaN in a row that is no
    /// distribution.
    #[getter]
    fn raw_top_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            "raw_top_logprobs",
            self.widths.raw,
            |row| of_no_token(row.raw.as_ref().map(|raw| raw.status)).into(),
            |row, out| out.extend(top_logprobs(row.raw.as_ref())),
        )
    }

    /// `(..., n)` float64: logprobs of `logprob_token_ids` in the raw distribution; NaN unless `raw_logprobs` asks for it.
    #[getter]
    fn raw_token_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "raw_token_logprobs", f64::NAN, |row| row.raw.as_ref(), |token| token.logprob)
    }

    /// `(..., n)` int32: ranks of `logprob_token_ids` in the raw distribution; 0 unless `raw_logprobs` asks for it.
    #[getter]
    fn raw_token_ranks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given(py, "raw_token_ranks", 0, |row| row.raw.as_ref(), rank)
    }

    /// `(..., n)` float64: logprobs of `logprob_token_ids` among themselves in the raw distribution; NaN unless `raw_logprobs`
    /// asks for it.
    #[getter]
    fn raw_token_set_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.given_among(py, "raw_token_set_logprobs", |row| row.raw.as_ref())
    }

    /// Request and position of each row: the request is its place in `params`.
    #[getter]
    fn places(&self) -> Vec<(u64, u64)> {
        self.places.clone()
    }

    fn __len__(&self) -> usize {
        self.columns.rows.len()
    }

    fn __getitem__(&self, row: isize) -> PyResult<Self> {
        let count = self.columns.rows.len();
        let place = if row < 0 { row.checked_add_unsigned(count).unwrap_or(-1) } else { row };
        let place = usize::try_from(place).ok().filter(|&place| place < count);
        let place = place.ok_or_else(|| PyIndexError::new_err(format!("row {row} of {count}")))?;
        Ok(self.row(place))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let rows = (0..self.columns.rows.len()).map(|row| self.row(row));
        PyList::new(py, rows.map(|row| row.into_pyobject(py)).collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __repr__(&self) -> String {
        format!("<sortilege.Samples of shape {:?}, by {}>", self.columns.shape, self.device)
    }

    /// The rows as a stream of Arrow's C interface.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema; // the interface lets a producer have its own
        let batch = crate::arrow::samples(&self.columns.rows, &self.places)?;
        crate::arrow::stream(py, batch)
    }
}

impl Samples {
    /// A row as samples of its own.
    fn row(&self, row: usize) -> Self {
        Self {
            columns: Columns::new(vec![self.columns.rows[row].clone()], Vec::new()),
            places: vec![self.places[row]],
            widths: self.widths,
            device: self.device.clone(),
        }
    }

    /// A number of each given token, in a distribution of each row.
    fn given<T: numpy::Element + Clone>(
        &self,
        py: Python<'_>,
        name: &'static str,
        filling: T,
        of: fn(&Sample) -> Option<&Distribution>,
        number: impl Fn(&TargetLogprob) -> T + Copy,
    ) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            name,
            self.widths.token_ids,
            |_| filling.clone(),
            |row, out| {
                out.extend(of(row).into_iter().flat_map(|row| row.token_logprobs.iter().map(number)));
            },
        )
    }

    /// The logprobs of the given tokens among themselves.
    fn given_among(
        &self,
        py: Python<'_>,
        name: &'static str,
        of: fn(&Sample) -> Option<&Distribution>,
    ) -> PyResult<Py<PyAny>> {
        self.columns.lists(
            py,
            name,
            self.widths.token_ids,
            |_| f64::NAN,
            |row, out| {
                out.extend(of(row).into_iter().flat_map(Distribution::token_set_logprobs));
            },
        )
    }
}

fn top_tokens(row: Option<&Distribution>) -> impl Iterator<Item = i32> {
    row.into_iter().flat_map(|row| row.top_logprobs.iter().map(|entry| id(entry.token)))
}

fn top_logprobs(row: Option<&Distribution>) -> impl Iterator<Item = f64> {
    row.into_iter().flat_map(|row| row.top_logprobs.iter().map(|entry| entry.logprob))
}
