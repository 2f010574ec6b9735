//! A request in the making, and the rows that draw its tokens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::answer::Sample;
use crate::error::Result;
use crate::params::SamplingParams;

/// A request in the making: its parameters, its seed, and the tokens that penalties, DRY and bad words look at. Keep it
/// from step to step; it holds nothing of a device, so adding and removing requests moves no other's results.
///
/// # Example
/// ```
/// use sortilege::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};
/// let params = SamplingParams { temperature: 0.8, top_p: 0.95, seed: Some(7), ..SamplingParams::default() };
/// let mut request = Request::new(params)?;
/// let logits = [2.0f32, 1.0, 0.1, -3.0];
/// for position in 0..4 {
///     let samples = Cpu.sample(&Logits::f32(&logits, 1, 4)?, &[request.row(position)], &SampleInputs::default())?;
///     request.accept(&samples[0]);
/// }
/// assert_eq!(request.output().len(), 4);
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) params: SamplingParams,
    pub(super) seed: u64,
    pub(super) prompt: Vec<u32>,
    pub(super) output: Vec<u32>,
    /// Mirostat's state, in bits.
    pub(super) mu: f64,
}

/// One row of a batch: which request it belongs to, and which of its tokens is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Whose parameters apply.
    pub request: &'a Request,
    /// Number of the token to draw, the first after the prompt is 0. With the seed and the stream it decides the draw;
    /// `min_tokens` counts in it.
    pub position: u64,
    /// A draft token to verify by rejection; see [`DraftTokens`](crate::DraftTokens).
    pub draft: Option<u32>,
}

impl Request {
    /// A request without a prompt.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`].
    pub fn new(params: SamplingParams) -> Result<Self> {
        Self::with_prompt(params, &[])
    }

    /// A request with the tokens of its prompt, which the repetition penalty and DRY look at.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`].
    pub fn with_prompt(params: SamplingParams, prompt: &[u32]) -> Result<Self> {
        params.validate()?;
        // The standard library's only source of randomness: two keys from the system, hashed.
        let seed = params.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let mu = params.mirostat.map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.tau));
        Ok(Self { params, seed, prompt: prompt.to_vec(), output: Vec::new(), mu })
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Changes the parameters from the next row on; the seed stays unless the new ones name another.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`]; the old ones stay then.
    pub fn set_params(&mut self, params: SamplingParams) -> Result<()> {
        params.validate()?;
        self.seed = params.seed.unwrap_or(self.seed);
        if params.mirostat != self.params.mirostat {
            self.mu = params.mirostat.map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.tau));
        }
        self.params = params;
        Ok(())
    }

    /// The seed of every draw: the one that was asked for, or the one that was found for a request without.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The accepted tokens.
    #[must_use]
    pub fn output(&self) -> &[u32] {
        &self.output
    }

    /// Mirostat's limit for the surprise of a token, in bits; it starts at twice `tau`.
    #[must_use]
    pub fn mu(&self) -> f64 {
        self.mu
    }

    /// A row that draws this request's token number `position`.
    #[must_use]
    pub fn row(&self, position: u64) -> Row<'_> {
        Row { request: self, position, draft: None }
    }

    /// Takes the first drawn token into the output, where penalties, DRY and bad words see it, and moves Mirostat's
    /// limit (not that of a greedy request). A row without a token changes nothing.
    pub fn accept(&mut self, sample: &Sample) {
        let Some(drawn) = sample.draws.first() else { return };
        self.output.push(drawn.token);
        if let Some(mirostat) = self.params.mirostat.filter(|_| self.params.temperature > 0.0) {
            let surprise = -drawn.logprob / std::f64::consts::LN_2;
            self.mu -= f64::from(mirostat.eta) * (surprise - f64::from(mirostat.tau));
        }
    }

    /// Takes a token into the output that was not drawn here.
    pub fn accept_token(&mut self, token: u32) {
        self.output.push(token);
    }
}
