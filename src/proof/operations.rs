//! The operations that validation tries, by name: each is run on both engines, and judged row by row.

use super::audit::{Answer, KnownRow, Verdict, difference};
use super::grid::Case;
use super::sampling::SamplingCase;
use super::synthetic::mix;
use crate::answer::Logprobs;
use crate::arithmetic::exact::{KEY_NEG_INFINITY, key_or_nan};
use crate::arithmetic::format::MOST_LISTED;
use crate::arithmetic::lane::PassScale;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{Gpu, GpuLogits, Pending};
use crate::kernels::tile_stats;
use crate::kernels::tile_stats::TILE_WORDS;
use crate::logits::Logits;

/// What an operation does on a case; nothing, where the case is none for it.
type Run = for<'a> fn(&'a Batch<'a>) -> Result<Option<Judge<'a>>>;

/// Verdict about what was answered for the row of this number.
pub(super) type Judge<'a> = Box<dyn Fn(&KnownRow, usize) -> Verdict + Send + Sync + 'a>;

/// Every operation, by the name of its report.
pub(super) const OPERATIONS: &[(&str, Run)] = &[
    ("tile_stats", tile_stats),
    ("logprobs", logprobs),
    ("row_max", row_max),
    ("log_sum_exp", log_sum_exp),
    ("log_softmax", log_softmax),
    ("top_k", top_k),
    ("sample", sample),
    ("divergence", divergence),
];

/// A case with its logits, and the device that is validated; without one, it is the CPU engine.
pub(super) struct Batch<'a> {
    pub(super) case: &'a Case,
    /// The buffer in which the logits lie.
    pub(super) bytes: &'a [u8],
    pub(super) logits: Logits<'a>,
    pub(super) targets: Vec<Option<u32>>,
    /// Given tokens of each row.
    token_ids: Vec<Vec<u32>>,
    pub(super) device: Option<&'a Gpu>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(case: &'a Case, bytes: &'a [u8], device: Option<&'a Gpu>) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "below a vocabulary of at most 2^20")]
        let target = |row: usize| (mix(case.seed ^ row as u64) % case.vocab as u64) as u32;
        let targets = (0..case.rows).map(|row| (row % 5 != 4).then(|| target(row))).collect();
        let token_ids = (0..case.rows).map(|row| case.token_ids(row)).collect();
        Self { case, bytes, logits: case.logits(bytes), targets, token_ids, device }
    }

    fn token_ids(&self) -> Vec<&[u32]> {
        self.token_ids.iter().map(Vec::as_slice).collect()
    }

    /// What a call makes of the rows where they lie in the buffer, uploaded.
    fn uploaded<T>(&self, gpu: &Gpu, call: impl FnOnce(&GpuLogits<'_>) -> Result<T>) -> Result<T> {
        uploaded(gpu, self.case, self.bytes, call)
    }

    fn submit_logprobs(&self, gpu: &Gpu) -> Result<Pending<Logprobs>> {
        self.uploaded(gpu, |batch| {
            let Self { case, targets, .. } = self;
            gpu.submit(|encoder| {
                gpu.sampler().logprobs_of(encoder, batch, &case.params, targets, &self.token_ids())
            })
        })
    }

    /// The entries of a `top_k` call: at least one.
    fn k(&self) -> u32 {
        self.case.params.top_logprobs.max(1)
    }

    /// Runs an operation, one answer per row, on both engines.
    fn on_both<A: Answer + Send + Sync + 'a>(
        &self,
        run: impl Fn(&dyn Engine) -> Result<Vec<A>>,
        verdict: impl Fn(&KnownRow, &A, usize) -> Verdict + Send + Sync + 'a,
    ) -> Result<Option<Judge<'a>>> {
        let got = self.device.map(|gpu| run(gpu)).transpose()?;
        Ok(Some(judge(run(&Cpu)?, got, verdict)))
    }
}

/// The definition has its word about the answers of the device, which must be those of the CPU engine as well;
/// without a device, about the CPU engine's.
fn judge<'a, A: Answer + Send + Sync + 'a>(
    expected: Vec<A>,
    got: Option<Vec<A>>,
    verdict: impl Fn(&KnownRow, &A, usize) -> Verdict + Send + Sync + 'a,
) -> Judge<'a> {
    Box::new(move |known, row| match &got {
        Some(got) => verdict(known, &got[row], row).unless(difference(&got[row], &expected[row])),
        None => verdict(known, &expected[row], row),
    })
}

fn logprobs<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    let Batch { case, logits, targets, token_ids, .. } = batch;
    let expected = Cpu.logprobs_of(logits, &case.params, targets, &batch.token_ids())?;
    let got = batch.device.map(|gpu| batch.submit_logprobs(gpu)?.wait()).transpose()?;
    let verdict = |known: &KnownRow, got: &_, row: usize| {
        known.logprobs_of(got, &case.params, targets[row], &token_ids[row])
    };
    Ok(Some(judge(expected, got, verdict)))
}

