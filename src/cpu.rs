//! The CPU engine, on the caller's slices, rows in parallel: the reference that kernels are validated against, and
//! what a machine without a GPU uses.

use std::hint::black_box;

use crate::answer::{DecodeInfo, Divergence, DivergenceBits, Logprobs, LogprobsBits, Sample};
use crate::arithmetic::exact;
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::lane::PassScale;
use crate::engine::Engine;
use crate::engine::sealed::Sealed;
use crate::error::{Error, Result};
use crate::kernels::block::block_rows;
use crate::kernels::row_task::RowTask;
use crate::kernels::token_ranks::{self, Bounds};
use crate::kernels::{
    log_softmax, row_divergence, row_logprobs, row_sample, row_scalar, tile_divergence, tile_information,
    tile_stats,
};
use crate::logits::{Logits, validate_pair};
use crate::parallel::{each, each_of};
use crate::params::LogprobsParams;
use crate::request::{Row, SampleInputs, Steps, validate_targets, validate_token_ids};

/// The CPU engine: vector instructions found at run time, nothing to open. Rows are shared by the caller and the threads of
/// its [rayon](https://docs.rs/rayon) pool, the global one unless the caller runs in another: `RAYON_NUM_THREADS`, or
/// `ThreadPool::install`, says how many. A call returns when these have looked for rows, so they must not be kept busy
/// without end; fewer than 2^16 logits stay with the caller. In a browser there is one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Sealed for Cpu {}

impl Engine for Cpu {
    fn logprobs_of(
        &self,
        logits: &Logits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
    ) -> Result<Vec<Logprobs>> {
        params.validate()?;
        validate_targets(targets, logits.rows(), logits.vocab())?;
        validate_token_ids(token_ids, logits.rows(), logits.vocab())?;
        Ok(each_row(logits, |row| {
            let target = targets.get(row).copied().flatten();
            let mut bits = logprobs_bits(logits, row, params, target);
            if bits.distribution.status == 0 {
                let tokens = token_ids.get(row).copied().unwrap_or(&[]);
                bits.distribution.given = token_ranks::run(logits.row_bits(row), Bounds::ALL, 0, tokens);
            }
            bits.decode(params.temperature, params.entropy, target)
        }))
    }

    fn sample(
        &self,
        logits: &Logits<'_>,
        rows: &[Row<'_>],
        inputs: &SampleInputs<'_>,
    ) -> Result<Vec<Sample>> {
        let vocab = logits.vocab();
        let mut steps = Steps::default();
        let checked = steps.check(rows, logits.rows(), vocab, inputs.mask)?;
        inputs.validate(&checked)?;
        let info: Vec<DecodeInfo> = checked.decode_info().collect();
        let stops: Vec<u32> = checked.stops().collect();
        let task = |row: usize, block| {
            let Row { request, draft, .. } = rows[row];
            // A greedy row compares tokens, and needs no probabilities.
            let probabilities = inputs.draft.map_or(&[][..], |all| &all[row * vocab..(row + 1) * vocab]);
            RowTask {
                row: logits.row_bits(row),
                request: &request.compiled,
                changes: checked.changes(row),
                key: checked.key(row),
                draft,
                probabilities: bytemuck::cast_slice(probabilities),
                block,
                token_ids: checked.token_ids(row),
                finish: checked.finish(row),
            }
        };
        let blocks: Vec<_> = checked.blocks().collect();
        let verified = block_rows(&blocks, |row| task(row, None));
        let mut heard = vec![None; rows.len()];
        for (row, block) in blocks.into_iter().flatten().zip(verified) {
            heard[row] = Some(block);
        }
        Ok(each_row(logits, |row| row_sample::run(&task(row, heard[row])).decode(&info[row], &stops)))
    }

    fn row_max(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        Ok(each_row(logits, |row| row_scalar::run(&at_one(logits, row, 0).distribution, false)))
    }

    fn log_sum_exp(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        Ok(each_row(logits, |row| row_scalar::run(&at_one(logits, row, 0).distribution, true)))
    }

    fn log_softmax(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; values_in_memory::<f32>(logits.rows(), logits.vocab())?];
        each_of(out.chunks_mut(logits.vocab()), |row, out| {
            log_softmax::run(logits.row_bits(row), &at_one(logits, row, 0).distribution, out);
        });
        Ok(out)
    }

