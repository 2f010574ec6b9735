//! `log_softmax`, `top_k` and `divergence`: what an engine computes of whole rows.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sortilege::{Kernels, LogprobsParams};

use crate::blocks::Call;
use crate::columns::shaped;
use crate::device::Device;
use crate::errors::{ParamsError, raised};
use crate::input::LogitsInput;
use crate::params::count;

/// Log-softmax of each row, float32 of the shape of the logits.
///
/// Within 1e-6 where the probability is above 1e-9, rounded once to float32. A row that is no distribution is NaN
/// throughout. `logits` and `device` are those of `logprobs`.
///
/// >>> import numpy as np, sortilege
/// >>> sortilege.log_softmax(np.float16([2.0, 0.0])).round(4).tolist()
/// [-0.12690000236034393, -2.1268999576568604]
#[pyfunction]
#[pyo3(signature = (logits, device = "auto", *, progress = false))]
pub(crate) fn log_softmax(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    device: &str,
    progress: bool,
) -> PyResult<Py<PyAny>> {
    let input = LogitsInput::new(logits)?;
    let call = Call { device: Device::named(py, device)?, logits: input.logits()?, progress };
    let numbers = call.run(py, |device, _, block| {
        device.check(Kernels::Logprobs, block.dtype())?;
        device.engine().log_softmax(block)
    })?;
    shaped(py, numbers, &[&input.shape[..], &[call.logits.vocab()]].concat())
}

/// The `k` largest logits of each row and their tokens: float32 and int32, `(..., k)` both.
///
/// Logit descending, then token ascending: of equal logits the smaller token comes first, on every device. Past the last
/// possible token, and in a row that is no distribution, they are -infinity and -1. `logits` and `device` are those of
/// `logprobs`.
///
/// >>> import numpy as np, sortilege
/// >>> values, tokens = sortilege.top_k(np.float32([1, 3, 3, 2]), 3)
/// >>> values.tolist(), tokens.tolist()
/// ([3.0, 3.0, 2.0], [1, 2, 3])
#[pyfunction]
#[pyo3(signature = (logits, k, device = "auto", *, progress = false))]
pub(crate) fn top_k<'py>(
    py: Python<'py>,
    logits: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = count)] k: u32,
    device: &str,
    progress: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    LogprobsParams { top_logprobs: k, ..LogprobsParams::default() }.validate().map_err(raised)?;
    let input = LogitsInput::new(logits)?;
    let call = Call { device: Device::named(py, device)?, logits: input.logits()?, progress };
    let pairs = call.run(py, |device, _, block| {
        device.check(Kernels::Logprobs, block.dtype())?;
        if k > LogprobsParams::MAX_SHORT_LIST {
            device.check(Kernels::LongLists, block.dtype())?;
        }
        let (values, tokens) = device.engine().top_k(block, k)?;
        Ok(values.into_iter().zip(tokens).collect())
    })?;
    let (values, tokens): (Vec<f32>, Vec<i32>) =
        pairs.into_iter().map(|(value, token)| (value, token.cast_signed())).unzip();
    let shape = [&input.shape[..], &[k as usize]].concat();
    PyTuple::new(py, [shaped(py, values, &shape)?, shaped(py, tokens, &shape)?])
}

/// How far the softmax of each row of `first` is from that of the same row of `second`, in nats: `KL(P‖Q)`, `KL(Q‖P)` and
/// Jensen-Shannon, three float64 arrays of shape `(...)`.
///
/// Exactly 0 of equal rows; the error is at most 1e-6 + 2e-7 · KL. The types of the two may differ: a row of bfloat16 beside
/// one of float32. NaN where one is no distribution.
///
/// >>> import numpy as np, sortilege
/// >>> kl, reverse_kl, js = sortilege.divergence(np.float32([[2.1, 0.3, -1.7]]), np.float32([[2.0, 0.5, -1.5]]))
/// >>> kl.round(4).tolist()
/// [0.0064]
#[pyfunction]
#[pyo3(signature = (first, second, device = "auto", *, progress = false))]
pub(crate) fn divergence<'py>(
    py: Python<'py>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
    device: &str,
    progress: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let inputs = [LogitsInput::new(first)?, LogitsInput::new(second)?];
    check_same_shape(&inputs)?;
    let other = inputs[1].logits()?;
    let call = Call { device: Device::named(py, device)?, logits: inputs[0].logits()?, progress };
    let rows = call.run(py, |device, range, block| {
        for dtype in [block.dtype(), other.dtype()] {
            device.check(Kernels::Divergence, dtype)?;
        }
        device.engine().divergence(block, &other.slice_rows(range.start, range.len()))
    })?;
    let shape = &inputs[0].shape;
    PyTuple::new(
        py,
        [
            shaped(py, rows.iter().map(|row| row.kl).collect(), shape)?,
            shaped(py, rows.iter().map(|row| row.reverse_kl).collect(), shape)?,
            shaped(py, rows.iter().map(|row| row.jensen_shannon).collect(), shape)?,
        ],
    )
}

/// Nothing, if both have the same rows and the same vocabulary.
pub(crate) fn check_same_shape([first, second]: &[LogitsInput<'_>; 2]) -> PyResult<()> {
    let (a, b) = (first.full_shape(), second.full_shape());
    if a == b {
        return Ok(());
    }
    Err(ParamsError::new_err(format!(
        "the first logits have shape {a:?}, the second {b:?}: compare the same rows, over the same tokens"
    )))
}
