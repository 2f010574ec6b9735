//! The CPU engine: the same bits as the GPU, on the caller's slices, rows in parallel.
//!
//! It is the reference that the kernels are validated against, and what a machine without a GPU uses.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::exact::{self, Scale};
use crate::inputs::{Inputs, RowInputs};
use crate::kernels::row_sample::Turn;
use crate::kernels::{log_softmax, row_logprobs, row_sample, row_scalar, tile_stats};
use crate::logits::Logits;
use crate::params::{self, Params};
use crate::record::{NO_TOKEN, RawRecord, Record};
use crate::request::Row;
use crate::sample::Sample;

/// One record per row: summary, `top_k` best tokens, and the target's logprob and rank where `targets` (empty, or one
/// per row) names one. The order of the entries is logit descending, then token ascending.
///
/// # Errors
/// [`Error::Params`] if a parameter is out of range or a target is not in the vocabulary.
///
/// # Example
/// ```
/// use sortilege::{Logits, Params, cpu};
/// let values = [8.0f32, 6.0, 5.0, -1.0];
/// let logits = Logits::f32(&values, 1, 4)?;
/// let records = cpu::record(&logits, &Params { top_k: 2, ..Params::default() }, &[Some(1)])?;
/// assert_eq!(records[0].top[0].token, 0);
/// assert!((records[0].top[0].logprob.exp() - 0.8437).abs() < 1e-4);
/// assert_eq!(records[0].target.unwrap().rank(), 2);
/// # Ok::<(), sortilege::Error>(())
/// ```
pub fn record(logits: &Logits<'_>, params: &Params, targets: &[Option<u32>]) -> Result<Vec<Record>> {
    params.validate()?;
    params::validate_targets(targets, logits.rows(), logits.vocab())?;
    let scale = Scale::new(params.temperature);
    Ok((0..logits.rows())
        .into_par_iter()
        .map(|row| {
            let target = targets.get(row).copied().flatten();
            raw_record(logits, row, params.top_k, scale, target).decode(params, target)
        })
        .collect())
}

/// What a sampling step reads beside the logits, in host memory; `Default` is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleInputs<'a> {
    /// A grammar mask: one bit per token, set where it is allowed; `[rows][ceil(vocab / 32)]` words, the lowest bit first.
    /// Bits past the vocabulary are not looked at.
    pub mask: Option<&'a [u32]>,
    /// Probabilities of the draft, `[rows][vocab]`, for rows that verify a draft token by rejection.
    pub draft: Option<&'a [f32]>,
}

impl SampleInputs<'_> {
    /// The draft has a probability for every token, and is there if a row wants it.
    pub(crate) fn validate(&self, inputs: &Inputs) -> Result<()> {
        inputs.check_draft(self.draft.is_some())?;
        let needed = inputs.rows.len() * inputs.vocab;
        match self.draft {
            Some(draft) if draft.len() != needed => Err(Error::Params(format!(
                "the draft has {} probabilities, [{}][{}] are needed",
                draft.len(),
                inputs.rows.len(),
                inputs.vocab
            ))),
            _ => Ok(()),
        }
    }
}

