//! Sampling in the grid: every parameter alone and in company, masks and drafts, on rows of every kind.

use super::ERROR_FLOOR;
use super::compare::{token_difference, worse};
use super::grid::{Case, mix};
use crate::answer::{Sample, Status};
use crate::cpu::Cpu;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::filter::{self, Setting};
use crate::gpu::{Gpu, GpuInput, GpuLogits, Mask, SampleBuffers};
use crate::logits::{Logits, RowBits};
use crate::params::SamplingStep::{MinP, Temperature, TopK, TopP};
use crate::params::{Dry, Order, SamplingParams};
use crate::proof::oracle;
use crate::request::{Inputs, Request, Row, RowInputs, SampleInputs};

/// Largest vocabulary of the sampling cases: far above it, one lane walks so far over a flat row that Mesa before 25 cuts
/// its loops short (65 535 rounds in all) without a word.
pub(super) const MOST_TOKENS: usize = 151_936;

/// Settings of which no filter's file knows: no filter at all, or several, or changes of logits.
const COMBINED: &[Setting] = &[
    ("plain", |_| ()),
    ("greedy", |p| p.temperature = 0.0),
    ("typical_p, top_p", |p| (p.typical_p, p.top_p) = (0.3, 0.8)),
    ("usual", |p| (p.temperature, p.top_k, p.top_p, p.min_p, p.n) = (0.8, 50, 0.95, 0.02, 3)),
    ("temperature 0.6", |p| p.temperature = 0.6),
    ("xtc sometimes, top_k", |p| (p.xtc_threshold, p.xtc_probability, p.top_k) = (0.02, 0.5, 20)),
    ("dynamic temperature", |p| (p.dynatemp_range, p.dynatemp_exponent) = (0.9, 1.3)),
    ("dynamic temperature, llama", |p| {
        (p.dynatemp_range, p.top_k, p.order) = (0.5, 40, Order::Llama);
    }),
    ("dynamic temperature, top_p", |p| (p.dynatemp_range, p.top_p) = (0.5, 0.8)),
    ("a list", |p| {
        p.order = Order::List(vec![TopP, Temperature, MinP, TopK]);
        (p.temperature, p.top_p, p.min_p, p.top_k) = (1.4, 0.99, 0.01, 100);
    }),
    ("all", |p| {
        (p.top_k, p.top_p, p.min_p, p.typical_p) = (500, 0.97, 0.001, 0.9);
        (p.top_n_sigma, p.epsilon_cutoff, p.xtc_threshold, p.xtc_probability) = (3.0, 1e-5, 0.2, 0.7);
        (p.temperature, p.order) = (1.2, Order::Llama);
    }),
    ("penalties", |p| {
        (p.repetition_penalty, p.presence_penalty, p.frequency_penalty) = (1.3, 0.4, 0.2);
        (p.dry, p.top_p) = (Some(Dry { allowed_length: 1, ..Dry::default() }), 0.9);
    }),
    ("bias", |p| (p.logit_bias, p.temperature) = (vec![(0, 3.5), (1, -1e38)], 0.7)),
    ("bans", |p| {
        (p.bad_words, p.min_tokens, p.stop_token_ids) = (vec![vec![2], vec![0, 1]], 9, vec![0, 3]);
        p.n = 16;
    }),
    ("allowed", |p| (p.allowed_token_ids, p.top_k) = (Some(vec![0, 5, 31, 32, 63, 64, 127, 128]), 3)),
];

/// What the requests of a batch ask for, in turn: the settings above, then those of every filter alone.
fn settings() -> impl Iterator<Item = &'static Setting> {
    COMBINED.iter().chain(filter::ALL.iter().flat_map(|spec| spec.settings))
}

/// Those of a row.
fn setting_of(case: &Case, row: usize) -> &'static Setting {
    let number = (row + case.seed as usize) % settings().count();
    settings().nth(number).expect("below their number")
}

