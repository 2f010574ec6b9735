//! What every engine computes, with the same bits on each.

use crate::answer::{Divergence, Logprobs, Sample};
use crate::error::Result;
use crate::logits::Logits;
use crate::params::LogprobsParams;
use crate::request::{Row, SampleInputs};

/// An engine for logits in host memory: [`Cpu`](crate::Cpu), or a [`Gpu`](crate::device::Gpu) to which they are
/// uploaded. Every engine gives the same bits. No other type can be one, so that operations may be added.
///
/// # Example
/// ```
/// use sortilege::{Cpu, Engine, Logits, LogprobsParams};
/// let values = [8.0f32, 6.0, 5.0, -1.0];
/// let logits = Logits::f32(&values, 1, 4)?;
/// let params = LogprobsParams { top_logprobs: 2, ..LogprobsParams::default() };
/// let answers = Cpu.logprobs(&logits, &params, &[Some(1)])?;
/// let top = &answers[0].distribution.top_logprobs;
/// assert_eq!(top[0].token, 0);
/// assert!((top[0].logprob.exp() - 0.8437).abs() < 1e-4);
/// assert_eq!(answers[0].target.unwrap().rank(), 2);
/// # Ok::<(), sortilege::Error>(())
/// ```
pub trait Engine: sealed::Sealed {
    /// What each row says, `[rows]`: its distribution with the most probable tokens, and logprob and rank of the target
    /// where `targets` (empty, or one per row) names one. Entries are ordered by logit descending, then token
    /// ascending.
    ///
    /// # Errors
    /// [`Error::Params`](crate::Error::Params) if a parameter is out of range or a target is not in the vocabulary;
    /// what [`Sampler::logprobs`](crate::Sampler::logprobs) and [`Pending::wait`](crate::Pending::wait) say on a
    /// device.
    fn logprobs(
        &self,
        logits: &Logits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
    ) -> Result<Vec<Logprobs>> {
        self.logprobs_of(logits, params, targets, &[])
    }

    /// The same, and what each row says of given tokens: `token_ids` is empty, or a list per row of at most
    /// [`SamplingParams::MAX_LOGPROB_TOKEN_IDS`](crate::SamplingParams::MAX_LOGPROB_TOKEN_IDS) tokens, in any order. They
    /// come back as [`Distribution::token_logprobs`](crate::Distribution::token_logprobs). A row with given tokens is walked
    /// over once more, however many there are.
    ///
    /// # Errors
    /// As for [`Engine::logprobs`].
    ///
    /// # Example
    /// ```
    /// use sortilege::{Cpu, Engine, Logits, LogprobsParams};
    /// let values = [8.0f32, 6.0, 5.0, -1.0];
    /// let logits = Logits::f32(&values, 1, 4)?;
    /// let labels: &[u32] = &[3, 1]; // which of two answers
    /// let answers = Cpu.logprobs_of(&logits, &LogprobsParams::default(), &[], &[labels])?;
    /// let distribution = &answers[0].distribution;
    /// assert_eq!(distribution.token_logprobs[0].rank(), 4);
    /// assert!((distribution.token_set_logprobs()[1].exp() - 0.99909).abs() < 1e-5);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    fn logprobs_of(
        &self,
        logits: &Logits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
    ) -> Result<Vec<Logprobs>>;

    /// Tokens drawn from each row, as the row's request asks, `[rows]`. `docs/sampling.md` defines every step.
    ///
    /// # Errors
    /// [`Error::Params`](crate::Error::Params) if there is not one row of requests per row of logits, or a request
    /// names a token that is not in the vocabulary; what [`Sampler::sample`](crate::Sampler::sample) says on a device.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};
    /// let logits = [8.0f32, 6.0, 5.0, -1.0];
    /// let params = SamplingParams { top_p: 0.9, seed: Some(1), raw_logprobs: Some(2), ..SamplingParams::default() };
    /// let request = Request::new(params)?;
    /// let samples = Cpu.sample(&Logits::f32(&logits, 1, 4)?, &[request.row(0)], &SampleInputs::default())?;
    /// assert_eq!(samples[0].kept, 2);
    /// assert!((samples[0].kept_mass - 0.9579).abs() < 1e-4);
    /// assert!(samples[0].draws[0].token < 2);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    fn sample(&self, logits: &Logits<'_>, rows: &[Row<'_>], inputs: &SampleInputs<'_>)
    -> Result<Vec<Sample>>;

    /// Maximum of each row, `[rows]`. NaN for a row with a NaN, otherwise infinities as they are; -0 comes back as 0.
    ///
    /// # Errors
    /// What a device says.
    fn row_max(&self, logits: &Logits<'_>) -> Result<Vec<f32>>;

    /// Log-sum-exp of each row, `[rows]`: `max + ln Σ exp(x − max)`, within 1e-6, rounded once to f32
    /// (`docs/exact.md`, 10). A row of only -infinity gives -infinity, one with +infinity gives +infinity, one with a
    /// NaN gives NaN.
    ///
    /// # Errors
    /// What a device says.
    fn log_sum_exp(&self, logits: &Logits<'_>) -> Result<Vec<f32>>;

    /// Log-softmax of each row, `[rows][vocab]`: within 1e-6 where the probability is above 1e-9, rounded once to f32
    /// (`docs/exact.md`, 10). A row that is no distribution is NaN throughout.
    ///
    /// # Errors
    /// What a device says.
    fn log_softmax(&self, logits: &Logits<'_>) -> Result<Vec<f32>>;

    /// The `k` largest logits of each row and their tokens, both `[rows][k]`: value descending, then token ascending.
    /// Past the last possible token, and in a row that is no distribution: -infinity and [`NO_TOKEN`](crate::NO_TOKEN).
    ///
    /// # Errors
    /// [`Error::Params`](crate::Error::Params) if `k` is over
    /// [`LogprobsParams::MAX_TOP_LOGPROBS`](crate::LogprobsParams::MAX_TOP_LOGPROBS); what a device says.
    fn top_k(&self, logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)>;

    /// How far the softmax of each row of `first` is from that of the same row of `second`, `[rows]`: the
    /// Kullback-Leibler divergences in both directions and that of Jensen-Shannon, in nats. Error at most 1e-6 + 2e-7 · KL,
    /// and exactly 0 of equal rows (`docs/exact.md`, 14). A logit more than 65 536 nats below its maximum counts as that
    /// far; −∞ gives +∞. The types of the batches may differ.
    ///
    /// # Errors
    /// [`Error::Params`](crate::Error::Params) if the batches differ in rows or vocabulary; what a device says.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Cpu, Engine, Logits};
    /// let (exact, rounded) = ([2.1f32, 0.3, -1.7], [2.0f32, 0.5, -1.5]);
    /// let batches = [Logits::f32(&exact, 1, 3)?, Logits::f32(&rounded, 1, 3)?];
    /// let divergence = Cpu.divergence(&batches[0], &batches[1])?[0];
    /// assert!((divergence.kl - 0.006_404).abs() < 1e-5);
    /// assert_eq!(Cpu.divergence(&batches[0], &batches[0])?[0].kl, 0.0);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    fn divergence(&self, first: &Logits<'_>, second: &Logits<'_>) -> Result<Vec<Divergence>>;
}

/// Who may be an engine.
pub(crate) mod sealed {
    /// A type of this crate.
    pub trait Sealed {}
}
