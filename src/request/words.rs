//! Requests as the device reads them, word by word: `shaders/lib/request.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::compiled::Compiled;
use crate::arithmetic::draw_scale::Dynamic;
use crate::arithmetic::exact::Scale;
use crate::arithmetic::format::layout;
use crate::arithmetic::lane::PassScale;
use crate::arithmetic::rng::halves;
use crate::filter::MAX_CUTS;

layout! {
    /// Flags of a request; those of one that has finished are the statuses of its rows.
    asks: u32, "ASKS_" {
        GREEDY = 1,
        /// A temperature that depends on the entropy.
        DYNAMIC = 2,
        /// The raw view beside the processed one.
        RAW = 4,
        /// Pass 1 sums up the surprisal of the view that is drawn from, and of the raw one.
        SURPRISAL = 8,
        RAW_SURPRISAL = 16,
        /// Written by the device: the history that the row needs is not there.
        LOST = 32,
        /// The first drawn token is all that is wanted: no rank.
        TOKEN_ALONE = 256,
    }
}

layout! {
    /// Words of a request that `row_history` finds by their number.
    request: usize, "REQUEST_" {
        FLAGS = std::mem::offset_of!(super::RequestWords, flags) / 4,
        HISTORY = std::mem::offset_of!(super::RequestWords, history) / 4,
        CUTS = std::mem::offset_of!(super::RequestWords, cuts) / 4,
        WORDS = size_of::<super::RequestWords>() / 4,
    }
}

/// [`Compiled`] as the device reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct RequestWords {
    pub(crate) first_kept: u32,
    pub(crate) kept_buckets: u32,
    pub(crate) first_step: u32,
    pub(crate) step_buckets: u32,
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
    pub(crate) per_logit: u32,
    pub(crate) first_xtc_exempt: u32,
    pub(crate) n_xtc_exempt: u32,
    pub(crate) history: u32,
    pub(crate) first_draft: u32,
    pub(crate) n_drafts: u32,
    pub(crate) block_place: u32,
    pub(crate) block_behind: u32,
    pub(crate) cuts: [[u32; 4]; MAX_CUTS],
}

/// `NONE` of `shaders/lib/request.wgsl`.
pub(crate) const NONE: u32 = u32::MAX;

impl RequestWords {
    /// A request that only observes, at these scales, with or without the entropy.
    pub(crate) fn observing(PassScale { lane, tile }: PassScale, entropy: bool) -> Self {
        Self {
            flags: u32::from(entropy) * asks::SURPRISAL,
            first_allowed: NONE,
            pass_scale: words_of(tile),
            per_logit: lane.per_logit.to_bits(),
            ..Self::zeroed()
        }
    }

    /// The same where nothing is wanted but the first drawn token: what no filter asks for is not computed.
    pub(crate) fn of_token_alone(compiled: &Compiled) -> Self {
        let all = Self::new(compiled);
        let surprisal = u32::from(compiled.draws_by_surprisal()) * asks::SURPRISAL;
        let flags = all.flags & (asks::GREEDY | asks::DYNAMIC) | surprisal | asks::TOKEN_ALONE;
        Self { flags, n_draws: 1, top_processed: 0, top_raw: 0, ..all }
    }

    /// The words of a request; where its changes and its allowed tokens lie is filled in by whoever places them.
    pub(crate) fn new(compiled: &Compiled) -> Self {
        let mut cuts = [[0; 4]; MAX_CUTS];
        for (words, cut) in cuts.iter_mut().zip(&compiled.cuts) {
            *words = cut.words_on_device();
        }
        let dynamic = compiled.dynamic.unwrap_or(Dynamic { low: 0, span: 0, power: 0 });
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_CUTS")]
        let n_cuts = compiled.cuts.len() as u32;
        Self {
            draw_scale: words_of(compiled.draw.scale),
            draw_unit: compiled.draw.unit,
            flags: (u32::from(compiled.is_greedy) * asks::GREEDY)
                | (u32::from(compiled.dynamic.is_some()) * asks::DYNAMIC)
                | (u32::from(compiled.top_raw.is_some()) * asks::RAW)
                | (u32::from(compiled.needs_surprisal()) * asks::SURPRISAL)
                | (u32::from(compiled.entropy && compiled.top_raw.is_some()) * asks::RAW_SURPRISAL),
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
            ..Self::observing(compiled.pass, false)
        }
    }
}

fn words_of(scale: Scale) -> [u32; 3] {
    [scale.shift.cast_unsigned(), scale.rate, scale.half_window.to_bits()]
}
