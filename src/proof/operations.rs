//! The operations that validation tries, by name: each is run on both engines, and judged row by row.

use std::pin::Pin;
use std::sync::Arc;

use super::audit::{Answer, KnownRow, Verdict, difference};
use super::grid::Case;
use super::sampling::SamplingCase;
use super::synthetic::mix;
use crate::answer::{Logprobs, Sample, Status};
use crate::arithmetic::exact::{KEY_NEG_INFINITY, key_or_nan};
use crate::arithmetic::format::{MOST_LISTED, NO_TOKEN};
use crate::arithmetic::lane::PassScale;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{Gpu, GpuLogits, GpuOutput, Pending};
use crate::kernels::tile_stats;
use crate::kernels::tile_stats::TILE_WORDS;
use crate::logits::Logits;

/// What an operation does on a case; nothing, where the case is none for it. Natively it is ready at once.
type Run = for<'a> fn(&'a Batch<'a>) -> Running<'a>;

type Running<'a> = Pin<Box<dyn Future<Output = Result<Option<Judge<'a>>>> + 'a>>;

/// What was answered on a case, to be judged.
pub(super) struct Judge<'a> {
    /// Verdict about the row of this number.
    pub(super) verdict: Verdicts<'a>,
    /// A hash of what the CPU engine answered: different bits, different words, different hashes.
    pub(super) digest: Option<Box<dyn Fn() -> u64 + 'a>>,
}

/// Largest vocabulary of rows that run ahead: they take several steps.
pub(super) const MOST_AHEAD: usize = 1023;

/// And of those whose tokens alone are wanted: two tiles, of which the second has one token.
const MOST_OF_TOKENS: usize = 4097;

type Verdicts<'a> = Box<dyn Fn(&KnownRow, usize) -> Verdict + Send + Sync + 'a>;

/// Every operation, by the name of its report.
pub(super) const OPERATIONS: &[(&str, Run)] = &[
    ("tile_stats", tile_stats),
    ("logprobs", logprobs),
    ("row_max", row_max),
    ("log_sum_exp", log_sum_exp),
    ("log_softmax", log_softmax),
    ("top_k", top_k),
    ("sample", sample),
    ("sample_tokens", sample_tokens),
    ("histories", histories),
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
        uploaded(gpu, self.case, self.bytes, &self.case.row_offsets(), call)
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

    /// What a device, if one is validated, answers.
    async fn on_device<A>(&self, run: impl AsyncFnOnce(&'a Gpu) -> Result<Vec<A>>) -> Result<Option<Vec<A>>> {
        match self.device {
            Some(gpu) => run(gpu).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The definition has its word about the answers of the device, which must be those of the CPU engine as well;
/// without a device, about the CPU engine's.
fn judge<'a, A: Answer + Send + Sync + 'a>(
    expected: Vec<A>,
    got: Option<Vec<A>>,
    verdict: impl Fn(&KnownRow, &A, usize) -> Verdict + Send + Sync + 'a,
) -> Judge<'a> {
    let expected = Arc::new(expected);
    let of_digest = expected.clone();
    Judge {
        verdict: Box::new(move |known, row| match &got {
            Some(got) => verdict(known, &got[row], row).unless(difference(&got[row], &expected[row])),
            None => verdict(known, &expected[row], row),
        }),
        digest: Some(Box::new(move || digest(&of_digest))),
    }
}

/// FNV-1a of the answers in words.
fn digest<A: Answer>(answers: &[A]) -> u64 {
    let words = answers.iter().flat_map(Answer::fields);
    words.fold(FNV_START, |hash, words| {
        let bytes = words.bytes().chain([b'\n']);
        bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
    })
}

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
pub(super) const FNV_PRIME: u64 = 0x100_0000_01b3;

fn logprobs<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let Batch { case, logits, targets, token_ids, .. } = batch;
        let expected = Cpu.logprobs_of(logits, &case.params, targets, &batch.token_ids())?;
        let got = batch.on_device(async |gpu| batch.submit_logprobs(gpu)?.rows().await).await?;
        let verdict = |known: &KnownRow, got: &_, row: usize| {
            known.logprobs_of(got, &case.params, targets[row], &token_ids[row])
        };
        Ok(Some(judge(expected, got, verdict)))
    })
}

fn row_max<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let got = batch.on_device(async |gpu| gpu.row_max_async(&batch.logits).await).await?;
        Ok(Some(judge(Cpu.row_max(&batch.logits)?, got, |known, got, _| known.row_max(*got))))
    })
}

fn log_sum_exp<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let got = batch.on_device(async |gpu| gpu.log_sum_exp_async(&batch.logits).await).await?;
        Ok(Some(judge(Cpu.log_sum_exp(&batch.logits)?, got, |known, got, _| known.log_sum_exp(*got))))
    })
}

fn log_softmax<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let rows = |values: Vec<f32>| in_rows(&values, batch.case.vocab);
        let got = batch.on_device(async |gpu| gpu.log_softmax_async(&batch.logits).await.map(rows)).await?;
        let expected = rows(Cpu.log_softmax(&batch.logits)?);
        Ok(Some(judge(expected, got, |known, got, _| known.log_softmax(got))))
    })
}

fn top_k<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let k = batch.k();
        let rows = |(values, tokens): (Vec<f32>, Vec<u32>)| {
            let lists = in_rows(&values, k as usize).into_iter().zip(in_rows(&tokens, k as usize));
            lists.collect::<Vec<(Vec<f32>, Vec<u32>)>>()
        };
        let got = batch.on_device(async |gpu| gpu.top_k_async(&batch.logits, k).await.map(rows)).await?;
        let expected = rows(Cpu.top_k(&batch.logits, k)?);
        Ok(Some(judge(expected, got, move |known, (values, tokens), _| known.top_k(values, tokens, k))))
    })
}

