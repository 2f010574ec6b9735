//! Sampling in the grid: every parameter alone and in company, masks and drafts, on rows of every kind.
#![expect(clippy::cast_possible_truncation, reason = "words cut out of wider numbers, and sizes of the grid")]

use super::grid::Case;
use super::synthetic::mix;
use crate::answer::Sample;
use crate::arithmetic::exact;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::Result;
use crate::filter::{self, Setting};
use crate::gpu::{Gpu, GpuInput, GpuLogits, Mask, Pending, SampleBuffers};
use crate::logits::Logits;
use crate::params::{Dry, LogprobsParams, Order, SamplingParams, SamplingStep as Step};
use crate::request::{Request, Row, SampleInputs};

/// Settings of which no filter's file knows: no filter at all, or several, or changes of logits.
const COMBINED: &[Setting] = &[
    ("plain", |_| ()),
    ("greedy", |p| p.temperature = 0.0),
    ("typical_p, top_p", |p| (p.typical_p, p.top_p) = (0.3, 0.8)),
    ("eta and top_a, llama", |p| {
        (p.eta_cutoff, p.top_a, p.temperature, p.order) = (0.01, 0.1, 1.3, Order::Llama);
    }),
    ("usual", |p| (p.temperature, p.top_k, p.top_p, p.min_p, p.n) = (0.8, 50, 0.95, 0.02, 3)),
    ("temperature 0.6", |p| p.temperature = 0.6),
    ("xtc sometimes", |p| (p.xtc_threshold, p.xtc_probability) = (0.02, 0.5)),
    ("temperature, xtc sometimes", |p| {
        (p.temperature, p.xtc_threshold, p.xtc_probability, p.order) = (0.8, 0.02, 0.3, Order::Vllm);
    }),
    ("xtc sometimes, top_k", |p| (p.xtc_threshold, p.xtc_probability, p.top_k) = (0.02, 0.5, 20)),
    ("dynamic temperature", |p| (p.dynatemp_range, p.dynatemp_exponent) = (0.9, 1.3)),
    ("dynamic temperature, llama", |p| {
        (p.temperature, p.dynatemp_range, p.top_k, p.order) = (3.0, 1.0, 40, Order::Llama);
    }),
    ("dynamic temperature, top_p", |p| (p.dynatemp_range, p.top_p) = (0.5, 0.8)),
    ("a list", |p| {
        p.order = Order::List(vec![Step::TopP, Step::Temperature, Step::MinP, Step::TopK]);
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
    ("penalties spare some", |p| {
        (p.repetition_penalty, p.frequency_penalty, p.penalty_last_n) = (1.5, 1.0, Some(4));
        p.penalty_exempt_token_ids = (0..2000).step_by(2).collect();
        (p.xtc_threshold, p.xtc_probability) = (1e-4, 1.0);
        p.xtc_exempt_token_ids = (0..40).map(|i| i * 5).collect();
    }),
    ("typical_p, xtc spares what is gone", |p| {
        (p.typical_p, p.xtc_threshold, p.xtc_probability) = (0.3, 0.001, 1.0);
        p.xtc_exempt_token_ids = vec![0];
    }),
    ("bias", |p| {
        p.logit_bias = (0..60).zip([3.5, 0.1, 1e-39, -7.3].into_iter().cycle()).collect();
        p.logit_bias.push((1, -1e38));
        p.temperature = 0.7;
    }),
    ("bans", |p| {
        (p.bad_words, p.min_tokens, p.stop_token_ids) = (vec![vec![2], vec![0, 1]], 9, vec![0, 3]);
        p.n = 16;
    }),
    ("finished", |p| {
        (p.max_tokens, p.stop_token_ids, p.n) = (Some(7), (0..900).step_by(16).collect(), 2);
    }),
    ("greedy, at a stop token", |p| {
        (p.temperature, p.stop_token_ids) = (0.0, (0..2000).step_by(7).collect())
    }),
    ("no repeated pair", |p| (p.no_repeat_ngram_size, p.n) = (2, 8)),
    ("no repeated token", |p| (p.no_repeat_ngram_size, p.no_repeat_ngram_window, p.n) = (1, Some(3), 4)),
    ("allowed", |p| (p.allowed_token_ids, p.top_k) = (Some(vec![0, 5, 31, 32, 63, 64, 127, 128]), 3)),
];

/// Settings that only batches of their own have.
const ALONE: &[Setting] = &[
    // Of a sum with a logit near 0, the lower half of that logit's bits is lost.
    ("large bias", |p| {
        p.logit_bias = (0..300).map(|token| (token, 20_000.0)).collect();
        p.temperature = 0.7;
    }),
    ("p_less at a token", |p| {
        (p.p_less, p.allowed_token_ids) = (true, Some(vec![0, 1, 2]));
        p.logit_bias = vec![(1, f32::from_bits(0xbe3d_89de)), (2, f32::from_bits(0xbf3d_f7a0))];
    }),
    ("typical_p 0.995", |p| p.typical_p = 0.995),
    ("xtc among ties", |p| (p.xtc_threshold, p.xtc_probability) = (0.001, 1.0)),
    ("xtc spares all", |p| {
        (p.xtc_threshold, p.xtc_probability) = (0.1, 1.0);
        p.xtc_exempt_token_ids = (0..63).collect();
    }),
];

/// What the requests of a batch ask for, in turn: the settings above but the last, then those of every filter alone.
fn settings() -> impl Iterator<Item = &'static Setting> {
    COMBINED.iter().chain(filter::ALL.iter().flat_map(|spec| spec.settings))
}

/// Those of a row.
fn setting_of(case: &Case, row: usize) -> &'static Setting {
    if let Some(wanted) = case.setting {
        return settings().chain(ALONE).find(|(name, _)| *name == wanted).expect("a setting of this name");
    }
    let number = (row + case.seed as usize) % settings().count();
    settings().nth(number).expect("below their number")
}

