//! Sampling in the grid: requests of every setting, masks and drafts, on rows of every kind.
#![expect(clippy::cast_possible_truncation, reason = "words cut out of wider numbers, and sizes of the grid")]

use super::grid::Case;
use super::settings::{self, noise};
use crate::answer::Sample;
use crate::arithmetic::exact;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{Gpu, GpuInput, GpuLogits, GpuOutput, Mask, Pending, SampleBuffers};
use crate::logits::Logits;
use crate::request::{Request, Row, SampleInputs};

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
        let noise = |row: usize, what: u64| noise(case, row, what);
        let token = |row: usize, what: u64| settings::token(case, row, what);
        let requests: Vec<Request> = (0..case.rows).map(|row| settings::request(case, row)).collect();
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
        settings::of_row(case, row).0
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

    /// Those of a device.
    pub(super) fn on_device(&self, case: &Case, gpu: &Gpu, batch: &GpuLogits<'_>) -> Result<Pending<Sample>> {
        self.with_buffers(case, gpu, |buffers| {
            gpu.submit(|encoder| gpu.sampler().sample(encoder, batch, &self.rows(), buffers))
        })
    }

    /// Their first tokens alone, into a buffer.
    pub(super) fn tokens_on_device(
        &self,
        case: &Case,
        gpu: &Gpu,
        batch: &GpuLogits<'_>,
        tokens: GpuOutput<'_>,
    ) -> Result<()> {
        self.with_buffers(case, gpu, |buffers| {
            let buffers = SampleBuffers { tokens: Some(tokens), ..*buffers };
            gpu.submit(|encoder| gpu.sampler().sample_tokens(encoder, batch, &self.rows(), &buffers))
        })
    }

    /// A call with mask and draft at odd places of their buffers; the mask from the host in every other case.
    fn with_buffers<T>(
        &self,
        case: &Case,
        gpu: &Gpu,
        call: impl FnOnce(&SampleBuffers<'_>) -> Result<T>,
    ) -> Result<T> {
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
        call(&buffers)
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
            requests.iter_mut().zip(&samples).try_for_each(|(request, sample)| request.accept(sample))?;
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