fn sample<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let case = batch.case;
        if !case.samples {
            return Ok(None);
        }
        let sampling = SamplingCase::new(case);
        let expected = sampling.on_cpu(&batch.logits)?;
        let submit = |gpu: &Gpu| batch.uploaded(gpu, |uploaded| sampling.on_device(case, gpu, uploaded));
        let got = batch.on_device(async |gpu| submit(gpu)?.rows().await).await?;
        let Judge { verdict, digest } = judge(expected, got, move |known, got, row| {
            known.sample(got, &sampling.row(row), sampling.mask(row))
        });
        let named =
            move |known: &KnownRow, row: usize| verdict(known, row).within(SamplingCase::name(case, row));
        Ok(Some(Judge { verdict: Box::new(named), digest }))
    })
}

/// The first tokens of the same rows, of which nothing is said.
fn sample_tokens<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let case = batch.case;
        let Some(gpu) = batch.device.filter(|_| case.samples && case.vocab <= MOST_OF_TOKENS) else {
            return Ok(None);
        };
        let sampling = SamplingCase::new(case);
        let expected = sampling.on_cpu(&batch.logits)?;
        let tokens = gpu.upload(&vec![0; case.rows * 4])?;
        batch.uploaded(gpu, |uploaded| {
            sampling.tokens_on_device(case, gpu, uploaded, GpuOutput::new(&tokens))
        })?;
        let got = gpu.read_async(&tokens).await?;
        let verdict = move |_: &KnownRow, row: usize| {
            let want = expected[row].token().unwrap_or(NO_TOKEN);
            let differs = (got[row] != want).then(|| format!("token {} instead of {want}", got[row]));
            Verdict::default().unless(differs).within(SamplingCase::name(case, row))
        };
        Ok(Some(Judge { verdict: Box::new(verdict), digest: None }))
    })
}

/// Rows that run ahead of the host for a few steps, beside the CPU engine, which waits for each; up to a row that has no token.
fn histories<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let case = batch.case;
        let Some(gpu) = batch.device.filter(|_| case.samples && case.vocab <= MOST_AHEAD) else {
            return Ok(None);
        };
        let sampling = SamplingCase::new(case);
        let expected = sampling.steps_on_cpu(&batch.logits)?;
        let mut got = Vec::new();
        for step in batch.uploaded(gpu, |uploaded| sampling.steps_on_device(gpu, uploaded))? {
            got.push(step.rows().await?);
        }
        let verdict = move |_: &KnownRow, row: usize| {
            let has_next = |sample: &Sample| !sample.draws.is_empty() || sample.status == Status::Finished;
            let with_token = expected.iter().take_while(|step| has_next(&step[row])).count();
            let compared = expected.iter().zip(&got).take(with_token + 1);
            let differs = compared.enumerate().find_map(|(step, (expected, got))| {
                Some(format!("step {step}: {}", difference(&got[row], &expected[row])?))
            });
            Verdict::default().unless(differs).within(SamplingCase::name(case, row))
        };
        Ok(Some(Judge { verdict: Box::new(verdict), digest: None }))
    })
}

/// Each row from that of another batch, where the case is not for lists or a setting.
fn divergence<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        if batch.case.setting.is_some() || batch.case.params.top_logprobs > MOST_LISTED {
            return Ok(None);
        }
        let (second, bytes) = batch.case.second();
        let expected = Cpu.divergence(&batch.logits, &second.logits(&bytes))?;
        let submit = |gpu: &Gpu, first: &GpuLogits<'_>, second: &GpuLogits<'_>| {
            gpu.submit(|encoder| gpu.sampler().divergence(encoder, first, second))
        };
        // Its kernels know of no offsets.
        let on_device = |gpu: &Gpu| {
            let second_of = |first: &GpuLogits<'_>| {
                uploaded(gpu, &second, &bytes, &[], |second| submit(gpu, first, second))
            };
            uploaded(gpu, batch.case, batch.bytes, &[], second_of)
        };
        let got = batch.on_device(async |gpu| on_device(gpu)?.rows().await).await?;
        Ok(Some(judge(expected, got, move |known, got, row| {
            known.divergence(&KnownRow::new(&second.logits(&bytes), row), got)
        })))
    })
}

/// What a call makes of the rows of a case where they lie in its buffer, uploaded; found by their offsets, if there are some.
fn uploaded<T>(
    gpu: &Gpu,
    case: &Case,
    bytes: &[u8],
    row_offsets: &[u64],
    call: impl FnOnce(&GpuLogits<'_>) -> Result<T>,
) -> Result<T> {
    call(&GpuLogits {
        byte_offset: case.first_byte() as u64,
        row_stride: case.stride(),
        row_offsets,
        ..GpuLogits::packed(&gpu.upload(bytes)?, case.dtype, case.rows, case.vocab)
    })
}

/// What the first kernel leaves in the scratch of a device, against its twin, where all rows are one chunk.
fn tile_stats<'a>(batch: &'a Batch<'a>) -> Running<'a> {
    Box::pin(async move {
        let Some(gpu) = batch.device else { return Ok(None) };
        let pending = batch.submit_logprobs(gpu)?;
        let plan = pending.plan().clone();
        pending.rows().await?;
        if plan.chunks.len() > 1 || plan.demand.long_lists().next().is_some() {
            return Ok(None);
        }
        let words = gpu.read_async(&gpu.sampler().scratch(&plan)?).await?;
        let verdict = move |_: &KnownRow, row| Verdict::default().unless(tile_difference(batch, row, &words));
        Ok(Some(Judge { verdict: Box::new(verdict), digest: None }))
    })
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