/// The position of a row.
fn position_of(row: usize) -> u64 {
    3 * row as u64
}

/// So many different tokens from one on, where the vocabulary has them.
fn siblings(first: u32, count: u32, vocab: u32) -> Vec<u32> {
    let step = (vocab / count).max(1);
    (0..count.min(vocab)).map(|i| (first + i * step) % vocab).collect()
}

/// The requests of one case, and what its rows read besides.
pub(super) struct SamplingCase {
    requests: Vec<Request>,
    drafts: Vec<Vec<u32>>,
    /// Places of rows in blocks.
    blocks: Vec<Option<usize>>,
    mask: Option<Vec<u32>>,
    /// Words of the mask per row.
    mask_words: usize,
    draft: Vec<f32>,
}

impl SamplingCase {
    pub(super) fn new(case: &Case) -> Self {
        let vocab = case.vocab;
        let noise = |row: usize, what: u64| mix(case.seed << 32 ^ (row as u64) << 8 ^ what);
        let token = |row: usize, what: u64| (noise(row, what) % vocab as u64) as u32;
        let requests: Vec<Request> = (0..case.rows)
            .map(|row| {
                let listed = case.params.top_logprobs;
                let is_long = listed > LogprobsParams::MAX_SHORT_LIST;
                // Both lists of the batch are long, and of other lengths where the vocabulary lets them.
                let processed =
                    if is_long { (listed * 3 / 4).max(1025) - row as u32 } else { listed.min(40) };
                let mut params = SamplingParams {
                    seed: Some(noise(row, 1)),
                    stream: row as u32,
                    // Rows of a batch want lists of different lengths.
                    raw_logprobs: (row % 3 != 1).then_some(if row % 6 == 5 { listed / 2 } else { listed }),
                    entropy: row % 5 != 3,
                    processed_logprobs: (row % 4 != 2).then_some(processed),
                    logprob_token_ids: case.token_ids(row),
                    // A request that has finished, within a block.
                    max_tokens: (row % 28 == 6).then_some(1),
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
        let params = |row: usize| requests[row].params();
        let may_draft = |row| params(row).n == 1 && params(row).mirostat.is_none();
        // Blocks of up to four rows, behind each row that verifies alone.
        let block = |row: usize| {
            let place = (row + 3) % 7;
            (place < 4 && row >= place && (row - place..=row).all(may_draft)).then_some(place)
        };
        let blocks: Vec<Option<usize>> = (0..case.rows).map(block).collect();
        let goes_on =
            |row: usize| blocks.get(row + 1).is_some_and(|next| next.is_some_and(|place| place > 0));
        let drafts: Vec<Vec<u32>> = (0..case.rows)
            .map(|row| match row / 7 % 3 {
                _ if blocks[row].is_some() => {
                    (0..u32::from(goes_on(row))).map(|_| token(row, 7) / 2).collect()
                }
                _ if row % 7 != 3 || !may_draft(row) => Vec::new(),
                // Siblings, in turn: in so small a vocabulary several may stand.
                1 => siblings(token(row, 7), 6, vocab as u32),
                2 => siblings(token(row, 7), Row::MAX_DRAFT_TOKENS as u32, vocab as u32),
                _ => vec![token(row, 7) / 2],
            })
            .collect();
        let words = vocab.div_ceil(32);
        // Not 3, by which the seeds of the cases of a dtype differ.
        let mask = case.seed.is_multiple_of(5).then(|| {
            (0..case.rows * words)
                .map(|i| if i / words % 5 == 4 { 0 } else { (noise(i, 8) | noise(i, 9)) as u32 })
                .collect()
        });
        let mut draft = vec![0.0; case.rows * vocab];
        for (i, probability) in draft.iter_mut().enumerate() {
            *probability = (noise(i, 10) % 1000) as f32 * 0.002 / vocab as f32;
        }
        // Whoever drafted was certain; of several all but certain of the first one, as good as never drew others and never some.
        for (row, drafted) in drafts.iter().enumerate() {
            let Some(first) = drafted.first() else { continue };
            let own = &mut draft[row * vocab..][..vocab];
            if blocks[row].is_some() {
                // Too seldom, too often, never: what is left of a block comes and goes.
                let own = &mut own[*first as usize];
                *own = [*own, exact::pow2_f32(-20), 0.125, 0.0][noise(row, 12) as usize % 4];
                continue;
            }
            if row % 2 > 0 {
                continue;
            }
            let is_sure = drafted.len() == 1;
            for (probability, token) in own.iter_mut().zip(0..) {
                let noise = noise(row, 11 + u64::from(token));
                let never = is_sure || (noise & 1024 == 0 && !drafted.contains(&token));
                let unit = exact::pow2_f32(-24 - (noise >> 11 & 7) as i32);
                *probability = if never { 0.0 } else { (1 + noise % 1000) as f32 * unit };
            }
            // What is left of one: too little to go on, as little as there can be, more.
            let rest = if is_sure { 0 } else { noise(row, 10) % 12 };
            own[*first as usize] = 1.0 - rest as f32 * exact::pow2_f32(-14);
        }
        Self { requests, drafts, blocks, mask, mask_words: words, draft }
    }

    /// Row of this number.
    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let (draft, block) = (&self.drafts[row][..], self.blocks[row]);
        Row { draft, block_place: block, ..self.requests[row].row(position_of(row)).detached() }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        (0..self.requests.len()).map(|row| self.row(row)).collect()
    }

    /// Which request a row has.
    pub(super) fn name(case: &Case, row: usize) -> &'static str {
        setting_of(case, row).0
    }

    /// A row's part of the mask.
    pub(super) fn mask(&self, row: usize) -> Option<&[u32]> {
        self.mask.as_ref()?.chunks(self.mask_words).nth(row)
    }

    /// The samples of the CPU engine.
    pub(super) fn on_cpu(&self, logits: &Logits<'_>) -> Result<Vec<Sample>> {
        let inputs = SampleInputs { mask: self.mask.as_deref(), draft: Some(&self.draft) };
        Cpu.sample(logits, &self.rows(), &inputs)
    }

    /// Those of a device, with mask and draft at odd places of their buffers; the mask from the host in every other
    /// case.
    pub(super) fn on_device(&self, case: &Case, gpu: &Gpu, batch: &GpuLogits<'_>) -> Result<Pending<Sample>> {
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
        let buffers = SampleBuffers {
            mask,
            draft: Some(GpuInput { buffer: &draft, byte_offset: 12 }),
            ..SampleBuffers::default()
        };
        gpu.submit(|encoder| gpu.sampler().sample(encoder, batch, &self.rows(), &buffers))
    }
}

/// Steps that rows run ahead.
const STEPS: u64 = 4;

impl SamplingCase {
    /// The samples of some steps over the same logits, after each of which the requests accept theirs.
    pub(super) fn steps_on_cpu(&self, logits: &Logits<'_>) -> Result<Vec<Vec<Sample>>> {
        let mut requests = self.requests.clone();
        let inputs = SampleInputs { mask: self.mask.as_deref(), draft: None };
        let step = |step| {
            // Those without a token have none to accept.
            let rows: Vec<Row<'_>> = requests
                .iter()
                .zip(&self.requests)
                .map(|(now, first)| now.row(first.next_position() + step).detached())
                .collect();
            let samples = Cpu.sample(logits, &rows, &inputs)?;
            requests.iter_mut().zip(&samples).for_each(|(request, sample)| request.accept(sample));
            Ok(samples)
        };
        (0..STEPS).map(step).collect()
    }

