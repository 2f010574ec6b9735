//! A request's numbers as both engines take them: scales, ratios, steps.

use super::{Filter, Request};
use crate::arithmetic::draw_scale::{DrawScale, Dynamic};
use crate::exact::{self, Scale};
use crate::numbers::Ratio;
use crate::request::LogprobsParams;

/// A step of the kernel `row_sample`, four words on the device: kind, factor, by, coin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Temperature,
    TopK(u32),
    TopP(Ratio),
    MinP(Ratio),
    Typical(Ratio),
    /// Standard deviations, Q16.
    TopNSigma(u32),
    /// The epsilon cutoff, and Mirostat, which is one with 2^-mu.
    Epsilon(Ratio),
    /// The threshold, and the largest word of a coin that acts.
    Xtc(Ratio, u32),
}

/// A request as the engines take it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    /// Scale of the view that is drawn from, in pass 1: where the first filter wants the mass of the whole row, the one
    /// in force there.
    pub(crate) pass: Scale,
    /// What is drawn at, unless it is dynamic.
    pub(crate) draw: DrawScale,
    pub(crate) dynamic: Option<Dynamic>,
    pub(crate) is_greedy: bool,
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    pub(crate) n_draws: u32,
    pub(crate) top_processed: u32,
    pub(crate) top_raw: Option<u32>,
    pub(crate) steps: Vec<Step>,
}

impl Compiled {
    pub(crate) fn new(request: &Request) -> Self {
        let params = &request.params;
        let is_greedy = params.temperature == 0.0;
        let one = DrawScale::new(1.0);
        let mut compiled = Self {
            pass: one.scale,
            draw: one,
            dynamic: None,
            is_greedy,
            seed: request.seed,
            stream: params.stream,
            n_draws: if is_greedy { 1 } else { params.n },
            top_processed: params.processed_logprobs.unwrap_or(0),
            top_raw: params.raw_logprobs,
            steps: Vec::new(),
        };
        if is_greedy {
            return compiled;
        }
        let order = params.order.steps(params.mirostat.is_some());
        if order.contains(&Filter::Temperature) {
            if params.dynatemp_range > 0.0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "validated: 0 to 1000"
                )]
                let fixed = |value: f64, fraction: i32| (value * exact::pow2(fraction)).round() as u32;
                let temperature = f64::from(params.temperature);
                let range = f64::from(params.dynatemp_range);
                let low = fixed((temperature - range).max(f64::from(LogprobsParams::MIN_TEMPERATURE)), 22);
                compiled.dynamic = Some(Dynamic {
                    low,
                    span: fixed(temperature + range, 22) - low,
                    power: fixed(f64::from(params.dynatemp_exponent), 16),
                });
            } else {
                compiled.draw = DrawScale::new(params.temperature);
            }
        }
        compiled.steps = order.into_iter().filter_map(|filter| request.step(filter)).collect();
        // Where no filter comes first, the draw itself wants the mass.
        let first = compiled.steps.iter().position(|step| *step != Step::Temperature);
        let before = first.map_or(&compiled.steps[..], |first| &compiled.steps[..first]);
        if compiled.dynamic.is_none() && before.contains(&Step::Temperature) {
            compiled.pass = compiled.draw.scale;
        }
        compiled
    }
}

impl Request {
    /// The step of a filter, if it acts at all.
    fn step(&self, filter: Filter) -> Option<Step> {
        let params = &self.params;
        if !params.acts(filter) {
            return None;
        }
        Some(match filter {
            Filter::Temperature => Step::Temperature,
            Filter::TopK => Step::TopK(params.top_k),
            Filter::TopP => Step::TopP(Ratio::new(params.top_p)),
            Filter::MinP => Step::MinP(Ratio::new(params.min_p)),
            Filter::TypicalP => Step::Typical(Ratio::new(params.typical_p)),
            Filter::EpsilonCutoff => Step::Epsilon(Ratio::new(params.epsilon_cutoff)),
            Filter::TopNSigma => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "validated: 0 to 1000"
                )]
                let sigmas = (f64::from(params.top_n_sigma) * 65_536.0).round() as u32;
                Step::TopNSigma(sigmas)
            }
            Filter::Xtc => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "of a probability, at most 2^32 - 1"
                )]
                let coin =
                    ((f64::from(params.xtc_probability) * exact::pow2(32)).round() - 1.0).max(0.0) as u32;
                Step::Xtc(Ratio::new(params.xtc_threshold), coin)
            }
            Filter::Mirostat => {
                // 2^-mu out of the table: the same bits on every system.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to 0 to 63 octaves"
                )]
                let octaves = (self.mu.clamp(0.0, 63.0) * exact::pow2(24)).round() as u32;
                Step::Epsilon(Ratio { factor: exact::mantissa(octaves), by: 31 + (octaves >> 24) })
            }
        })
    }
}