/// The requests of one case, and what its rows read besides.
pub(super) struct Turns {
    requests: Vec<Request>,
    drafts: Vec<Option<u32>>,
    mask: Option<Vec<u32>>,
    draft: Vec<f32>,
}

impl Turns {
    pub(super) fn new(case: &Case) -> Self {
        let vocab = case.vocab;
        let noise = |row: usize, what: u64| mix(case.seed << 32 ^ (row as u64) << 8 ^ what);
        let token = |row: usize, what: u64| (noise(row, what) % vocab as u64) as u32;
        let requests: Vec<Request> = (0..case.rows)
            .map(|row| {
                let mut params = SamplingParams {
                    seed: Some(noise(row, 1)),
                    stream: row as u32,
                    raw_logprobs: (row % 3 != 1).then_some(case.params.top_logprobs),
                    processed_logprobs: (row % 4 != 2).then_some(case.params.top_logprobs.min(40)),
                    ..SamplingParams::default()
                };
                setting_of(case, row).1(&mut params);
                params.fit(vocab);
                let mut request = Request::with_prompt(params, &[token(row, 2), token(row, 3)])
                    .expect("the parameters are in range");
                for what in [4, 5, 4, 6, 4] {
                    request.accept_token(token(row, what));
                }
                request
            })
            .collect();
        // A draft wants a single draw.
        let has_draft = |row: usize| {
            let params = requests[row].params();
            row % 7 == 3 && params.n == 1 && params.mirostat.is_none()
        };
        let drafts = (0..case.rows).map(|row| has_draft(row).then(|| token(row, 7) / 2)).collect();
        let words = vocab.div_ceil(32);
        let mask = case.seed.is_multiple_of(3).then(|| {
            (0..case.rows * words)
                .map(|i| if i / words % 5 == 4 { 0 } else { (noise(i, 8) | noise(i, 9)) as u32 })
                .collect()
        });
        let mut draft = vec![0.0; case.rows * vocab];
        for (i, probability) in draft.iter_mut().enumerate() {
            *probability = (noise(i, 10) % 1000) as f32 * 0.002 / vocab as f32;
        }
        Self { requests, drafts, mask, draft }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        self.requests
            .iter()
            .zip(&self.drafts)
            .zip((0..).step_by(3))
            .map(|((request, &draft), position)| Row { draft, ..request.row(position) })
            .collect()
    }

