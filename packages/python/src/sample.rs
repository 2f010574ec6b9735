//! `sample`: tokens drawn from rows of logits, and its result.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};
use sortilege::{Distribution, Kernels, Request as Inner, Row, Sample, SampleInputs};

use crate::blocks::Call;
use crate::columns::{Columns, id, rank, status_code, widest};
use crate::device::Device;
use crate::errors::{ParamsError, raised};
use crate::input::{LogitsInput, numpy};
use crate::params::any_params;
use crate::request::Request;
use crate::tokens::Whole;

/// What was drawn from each row of logits, and from which distribution.
///
/// Every array begins with the dimensions that the logits have before their vocabulary, `(...)`. Logprobs are float64, in
/// nats; tokens are int32, -1 for none. `samples[i]` is row i, of all rows one after the other, as samples of its own.
///
/// It is a table of a row each, too: `to_arrow()`, `to_pandas()`, `to_polars()`, or anything that takes
/// `__arrow_c_stream__`; and a log: `write_log(path)`.
#[pyclass(frozen, module = "sortilege", sequence)]
pub(crate) struct Samples {
    pub(crate) columns: Columns<Sample>,
    /// Request and position of each row, and the stream that it was drawn with.
    pub(crate) places: Vec<(u64, u64)>,
    pub(crate) streams: Vec<u32>,
    /// What computed it: `cpu`, or an adapter's name.
    #[pyo3(get)]
    device: String,
}

/// Draws a token from each row of logits, or several, as its request asks.
///
/// Parameters
/// ----------
/// logits : array of shape (..., vocab)
///     As of `logprobs`.
/// params : SamplingParams, Request, or a sequence of either, optional
///     One is asked of all rows, which are its positions, one after the other. A sequence of n shares the rows out evenly:
///     with one for each row, it is a batch of requests. Also a mapping, or parameters of vLLM or Transformers. None draws
///     from the plain distribution.
/// positions : array of shape (...), optional
///     Numbers of the tokens to draw, from 0 after the prompt. With the seed and the stream they decide every draw. A request's
///     own start where its output ends, others at 0.
/// mask : array of shape (..., vocab) of bool or (..., ceil(vocab / 32)) of int32, optional
///     Which tokens a grammar allows; the second is the packed form of xgrammar and llguidance.
/// device : str
///     As of `logprobs`; every one draws the same tokens.
///
/// Returns
/// -------
/// Samples
///     A row that is no distribution has no token, and its status says so.
///
/// Examples
/// --------
/// >>> import numpy as np, sortilege
/// >>> logits = np.float32([[8.0, 6.0, 5.0, -1.0], [0.0, 0.0, 9.0, 0.0]])
/// >>> samples = sortilege.sample(logits, sortilege.SamplingParams(top_p=0.9, seed=1, raw_logprobs=2))
/// >>> samples.kept.tolist(), samples.tokens[1].item()
/// ([2, 1], 2)
#[pyfunction]
#[pyo3(signature = (logits, params = None, *, positions = None, mask = None, device = "auto", progress = false))]
pub(crate) fn sample(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    params: Option<&Bound<'_, PyAny>>,
    positions: Option<&Bound<'_, PyAny>>,
    mask: Option<&Bound<'_, PyAny>>,
    device: &str,
    progress: bool,
) -> PyResult<Samples> {
    let input = LogitsInput::new(logits)?;
    let call = Call { device: Device::named(py, device)?, logits: input.logits()?, progress };
    let (count, vocab) = (input.rows(), call.logits.vocab());
    let asked = Asked::new(py, params)?;
    let positions = positions.map(|positions| own_positions(positions, &input.shape)).transpose()?;
    let mask = mask.map(|mask| packed_mask(mask, &input.shape, vocab)).transpose()?;
    // Borrowed until the end: a request that is being sampled cannot change.
    let borrowed: Vec<Borrowed<'_, '_>> = asked.0.iter().map(Ask::borrow).collect::<PyResult<_>>()?;
    let each = rows_each(borrowed.len(), count)?;
    let requests: Vec<&Inner> = borrowed.iter().map(Borrowed::inner).collect();
    let places: Vec<(u64, u64)> = (0..count)
        .map(|row| {
            let (request, number) = (row / each, row % each);
            let own = || requests[request].output().len() as u64 + number as u64;
            (request as u64, positions.as_ref().map_or_else(own, |positions| positions[row]))
        })
        .collect();
    #[expect(clippy::cast_possible_truncation, reason = "the number of a request of this list")]
    let rows: Vec<Row<'_>> =
        places.iter().map(|&(request, position)| requests[request as usize].row(position)).collect();
    let wants_tokens = requests.iter().any(|request| !request.params().logprob_token_ids.is_empty());
    let words = vocab.div_ceil(32);
    let samples = call.run(py, |device, range, block| {
        device.check(Kernels::Sample, block.dtype())?;
        if wants_tokens {
            device.check(Kernels::TokenRanks, block.dtype())?;
        }
        let mask = mask.as_ref().map(|mask| &mask[range.start * words..range.end * words]);
        device.engine().sample(block, &rows[range], &SampleInputs { mask, ..SampleInputs::default() })
    })?;
    let streams = rows.iter().map(|row| row.request.params().stream).collect();
    let device = call.device.name();
    Ok(Samples { columns: Columns::new(samples, input.shape.clone()), places, streams, device })
}