fn row_max<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    batch.on_both(|engine| engine.row_max(&batch.logits), |known, got, _| known.row_max(*got))
}

fn log_sum_exp<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    batch.on_both(|engine| engine.log_sum_exp(&batch.logits), |known, got, _| known.log_sum_exp(*got))
}

fn log_softmax<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    let run = |engine: &dyn Engine| Ok(in_rows(&engine.log_softmax(&batch.logits)?, batch.case.vocab));
    batch.on_both(run, |known, got, _| known.log_softmax(got))
}

fn top_k<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    let k = batch.k();
    let run = |engine: &dyn Engine| {
        let (values, tokens) = engine.top_k(&batch.logits, k)?;
        let lists = in_rows(&values, k as usize).into_iter().zip(in_rows(&tokens, k as usize));
        Ok(lists.collect::<Vec<(Vec<f32>, Vec<u32>)>>())
    };
    batch.on_both(run, move |known, (values, tokens), _| known.top_k(values, tokens, k))
}

fn sample<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    if !batch.case.samples {
        return Ok(None);
    }
    let sampling = SamplingCase::new(batch.case);
    let expected = sampling.on(&Cpu, &batch.logits)?;
    let on_device = |gpu| batch.uploaded(gpu, |uploaded| sampling.on_device(batch.case, gpu, uploaded));
    let got = batch.device.map(on_device).transpose()?;
    let judge = judge(expected, got, move |known, got, row| {
        known.sample(got, &sampling.row(row), sampling.mask(row))
    });
    Ok(Some(Box::new(move |known, row| {
        let name = SamplingCase::name(batch.case, row);
        judge(known, row).within(name)
    })))
}

/// Each row from that of another batch, where the case is not for lists or a setting.
fn divergence<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    if batch.case.setting.is_some() || batch.case.params.top_logprobs > MOST_LISTED {
        return Ok(None);
    }
    let (second, bytes) = batch.case.second();
    let expected = Cpu.divergence(&batch.logits, &second.logits(&bytes))?;
    let on_device = |gpu: &Gpu| {
        let submit = |first: &GpuLogits<'_>, second: &GpuLogits<'_>| {
            gpu.submit(|encoder| gpu.sampler().divergence(encoder, first, second))
        };
        batch.uploaded(gpu, |first| uploaded(gpu, &second, &bytes, |second| submit(first, second)))?.wait()
    };
    let got = batch.device.map(on_device).transpose()?;
    Ok(Some(judge(expected, got, move |known, got, row| {
        known.divergence(&KnownRow::new(&second.logits(&bytes), row), got)
    })))
}

/// What a call makes of the rows of a case where they lie in its buffer, uploaded.
fn uploaded<T>(
    gpu: &Gpu,
    case: &Case,
    bytes: &[u8],
    call: impl FnOnce(&GpuLogits<'_>) -> Result<T>,
) -> Result<T> {
    call(&GpuLogits {
        byte_offset: case.first_byte() as u64,
        row_stride: case.stride(),
        ..GpuLogits::packed(&gpu.upload(bytes)?, case.dtype, case.rows, case.vocab)
    })
}

/// What the first kernel leaves in the scratch of a device, against its twin, where all rows are one chunk.
fn tile_stats<'a>(batch: &'a Batch<'a>) -> Result<Option<Judge<'a>>> {
    let Some(gpu) = batch.device else { return Ok(None) };
    let pending = batch.submit_logprobs(gpu)?;
    let plan = pending.plan().clone();
    pending.wait()?;
    if plan.chunks.len() > 1 || plan.demand.stages(batch.case.dtype) > 0 {
        return Ok(None);
    }
    let words = gpu.read(&gpu.sampler().scratch(&plan)?)?;
    Ok(Some(Box::new(move |_, row| Verdict::default().unless(tile_difference(batch, row, &words)))))
}

/// The first word of a row's tiles that differs.
fn tile_difference(batch: &Batch<'_>, row: usize, words: &[u32]) -> Option<String> {
    let Batch { case, logits, targets, .. } = batch;
    let bits = logits.row_bits(row);
    let target_key = targets[row].map_or(KEY_NEG_INFINITY, |token| key_or_nan(bits.get(token as usize)));
    let twins =
        tile_stats::run(bits, target_key, PassScale::new(case.params.temperature), case.params.entropy)
            .words();
    twins.iter().enumerate().find_map(|(tile, expected)| {
        let first = (row * twins.len() + tile) * TILE_WORDS;
        let got = words.get(first..first + expected.len()).unwrap_or(&[]);
        difference(got, expected).map(|words| format!("tile {tile}, word {words}"))
    })
}

/// One list per row.
fn in_rows<T: Clone>(values: &[T], row_values: usize) -> Vec<Vec<T>> {
    values.chunks(row_values).map(<[T]>::to_vec).collect()
}