    /// Which request a row has.
    pub(super) fn name(case: &Case, row: usize) -> &'static str {
        setting_of(case, row).0
    }

    /// The rows as the engines take them, a mask in host memory included.
    pub(super) fn inputs(&self, vocab: usize) -> Result<Inputs> {
        Inputs::new(&self.rows(), self.requests.len(), vocab, self.mask.as_deref())
    }

    /// Worst error of a sample against the definition, and what else that has against it. Where a decision came so near to
    /// its boundary that the promised error may turn it, nothing is said of the set.
    pub(super) fn against_truth(
        &self,
        row: usize,
        turn: &RowInputs,
        bits: RowBits<'_>,
        sample: &Sample,
    ) -> (Option<f64>, Option<String>) {
        let request = &self.requests[row];
        let params = request.params();
        let changed: Vec<f32> = (0..)
            .zip(bits.iter())
            .map(|(token, bits)| f32::from_bits(turn.changes.apply(token, bits)))
            .collect();
        let acts = turn.compiled.cuts.iter().any(|cut| filter::xtc_acts(*cut, turn.key));
        let steps = oracle::steps(&params.order, params.mirostat.is_some());
        let Some(truth) = oracle::sampling(&changed, params, &steps, request.mu(), acts) else {
            let is_wrong = sample.status == Status::Ok;
            return (None, is_wrong.then(|| "drew from what is no distribution".to_owned()));
        };
        if sample.status != Status::Ok {
            return (None, Some(format!("is a distribution, but the sample says {:?}", sample.status)));
        }
        // A dynamic temperature has 22 bits: tests/filters.rs allows for it.
        if truth.margin < 1e-5 || truth.sigma_margin < 1e-4 || truth.spread.is_some() {
            return (None, None);
        }
        let top: Vec<u32> = sample.processed.top_logprobs.iter().map(|entry| entry.token).collect();
        let mut wrong = token_difference(&top, &truth.kept[..top.len().min(truth.kept.len())]);
        if sample.kept as usize != truth.kept.len() {
            wrong.get_or_insert(format!("keeps {} tokens instead of {}", sample.kept, truth.kept.len()));
        }
        if let Some(drawn) = sample.draws.iter().find(|drawn| !truth.kept.contains(&drawn.token)) {
            wrong.get_or_insert(format!("drew token {}, which is not kept", drawn.token));
        }
        let mut error = worse(0.0, (sample.kept_mass - truth.kept_mass).abs());
        error = worse(error, (sample.processed.entropy - truth.entropy).abs());
        for (entry, &logprob) in sample.processed.top_logprobs.iter().zip(&truth.logprobs) {
            if logprob > ERROR_FLOOR.ln() {
                error = worse(error, (entry.logprob - logprob).abs());
            }
        }
        (Some(error), wrong)
    }

    pub(super) fn on_cpu(&self, logits: &Logits<'_>) -> Result<Vec<Sample>> {
        let inputs = SampleInputs { mask: self.mask.as_deref(), draft: Some(&self.draft) };
        Cpu.sample(logits, &self.rows(), &inputs)
    }

    /// The same on the device, with mask and draft at odd places of their buffers; the mask from the host in every other
    /// case.
    pub(super) fn on_device(&self, case: &Case, gpu: &Gpu, source: &wgpu::Buffer) -> Result<Vec<Sample>> {
        let upload = |words: &[u32], before: usize| {
            gpu.upload(bytemuck::cast_slice(&[&vec![u32::MAX; before], words].concat()))
        };
        let draft = upload(bytemuck::cast_slice(&self.draft), 3)?;
        let mask_buffer = self.mask.as_ref().map(|mask| upload(mask, 5)).transpose()?;
        let mask = match (&self.mask, &mask_buffer) {
            (Some(words), _) if case.seed.is_multiple_of(2) => Some(Mask::Host(words)),
            (_, Some(buffer)) => Some(Mask::Gpu(GpuInput { buffer, byte_offset: 20 })),
            _ => None,
        };
        let buffers =
            SampleBuffers { mask, draft: Some(GpuInput { buffer: &draft, byte_offset: 12 }), tokens: None };
        let batch = GpuLogits {
            buffer: source,
            byte_offset: (case.lead * case.dtype.bytes()) as u64,
            dtype: case.dtype,
            rows: case.rows,
            vocab: case.vocab,
            row_stride: case.vocab + case.gap,
        };
        let pending = gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &self.rows(), &buffers))?;
        pending.wait()
    }
}

impl SamplingParams {
    /// Leaves out the tokens that a vocabulary does not have.
    fn fit(&mut self, vocab: usize) {
        let is_in = |token: &u32| (*token as usize) < vocab;
        self.logit_bias.retain(|(token, _)| is_in(token));
        self.bad_words.retain(|word| word.iter().all(is_in));
        self.stop_token_ids.retain(is_in);
        if let Some(allowed) = &mut self.allowed_token_ids {
            allowed.retain(is_in);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::KINDS;
    use super::*;

    /// If their numbers shared a factor, the rows of a batch would meet few of the requests.
    #[test]
    fn every_kind_of_row_meets_every_request() {
        let count = settings().count();
        let shared = (2..=KINDS.len()).find(|n| KINDS.len().is_multiple_of(*n) && count.is_multiple_of(*n));
        assert_eq!(shared, None, "{count} settings for {} kinds: add one", KINDS.len());
        let names: Vec<&str> = settings().map(|(name, _)| *name).collect();
        let double = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        assert_eq!(double, None, "a name stands twice");
    }
}