/// What is asked, one by one.
struct Asked<'py>(Vec<Ask<'py>>);

/// A request of Python, or one of this call.
enum Ask<'py> {
    Theirs(Bound<'py, Request>),
    Ours(Box<Inner>),
}

enum Borrowed<'a, 'py> {
    Theirs(PyRef<'py, Request>),
    Ours(&'a Inner),
}

impl<'py> Asked<'py> {
    fn new(py: Python<'py>, params: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let params = params.cloned().unwrap_or_else(|| py.None().into_bound(py));
        if params.is_instance_of::<PyList>() || params.is_instance_of::<PyTuple>() {
            return params.try_iter()?.map(|one| Ask::new(&one?)).collect::<PyResult<_>>().map(Self);
        }
        Ok(Self(vec![Ask::new(&params)?]))
    }
}

impl<'py> Ask<'py> {
    fn new(params: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(request) = params.cast::<Request>() {
            return Ok(Self::Theirs(request.clone()));
        }
        Ok(Self::Ours(Box::new(Inner::new(any_params(params)?).map_err(raised)?)))
    }

    fn borrow(&self) -> PyResult<Borrowed<'_, 'py>> {
        Ok(match self {
            Self::Theirs(request) => Borrowed::Theirs(request.try_borrow()?),
            Self::Ours(request) => Borrowed::Ours(request),
        })
    }
}

impl Borrowed<'_, '_> {
    fn inner(&self) -> &Inner {
        match self {
            Self::Theirs(request) => &request.inner,
            Self::Ours(request) => request,
        }
    }
}

/// Rows of each request.
fn rows_each(requests: usize, rows: usize) -> PyResult<usize> {
    if requests == 0 || !rows.is_multiple_of(requests) {
        return Err(ParamsError::new_err(format!(
            "{rows} rows of logits cannot be shared out evenly to {requests} requests: give one for each row, or one for all"
        )));
    }
    Ok((rows / requests).max(1))
}

fn own_positions(positions: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<Vec<u64>> {
    let whole = Whole::new("positions", positions)?;
    if whole.shape() != shape {
        return Err(ParamsError::new_err(format!(
            "positions of shape {:?} do not fit logits of shape {shape:?} and a vocabulary: pass one for each row",
            whole.shape()
        )));
    }
    let position = |&number: &i64| {
        u64::try_from(number).map_err(|_| {
            ParamsError::new_err(format!(
                "position {number} is below 0, the number of the first token after the prompt"
            ))
        })
    };
    whole.numbers()?.iter().map(position).collect()
}

/// A grammar mask in words of 32 tokens, the lowest bit first.
fn packed_mask(mask: &Bound<'_, PyAny>, shape: &[usize], vocab: usize) -> PyResult<Vec<u32>> {
    let array = numpy(mask.py())?.call_method1("asarray", (mask,))?;
    let array = array.cast::<PyUntypedArray>()?;
    let words = vocab.div_ceil(32);
    let (kind, width) = match (array.dtype().kind(), array.dtype().itemsize()) {
        (b'b', _) => ("bool", vocab),
        (b'i' | b'u', 4) => ("int32", words),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "a mask of type {} is not read: pass bool, a value for each token, or packed int32",
                array.dtype().str()?
            )));
        }
    };
    if array.shape() != [shape, &[width]].concat() {
        return Err(ParamsError::new_err(format!(
            "a mask of {kind} has shape {:?} where the logits need {:?}",
            array.shape(),
            [shape, &[width]].concat()
        )));
    }
    let whole = Whole::new("mask", &array.call_method1("astype", ("int64",))?)?;
    let numbers = whole.numbers()?;
    if kind == "bool" {
        let word = |bits: &[i64]| bits.iter().rev().fold(0, |word, bit| word << 1 | u32::from(*bit != 0));
        return Ok(numbers.chunks(vocab).flat_map(|row| row.chunks(32).map(word)).collect());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a word of 32")]
    Ok(numbers.iter().map(|&word| word as u32).collect())
}