    /// The same of a device, which does not wait.
    pub(super) fn steps_on_device(&self, gpu: &Gpu, batch: &GpuLogits<'_>) -> Result<Vec<Pending<Sample>>> {
        const TOKENS: usize = 16;
        let histories = gpu.sampler().histories(self.requests.len(), TOKENS)?;
        let buffers = SampleBuffers {
            mask: self.mask.as_deref().map(Mask::Host),
            histories: Some(&histories),
            ..SampleBuffers::default()
        };
        let step = |step| {
            let rows: Vec<Row<'_>> =
                self.requests.iter().map(|request| request.row(request.next_position() + step)).collect();
            gpu.submit(|encoder| gpu.sampler().sample(encoder, batch, &rows, &buffers))
        };
        (0..STEPS).map(step).collect()
    }
}

impl SamplingParams {
    /// Leaves out the tokens that a vocabulary does not have.
    fn fit(&mut self, vocab: usize) {
        let is_in = |token: &u32| (*token as usize) < vocab;
        self.logit_bias.retain(|(token, _)| is_in(token));
        self.bad_words.retain(|word| word.iter().all(is_in));
        for list in
            [&mut self.stop_token_ids, &mut self.xtc_exempt_token_ids, &mut self.penalty_exempt_token_ids]
        {
            list.retain(is_in);
        }
        if let Some(allowed) = &mut self.allowed_token_ids {
            allowed.retain(is_in);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::synthetic::KINDS;

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