    fn top_k(&self, logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)> {
        LogprobsParams::validate_count("top_k", k)?;
        let values = values_in_memory::<(f32, u32)>(logits.rows(), k as usize)?;
        let (mut logit, mut token) = (Vec::with_capacity(values), Vec::with_capacity(values));
        let rows = each_row(logits, |row| at_one(logits, row, k).distribution.top);
        for (row, end) in rows.iter().zip((1..).map(|row| row * k as usize)) {
            logit.extend(row.iter().map(|(_, bits)| f32::from_bits(*bits)));
            token.extend(row.iter().map(|(token, _)| *token));
            // Behind a vocabulary of fewer.
            logit.resize(end, f32::NEG_INFINITY);
            token.resize(end, NO_TOKEN);
        }
        Ok((logit, token))
    }

    fn divergence(&self, first: &Logits<'_>, second: &Logits<'_>) -> Result<Vec<Divergence>> {
        validate_pair((first.rows(), first.vocab()), (second.rows(), second.vocab()))?;
        Ok(each_row(first, |row| divergence_bits(first, second, row).decode()))
    }
}

/// So many values of each of so many rows, if memory can hold them: rows may lie over one another, and lists be longer than
/// rows. `vec!` would end the process; an allocation that is tried first can be refused.
fn values_in_memory<T>(rows: usize, of_row: usize) -> Result<usize> {
    let has_room = |values: &usize| black_box(Vec::<T>::new().try_reserve_exact(*values)).is_ok();
    rows.checked_mul(of_row).filter(has_room).ok_or_else(|| {
        Error::Logits(format!("[{rows}][{of_row}] values are more than memory can hold: lower `rows`"))
    })
}

/// Tokens that one thread weighs in about the time that it takes to wake another, 30 µs.
const WAKING_TOKENS: usize = 1 << 16;

/// What `compute` makes of each row, in parallel if they are worth it.
fn each_row<R: Send>(logits: &Logits<'_>, compute: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    // There are no others in a browser, where each copy of `compute` counts.
    let has_others = cfg!(not(target_family = "wasm"));
    if has_others && logits.rows().saturating_mul(logits.vocab()) < WAKING_TOKENS {
        return (0..logits.rows()).map(compute).collect();
    }
    each(logits.rows(), compute)
}

/// A row at temperature 1, without a target.
fn at_one(logits: &Logits<'_>, row: usize, listed: u32) -> LogprobsBits {
    let params = LogprobsParams { top_logprobs: listed, ..LogprobsParams::default() };
    logprobs_bits(logits, row, &params, None)
}

/// The passes of a divergence for one row of each batch.
pub(crate) fn divergence_bits(first: &Logits<'_>, second: &Logits<'_>, row: usize) -> DivergenceBits {
    let rows = [first.row_bits(row), second.row_bits(row)];
    let mut bits = row_divergence::run(&tile_divergence::run(rows));
    tile_information::run(rows, &mut bits);
    bits
}

/// The passes of the plan for one row.
pub(crate) fn logprobs_bits(
    logits: &Logits<'_>,
    row: usize,
    params: &LogprobsParams,
    target: Option<u32>,
) -> LogprobsBits {
    let scale = PassScale::new(params.temperature);
    let row = logits.row_bits(row);
    #[expect(clippy::cast_possible_truncation, reason = "the smaller one of two, of which one has 32 bits")]
    let listed = row.len().min(params.top_logprobs as usize) as u32;
    let target_key =
        target.map_or(exact::KEY_NEG_INFINITY, |token| exact::key_or_nan(row.get(token as usize)));
    let tiles = tile_stats::run(row, target_key, scale, params.entropy);
    row_logprobs::run(row, &tiles.stats, &tiles.delegates, target, scale.tile, listed)
}
