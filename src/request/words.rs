//! Requests and rows as the device reads them, word by word: `shaders/lib/request.wgsl`, `shaders/lib/changes.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::compiled::{Compiled, Dynamic, Step};
use crate::exact::Scale;
use crate::inputs::{Inputs, RowInputs};
use crate::numbers::Ratio;
use crate::record::NO_TOKEN;
use crate::rng::halves;

/// [`Compiled`] as the device reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct RequestWords {
    pub(crate) first_change: u32,
    pub(crate) n_changes: u32,
    pub(crate) repetition: u32,
    pub(crate) first_allowed: u32,
    pub(crate) pass_scale: [u32; 3],
    pub(crate) draw_scale: [u32; 3],
    pub(crate) draw_unit: u32,
    pub(crate) flags: u32,
    pub(crate) seed: [u32; 2],
    pub(crate) stream: u32,
    pub(crate) n_draws: u32,
    pub(crate) top_processed: u32,
    pub(crate) top_raw: u32,
    pub(crate) dynamic_low: u32,
    pub(crate) dynamic_span: u32,
    pub(crate) dynamic_power: u32,
    pub(crate) n_cuts: u32,
    pub(crate) padding: [u32; 2],
    pub(crate) cuts: [[u32; 4]; 10],
}

/// `NONE` of `shaders/lib/request.wgsl`.
pub(crate) const NONE: u32 = u32::MAX;

impl RequestWords {
    /// A request that only observes, at this scale.
    pub(crate) fn observing(scale: Scale) -> Self {
        Self { first_allowed: NONE, pass_scale: words_of(scale), ..Self::zeroed() }
    }

    /// The words of a request; where its changes and its allowed tokens lie is filled in by the caller.
    pub(crate) fn new(compiled: &Compiled) -> Self {
        let mut cuts = [[0; 4]; 10];
        for (words, step) in cuts.iter_mut().zip(&compiled.steps) {
            *words = match *step {
                Step::Temperature => [1, 0, 0, 0],
                Step::TopK(k) => [2, k, 0, 0],
                Step::TopP(Ratio { factor, by }) => [3, factor, by, 0],
                Step::MinP(Ratio { factor, by }) => [4, factor, by, 0],
                Step::Typical(Ratio { factor, by }) => [5, factor, by, 0],
                Step::TopNSigma(sigmas) => [6, sigmas, 0, 0],
                Step::Epsilon(Ratio { factor, by }) => [7, factor, by, 0],
                Step::Xtc(Ratio { factor, by }, coin) => [8, factor, by, coin],
            };
        }
        let dynamic = compiled.dynamic.unwrap_or(Dynamic { low: 0, span: 0, power: 0 });
        #[expect(clippy::cast_possible_truncation, reason = "at most ten")]
        let n_cuts = compiled.steps.len() as u32;
        Self {
            draw_scale: words_of(compiled.draw.scale),
            draw_unit: compiled.draw.unit,
            flags: u32::from(compiled.is_greedy)
                | (u32::from(compiled.dynamic.is_some()) << 1)
                | (u32::from(compiled.top_raw.is_some()) << 2),
            seed: halves(compiled.seed),
            stream: compiled.stream,
            n_draws: compiled.n_draws,
            top_processed: compiled.top_processed,
            top_raw: compiled.top_raw.unwrap_or(0),
            dynamic_low: dynamic.low,
            dynamic_span: dynamic.span,
            dynamic_power: dynamic.power,
            n_cuts,
            cuts,
            ..Self::observing(compiled.pass)
        }
    }
}

fn words_of(scale: Scale) -> [u32; 3] {
    [scale.shift.cast_unsigned(), scale.rate, scale.half_window.to_bits()]
}

impl Inputs {
    /// The requests, and the rows with what follows them: heads, changes, allowed sets.
    pub(crate) fn words(&self) -> (Vec<RequestWords>, Vec<[u32; 4]>) {
        #[expect(clippy::cast_possible_truncation, reason = "the plan keeps the buffer below 2^32 bytes")]
        let place = |length: usize| length as u32;
        let mut lists: Vec<[u32; 4]> = (0..)
            .zip(&self.rows)
            .map(|(request, row)| {
                let [low, high] = halves(row.key.position);
                [request, row.draft.unwrap_or(NO_TOKEN), low, high]
            })
            .collect();
        let mut requests = Vec::with_capacity(self.rows.len());
        for RowInputs { compiled, changes, .. } in &self.rows {
            let mut request = RequestWords::new(compiled);
            request.repetition = changes.repetition.to_bits();
            request.first_change = place(lists.len());
            request.n_changes = place(changes.list.len());
            lists.extend(changes.list.iter().map(|change| {
                let flags = (u32::from(change.is_banned) << 31) | (u32::from(change.is_repeated) << 30);
                [flags | change.token, change.bias.to_bits(), change.penalty.to_bits(), 0]
            }));
            if let Some(words) = &changes.allowed {
                request.first_allowed = place(lists.len());
                lists.extend(words.chunks_exact(4).map(|words| [words[0], words[1], words[2], words[3]]));
            }
            requests.push(request);
        }
        (requests, lists)
    }
}
