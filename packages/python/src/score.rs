//! `score`: log-probabilities of sequences of tokens.

use pyo3::prelude::*;
use sortilege::{Kernels, LogprobsParams, SequenceScore};

use crate::blocks::Call;
use crate::device::Device;
use crate::errors::{ParamsError, raised};
use crate::input::LogitsInput;
use crate::params::whole;
use crate::tokens;

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
    tokens::check_targets(&targets, logits.vocab())?;
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
    fn per_byte(&self, bytes: &Bound<'_, PyAny>) -> PyResult<f64> {
        Ok(self.score.per_byte(whole("bytes", bytes)?))
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
        // Of logits each has one.
        self.score.tokens().iter().filter_map(|token| token.rank).collect()
    }

    fn __repr__(&self) -> String {
        let score = &self.score;
        format!("<sortilege.Score: {} nats of {} tokens>", score.total(), score.tokens().len())
    }
}
