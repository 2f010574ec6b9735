//! A request's numbers as both engines take them: scales, and the cuts of its steps.

use crate::arithmetic::draw_scale::{DrawScale, Dynamic};
use crate::arithmetic::exact;
use crate::arithmetic::lane::PassScale;
use crate::filter::Cut;
use crate::params::{LogprobsParams, SamplingParams, SamplingStep};

/// A request as the engines take it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    /// Scales of the view that is drawn from, in pass 1: where the first filter wants the mass of the whole row, the one
    /// in force there.
    pub(crate) pass: PassScale,
    /// What is drawn at, unless it is dynamic.
    pub(crate) draw: DrawScale,
    pub(crate) dynamic: Option<Dynamic>,
    pub(crate) is_greedy: bool,
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    pub(crate) n_draws: u32,
    pub(crate) top_processed: u32,
    pub(crate) top_raw: Option<u32>,
    /// The entropies are asked for.
    pub(crate) entropy: bool,
    /// What acts, in order.
    pub(crate) cuts: Vec<Cut>,
    /// Which of them is Mirostat's.
    pub(crate) mirostat: Option<u32>,
}

impl Compiled {
    /// Of these parameters, with the seed that was found and Mirostat's state.
    pub(crate) fn new(params: &SamplingParams, seed: u64, mu: i64) -> Self {
        let is_greedy = params.temperature == 0.0;
        let one = DrawScale::new(1.0);
        let mut compiled = Self {
            pass: PassScale::new(1.0),
            draw: one,
            dynamic: None,
            is_greedy,
            seed,
            stream: params.stream,
            n_draws: if is_greedy { 1 } else { params.n },
            top_processed: params.processed_logprobs.unwrap_or(0),
            top_raw: params.raw_logprobs,
            entropy: params.entropy,
            cuts: Vec::new(),
            mirostat: None,
        };
        if is_greedy {
            return compiled;
        }
        let order = params.order.steps(params.mirostat.is_some());
        if order.contains(&SamplingStep::Temperature) {
            if params.dynatemp_range > 0.0 {
                compiled.dynamic = Some(dynamic(params));
            } else {
                compiled.draw = DrawScale::new(params.temperature);
            }
        }
        let acts = order.iter().filter_map(|&step| Some((step, step.cut(params, mu)?)));
        for (place, (step, cut)) in (0..).zip(acts) {
            compiled.cuts.push(cut);
            compiled.mirostat = compiled.mirostat.or((step == SamplingStep::Mirostat).then_some(place));
        }
        // Where no filter comes first, the draw itself wants the mass.
        let temperature_is_first = compiled.cuts.first() == Some(&Cut::TEMPERATURE);
        if compiled.dynamic.is_none() && temperature_is_first {
            compiled.pass = PassScale::new(params.temperature);
        }
        compiled
    }

    /// Whether pass 1 is to sum up the surprisal of the view that is drawn from: for whoever asked, or for a step.
    pub(crate) fn needs_surprisal(&self) -> bool {
        self.entropy || self.draws_by_surprisal()
    }

    /// Whether a step looks at it.
    pub(crate) fn draws_by_surprisal(&self) -> bool {
        self.dynamic.is_some() || self.cuts.iter().any(Cut::needs_surprisal)
    }
}

/// The dynamic temperature of these parameters.
fn dynamic(params: &SamplingParams) -> Dynamic {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated: 0 to 1000")]
    let fixed = |value: f64, fraction: i32| (value * exact::pow2(fraction)).round() as u32;
    let temperature = f64::from(params.temperature);
    let range = f64::from(params.dynatemp_range);
    let low = fixed((temperature - range).max(f64::from(LogprobsParams::MIN_TEMPERATURE)), 22);
    Dynamic {
        low,
        span: fixed(temperature + range, 22) - low,
        power: fixed(f64::from(params.dynatemp_exponent), 24),
    }
}
