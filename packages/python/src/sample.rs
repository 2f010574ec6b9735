//! `sample`: tokens drawn from rows of logits.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PySequence;
use sortilege::{Kernels, LogprobsParams, Request as Inner, Row, SampleInputs, SamplingParams};

use crate::blocks::Call;
use crate::columns::Columns;
use crate::device::Device;
use crate::errors::{ParamsError, raised};
use crate::input::{LogitsInput, numpy};
use crate::params::any_params;
use crate::request::Request;
use crate::samples::{Samples, Widths};
use crate::tokens::{Whole, refuse_masked};

/// Draws a token from each row of logits, or several, as its request asks.
///
/// Parameters
/// ----------
/// logits : array of shape (..., vocab)
///     As of `logprobs`.
/// params : SamplingParams, Request, or a sequence of either, optional
///     One is asked of all rows, which are its positions, one after the other. A sequence of n shares the rows out evenly:
///     with one for each row, it is a batch of requests. With penalties, DRY or Mirostat a request has one row at a time,
///     whose token it then accepts. Also a mapping, or parameters of vLLM or Transformers. None draws
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
///     A row that is no distribution has no token, and its status says so; nor has one behind the end of its request, a stop
///     token or `max_tokens`, whose status is `FINISHED`.
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
    let is_long = vocab > LogprobsParams::MAX_SHORT_LIST as usize
        && requests.iter().any(|request| {
            let SamplingParams { raw_logprobs, processed_logprobs, .. } = *request.params();
            raw_logprobs.max(processed_logprobs) > Some(LogprobsParams::MAX_SHORT_LIST)
        });
    let words = vocab.div_ceil(32);
    let samples = call.run(py, |device, range, block| {
        device.check(Kernels::Sample, block.dtype())?;
        if is_long {
            device.check(Kernels::LongSampleLists, block.dtype())?;
        }
        if wants_tokens {
            device.check(Kernels::TokenRanks, block.dtype())?;
        }
        let mask = mask.as_ref().map(|mask| &mask[range.start * words..range.end * words]);
        device.engine().sample(block, &rows[range], &SampleInputs { mask, ..SampleInputs::default() })
    })?;
    let (widths, device) = (Widths::new(&requests, vocab), call.device.name());
    Ok(Samples { columns: Columns::new(samples, input.shape.clone()), places, widths, device })
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
        if let Ok(all) = params.cast::<PySequence>() {
            return all.try_iter()?.map(|one| Ask::new(&one?)).collect::<PyResult<_>>().map(Self);
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
    refuse_masked("mask", "False", mask)?;
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