/// Arrays: each is made when it is first asked for.
#[pymethods]
impl Samples {
    /// `(...)` uint8: whether there was something to draw from: a `sortilege.Status`.
    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.columns.each(py, "status", |row| status_code(row.status))
    }

    /// `(...)` int32: the drawn tokens, the first of several; -1 where there was nothing to draw from.
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
        let width = self.columns.rows.iter().map(|row| row.draws.len()).max().unwrap_or(0);
        self.columns.lists(py, "draws", width, -1, |row, out| {
            out.extend(row.draws.iter().map(|drawn| id(drawn.token)))
        })
    }

    /// `(..., n)` float64: their logprobs.
    #[getter]
    fn draw_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let width = self.columns.rows.iter().map(|row| row.draws.len()).max().unwrap_or(0);
        self.columns.lists(py, "draw_logprobs", width, f64::NAN, |row, out| {
            out.extend(row.draws.iter().map(|drawn| drawn.logprob));
        })
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
        let width = widest(self.columns.rows.iter().map(|row| &row.processed));
        self.columns
            .lists(py, "top_tokens", width, -1, |row, out| out.extend(top_tokens(Some(&row.processed))))
    }

    /// `(..., processed_logprobs)` float64: their logprobs.
    #[getter]
    fn top_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let width = widest(self.columns.rows.iter().map(|row| &row.processed));
        self.columns.lists(py, "top_logprobs", width, f64::NEG_INFINITY, |row, out| {
            out.extend(top_logprobs(Some(&row.processed)))
        })
    }

    /// `(..., raw_logprobs)` int32: the most probable tokens of the raw distribution.
    #[getter]
    fn raw_top_tokens(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let width = widest(self.columns.rows.iter().filter_map(|row| row.raw.as_ref()));
        self.columns
            .lists(py, "raw_top_tokens", width, -1, |row, out| out.extend(top_tokens(row.raw.as_ref())))
    }

    /// `(..., raw_logprobs)` float64: their logprobs.
    #[getter]
    fn raw_top_logprobs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let width = widest(self.columns.rows.iter().filter_map(|row| row.raw.as_ref()));
        self.columns.lists(py, "raw_top_logprobs", width, f64::NEG_INFINITY, |row, out| {
            out.extend(top_logprobs(row.raw.as_ref()))
        })
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
        PyList::new(py, rows.map(|row| Py::new(py, row)).collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __repr__(&self) -> String {
        format!("<sortilege.Samples of shape {:?}, by {}>", self.columns.shape, self.device)
    }

    /// The tokens by their ids, coloured by how much they surprise: `HeatMap` has their texts too.
    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let map = slf.py().import("sortilege._html")?.getattr("HeatMap")?.call1((slf,))?;
        map.call_method0("_repr_html_")
    }

    /// The rows as a stream of Arrow's C interface.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema; // the interface lets a producer have its own
        crate::arrow::stream(py, crate::arrow::samples(self)?)
    }

    /// The rows as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        crate::arrow::to_arrow(slf.as_any())
    }

    /// The rows as a `pandas.DataFrame`.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        crate::arrow::to_pandas(slf.as_any())
    }

    /// The rows as a `polars.DataFrame`.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        crate::arrow::to_polars(slf.as_any())
    }
}

impl Samples {
    /// A row as samples of its own.
    fn row(&self, row: usize) -> Self {
        Self {
            columns: Columns::new(vec![self.columns.rows[row].clone()], Vec::new()),
            places: vec![self.places[row]],
            streams: vec![self.streams[row]],
            device: self.device.clone(),
        }
    }
}

fn top_tokens(row: Option<&Distribution>) -> impl Iterator<Item = i32> {
    row.into_iter().flat_map(|row| row.top_logprobs.iter().map(|entry| id(entry.token)))
}

fn top_logprobs(row: Option<&Distribution>) -> impl Iterator<Item = f64> {
    row.into_iter().flat_map(|row| row.top_logprobs.iter().map(|entry| entry.logprob))
}
