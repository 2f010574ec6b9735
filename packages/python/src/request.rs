//! `Request`: a sequence in the making.

use pyo3::prelude::*;
use sortilege::{FinishReason, Request as Inner};

use crate::errors::{ParamsError, raised};
use crate::params::{params_of_request, whole};
use crate::samples::Samples;
use crate::tokens;

/// A sequence in the making: its parameters, its seed, and the tokens that penalties, DRY, bad words and Mirostat look at.
///
/// Parameters
/// ----------
/// params : SamplingParams, optional
///     Or a mapping of its fields, or parameters of vLLM or Transformers, whose `n` or `num_return_sequences` must be 1: a
///     request is one sequence.
/// prompt : list of int
///     Tokens that the repetition penalty and DRY see.
///
/// Examples
/// --------
/// >>> import numpy as np, sortilege
/// >>> request = sortilege.Request(sortilege.SamplingParams(temperature=0.8, seed=7, repetition_penalty=1.2), prompt=[3])
/// >>> logits = np.float32([2.0, 1.0, 0.1, -3.0])
/// >>> for _ in range(4):
/// ...     request.accept(sortilege.sample(logits, request))
/// >>> len(request.output)
/// 4
#[pyclass(module = "sortilege")]
pub(crate) struct Request {
    pub(crate) inner: Inner,
    /// The parameters as they were given.
    #[pyo3(get)]
    params: Py<PyAny>,
}

#[pymethods]
impl Request {
    #[new]
    #[pyo3(signature = (params = None, prompt = None))]
    fn new(
        py: Python<'_>,
        params: Option<Bound<'_, PyAny>>,
        prompt: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let params = params.unwrap_or_else(|| py.None().into_bound(py));
        let prompt = prompt.map_or(Ok(Vec::new()), |prompt| tokens::list("prompt", prompt))?;
        let inner = Inner::with_prompt(params_of_request(&params)?, &prompt).map_err(raised)?;
        Ok(Self { inner, params: params.unbind() })
    }

    /// The seed of every draw: the one that was asked for, or the one that was found.
    #[getter]
    fn seed(&self) -> u64 {
        self.inner.seed()
    }

    /// The accepted tokens.
    #[getter]
    fn output(&self) -> Vec<u32> {
        self.inner.output().to_vec()
    }

    /// Number of the next token to draw: how many were accepted.
    #[getter]
    fn position(&self) -> u64 {
        self.inner.output().len() as u64
    }

    /// Why it has finished: `"stop"`, one of `stop_token_ids` was accepted, or `"length"`, it has `max_tokens`; None while it
    /// goes on. Its rows draw nothing from then on.
    #[getter]
    fn finish_reason(&self) -> Option<&'static str> {
        self.inner.finish_reason().map(FinishReason::name)
    }

    /// Mirostat's limit for the surprise of a token, in bits.
    #[getter]
    fn mu(&self) -> f64 {
        self.inner.mu()
    }

    /// Takes the first drawn token of a row into the output, where penalties, DRY and bad words see it, and moves Mirostat's
    /// limit. A row without a token adds none, nor does one behind the end. Raises ParamsError for a row of another request, by
    /// its seed, and for one that is not the next, by its position.
    ///
    /// `samples` has one row; of several take one by its number: `request.accept(samples[3])`.
    fn accept(&mut self, samples: &Samples) -> PyResult<()> {
        let [row] = &samples.columns.rows[..] else {
            return Err(ParamsError::new_err(format!(
                "{} rows of samples: accept one of them, such as samples[0]",
                samples.columns.rows.len()
            )));
        };
        self.inner.accept(row).map_err(raised)
    }

    /// Takes a token into the output that was not drawn here.
    fn accept_token(&mut self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.accept_token(whole("token", token)?);
        Ok(())
    }

    /// Changes the parameters from the next token on; the seed stays unless the new ones name another.
    fn set_params(&mut self, params: Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.set_params(params_of_request(&params)?).map_err(raised)?;
        self.params = params.unbind();
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<sortilege.Request of seed {}, {} tokens>", self.inner.seed(), self.inner.output().len())
    }
}