/// Draws tokens from each row of logits, as the row's request asks: one sample per row. `docs/sampling.md` defines every
/// step.
///
/// # Errors
/// [`Error::Params`] if there is not one row of requests per row of logits, or a request names a
/// token that is not in the vocabulary.
///
/// # Example
/// ```
/// use sortilege::cpu::{self, SampleInputs};
/// use sortilege::{Logits, Request, SamplingParams};
/// let logits = [8.0f32, 6.0, 5.0, -1.0];
/// let params = SamplingParams { top_p: 0.9, seed: Some(1), raw_logprobs: Some(2), ..SamplingParams::default() };
/// let request = Request::new(params)?;
/// let samples = cpu::sample(&Logits::f32(&logits, 1, 4)?, &[request.row(0)], &SampleInputs::default())?;
/// assert_eq!(samples[0].kept, 2);
/// assert!((samples[0].kept_mass - 0.9579).abs() < 1e-4);
/// assert!(samples[0].draws[0].token < 2);
/// # Ok::<(), sortilege::Error>(())
/// ```
pub fn sample(logits: &Logits<'_>, rows: &[Row<'_>], inputs: &SampleInputs<'_>) -> Result<Vec<Sample>> {
    let vocab = logits.vocab();
    let checked = Inputs::new(rows, logits.rows(), vocab, inputs.mask)?;
    inputs.validate(&checked)?;
    let asked = checked.asked();
    Ok((0..logits.rows())
        .into_par_iter()
        .map(|row| {
            let RowInputs { compiled, changes, key, draft } = &checked.rows[row];
            // A greedy row compares tokens, and needs no probabilities.
            let probabilities = inputs.draft.map_or(&[][..], |all| &all[row * vocab..(row + 1) * vocab]);
            let turn = Turn {
                row: logits.row_bits(row),
                request: compiled,
                changes,
                key: *key,
                draft: draft.map(|token| (token, bytemuck::cast_slice(probabilities))),
            };
            row_sample::run(&turn).decode(&asked[row])
        })
        .collect())
}

/// Maximum of each row, `[rows]`. NaN for a row with a NaN, otherwise infinities as they are.
#[must_use]
pub fn row_max(logits: &Logits<'_>) -> Vec<f32> {
    scalars(logits, false)
}

/// Log-sum-exp of each row, `[rows]`: `max + ln Σ exp(x − max)`, within 1e-6, rounded once to f32
/// (`docs/exact.md`, 9). A row of only -infinity gives
/// -infinity, one with +infinity gives +infinity, one with a NaN gives NaN.
#[must_use]
pub fn log_sum_exp(logits: &Logits<'_>) -> Vec<f32> {
    scalars(logits, true)
}

/// Log-softmax of each row, `[rows][vocab]`: within 1e-6 where the probability is above 1e-9,
/// rounded once to f32 (`docs/exact.md`, 9). A row that is no distribution is NaN throughout.
#[must_use]
pub fn log_softmax(logits: &Logits<'_>) -> Vec<f32> {
    let mut out = vec![0.0; logits.rows() * logits.vocab()];
    out.par_chunks_mut(logits.vocab()).enumerate().for_each(|(row, out)| {
        let record = raw_record(logits, row, 0, Scale::new(1.0), None);
        log_softmax::run(logits.row_bits(row), &record, out);
    });
    out
}

/// The `k` largest logits of each row and their tokens, both `[rows][k]`: value descending, then token ascending.
/// Past the last possible token, and in a row that is no distribution: -infinity and `u32::MAX`.
///
/// # Errors
/// [`Error::Params`] if `k` is over [`Params::MAX_TOP_K`].
pub fn top_k(logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)> {
    Params { top_k: k, ..Params::default() }.validate()?;
    let entries: Vec<(u32, u32)> = (0..logits.rows())
        .into_par_iter()
        .flat_map_iter(|row| raw_record(logits, row, k, Scale::new(1.0), None).entries)
        .collect();
    Ok(entries.into_iter().map(|(token, bits)| (f32::from_bits(bits), token)).unzip())
}

/// What [`top_k`] writes where there is no further token.
pub const PAST_THE_LAST: u32 = NO_TOKEN;

fn scalars(logits: &Logits<'_>, log_sum_exp: bool) -> Vec<f32> {
    (0..logits.rows())
        .into_par_iter()
        .map(|row| row_scalar::run(&raw_record(logits, row, 0, Scale::new(1.0), None), log_sum_exp))
        .collect()
}

/// The passes of the plan for one row.
pub(crate) fn raw_record(
    logits: &Logits<'_>,
    row: usize,
    top_k: u32,
    scale: Scale,
    target: Option<u32>,
) -> RawRecord {
    let row = logits.row_bits(row);
    let target_key = target.map_or(exact::KEY_NEG_INFINITY, |token| exact::key(row.get(token as usize)));
    let tiles = tile_stats::run(row, target_key, scale);
    row_logprobs::run(row, &tiles.stats, &tiles.delegates, target, scale, top_k)
}
